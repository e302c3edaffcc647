/* Sparse annotation made from dense labels. */
#include "tools/slices.h"

int64_t slice_position(int64_t i, int64_t n, int64_t extent)
{
    return (2 * i + 1) * extent / (2 * n);
}

static bool slice_kept(int64_t at, int64_t n, int64_t extent)
{
    for (int64_t i = 0; i < n; i++)
        if (at == slice_position(i, n, extent)) return true;
    return false;
}

/* Whether plane `at` is kept by any of the sets, of which each has n slices across this axis: 0 x, 1 y, 2 z.
 */
static bool plane_kept(const int64_t (*sets)[3], int n_sets, int axis, int64_t at, int64_t extent)
{
    bool kept = false;
    for (int i = 0; i < n_sets && !kept; i++) kept = slice_kept(at, sets[i][axis], extent);
    return kept;
}

int64_t slices_keep(u3d_volume *label, const int64_t (*sets)[3], int n_sets, int32_t unlabeled)
{
    int32_t *v = label->data;
    int64_t kept = 0;
    for (int64_t z = 0; z < label->size[0]; z++) {
        const bool keep_z = plane_kept(sets, n_sets, 2, z, label->size[0]);
        for (int64_t y = 0; y < label->size[1]; y++) {
            const bool keep_row = keep_z || plane_kept(sets, n_sets, 1, y, label->size[1]);
            for (int64_t x = 0; x < label->size[2]; x++, v++) {
                if (keep_row || plane_kept(sets, n_sets, 0, x, label->size[2]))
                    kept++;
                else
                    *v = unlabeled;
            }
        }
    }
    return kept;
}
