/* Weight gradients of convolution and up-convolution, computed directly from the formula.
 *
 *   dw[k, ci, co] = sum over n and voxels o of the small map of
 *     UP 0 (conv3d_dw):     map[n, o * stride - pad + k, ci] * dy[n, o, co]      the map is the big map
 *     UP 1 (upconv3d_dw):   map[n, o, ci] * dy[n, o * stride - pad + k, co]      dy is the big map
 *
 * The rows (n, oz, oy) of the small map are split into slices. For one (k, ci), a work-item sums WIDE
 * channels co over one slice, row by row, into part[slice, k, ci, co]. add_slices then adds the slices to dw.
 *
 *   WIDE   4 if out_c is a multiple of 4, otherwise 1 */
#include "vec.clh"
#include "map.clh"
#include "conv3d.clh"

#ifndef UP
#define UP 0
#endif

/* dy is [n, dy_d, dy_h, dy_w, out_c]. A slice has `items` work-items and `per_slice` of the `rows` rows. */
__kernel void conv3d_dw(MAP_PARAMS, IN(float, dy), OUT(float, part), const int items, const int rows,
                        const int per_slice, const int dy_d, const int dy_h, const int dy_w, const int out_c,
                        const int kd, const int kh, const int kw, const int sd, const int sh, const int sw,
                        const int pd, const int ph, const int pw)
{
    MAP_AT;
    AT(dy);
    AT(part);
    const int id = get_global_id(0), slice = get_global_id(1), in_c = MAP_CHANNELS;
    if (id >= items) return;
    const int co = id % (out_c / WIDE) * WIDE, ci = id / (out_c / WIDE) % in_c;
    const int tap = id / (out_c / WIDE) / in_c;
    const int kx = tap % kw, ky = tap / kw % kh, kz = tap / kw / kh;
    const int small_d = UP ? up_d : dy_d, small_h = UP ? up_h : dy_h, small_w = UP ? up_w : dy_w;
    const int big_d = UP ? dy_d : up_d, big_h = UP ? dy_h : up_h, big_w = UP ? dy_w : up_w;

    /* The positions x * sw - pw + kx lie inside the big map for first <= x < end. */
    const int left = pw - kx, last = big_w - 1 + pw - kx;
    const int first = left > 0 ? (left + sw - 1) / sw : 0;
    const int end = last < 0 ? 0 : min(small_w, last / sw + 1);

    wide sum = 0.0f;
    const int row_end = min(rows, (slice + 1) * per_slice);
    for (int row = slice * per_slice; row < row_end; row++) {
        const int oy = row % small_h, oz = row / small_h % small_d, n = row / small_h / small_d;
        const int bz = oz * sd - pd + kz, by = oy * sh - ph + ky;
        if (bz < 0 || bz >= big_d || by < 0 || by >= big_h) continue;
        const map_part a = MAP_UP(n), b = MAP_SKIP(n);
        wide row_sum = 0.0f;
        for (int ox = first; ox < end; ox++) {
            const int bx = ox * sw - pw + kx;
            const int xz = UP ? oz : bz, xy = UP ? oy : by, xx = UP ? ox : bx;
            const int dz = UP ? bz : oz, yy = UP ? by : oy, dx = UP ? bx : ox;
            const int dy_voxel = ((n * dy_d + dz) * dy_h + yy) * dy_w + dx;
            row_sum += map_read(a, b, map_voxel(a, xz, xy, xx), map_skip_voxel(a, b, xz, xy, xx), ci, slope) *
                       *(__global const wide *)(dy + dy_voxel * out_c + co);
        }
        sum += row_sum;
    }
    *(__global wide *)(part + (long)slice * items * WIDE + id * WIDE) = sum;
}
