/* Station 3 of training; before: the training cases with their index of labelled voxels; after: the case and
 * the box that station 4 cuts.
 *
 * A sample number becomes a class, a case that has it, a voxel, and the box around that voxel. Every choice
 * depends only on (seed, sample number), so any worker can make any sample. */
#include "net/sample/choose.h"

#include "net/config/config.h"

/* Uniformly one of the cases that have class k (any labelled voxel if k < 0); -1 if none has. */
static int choose_case(const u3d_cases *c, int k, u3d_rng *rng)
{
    int n = u3d_cases_count(c), usable = 0;
    for (int i = 0; i < n; i++) usable += u3d_cases_voxels(c, i, k) > 0;
    if (usable == 0) return -1;
    int64_t left = u3d_rng_below(rng, usable);
    for (int i = 0; i < n; i++)
        if (u3d_cases_voxels(c, i, k) > 0 && left-- == 0) return i;
    return -1;
}

static bool occurs(const u3d_cases *c, int k)
{
    for (int i = 0; i < u3d_cases_count(c); i++)
        if (u3d_cases_voxels(c, i, k) > 0) return true;
    return false;
}

/* Uniformly one of the foreground classes that occur in any case; -1 if none occurs. */
static int choose_class(const u3d_cases *c, u3d_rng *rng)
{
    const u3d_labels *labels = u3d_cases_labels(c);
    bool present[U3D_MAX_LABELS] = {false};
    int n = 0;
    for (int k = labels->background ? 1 : 0; k < labels->n; k++) n += present[k] = occurs(c, k);
    if (n == 0) return -1;
    int64_t left = u3d_rng_below(rng, n);
    for (int k = 0; k < labels->n; k++)
        if (present[k] && left-- == 0) return k;
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
    int i = choose_case(c, -1, &rng);
    if (i < 0)
        return u3d_fail(U3D_E_ARG, "none of the %d training cases has a labelled voxel", u3d_cases_count(c));
    const int class = u3d_rng_uniform(&rng) < o->foreground_share ? choose_class(c, &rng) : -1;
    /* A case that has the class is as likely as any other that has it, whether it was drawn before or now. */
    if (u3d_cases_voxels(c, i, class) == 0) i = choose_case(c, class, &rng);
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
