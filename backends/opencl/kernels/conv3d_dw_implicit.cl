/* Weight gradient of a convolution with stride 1 as a matrix product (implicit GEMM).
 *
 *   dw[m, co] = sum over samples and voxels v of y of  a[v, m] * dy[v, co],     m: (tap, ci)
 *   a[v, (tap, ci)] = map[v's position - pad + tap, ci], zero outside the map
 *
 * The voxels of a sample are split into slices, in the same way for every sample. Slice s writes
 * part[s, m, co], and add_slices then adds the slices to dw. Axis 0 of the groups: tile of dw, with columns
 * fastest; axis 1: slice.
 *
 * A work-item reads the same (tap, ci) and the same co throughout.
 *
 *   VEC    4 if the map's channels can be read by four, otherwise 1 (map.clh)
 *   WIDE   4 if co is a multiple of 4, otherwise 1 */
#include "vec.clh"
#include "map.clh"
#include "conv3d.clh"
#define STORE4 (WIDE == 4)
#include "tile.clh"

/* Slices have BK voxels. In a slice, a row of a has BM / VEC chunks and a row of dy has BN / WIDE. */
#define A_CHUNKS (BM / VEC)
#define A_STEP   (TILE_ITEMS / A_CHUNKS)
#define A_LOADS  (BK / A_STEP)
#define B_CHUNKS (BK * BN / WIDE)
#define B_LOADS  CEIL_DIV(B_CHUNKS, TILE_ITEMS)

#if TILE_ITEMS < A_CHUNKS || TILE_ITEMS % A_CHUNKS != 0 || BK % A_STEP != 0
#error "the work-items of this tile cannot share out the loads of a"
#endif

/* A voxel of y: its index and its position. */
typedef struct place {
    int v, z, y, x;
} place;

/* Advances the place by `voxels`. */
place place_on(place p, int voxels, int oh, int ow)
{
    p.v += voxels;
    p.x += voxels;
    while (p.x >= ow) {
        p.x -= ow;
        if (++p.y < oh) continue;
        p.y = 0;
        p.z++;
    }
    return p;
}

/* The column of a that a work-item reads: channels of the map, and the offset from a voxel of y to the
 * tap. */
typedef struct source {
    map_column column;
    int z, y, x;
    bool there; /* whether a has this column */
} source;

source source_of(const map_part up, const map_part skip, int m, int rows, int in_c, int kh, int kw, int pd,
                 int ph, int pw)
{
    const bool there = m < rows;
    const int at = there ? m : 0, tap = at / in_c;
    source s = {map_column_of(up, skip, at % in_c), tap / kw / kh - pd, tap / kw % kh - ph, tap % kw - pw,
                there};
    return s;
}

/* Starts to read rows p.v, p.v + A_STEP, ... of a slice of a. Bit i of `there` tells whether to[i] lies
 * inside the map; if not, to[i] is 0. */
INLINE void a_load(const map_part up, const map_part skip, const source s, place p, int end, int oh, int ow,
                   int *there, floatv *to)
{
    *there = 0;
    UNROLL
    for (int i = 0; i < A_LOADS; i++) {
        const place q = i ? place_on(p, i * A_STEP, oh, ow) : p;
        const int z = q.z + s.z, y = q.y + s.y, x = q.x + s.x;
        to[i] = 0.0f;
        if (!s.there || q.v >= end || z < 0 || z >= up.d || y < 0 || y >= up.h || x < 0 || x >= up.w)
            continue;
        to[i] = map_column_load(s.column, s.column.in_skip ? map_skip_voxel(up, skip, z, y, x)
                                                           : map_voxel(up, z, y, x));
        *there |= 1 << i;
    }
}

INLINE void a_store(__local float *tile, int chunk, int first, const map_column column, int there,
                    float slope, const floatv *from)
{
    UNROLL
    for (int i = 0; i < A_LOADS; i++)
        *(__local floatv *)(tile + (first + i * A_STEP) * (4 * TILE_A) + chunk * VEC) =
            there >> i & 1 ? map_column_value(column, from[i], slope) : from[i];
}

