/* Private to net/volume/resample*.c: where a voxel of the result lies in the input, and linear
 * interpolation. */
#ifndef U3D_NET_RESAMPLE_IMPL_H
#define U3D_NET_RESAMPLE_IMPL_H

#include <math.h>

#include "net/volume/resample.h"

/* Centre of voxel o of the result (0..n_out-1), in voxels of the input. */
static inline double u3d_resample_centre(int64_t o, int64_t n_in, int64_t n_out)
{
    return ((double)o + 0.5) * (double)n_in / (double)n_out - 0.5;
}

/* The two input voxels around a centre, and the weight of the second one. The border voxel is repeated. */
typedef struct u3d_resample_pair {
    int64_t low, high;
    double share;
} u3d_resample_pair;

static inline u3d_resample_pair u3d_resample_pair_at(int64_t o, int64_t n_in, int64_t n_out)
{
    const double c = u3d_resample_centre(o, n_in, n_out), low = floor(c);
    u3d_resample_pair p = {(int64_t)low, (int64_t)low + 1, c - low};
    if (p.low < 0) p.low = 0;
    if (p.high > n_in - 1) p.high = n_in - 1;
    return p;
}

/* out = (1 - share) low + share high. This sum is written only once, so that single planes and whole volumes
 * round alike. */
void u3d_resample_blend(const float *low, const float *high, double share, int64_t n, float *out);

/* Resamples one axis linearly: in [outer, n_in, inner] -> out [outer, n_out, inner]. */
void u3d_resample_linear_axis(const float *in, int64_t outer, int64_t n_in, int64_t n_out, int64_t inner,
                              float *out);

/* Updates size, spacing and position of a volume that is resampled to `out`. It fills the same box in
 * space, so the centre of the first voxel moves by half the difference between the voxel sizes. */
void u3d_resample_header(u3d_volume *v, const int64_t out[3]);

#endif
