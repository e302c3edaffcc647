/* Training cases on one voxel spacing: which, and what it costs the labels.
 *
 * The target is known before any voxel is read, from the headers, so that each case is resampled as soon as
 * it is there and its own voxels let go. */
#include <stdlib.h>
#include <string.h>

#include "engine/log.h"
#include "engine/mem.h"
#include "net/cases_impl.h"

/* ---- the target ---- */

static u3d_status probe_headers(const u3d_cases *c, double (*spacing)[3], int64_t (*size)[3])
{
    for (int i = 0; i < c->n; i++) {
        u3d_volume *header;
        u3d_status status = u3d_nifti_probe(c->entry[i].files.image[0], &header);
        if (status != U3D_OK) return u3d_wrap(status, "case '%s'", c->entry[i].files.id);
        memcpy(spacing[i], header->spacing, sizeof spacing[i]);
        memcpy(size[i], header->size, sizeof size[i]);
        u3d_volume_free(header);
    }
    return U3D_OK;
}

u3d_status u3d_case_settle_spacing(u3d_cases *c, const u3d_resampling *wanted)
{
    c->resampling = *wanted;
    if (!wanted->on) return U3D_OK;
    if (wanted->spacing[0] > 0) {
        (void)snprintf(c->facts.spacing_why, sizeof c->facts.spacing_why, "as set");
        return U3D_OK;
    }
    double(*spacing)[3] = u3d_new((size_t)c->n, sizeof *spacing);
    int64_t(*size)[3] = u3d_new((size_t)c->n, sizeof *size);
    u3d_status status = spacing && size ? probe_headers(c, spacing, size) : U3D_E_NOMEM;
    if (status == U3D_OK)
        status =
            u3d_resample_target((const double(*)[3])spacing, (const int64_t(*)[3])size, c->n,
                                c->resampling.spacing, c->facts.spacing_why, sizeof c->facts.spacing_why);
    u3d_free(spacing);
    u3d_free(size);
    return status;
}

/* ---- one case ---- */

void u3d_case_place(const u3d_cases *c, u3d_case_entry *e, const u3d_volume *image)
{
    memcpy(e->own_size, image->size, sizeof e->own_size);
    memcpy(e->own_spacing, image->spacing, sizeof e->own_spacing);
    memcpy(e->spacing, image->spacing, sizeof e->spacing);
    e->resampled = u3d_resample_size(&c->resampling, image->size, image->spacing, e->size);
    for (int a = 0; a < 3; a++) /* the target but for rounding, and for an axis of one voxel */
        e->spacing[a] *= (double)e->own_size[a] / (double)e->size[a];
}

u3d_status u3d_case_resample(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *image,
                             u3d_volume *classes)
{
    if (!e->resampled) return U3D_OK;
    if (image) U3D_TRY(u3d_resample_image_to(image, e->size, c->resampling.how));
    return classes ? u3d_resample_labels_to(classes, e->size) : U3D_OK;
}

uint64_t u3d_case_loading_bytes(const u3d_case_entry *e, int32_t channels)
{
    const uint64_t own = (uint64_t)(e->own_size[0] * e->own_size[1] * e->own_size[2]);
    uint64_t bytes = own * (4 * (uint64_t)channels + 4 + 1); /* as read: image, label values, classes */
    if (e->resampled) {
        const uint64_t resampling = u3d_resample_image_bytes(e->own_size, e->size, channels) + own;
        if (resampling > bytes) bytes = resampling;
    }
    return bytes > e->bytes ? bytes - e->bytes : 0;
}

