/* Station 2b of training: brings all cases to one voxel spacing. Chooses the spacing, checks that the result
 * fits into memory, and warns if annotations suffer. The resampling itself is in net/volume/resample.c.
 *
 * The target spacing is found from the headers before any voxel is read. Each case can therefore be
 * resampled as soon as it is read, and its original voxels need not be kept. */
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

/* ---- the target ---- */

static u3d_status probe_headers(const u3d_cases *c, double (*spacing)[3], int64_t (*size)[3])
{
    for (int i = 0; i < c->n; i++) {
        u3d_volume *header;
        u3d_status status = u3d_volume_probe(c->entry[i].files.image[0], &header);
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
    for (int a = 0; a < 3; a++) /* the target, except for rounding and for axes of one voxel */
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
    const uint64_t label = (uint64_t)e->label_voxels;
    uint64_t bytes = own * 4 * (uint64_t)channels + label * (4 + 1); /* image, label values and classes */
    if (label != own) bytes += own;                                  /* classes on the image's grid     */
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
    const double needed = voxels * (4.0 * channels + 1), allowed = (double)c->limit;
    if (c->limit == 0 || needed <= allowed) return U3D_OK;
    return u3d_fail(U3D_E_NOMEM,
                    "case '%s': %lldx%lldx%lld voxels of %.4gx%.4gx%.4g would become %lldx%lldx%lld of "
                    "%.4gx%.4gx%.4g, which needs %.2f GB, but only %.2f GB are allowed; "
                    "check the file's voxel size, or set a coarser spacing or resample=off",
                    e->files.id, (long long)from[2], (long long)from[1], (long long)from[0],
                    e->own_spacing[2], e->own_spacing[1], e->own_spacing[0], (long long)to[2],
                    (long long)to[1], (long long)to[0], e->spacing[2], e->spacing[1], e->spacing[0],
                    needed / 1e9, allowed / 1e9);
}

/* ---- single annotated slices ---- */

static void planes_warn(const u3d_case_entry *e, const u3d_volume *classes, int axis, const int64_t *at,
                        int64_t n, double target)
{
    char letter;
    (void)u3d_volume_file_plane(classes, axis, 0, &letter);
    int64_t merged = 0, nearest = INT64_MAX, last = -1;
    for (int64_t i = 0; i < n; i++) {
        /* The resampled plane that contains the centre of this slice. */
        const int64_t plane = (2 * at[i] + 1) * e->size[axis] / (2 * e->own_size[axis]);
        merged += plane == last;
        last = plane;
        if (i > 0 && at[i] - at[i - 1] < nearest) nearest = at[i] - at[i - 1];
    }
    if (merged > 0)
        U3D_WARN(
            "cases",
            "case '%s': %lld of %lld annotated slices across %c fall into the same resampled slice as their "
            "neighbour, because they are %.4g apart and voxels become %.4g; set a finer spacing to keep them "
            "all",
            e->files.id, (long long)merged, (long long)n, letter, (double)nearest * e->own_spacing[axis],
            target);
}

u3d_status u3d_case_check_slices(const u3d_cases *c, const u3d_case_entry *e, const u3d_volume *classes)
{
    const int64_t *size = classes->size;
    u3d_plane_counts counts;
    if (!e->resampled) return U3D_OK;
    U3D_TRY(u3d_plane_counts_make(classes, U3D_UNLABELED, &counts));
    for (int a = 0; a < 3; a++) {
        if (e->size[a] >= size[a]) continue;
        const int64_t n = u3d_case_annotated(counts.of[a], size[a], counts.scratch);
        planes_warn(e, classes, a, counts.scratch, n, c->resampling.spacing[a]);
    }
    u3d_plane_counts_free(&counts);
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
