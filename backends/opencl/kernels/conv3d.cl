/* Convolution, up-convolution and the input gradients of both, computed directly from the formula.
 *
 *   y[n, o, co] = bias[co] + sum over taps k and ci of  map[n, i, ci] * w[k, ci, co]
 *   ADJOINT 0 (conv3d, upconv3d_dx):   i = o * stride - pad + k
 *   ADJOINT 1 (conv3d_dx, upconv3d):   i * stride = o + pad - k, only for k with a solution i
 *
 * Positions i outside the map count as zero. Gradients use the transposed weights: with WEIGHT_T 1, w is
 * [k, co, ci]. A work-item owns WIDE channels of one voxel. It first sums over the channels of each tap and
 * then over the taps, which keeps rounding errors small.
 *
 *   WIDE   4 if out_c is a multiple of 4, otherwise 1 */
#include "vec.clh"
#include "map.clh"
#include "conv3d.clh"

#ifndef ADJOINT
#define ADJOINT 0
#endif
#ifndef WEIGHT_T
#define WEIGHT_T 0
#endif

/* The taps that contribute to o are k = FIRST, FIRST + STEP, ... < kernel. POSITION is where tap k reads, and
 * BEFORE tells whether that is before the beginning of the map. */
#if ADJOINT
#define FIRST(o, stride, pad)       (((o) + (pad)) % (stride))
#define STEP(stride)                (stride)
#define POSITION(o, k, stride, pad) (((o) + (pad) - (k)) / (stride))
#define BEFORE(o, k, stride, pad)   ((o) + (pad) < (k))
#else
#define FIRST(o, stride, pad)       0
#define STEP(stride)                1
#define POSITION(o, k, stride, pad) ((o) * (stride) - (pad) + (k))
#define BEFORE(o, k, stride, pad)   (POSITION(o, k, stride, pad) < 0)
#endif

wide weight_read(__global const float *w, int tap, int ci, int co, int in_c, int out_c)
{
#if !WEIGHT_T
    return *(__global const wide *)(w + (tap * in_c + ci) * out_c + co);
#else
    __global const float *at = w + (tap * out_c + co) * in_c + ci;
#if WIDE == 4
    return (float4)(at[0], at[in_c], at[2 * in_c], at[3 * in_c]);
#else
    return at[0];
#endif
#endif
}

__kernel void conv3d(MAP_PARAMS, IN(float, w), IN(float, bias), OUT(float, y), const int has_bias,
                     const int voxels, const int od, const int oh, const int ow, const int out_c,
                     const int kd, const int kh, const int kw, const int sd, const int sh, const int sw,
                     const int pd, const int ph, const int pw)
{
    MAP_AT;
    AT(w);
    AT(bias);
    AT(y);
    const int id = get_global_id(0), in_c = MAP_CHANNELS;
    const int co = id % (out_c / WIDE) * WIDE, v = id / (out_c / WIDE);
    if (v >= voxels) return;
    const int ox = v % ow, oy = v / ow % oh, oz = v / ow / oh % od, n = v / ow / oh / od;
    const map_part a = MAP_UP(n), b = MAP_SKIP(n);

    wide sum = 0.0f;
    for (int kz = FIRST(oz, sd, pd); kz < kd; kz += STEP(sd)) {
        const int z = POSITION(oz, kz, sd, pd);
        if (BEFORE(oz, kz, sd, pd) || z >= up_d) continue;
        for (int ky = FIRST(oy, sh, ph); ky < kh; ky += STEP(sh)) {
            const int yy = POSITION(oy, ky, sh, ph);
            if (BEFORE(oy, ky, sh, ph) || yy >= up_h) continue;
            for (int kx = FIRST(ox, sw, pw); kx < kw; kx += STEP(sw)) {
                const int x = POSITION(ox, kx, sw, pw);
                if (BEFORE(ox, kx, sw, pw) || x >= up_w) continue;
                const int tap = (kz * kh + ky) * kw + kx;
                const int at = map_voxel(a, z, yy, x), skip_at = map_skip_voxel(a, b, z, yy, x);
                wide part = 0.0f;
                for (int ci = 0; ci < in_c; ci++)
                    part += map_read(a, b, at, skip_at, ci, slope) * weight_read(w, tap, ci, co, in_c, out_c);
                sum += part;
            }
        }
    }
    if (has_bias) sum += *(__global const wide *)(bias + co);
    STORE(*(__global wide *)(y + v * out_c + co), sum);
}
