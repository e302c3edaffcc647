/* Stations 3 and 4 of training, station 3 of prediction: where to cut, and cutting.
 *
 * Before: normalised volumes and a sample number; after: a contiguous patch. A box may reach over the volume:
 * the outside is mirrored about the edge voxel (valid networks, the paper) or zero, which is the mean after
 * normalising (same-padded networks). Rows are copied as one run where they lie inside. */
#include "net/volume/patch.h"

#include <string.h>

int64_t u3d_mirror_index(int64_t i, int64_t n)
{
    if (n == 1) return 0;
    int64_t period = 2 * (n - 1);
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : period - i;
}

/* Copies box rows of elements of `bytes` each; where the outside is not mirrored it is filled with byte
 * `blank`. */
static void patch_cut(const void *volume, const int64_t size[3], size_t bytes, const u3d_box *box,
                      u3d_border border, int blank, void *out)
{
    int64_t x0 = box->start[2], width = box->size[2];
    int64_t before = x0 < 0 ? (-x0 < width ? -x0 : width) : 0; /* columns left of the volume  */
    int64_t end = size[2] - x0 < width ? size[2] - x0 : width; /* first column right of it    */
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

/* Uniformly one of the cases with labelled voxels; -1: none has any. */
static int patch_choose_case(const u3d_cases *c, u3d_rng *rng)
{
    int n = u3d_cases_count(c), usable = 0;
    for (int i = 0; i < n; i++) usable += u3d_cases_voxels(c, i, -1) > 0;
    if (usable == 0) return -1;
    int64_t left = u3d_rng_below(rng, usable);
    for (int i = 0; i < n; i++)
        if (u3d_cases_voxels(c, i, -1) > 0 && left-- == 0) return i;
    return -1;
}

/* Uniformly one of the foreground classes of case i; -1: it has none. */
static int patch_choose_class(const u3d_cases *c, int i, u3d_rng *rng)
{
    const u3d_labels *labels = u3d_cases_labels(c);
    int first = labels->background ? 1 : 0, present = 0;
    for (int k = first; k < labels->n; k++) present += u3d_cases_voxels(c, i, k) > 0;
    if (present == 0) return -1;
    int64_t left = u3d_rng_below(rng, present);
    for (int k = first; k < labels->n; k++)
        if (u3d_cases_voxels(c, i, k) > 0 && left-- == 0) return k;
    return -1;
}

/* Along one axis: box start for a centre voxel. */
static int64_t patch_place(int64_t centre, int64_t box, int64_t size, u3d_border border)
{
    int64_t start = centre - box / 2;
    if (border == U3D_BORDER_MIRROR) return start;
    if (size <= box)
        return -((box - size) / 2); /* smaller than the network's input: centred, as in prediction */
    if (start > size - box) start = size - box;
    return start < 0 ? 0 : start;
}

/* The same where the box roams: the voxel anywhere in it. A volume that is smaller lies anywhere in the box.
 */
static int64_t patch_roam(int64_t voxel, int64_t box, int64_t size, u3d_rng *rng)
{
    const int64_t start = voxel - u3d_rng_below(rng, box);
    const int64_t low = size < box ? size - box : 0, high = size > box ? size - box : 0;
    return start < low ? low : start > high ? high : start;
}

u3d_status u3d_patch_choose(u3d_cases *c, const u3d_patch_opts *o, uint64_t seed, int64_t k, int *case_index,
                            u3d_box *in, int64_t voxel[3])
{
    u3d_rng rng = u3d_rng_at(seed, U3D_RNG_PATCH, (uint64_t)k);
    int i = patch_choose_case(c, &rng);
    if (i < 0)
        return u3d_fail(U3D_E_ARG, "none of the %d training cases has a labelled voxel", u3d_cases_count(c));
    int class = u3d_rng_uniform(&rng) < o->foreground_share ? patch_choose_class(c, i, &rng) : -1;
    U3D_TRY(u3d_cases_locate(c, i, class, u3d_rng_below(&rng, u3d_cases_voxels(c, i, class)), voxel));
    const int64_t *size = u3d_cases_size(c, i);
    for (int a = 0; a < 3; a++) {
        in->size[a] = o->in[a];
        in->start[a] = o->roam ? patch_roam(voxel[a], o->in[a], size[a], &rng)
                               : patch_place(voxel[a], o->in[a], size[a], o->border);
    }
    *case_index = i;
    return U3D_OK;
}
