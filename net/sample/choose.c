/* Station 3 of training; before: the training cases with their index of labelled voxels; after: the case and
 * the box that station 4 cuts.
 *
 * A sample number becomes a case, a voxel in it, and the box around that voxel. Every choice depends only on
 * (seed, sample number), so any worker can make any sample. */
#include "net/sample/choose.h"

/* Uniformly one of the cases with labelled voxels; -1 if no case has any. */
static int choose_case(const u3d_cases *c, u3d_rng *rng)
{
    int n = u3d_cases_count(c), usable = 0;
    for (int i = 0; i < n; i++) usable += u3d_cases_voxels(c, i, -1) > 0;
    if (usable == 0) return -1;
    int64_t left = u3d_rng_below(rng, usable);
    for (int i = 0; i < n; i++)
        if (u3d_cases_voxels(c, i, -1) > 0 && left-- == 0) return i;
    return -1;
}

/* Uniformly one of the foreground classes that occur in case i; -1 if none occurs. */
static int choose_class(const u3d_cases *c, int i, u3d_rng *rng)
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

/* Start of the box along one axis, for a box centred on a voxel. */
static int64_t choose_start(int64_t centre, int64_t box, int64_t size, u3d_border border)
{
    int64_t start = centre - box / 2;
    if (border == U3D_BORDER_MIRROR) return start;
    if (size <= box)
        return -((box - size) / 2); /* a volume smaller than the box is centred, as in prediction */
    if (start > size - box) start = size - box;
    return start < 0 ? 0 : start;
}

/* Start of a box that roams: the chosen voxel may lie anywhere in the box. A volume that is smaller than the
 * box also lies anywhere in it. */
static int64_t choose_roaming_start(int64_t voxel, int64_t box, int64_t size, u3d_rng *rng)
{
    const int64_t start = voxel - u3d_rng_below(rng, box);
    const int64_t low = size < box ? size - box : 0, high = size > box ? size - box : 0;
    return start < low ? low : start > high ? high : start;
}

u3d_status u3d_patch_choose(u3d_cases *c, const u3d_patch_opts *o, uint64_t seed, int64_t k, int *case_index,
                            u3d_box *in, int64_t voxel[3])
{
    u3d_rng rng = u3d_rng_at(seed, U3D_RNG_PATCH, (uint64_t)k);
    int i = choose_case(c, &rng);
    if (i < 0)
        return u3d_fail(U3D_E_ARG, "none of the %d training cases has a labelled voxel", u3d_cases_count(c));
    int class = u3d_rng_uniform(&rng) < o->foreground_share ? choose_class(c, i, &rng) : -1;
    U3D_TRY(u3d_cases_locate(c, i, class, u3d_rng_below(&rng, u3d_cases_voxels(c, i, class)), voxel));
    const int64_t *size = u3d_cases_size(c, i);
    for (int a = 0; a < 3; a++) {
        in->size[a] = o->in[a];
        in->start[a] = o->roam ? choose_roaming_start(voxel[a], o->in[a], size[a], &rng)
                               : choose_start(voxel[a], o->in[a], size[a], o->border);
    }
    *case_index = i;
    return U3D_OK;
}
