/* Max pooling with windows that tile the map, and its gradient. A work-item processes one window of one piece
 * of channels.
 *
 *   y[n,oz,oy,ox,c]     = max over kz,ky,kx of x[n, oz*KD+kz, oy*KH+ky, ox*KW+kx, c]
 *   index[n,oz,oy,ox,c] = (kz*KH + ky)*KW + kx of the first maximum, u8
 *
 * Axis 0 runs over the ow * width pieces in a row of y, axis 1 over the rows of a plane, and axis 2 over the
 * planes of all samples. Because windows tile the map, plane z of y begins at plane z * KD of x in any
 * sample.
 *
 * The map may be lazy (map.clh). */
#include "vec.clh"
#include "map.clh"

#ifndef KD
#define KD 2
#define KH 2
#define KW 2
#endif

__kernel __attribute__((reqd_work_group_size(64, 4, 1))) void
maxpool3d(MAP_PARAMS, OUT(float, y), OUT(uchar, index), const int ow, const int oh, const int width)
{
    MAP_AT;
    AT(y);
    AT(index);
    const int e = (int)get_global_id(0), oy = (int)get_global_id(1), oz = (int)get_global_id(2);
    if (e >= ow * width || oy >= oh) return;
    const int ox = e / width, n = oz * KD / up_d;
    const map_part x = MAP_UP(n), none = MAP_SKIP(n);
    const map_column column = map_column_of(x, none, (e - ox * width) * VEC);
    floatv best = (floatv)(0.0f);
    intv at = (intv)(0);
    for (int kz = 0; kz < KD; kz++)
        for (int ky = 0; ky < KH; ky++)
            for (int kx = 0; kx < KW; kx++) {
                const int k = (kz * KH + ky) * KW + kx;
                const int voxel = map_voxel(x, oz * KD - n * up_d + kz, oy * KH + ky, ox * KW + kx);
                const floatv v = map_column_value(column, map_column_load(column, voxel), slope);
                const intv better = k == 0 ? (intv)(-1) : (intv)(v > best);
                best = better ? v : best;
                at = better ? (intv)(k) : at;
            }
    const size_t to = ((size_t)oz * oh + oy) * ow * width + e;
    PIECES(y)[to] = best;
    ((__global ucharv *)index)[to] = CONVERT_UCHARV(at);
}

__kernel __attribute__((reqd_work_group_size(64, 4, 1))) void
maxpool3d_dx(IN(float, dy), IN(uchar, index), OUT(float, dx), const int ow, const int oh, const int width)
{
    AT(dy);
    AT(index);
    AT(dx);
    const int e = (int)get_global_id(0), oy = (int)get_global_id(1), oz = (int)get_global_id(2);
    if (e >= ow * width || oy >= oh) return;
    const int ox = e / width, c = e - ox * width, row = ow * KW * width;
    const int corner = ((oz * KD * oh + oy) * KH) * row + ox * KW * width + c;
    const size_t from = ((size_t)oz * oh + oy) * ow * width + e;
    const floatv g = CPIECES(dy)[from];
    const intv at = CONVERT_INTV(((__global const ucharv *)index)[from]);
    for (int kz = 0; kz < KD; kz++)
        for (int ky = 0; ky < KH; ky++)
            for (int kx = 0; kx < KW; kx++) {
                const floatv own = at == (intv)((kz * KH + ky) * KW + kx) ? g : (floatv)(0.0f);
                STORE(PIECES(dx)[corner + (kz * oh * KH + ky) * row + kx * width], own);
            }
}
