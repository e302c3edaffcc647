/* Max pooling with windows that tile the map (kernel == stride, no padding), and its gradient.
 *
 *   y[n,oz,oy,ox,c]     = max over kz,ky,kx of x[n, oz*KD+kz, oy*KH+ky, ox*KW+kx, c]
 *   index[n,oz,oy,ox,c] = (kz*KH + ky)*KW + kx of the first maximum, u8
 *
 * This file holds "plain", whose loops run over long flat pieces of rows however many channels there are;
 * "wide" is in cpu_maxpool3d_wide.c. Forward first reduces the KD*KH rows of voxels that share a row of
 * windows to one row, element by element, and then reduces that row along x. Backward stretches a row of dy
 * and index along x to the length of a row of dx and compares it with each of the KD*KH rows. A piece is a
 * few windows long, so that the workspace, [threads][ARRAYS][piece] of 4 bytes, stays in the first-level
 * cache.
 *
 * The values of a lazy x are computed while its rows are loaded. Its scale may be negative, so the maximum of
 * the stored numbers would not do. Scales and shifts are repeated to the length of a piece, as [S][2][piece]
 * before the threads' part of the workspace. */
#include "backends/cpu/kernels/cpu_map.h"
#include "backends/cpu/kernels/cpu_maxpool3d.h"

#include <omp.h>

enum { PIECE = 1024, ARRAYS = 4 };

/* Floats per piece of a row of x, at least one window. */
static int64_t piece_of(const cpu_pool *p)
{
    int64_t window = p->k[2] * p->c;
    return cpu_min(p->out[2], cpu_max(1, PIECE / window)) * window;
}

static uint64_t array_bytes(const cpu_pool *p)
{
    return ((uint64_t)piece_of(p) * sizeof(float) + 63) / 64 * 64;
}

/* The number of sets of scale and shift of a lazy x; 0 if x is not lazy. */
static int64_t tables_of(const u3d_op_desc *d)
{
    const bool lazy = d->op == U3D_OP_MAXPOOL3D && d->attr.conv.lazy[0];
    return lazy ? d->in[1].dim[0] : 0;
}

/* Array `which` of the calling thread's workspace. */
static void *array_at(const cpu_call *c, const cpu_pool *p, int which)
{
    const int64_t before = 2 * tables_of(c->desc) + omp_get_thread_num() * ARRAYS;
    return (char *)c->work + (uint64_t)(before + which) * array_bytes(p);
}

typedef struct act { /* scale and shift by position in a piece; scale is NULL if x is not lazy */
    const float *scale, *shift;
    float slope;
} act;

static float *act_columns(const cpu_call *c, const cpu_pool *p, int64_t set)
{
    return (float *)(void *)((char *)c->work + (uint64_t)(2 * set) * array_bytes(p));
}

static act act_of(const cpu_call *c, const cpu_pool *p, int64_t n)
{
    const int64_t sets = tables_of(c->desc);
    if (sets == 0) return (act){0};
    const float *columns = act_columns(c, p, sets > 1 ? n : 0);
    return (act){columns, columns + array_bytes(p) / sizeof(float), c->desc->attr.conv.slope};
}

static void fill_columns(const cpu_call *c, const cpu_pool *p)
{
    for (int64_t set = 0; set < tables_of(c->desc); set++) {
        const float *table = (const float *)c->in[1] + 2 * set * p->c;
        float *scale = act_columns(c, p, set), *shift = scale + array_bytes(p) / sizeof(float);
        for (int64_t j = 0; j < piece_of(p); j++) {
            scale[j] = table[j % p->c];
            shift[j] = table[p->c + j % p->c];
        }
    }
}

__attribute__((always_inline)) static inline float value_at(const float *x, act a, bool lazy, int64_t j)
{
    return lazy ? cpu_map_act(x[j], a.scale[j], a.shift[j], a.slope) : x[j];
}