/* Reads the slice of dy that begins at voxel v. */
INLINE void b_load(__global const float *dy, int lid, int v, int end, int n0, int co, wide *to)
{
    UNROLL
    for (int i = 0; i < B_LOADS; i++) {
        const int e = lid + i * TILE_ITEMS, row = v + e / (BN / WIDE), column = n0 + e % (BN / WIDE) * WIDE;
        to[i] = 0.0f;
        if (e < B_CHUNKS && row < end && column < co)
            to[i] = *(__global const wide *)(dy + row * co + column);
    }
}

INLINE void b_store(__local float *tile, int lid, const wide *from)
{
    UNROLL
    for (int i = 0; i < B_LOADS; i++) {
        const int e = lid + i * TILE_ITEMS;
        if (e < B_CHUNKS)
            *(__local wide *)(tile + e / (BN / WIDE) * (4 * TILE_B) + e % (BN / WIDE) * WIDE) = from[i];
    }
}

/* samples, od, oh, ow, co: size of dy; per_slice: voxels of a slice. */
__kernel __attribute__((reqd_work_group_size(TILE_ITEMS, 1, 1))) void
conv3d_dw_implicit(MAP_PARAMS, IN(float, dy), OUT(float, part), const int samples, const int od, const int oh,
                   const int ow, const int co, const int kd, const int kh, const int kw, const int pd,
                   const int ph, const int pw, const int per_slice)
{
    __local float4 a_tile[2][BK * TILE_A], b_tile[2][BK * TILE_B];
    MAP_AT;
    AT(dy);
    AT(part);
    const int lid = get_local_id(0), tx = lid % TILE_X, ty = lid / TILE_X, slice = get_group_id(1);
    const int columns = CEIL_DIV(co, BN), in_c = MAP_CHANNELS, rows = kd * kh * kw * in_c;
    const int n0 = (int)get_group_id(0) % columns * BN, m0 = (int)get_group_id(0) / columns * BM;
    const int voxels = od * oh * ow, begin = slice * per_slice, end = min(voxels, begin + per_slice);
    const int chunk = lid % A_CHUNKS, first = lid / A_CHUNKS, steps = CEIL_DIV(end - begin, BK);

    int there;
    floatv a_next[A_LOADS];
    wide b_next[B_LOADS];
    float4 sum[TM][TN / 4];
    UNROLL
    for (int r = 0; r < TM; r++)
        UNROLL
        for (int j = 0; j < TN / 4; j++) sum[r][j] = 0.0f;

    for (int n = 0; n < samples; n++) {
        const map_part a = MAP_UP(n), b = MAP_SKIP(n);
        const source s = source_of(a, b, m0 + chunk * VEC, rows, in_c, kh, kw, pd, ph, pw);
        __global const float *dy_n = dy + n * voxels * co;
        const int v = begin + first;
        place p = {v, v / ow / oh, v / ow % oh, v % ow};
        a_load(a, b, s, p, end, oh, ow, &there, a_next);
        b_load(dy_n, lid, begin, end, n0, co, b_next);
        a_store((__local float *)a_tile[0], chunk, first, s.column, there, slope, a_next);
        b_store((__local float *)b_tile[0], lid, b_next);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < steps; step++) {
            /* After the last step, zeros are loaded that are never used. */
            p = place_on(p, BK, oh, ow);
            a_load(a, b, s, p, end, oh, ow, &there, a_next);
            b_load(dy_n, lid, begin + (step + 1) * BK, end, n0, co, b_next);
            tile_multiply(a_tile[step & 1], b_tile[step & 1], ty, tx, sum);
            a_store((__local float *)a_tile[(step + 1) & 1], chunk, first, s.column, there, slope, a_next);
            b_store((__local float *)b_tile[(step + 1) & 1], lid, b_next);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }

    part += (long)slice * rows * co;
    UNROLL
    for (int j = 0; j < TN / 4; j++) {
        const int column = n0 + TILE_COLUMN(tx, j);
        if (column >= co) continue;
        UNROLL
        for (int r = 0; r < TM; r++) {
            const int m = m0 + TILE_ROW(ty, r);
            if (m < rows) tile_store(part + m * co + column, co - column, sum[r][j]);
        }
    }
}
