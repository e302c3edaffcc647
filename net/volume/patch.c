/* Station 4 of training and station 3 of prediction; before: a normalised volume and a box; after: a
 * contiguous patch.
 *
 * A box may reach beyond the volume. For networks with valid convolutions (as in the paper), voxels
 * outside of the volume are mirrored about the edge voxel. For networks with same-padded convolutions they
 * are 0, which is the mean after normalisation. The part of a row that lies inside the volume is copied at
 * once. */
#include "net/volume/patch.h"

#include <string.h>

#include "net/volume/labels.h"

int64_t u3d_mirror_index(int64_t i, int64_t n)
{
    if (n == 1) return 0;
    int64_t period = 2 * (n - 1);
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : period - i;
}

/* Copies the rows of a box; an element has `bytes` bytes. With U3D_BORDER_ZERO, every byte of the elements
 * outside of the volume becomes `blank`. */
static void patch_cut(const void *volume, const int64_t size[3], size_t bytes, const u3d_box *box,
                      u3d_border border, int blank, void *out)
{
    int64_t x0 = box->start[2], width = box->size[2];
    int64_t before = x0 < 0 ? (-x0 < width ? -x0 : width) : 0; /* columns left of the volume           */
    int64_t end = size[2] - x0 < width ? size[2] - x0 : width; /* first column right of the volume     */
    if (end < before) end = before;
    char *to = out;
    for (int64_t z = box->start[0]; z < box->start[0] + box->size[0]; z++)
        for (int64_t y = box->start[1]; y < box->start[1] + box->size[1]; y++, to += (size_t)width * bytes) {
            bool inside = z >= 0 && z < size[0] && y >= 0 && y < size[1];
            if (!inside && border == U3D_BORDER_ZERO) {
                memset(to, blank, (size_t)width * bytes);
                continue;
            }
            int64_t row_index = u3d_mirror_index(z, size[0]) * size[1] + u3d_mirror_index(y, size[1]);
            const char *row = (const char *)volume + (size_t)(row_index * size[2]) * bytes;
            if (end > before)
                memcpy(to + (size_t)before * bytes, row + (size_t)(x0 + before) * bytes,
                       (size_t)(end - before) * bytes);
            if (border == U3D_BORDER_ZERO) {
                memset(to, blank, (size_t)before * bytes);
                memset(to + (size_t)end * bytes, blank, (size_t)(width - end) * bytes);
                continue;
            }
            for (int64_t x = before == 0 ? end : 0; x < width; x = x + 1 == before ? end : x + 1)
                memcpy(to + (size_t)x * bytes, row + (size_t)u3d_mirror_index(x0 + x, size[2]) * bytes,
                       bytes);
        }
}

void u3d_patch_cut_image(const u3d_volume *image, const u3d_box *box, u3d_border border, float *out)
{
    U3D_ASSERT(image->dtype == U3D_F32, "dtype %d", (int)image->dtype);
    patch_cut(image->data, image->size, sizeof(float) * (size_t)image->channels, box, border, 0, out);
}

void u3d_patch_cut_label(const u3d_volume *label, const u3d_box *box, u3d_border border, uint8_t *out)
{
    U3D_ASSERT(label->dtype == U3D_U8 && label->channels == 1, "dtype %d, %d channels", (int)label->dtype,
               (int)label->channels);
    patch_cut(label->data, label->size, 1, box, border, U3D_UNLABELED, out);
}