__attribute__((always_inline)) static inline void keep_first(const float *x, act a, bool lazy, float *best,
                                                             int32_t *at, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        best[j] = value_at(x, a, lazy, j);
        at[j] = 0;
    }
}

__attribute__((always_inline)) static inline void keep_larger(const float *x, act a, bool lazy, int32_t row,
                                                              float *best, int32_t *at, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float v = value_at(x, a, lazy, j), old = best[j];
        int32_t more = -(v > old); /* a mask, because two selects by one condition would become a branch */
        best[j] = v > old ? v : old;
        at[j] = (row & more) | (at[j] & ~more);
    }
}

/* Reduces rows to one: best[j] = max over kz,ky, and at[j] = kz*KH + ky of the first maximum. x points to the
 * piece in the first row. */
__attribute__((always_inline)) static inline void
reduce_body(const cpu_pool *p, act a, bool lazy, const float *x, float *best, int32_t *at, int64_t n)
{
    int64_t line = p->in[2] * p->c;
    int32_t row = 0;
    for (int64_t kz = 0; kz < p->k[0]; kz++)
        for (int64_t ky = 0; ky < p->k[1]; ky++, row++) {
            const float *from = x + (kz * p->in[1] + ky) * line;
            if (row == 0)
                keep_first(from, a, lazy, best, at, n);
            else
                keep_larger(from, a, lazy, row, best, at, n);
        }
}

static void reduce_rows(const cpu_pool *p, act a, const float *x, float *best, int32_t *at, int64_t n)
{
    if (a.scale)
        reduce_body(p, a, true, x, best, at, n);
    else
        reduce_body(p, a, false, x, best, at, n);
}

/* Reduces along x: top[j] is the maximum of best[j + kx*C] over kx, and first[j] is its index in the window,
 * the smallest one among equals. */
static void reduce_x(const cpu_pool *p, const float *best, const int32_t *at, float *top, int32_t *first,
                     int64_t n)
{
    int32_t kw = (int32_t)p->k[2];
    for (int64_t j = 0; j < n; j++) {
        top[j] = best[j];
        first[j] = at[j] * kw;
    }
    for (int32_t kx = 1; kx < kw; kx++) {
        const float *right = best + kx * p->c;
        const int32_t *right_at = at + kx * p->c;
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            float v = right[j], old = top[j];
            int32_t index = right_at[j] * kw + kx, old_index = first[j];
            int32_t take = -(v > old) | (-(v == old) & -(index < old_index));
            top[j] = v > old ? v : old;
            first[j] = (index & take) | (old_index & ~take);
        }
    }
}

/* Pools one row of windows, piece by piece; x, y and index point to the start of the row. */
static void pool_row(const cpu_call *call, const cpu_pool *p, act a, const float *x, float *y, uint8_t *index)
{
    float *best = array_at(call, p, 0), *top = array_at(call, p, 1);
    int32_t *at = array_at(call, p, 2), *first = array_at(call, p, 3);
    int64_t line = p->in[2] * p->c, window = p->k[2] * p->c, channels = p->c, piece = piece_of(p);
    for (int64_t from = 0; from < line; from += piece) {
        int64_t n = cpu_min(piece, line - from);
        reduce_rows(p, a, x + from, best, at, n);
        if (channels < CPU_LINE_ELEMS) /* one long loop; results between the windows are never read */
            reduce_x(p, best, at, top, first, n - window + channels);
        for (int64_t w = 0; w < n; w += window) {
            if (channels >= CPU_LINE_ELEMS) reduce_x(p, best + w, at + w, top + w, first + w, channels);
            for (int64_t c = 0; c < channels; c++) *y++ = top[w + c];
            for (int64_t c = 0; c < channels; c++) *index++ = (uint8_t)first[w + c];
        }
    }
}

