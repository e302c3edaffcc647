/* Convolution with stride 1 as a matrix product whose left operand is never written to memory (implicit
 * GEMM).
 *
 *   y[m, co] = bias[co] + sum over k of  a[m, k] * b[k, co],     m: voxel of one sample, k: (tap, ci)
 *   a[m, (tap, ci)] = map[m's position - pad + tap, ci], zero outside the map
 *
 * FLIP 0: b[(tap, ci), co] = w[tap, ci, co], the weights as they lie in memory.
 * FLIP 1 (input gradient, ci are the channels of dy): b[(tap, ci), co] = w[taps - 1 - tap, co, ci], and the
 * host passes the mirrored padding, kernel - 1 - pad.
 *
 * Axis 0 of the groups: tile of the result, with columns fastest, so that tiles that read the same voxels run
 * at the same time. Axis 1: sample. Axis 2: part of k. Part p writes y[p, sample, m, co]; if there are
 * several parts, y is the workspace and add_slices adds the parts.
 *
 *   VEC      4 if the map's channels can be read by four, otherwise 1 (map.clh)
 *   WIDE     4 if out_c is a multiple of 4, otherwise 1; with FLIP it equals VEC, because the weights are
 *   then
 *            read along ci
 *   STORE4   1 if out_c is a multiple of 4, with and without FLIP (tile.clh) */
#include "vec.clh"
#include "map.clh"
#include "conv3d.clh"
#include "tile.clh"

#ifndef FLIP
#define FLIP 0
#endif

/* A slice of a consists of chunks of VEC along k. A work-item loads A_LOADS rows, always at the same k of the
 * slice. */
#define A_CHUNKS (BK / VEC)
#define A_STEP   (TILE_ITEMS / A_CHUNKS)
#define A_LOADS  (BM / A_STEP)

/* A slice of b consists of chunks of WIDE along co, or along k with FLIP. */
#define B_CHUNKS (BK * BN / WIDE)
#define B_LOADS  CEIL_DIV(B_CHUNKS, TILE_ITEMS)

#if TILE_ITEMS % A_CHUNKS != 0 || BM % A_STEP != 0
#error "the work-items of this tile cannot share out the loads of a"
#endif

/* A row of a. The window of its voxel begins at voxel `at` of up and at voxel `skip_at` of skip, which may
 * lie outside the map. Bit k of `inside` tells whether tap k along x is inside the map; the bits from 10 on
 * do so for y, those from 20 on for z. */
typedef struct row {
    int at, skip_at, inside;
} row;

/* The position of a work-item along k. */
typedef struct place {
    int k, ci, kz, ky, kx;
} place;

int bits_inside(int first, int taps, int size)
{
    int bits = 0;
    for (int k = 0; k < taps; k++)
        if (first + k >= 0 && first + k < size) bits |= 1 << k;
    return bits;
}

row row_of(const map_part up, const map_part skip, int m, int voxels, int oh, int ow, int kd, int kh, int kw,
           int pd, int ph, int pw)
{
    const int x = m % ow - pw, y = m / ow % oh - ph, z = m / ow / oh - pd;
    row r = {map_voxel(up, z, y, x), map_skip_voxel(up, skip, z, y, x), 0};
    if (m < voxels)
        r.inside = bits_inside(x, kw, up.w) | bits_inside(y, kh, up.h) << 10 | bits_inside(z, kd, up.d) << 20;
    return r;
}

place place_of(int k, int in_c, int kh, int kw)
{
    const int tap = k / in_c;
    return (place){k, k % in_c, tap / kw / kh, tap / kw % kh, tap % kw};
}

/* Advances the position by BK along k. */
place place_next(place p, int in_c, int kh, int kw)
{
    p.k += BK;
    p.ci += BK;
    while (p.ci >= in_c) {
        p.ci -= in_c;
        if (++p.kx < kw) continue;
        p.kx = 0;
        if (++p.ky < kh) continue;
        p.ky = 0;
        p.kz++;
    }
    return p;
}

/* Starts to read a slice of a. Bit i of `there` tells whether to[i] lies inside the map; if not, to[i] is
 * 0. */
INLINE void a_load(const map_part up, const map_part skip, const map_column column, const row *rows, place p,
                   int k_end, int *there, floatv *to)
{
    const int need = 1 << p.kx | 1 << (p.ky + 10) | 1 << (p.kz + 20);
    const int tap = map_voxel(column.in_skip ? skip : up, p.kz, p.ky, p.kx);
    *there = 0;
    UNROLL
    for (int i = 0; i < A_LOADS; i++) {
        to[i] = 0.0f;
        if (p.k >= k_end || (rows[i].inside & need) != need) continue;
        to[i] = map_column_load(column, (column.in_skip ? rows[i].skip_at : rows[i].at) + tap);
        *there |= 1 << i;
    }
}

INLINE void a_store(__local float *tile, int chunk, int first, const map_column column, int there,
                    float slope, const floatv *from)
{
    UNROLL
    for (int i = 0; i < A_LOADS; i++) {
        __local float *to = tile + chunk * VEC * (4 * TILE_A) + first + i * A_STEP;
        const floatv v = there >> i & 1 ? map_column_value(column, from[i], slope) : from[i];
#if VEC == 4
        to[0] = v.x;
        to[4 * TILE_A] = v.y;
        to[8 * TILE_A] = v.z;
        to[12 * TILE_A] = v.w;
#else
        to[0] = v;
#endif
    }
}

/* For chunk `e` of a slice of b: its k within the slice and its column within the tile. */
#if FLIP
#define B_K(e)      ((e) % (BK / WIDE) * WIDE)
#define B_COLUMN(e) ((e) / (BK / WIDE))
#else
#define B_K(e)      ((e) / (BN / WIDE))
#define B_COLUMN(e) ((e) % (BN / WIDE) * WIDE)
#endif

