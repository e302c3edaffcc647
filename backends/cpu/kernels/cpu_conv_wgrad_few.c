/* Weight gradient where a window's row holds few floats, as in the first layer of a network:
 *
 *   dw[kz,ky][m][b] = sum over n,oz,oy,ox of big[n,iz,iy][(ox*sx - px)*CA + m] * small[n,oz,oy,ox][b],
 *   m = (kx, a) < KW*CA
 *
 * Nothing is packed: the m of one position are neighbours in big, a step of sx * CA floats from the next
 * position's, and the micro-kernel reads both maps where they lie, tiles of m by one or two vectors of b in
 * registers. Small is read from memory once: a piece of one of its rows stays in first-level cache for all
 * (kz, ky).
 *
 * Rows of small are dealt to slices that the shape alone fixes; every slice has its own sums, and they are
 * added in order. Registers are emptied after every piece, so that sums over millions of voxels stay
 * accurate. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_conv_impl.h"

enum {
    TILE_P = CPU_VL == 16 ? 14 : 6, /* m in a tile: what 32 or 16 registers leave beside two vectors of b */
    PANEL = 2 * CPU_VL,
    MANY = 16,                       /* m from which packing pays (cpu_conv_wgrad.c)      */
    PIECE_FLOATS = 6144,             /* of small: 24 KB */
    SLICES_FLOATS = 2 * 1024 * 1024, /* sums of all slices: 8 MB, unless one needs more   */
    SLICES_WANTED = 64
};

typedef struct plan {
    int64_t taps, m, pieces; /* KD*KH; KW*CA; of a row of small       */
    int64_t rows, slices;    /* of small                   */
    int64_t sums;            /* floats of a slice: taps * m * CB, rounded up to lines */
    bool copy;               /* windows hang over along x: rows of big are copied, with zeros at both ends */
    int64_t copy_row, thread_floats;
} plan;

static plan plan_of(const cpu_conv *g)
{
    plan p = {.taps = g->kernel[0] * g->kernel[1], .m = g->kernel[2] * g->in_c};
    const int64_t reach = (g->out_size[2] - 1) * g->stride[2] + g->kernel[2];

    p.pieces = cpu_min(cpu_ceil_div(g->out_size[2] * g->out_c, PIECE_FLOATS), g->out_size[2]);
    p.rows = g->n * g->out_size[0] * g->out_size[1];
    p.sums = cpu_lines(p.taps * p.m * g->out_c);
    p.slices = cpu_max(1, cpu_min(cpu_min(SLICES_WANTED, SLICES_FLOATS / p.sums), p.rows));
    p.copy = g->pad[2] > 0 || reach - g->pad[2] > g->in_size[2];
    p.copy_row = cpu_lines(reach * g->in_c);
    p.thread_floats = p.copy ? p.copy_row : 0;
    return p;
}

bool CPU_NAME(cpu_conv_wgrad_few_takes)(const cpu_conv *g)
{
    return g->kernel[2] * g->in_c < MANY && g->out_c % CPU_VL == 0;
}

uint64_t CPU_NAME(cpu_conv_wgrad_few_work)(const cpu_conv *g, int threads)
{
    const plan p = plan_of(g);
    return (uint64_t)(p.slices * p.sums + threads * p.thread_floats) * sizeof(float);
}

/* ---- micro-kernel ---- */

typedef struct tile {
    const float *a, *b; /* of the first position */
    int64_t a_step, b_step, positions;
    float *sum; /* [m][CB] */
} tile;

/* sum[np][nv vectors] += sum over positions of a[np] * b[nv vectors]; np and nv are constants where this is
 * called. */
__attribute__((always_inline)) static inline void tile_body(const tile *t, int np, int nv)
{
    cpu_vec acc[TILE_P][2];
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) acc[p][0] = acc[p][1] = (cpu_vec){0};

    const float *a = t->a, *b = t->b;
    for (int64_t k = 0; k < t->positions; k++, a += t->a_step, b += t->b_step) {
        const cpu_vec b0 = cpu_load(b), b1 = nv == 2 ? cpu_load(b + CPU_VL) : b0;
#pragma GCC unroll 16
        for (int p = 0; p < np; p++) {
            const cpu_vec av = cpu_set1(a[p]);
            acc[p][0] += av * b0;
            if (nv == 2) acc[p][1] += av * b1;
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) {
        float *s = t->sum + p * t->b_step;
        cpu_store(s, cpu_load(s) + acc[p][0]);
        if (nv == 2) cpu_store(s + CPU_VL, cpu_load(s + CPU_VL) + acc[p][1]);
    }
}

