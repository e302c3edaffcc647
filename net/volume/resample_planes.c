/* Resamples probabilities back to a volume's own grid while the network computes them; before: planes of the
 * network's grid, one after the other; after: every voxel has a class. With K labels, and sizes f (from) and
 * t (to):
 *
 *   plane [fy, fx, K]  -x->  half [fy, tx, K]  -y->  newer [ty, tx, K]
 *   older, newer [ty, tx, K]  -z->  row [tx, K]  ->  classes
 *
 * `older` and `newer` are the last two planes of that kind; a plane of the result lies between them. */
#include "net/volume/resample_impl.h"

#include <string.h>

#include "engine/base/mem.h"

struct u3d_planes_back {
    u3d_planes_back_opts o;
    int64_t n_in, n_out; /* planes that have come, planes that are finished */
    float *half, *older, *newer, *row;
};

uint64_t u3d_planes_back_bytes(const u3d_planes_back_opts *o)
{
    const int64_t row = o->to[2] * o->labels;
    return (uint64_t)(row * (o->from[1] + 2 * o->to[1] + 1)) * sizeof(float);
}

u3d_status u3d_planes_back_new(const u3d_planes_back_opts *o, u3d_planes_back **out)
{
    *out = NULL;
    u3d_planes_back *b = u3d_new(1, sizeof *b);
    if (!b) return U3D_E_NOMEM;
    b->o = *o;
    const size_t row = (size_t)(o->to[2] * o->labels);
    b->half = u3d_new((size_t)o->from[1] * row, sizeof(float));
    b->older = u3d_new((size_t)o->to[1] * row, sizeof(float));
    b->newer = u3d_new((size_t)o->to[1] * row, sizeof(float));
    b->row = u3d_new(row, sizeof(float));
    if (!b->half || !b->older || !b->newer || !b->row) {
        u3d_planes_back_free(b);
        return U3D_E_NOMEM;
    }
    *out = b;
    return U3D_OK;
}

void u3d_planes_back_free(u3d_planes_back *b)
{
    if (!b) return;
    u3d_free(b->half);
    u3d_free(b->older);
    u3d_free(b->newer);
    u3d_free(b->row);
    u3d_free(b);
}

/* Computes plane n_out of the result from the two planes around it. */
static void plane_finish(u3d_planes_back *b, const float *low, const float *high, double share)
{
    const u3d_planes_back_opts *o = &b->o;
    const int64_t width = o->to[2], row = width * o->labels;
    for (int64_t y = 0; y < o->to[1]; y++) {
        const int64_t at = b->n_out * o->to[1] + y;
        float *p = o->probabilities ? (float *)o->probabilities->data + at * row : b->row;
        uint8_t *classes = (uint8_t *)o->classes->data + at * width;
        if (o->from[0] == o->to[0])
            memcpy(p, low + y * row, (size_t)row * sizeof *p);
        else
            u3d_resample_blend(low + y * row, high + y * row, share, row, p);
        for (int64_t x = 0; x < width; x++, p += o->labels) {
            int best = 0;
            for (int k = 1; k < o->labels; k++)
                if (p[k] > p[best]) best = k;
            classes[x] = (uint8_t)best;
        }
    }
    b->n_out++;
}

void u3d_planes_back_add(u3d_planes_back *b, const float *plane)
{
    const u3d_planes_back_opts *o = &b->o;
    U3D_ASSERT(b->n_in < o->from[0], "plane %lld of %lld", (long long)b->n_in, (long long)o->from[0]);
    float *spare = b->older;
    b->older = b->newer;
    b->newer = spare;
    u3d_resample_linear_axis(plane, o->from[1], o->from[2], o->to[2], o->labels, b->half);
    u3d_resample_linear_axis(b->half, 1, o->from[1], o->to[1], o->to[2] * o->labels, b->newer);
    const int64_t z = b->n_in++;
    while (b->n_out < o->to[0]) {
        const bool same = o->from[0] == o->to[0];
        const u3d_resample_pair p = same ? (u3d_resample_pair){b->n_out, b->n_out, 0}
                                         : u3d_resample_pair_at(b->n_out, o->from[0], o->to[0]);
        if (p.high > z) return;
        plane_finish(b, p.low == z ? b->newer : b->older, p.high == z ? b->newer : b->older, p.share);
    }
}