/* Reads the slice of b that begins at k0. With FLIP all chunks of a work-item are at the position p where it
 * reads a. */
INLINE void b_load(__global const float *w, int lid, int k0, place p, int k_end, int n0, int kh, int kw,
                   int taps, int in_c, int out_c, wide *to)
{
    UNROLL
    for (int i = 0; i < B_LOADS; i++) {
        const int e = lid + i * TILE_ITEMS, k = k0 + B_K(e), co = n0 + B_COLUMN(e);
        to[i] = 0.0f;
        if (e >= B_CHUNKS || k >= k_end || co >= out_c) continue;
#if FLIP
        const int tap = taps - 1 - ((p.kz * kh + p.ky) * kw + p.kx);
        to[i] = *(__global const wide *)(w + (tap * out_c + co) * in_c + p.ci);
#else
        to[i] = *(__global const wide *)(w + k * out_c + co);
#endif
    }
}

INLINE void b_store(__local float *tile, int lid, const wide *from)
{
    UNROLL
    for (int i = 0; i < B_LOADS; i++) {
        const int e = lid + i * TILE_ITEMS;
        if (e >= B_CHUNKS) continue;
        __local float *to = tile + B_K(e) * (4 * TILE_B) + B_COLUMN(e);
#if WIDE == 1
        to[0] = from[i];
#elif FLIP
        to[0] = from[i].x;
        to[4 * TILE_B] = from[i].y;
        to[8 * TILE_B] = from[i].z;
        to[12 * TILE_B] = from[i].w;
#else
        *(__local float4 *)to = from[i];
#endif
    }
}

float4 bias_load(__global const float *bias, int channels)
{
    return (float4)(channels > 0 ? bias[0] : 0.0f, channels > 1 ? bias[1] : 0.0f,
                    channels > 2 ? bias[2] : 0.0f, channels > 3 ? bias[3] : 0.0f);
}

/* od, oh, ow: size of y; per_part: length of a part along k, a multiple of BK. */
__kernel __attribute__((reqd_work_group_size(TILE_ITEMS, 1, 1))) void
conv3d_implicit(MAP_PARAMS, IN(float, w), IN(float, bias), OUT(float, y), const int has_bias, const int od,
                const int oh, const int ow, const int out_c, const int kd, const int kh, const int kw,
                const int pd, const int ph, const int pw, const int per_part)
{
    __local float4 a_tile[2][BK * TILE_A], b_tile[2][BK * TILE_B];
    MAP_AT;
    AT(w);
    AT(bias);
    AT(y);
    const int lid = get_local_id(0), tx = lid % TILE_X, ty = lid / TILE_X;
    const int columns = CEIL_DIV(out_c, BN), sample = get_group_id(1), part = get_group_id(2);
    const int n0 = (int)get_group_id(0) % columns * BN, m0 = (int)get_group_id(0) / columns * BM;
    const int voxels = od * oh * ow, taps = kd * kh * kw, in_c = MAP_CHANNELS;
    const int k_begin = part * per_part, k_end = min(taps * in_c, k_begin + per_part);
    const map_part a = MAP_UP(sample), b = MAP_SKIP(sample);

    const int chunk = lid % A_CHUNKS, first = lid / A_CHUNKS;
    row rows[A_LOADS];
    UNROLL
    for (int i = 0; i < A_LOADS; i++)
        rows[i] = row_of(a, b, m0 + first + i * A_STEP, voxels, oh, ow, kd, kh, kw, pd, ph, pw);
    place p = place_of(k_begin + chunk * VEC, in_c, kh, kw);

    map_column column = map_column_of(a, b, p.ci);
    int there;
    floatv a_next[A_LOADS];
    wide b_next[B_LOADS];
    float4 sum[TM][TN / 4];
    UNROLL
    for (int r = 0; r < TM; r++)
        UNROLL
        for (int j = 0; j < TN / 4; j++) sum[r][j] = 0.0f;

    const int slices = CEIL_DIV(k_end - k_begin, BK);
    a_load(a, b, column, rows, p, k_end, &there, a_next);
    b_load(w, lid, k_begin, p, k_end, n0, kh, kw, taps, in_c, out_c, b_next);
    a_store((__local float *)a_tile[0], chunk, first, column, there, slope, a_next);
    b_store((__local float *)b_tile[0], lid, b_next);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = 0; s < slices; s++) {
        /* After the last slice, zeros are loaded that are never used. */
        p = place_next(p, in_c, kh, kw);
        column = map_column_of(a, b, p.ci);
        a_load(a, b, column, rows, p, k_end, &there, a_next);
        b_load(w, lid, k_begin + (s + 1) * BK, p, k_end, n0, kh, kw, taps, in_c, out_c, b_next);
        tile_multiply(a_tile[s & 1], b_tile[s & 1], ty, tx, sum);
        a_store((__local float *)a_tile[(s + 1) & 1], chunk, first, column, there, slope, a_next);
        b_store((__local float *)b_tile[(s + 1) & 1], lid, b_next);
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    y += ((long)part * get_num_groups(1) + sample) * voxels * out_c;
    UNROLL
    for (int j = 0; j < TN / 4; j++) {
        const int co = n0 + TILE_COLUMN(tx, j);
        if (co >= out_c) continue;
        const float4 add = has_bias ? bias_load(bias + co, out_c - co) : 0.0f;
        UNROLL
        for (int r = 0; r < TM; r++) {
            const int m = m0 + TILE_ROW(ty, r);
            if (m < voxels) tile_store(y + m * out_c + co, out_c - co, sum[r][j] + add);
        }
    }
}