static void run_maxpool3d(const cpu_call *c)
{
    const cpu_pool p = cpu_pool_of(c->desc);
    const float *x = c->in[0];
    float *y = c->out[0];
    uint8_t *index = c->out[1];
    int64_t rows = cpu_pool_rows(&p), line = p.out[2] * p.c;
    fill_columns(c, &p);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * line > CPU_SLICE_ELEMS / 8)
    for (int64_t row = 0; row < rows; row++)
        pool_row(c, &p, act_of(c, &p, row / p.out[1] / p.out[0]),
                 x + cpu_pool_first_row(&p, row) * p.in[2] * p.c, y + row * line, index + row * line);
}

/* Stretches dy and index along x to n floats: wide[(ox*KW + kx)*C + c] = dy[ox,c], and `at` at the same place
 * is index[ox,c] - kx. */
static void stretch(const cpu_pool *p, const float *dy, const uint8_t *index, float *wide, int32_t *at,
                    int64_t n)
{
    for (int64_t j = 0; j < n; dy += p->c, index += p->c)
        for (int32_t kx = 0; kx < p->k[2]; kx++, j += p->c)
            for (int64_t c = 0; c < p->c; c++) {
                wide[j + c] = dy[c];
                at[j + c] = index[c] - kx;
            }
}

static void put_chosen(const float *wide, const int32_t *at, int32_t here, float *dx, int64_t n, bool add)
{
    for (int64_t j = 0; j < n; j++) {
        float g = wide[j], /* loaded first, because a load under a condition stays scalar */
            chosen = at[j] == here ? g : 0;
        dx[j] = add ? dx[j] + chosen : chosen;
    }
}

/* Writes all rows of dx that belong to one row of windows, piece by piece; dx points to the first row. */
static void spread_row(const cpu_call *call, const cpu_pool *p, const float *dy, const uint8_t *index,
                       float *dx)
{
    float *wide = array_at(call, p, 0);
    int32_t *at = array_at(call, p, 1);
    bool add = call->desc->accumulate & 1;
    int64_t line = p->in[2] * p->c, piece = piece_of(p);
    for (int64_t from = 0; from < line; from += piece) {
        int64_t n = cpu_min(piece, line - from), out = from / p->k[2];
        stretch(p, dy + out, index + out, wide, at, n);
        int64_t here = 0;
        for (int64_t kz = 0; kz < p->k[0]; kz++)
            for (int64_t ky = 0; ky < p->k[1]; ky++, here += p->k[2])
                put_chosen(wide, at, (int32_t)here, dx + (kz * p->in[1] + ky) * line + from, n, add);
    }
}

static void run_maxpool3d_dx(const cpu_call *c)
{
    const cpu_pool p = cpu_pool_of(c->desc);
    const float *dy = c->in[0];
    const uint8_t *index = c->in[1];
    float *dx = c->out[0];
    int64_t rows = cpu_pool_rows(&p), line = p.out[2] * p.c;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * line > CPU_SLICE_ELEMS / 8)
    for (int64_t row = 0; row < rows; row++)
        spread_row(c, &p, dy + row * line, index + row * line,
                   dx + cpu_pool_first_row(&p, row) * p.in[2] * p.c);
}

static void work_maxpool3d(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_pool p = cpu_pool_of(d);
    *min = *best = (uint64_t)(2 * tables_of(d) + threads * ARRAYS) * array_bytes(&p);
}

const cpu_entry CPU_NAME(cpu_MAXPOOL3D)[] = {
    {.name = "wide", .refuses = CPU_NAME(cpu_maxpool3d_wide_refuses), .run = CPU_NAME(cpu_maxpool3d_wide)},
    {.name = "plain", .refuses = cpu_pool_refuses, .work = work_maxpool3d, .run = run_maxpool3d},
    {0}};
const cpu_entry CPU_NAME(cpu_MAXPOOL3D_DX)[] = {
    {.name = "wide", .refuses = CPU_NAME(cpu_maxpool3d_wide_refuses), .run = CPU_NAME(cpu_maxpool3d_wide_dx)},
    {.name = "plain", .refuses = cpu_pool_refuses, .work = work_maxpool3d, .run = run_maxpool3d_dx},
    {0}};