u3d_status u3d_case_check_resampled(const u3d_cases *c, const u3d_case_entry *e, int32_t channels)
{
    if (!e->resampled) return U3D_OK;
    const int64_t *from = e->own_size, *to = e->size;
    const double voxels =
        (double)from[0] * (double)from[1] * (double)from[2] + (double)to[0] * (double)to[1] * (double)to[2];
    const double needed = voxels * (4.0 * channels + 1),
                 allowed = (double)c->limit;
    if (c->limit == 0 || needed <= allowed) return U3D_OK;
    return u3d_fail(U3D_E_NOMEM,
                    "case '%s': %lldx%lldx%lld voxels of %.4gx%.4gx%.4g would become %lldx%lldx%lld of "
                    "%.4gx%.4gx%.4g, which takes "
                    "%.2f GB where %.2f GB are allowed; check the file's voxel size, or set a coarser "
                    "spacing or resample=off",
                    e->files.id, (long long)from[2], (long long)from[1], (long long)from[0],
                    e->own_spacing[2], e->own_spacing[1], e->own_spacing[0], (long long)to[2],
                    (long long)to[1], (long long)to[0], e->spacing[2], e->spacing[1], e->spacing[0],
                    needed / 1e9, allowed / 1e9);
}

/* ---- single annotated slices ---- */

static int plane_compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t u3d_case_annotated(const int64_t *count, int64_t n, int64_t *at)
{
    int64_t annotated = 0;
    memcpy(at, count, (size_t)n * sizeof *at);
    qsort(at, (size_t)n, sizeof *at, plane_compare);
    const int64_t most = at[n - 1], median = at[n / 2];
    if (2 * median >= most) return 0;
    for (int64_t plane = 0; plane < n; plane++)
        if (2 * count[plane] > median + most) at[annotated++] = plane;
    return annotated;
}

/* Labelled voxels of each plane along each axis. */
static void planes_count(const u3d_volume *classes, int64_t *count[3])
{
    const uint8_t *v = classes->data;
    for (int64_t z = 0; z < classes->size[0]; z++)
        for (int64_t y = 0; y < classes->size[1]; y++)
            for (int64_t x = 0; x < classes->size[2]; x++) {
                if (*v++ == U3D_UNLABELED) continue;
                count[0][z]++;
                count[1][y]++;
                count[2][x]++;
            }
}

static void planes_warn(const u3d_case_entry *e, int axis, const int64_t *at, int64_t n, double target)
{
    int64_t merged = 0, nearest = INT64_MAX, last = -1;
    for (int64_t i = 0; i < n; i++) {
        const int64_t plane =
            (2 * at[i] + 1) * e->size[axis] / (2 * e->own_size[axis]); /* that it falls into */
        merged += plane == last;
        last = plane;
        if (i > 0 && at[i] - at[i - 1] < nearest) nearest = at[i] - at[i - 1];
    }
    if (merged > 0)
        U3D_WARN(
            "cases",
            "case '%s': %lld of %lld annotated slices across %c fall into the same resampled slice as their "
            "neighbour, because they lie %.4g apart and voxels become %.4g; set a finer spacing to keep all",
            e->files.id, (long long)merged, (long long)n, "zyx"[axis],
            (double)nearest * e -> own_spacing[axis], target);
}

u3d_status u3d_case_check_slices(const u3d_cases *c, const u3d_case_entry *e, const u3d_volume *classes)
{
    const int64_t *size = classes->size, all = size[0] + size[1] + size[2];
    if (!e->resampled) return U3D_OK;
    int64_t *counts = u3d_new((size_t)(2 * all), sizeof *counts);
    if (!counts) return U3D_E_NOMEM;
    int64_t *count[3] = {counts, counts + size[0], counts + size[0] + size[1]};
    planes_count(classes, count);
    for (int a = 0; a < 3; a++) {
        int64_t *at = counts + all;
        if (e->size[a] >= size[a]) continue;
        planes_warn(e, a, at, u3d_case_annotated(count[a], size[a], at), c->resampling.spacing[a]);
    }
    u3d_free(counts);
    return U3D_OK;
}

/* ---- report ---- */

void u3d_case_report_resampling(const u3d_cases *c)
{
    const double *s = c->resampling.spacing;
    int n = 0;
    if (!c->resampling.on) return;
    for (int i = 0; i < c->n_all; i++) n += c->entry[i].resampled;
    U3D_INFO("cases", "resampling to voxels of %.6gx%.6gx%.6g (%s): %d of %d cases differ by more than %g %%",
             s[2], s[1], s[0], c->facts.spacing_why, n, c->n_all, 100 * U3D_RESAMPLE_TOLERANCE);
}
