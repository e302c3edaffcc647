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

int64_t slices_keep(u3d_volume *label, const int64_t n[3], int32_t unlabeled)
{
    int32_t *v = label->data;
    int64_t kept = 0;
    for (int64_t z = 0; z < label->size[0]; z++) {
        const bool keep_z = slice_kept(z, n[2], label->size[0]);
        for (int64_t y = 0; y < label->size[1]; y++) {
            const bool keep_row = keep_z || slice_kept(y, n[1], label->size[1]);
            for (int64_t x = 0; x < label->size[2]; x++, v++) {
                if (keep_row || slice_kept(x, n[0], label->size[2]))
                    kept++;
                else
                    *v = unlabeled;
            }
        }
    }
    return kept;
}