__attribute__((always_inline)) static inline void tile_switch(const tile *t, int64_t np, int nv)
{
    switch (np) {
    case 1: tile_body(t, 1, nv); break;
    case 2: tile_body(t, 2, nv); break;
    case 3: tile_body(t, 3, nv); break;
    case 4: tile_body(t, 4, nv); break;
    case 5: tile_body(t, 5, nv); break;
    case 6: tile_body(t, 6, nv); break;
#if defined(__AVX512F__)
    case 7: tile_body(t, 7, nv); break;
    case 8: tile_body(t, 8, nv); break;
    case 9: tile_body(t, 9, nv); break;
    case 10: tile_body(t, 10, nv); break;
    case 11: tile_body(t, 11, nv); break;
    case 12: tile_body(t, 12, nv); break;
    case 13: tile_body(t, 13, nv); break;
    default: tile_body(t, 14, nv); break;
#endif
    }
}

static void tile_1(const tile *t, int64_t np)
{
    tile_switch(t, np, 1);
}
static void tile_2(const tile *t, int64_t np)
{
    tile_switch(t, np, 2);
}

/* ---- rows ---- */

/* Row iz, iy of big as it lies under the windows; NULL where it is outside. */
static const float *row_under(const cpu_conv *g, const plan *p, const float *big, int64_t n, int64_t iz,
                              int64_t iy, float *spare)
{
    if (iz < 0 || iz >= g->in_size[0] || iy < 0 || iy >= g->in_size[1]) return NULL;
    const int64_t row = g->in_size[2] * g->in_c, lead = g->pad[2] * g->in_c;
    const float *from = big + ((n * g->in_size[0] + iz) * g->in_size[1] + iy) * row;
    if (!p->copy) return from;
    const int64_t body = cpu_min(row, p->copy_row - lead);
    memset(spare, 0, (size_t)p->copy_row * sizeof(float));
    memcpy(spare + lead, from, (size_t)body * sizeof(float));
    return spare;
}

/* Positions [x0, x1) of a row: all m and b of one (kz, ky). */
static void piece_tap(const cpu_conv *g, const plan *p, const float *a, const float *b, int64_t x0,
                      int64_t x1, float *sums)
{
    const int64_t tiles = cpu_ceil_div(p->m, TILE_P), a_step = g->stride[2] * g->in_c;
    for (int64_t b0 = 0; b0 < g->out_c; b0 += PANEL)
        for (int64_t i = 0; i < tiles; i++) { /* of almost equal length */
            const int64_t m0 = p->m * i / tiles, np = p->m * (i + 1) / tiles - m0;
            const tile t = {.a = a + x0 * a_step + m0,
                            .b = b + x0 * g->out_c + b0,
                            .a_step = a_step,
                            .b_step = g->out_c,
                            .positions = x1 - x0,
                            .sum = sums + m0 * g->out_c + b0};
            if (g->out_c - b0 >= PANEL)
                tile_2(&t, np);
            else
                tile_1(&t, np);
        }
}

static void add_row(const cpu_conv *g, const plan *p, const float *big, const float *small, int64_t row,
                    float *sums, float *spare)
{
    const int64_t oy = row % g->out_size[1], oz = row / g->out_size[1] % g->out_size[0];
    const int64_t n = row / g->out_size[1] / g->out_size[0], out_w = g->out_size[2];
    const float *b = small + row * out_w * g->out_c;

    for (int64_t i = 0; i < p->pieces; i++)
        for (int64_t tap = 0; tap < p->taps; tap++) {
            const int64_t iz = oz * g->stride[0] - g->pad[0] + tap / g->kernel[1];
            const int64_t iy = oy * g->stride[1] - g->pad[1] + tap % g->kernel[1];
            const float *a = row_under(g, p, big, n, iz, iy, spare);
            if (a)
                piece_tap(g, p, a, b, out_w * i / p->pieces, out_w * (i + 1) / p->pieces,
                          sums + tap * p->m * g->out_c);
        }
}

void CPU_NAME(cpu_conv_wgrad_few)(const cpu_conv *g, const float *big, const float *small, float *dw,
                                  void *work, int threads)
{
    const plan p = plan_of(g);
    const int64_t floats = p.taps * p.m * g->out_c;
    float *sums = work, *spare = sums + p.slices * p.sums;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t s = 0; s < p.slices; s++) {
        float *own = sums + s * p.sums;
        memset(own, 0, (size_t)floats * sizeof(float));
        for (int64_t row = p.rows * s / p.slices; row < p.rows * (s + 1) / p.slices; row++)
            add_row(g, &p, big, small, row, own, spare + omp_get_thread_num() * p.thread_floats);
    }
    for (int64_t i = 0; i < floats; i++) {
        float total = sums[i];
        for (int64_t s = 1; s < p.slices; s++) total += sums[s * p.sums + i];
        dw[i] = g->accumulate ? dw[i] + total : total;
    }
}
