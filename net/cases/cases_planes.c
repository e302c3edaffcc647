/* Planes of a label volume: which of them are annotated slices, and which voxels count if only annotated
 * slices of one orientation do (2D networks with plane_labels=slices). net/volume/sparse.c counts the labelled
 * voxels of each plane.
 *
 * Annotated slices stand out from the planes between them, which have labels only on the lines where
 * slices of other orientations cross them. cases_impl.h defines the threshold. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

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

void u3d_case_only_planes(const u3d_volume *classes, int n, u3d_only_plane *only)
{
    const uint8_t *v = classes->data;
    int64_t low[U3D_MAX_LABELS][3], high[U3D_MAX_LABELS][3], at[3];
    for (int k = 0; k < n; k++)
        for (int a = 0; a < 3; a++) low[k][a] = INT64_MAX, high[k][a] = -1;
    for (at[0] = 0; at[0] < classes->size[0]; at[0]++)
        for (at[1] = 0; at[1] < classes->size[1]; at[1]++)
            for (at[2] = 0; at[2] < classes->size[2]; at[2]++, v++)
                for (int a = 0; a < 3 && *v != U3D_UNLABELED; a++) {
                    if (at[a] < low[*v][a]) low[*v][a] = at[a];
                    if (at[a] > high[*v][a]) high[*v][a] = at[a];
                }
    for (int k = 0; k < n; k++) {
        only[k] = (u3d_only_plane){.axis = -1};
        for (int a = 0; a < 3; a++)
            if (low[k][a] == high[k][a] && classes->size[a] > 1 && only[k].axis < 0) {
                char letter;
                only[k].at = u3d_volume_file_plane(classes, a, low[k][a], &letter);
                only[k].axis = 'z' - letter;
            }
    }
}

/* ---- slices as images of their own ---- */

/* The plane across `axis` that contains voxel `at` (an index into the volume's data). */
static int64_t plane_of(const int64_t size[3], int axis, int64_t at)
{
    return axis == 2 ? at % size[2] : axis == 1 ? at / size[2] % size[1] : at / (size[1] * size[2]);
}

/* Makes *slice [n], which tells which of the n planes are annotated slices; NULL: none of them stands out. */
static u3d_status slices_found(const int64_t *count, int64_t n, int64_t *scratch, bool **slice)
{
    const int64_t found = u3d_case_annotated(count, n, scratch);
    *slice = NULL;
    if (found == 0) return U3D_OK;
    *slice = u3d_new((size_t)n, sizeof **slice);
    if (!*slice) return U3D_E_NOMEM;
    for (int64_t i = 0; i < found; i++) (*slice)[scratch[i]] = true;
    return U3D_OK;
}

u3d_status u3d_case_find_slices(const u3d_cases *c, const u3d_volume *classes, u3d_case_entry *e)
{
    u3d_plane_counts counts;
    if (!c->slices_only) return U3D_OK;
    U3D_TRY(u3d_plane_counts_make(classes, U3D_UNLABELED, &counts));
    u3d_status status =
        slices_found(counts.of[c->across], classes->size[c->across], counts.scratch, &e->slice);
    /* Whether slices stand out along another axis. In dense labels, boxes and scribbles none do along any
     * axis; then every slice counts. */
    bool elsewhere = false;
    for (int a = 0; a < 3 && !e->slice; a++)
        elsewhere |= u3d_case_annotated(counts.of[a], classes->size[a], counts.scratch) > 0;
    u3d_plane_counts_free(&counts);
    if (status != U3D_OK || !elsewhere) return status;
    return u3d_fail(U3D_E_ARG,
                    "case '%s': no slice across %c is annotated, but with plane_labels=slices a 2D network "
                    "learns from whole slices only; give --set plane_labels=all, or choose another plane with "
                    "--set plane=...",
                    e->files.id, "zyx"[c->across]);
}

void u3d_case_keep_slices(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *classes)
{
    uint8_t *v = classes->data;
    const int64_t voxels = u3d_volume_voxels(classes);
    for (int64_t i = 0; e->slice && i < voxels; i++)
        if (!e->slice[plane_of(classes->size, c->across, i)]) v[i] = U3D_UNLABELED;
}
