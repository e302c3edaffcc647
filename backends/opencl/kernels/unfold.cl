/* Writes the windows of a map as a matrix, so that a convolution becomes a matrix product.
 *
 *   cols[r, k] = map[n, o * stride + tap - pad, c],   k = tap * C + c, tap = (kz * kh + ky) * kw + kx
 *
 * for output voxels row0 + r = ((n * od + oz) * oh + oy) * ow + ox, 0 <= r < rows. Elements that lie outside
 * the map are zero.
 *
 *   TRANSPOSED  1: the matrix is stored as [k, r] */
#include "vec.clh"
#include "map.clh"

#ifndef TRANSPOSED
#define TRANSPOSED 0
#endif

/* There are voxels x groups of VEC channels x taps work-items; neighbours write neighbouring elements. */
__kernel void unfold(MAP_PARAMS, OUT(float, cols), const int row0, const int rows, const int od, const int oh,
                     const int ow, const int kd, const int kh, const int kw, const int sd, const int sh,
                     const int sw, const int pd, const int ph, const int pw)
{
    MAP_AT;
    AT(cols);
    const int channels = MAP_CHANNELS, groups = channels / VEC, tap = (int)get_global_id(2);
#if TRANSPOSED
    const int r = (int)get_global_id(0), group = (int)get_global_id(1);
#else
    const int r = (int)get_global_id(0) / groups, group = (int)get_global_id(0) % groups;
#endif
    if (r >= rows || group >= groups) return;
    const int c = group * VEC, v = row0 + r, n = v / (od * oh * ow);
    const int z = v / (oh * ow) % od * sd - pd + tap / (kh * kw);
    const int y = v / ow % oh * sh - ph + tap / kw % kh;
    const int x = v % ow * sw - pw + tap % kw;
    const map_part from_up = MAP_UP(n), from_skip = MAP_SKIP(n);
    floatv value = 0.0f;
    if (z >= 0 && z < up_d && y >= 0 && y < up_h && x >= 0 && x < up_w)
        value = map_read(from_up, from_skip, map_voxel(from_up, z, y, x),
                         map_skip_voxel(from_up, from_skip, z, y, x), c, slope);
    const int k = tap * channels + c;
#if TRANSPOSED && VEC == 4
    cols[k * rows + r] = value.x;
    cols[(k + 1) * rows + r] = value.y;
    cols[(k + 2) * rows + r] = value.z;
    cols[(k + 3) * rows + r] = value.w;
#elif TRANSPOSED
    cols[k * rows + r] = value;
#else
    *(__global floatv *)(cols + r * kd * kh * kw * channels + k) = value;
#endif
}
