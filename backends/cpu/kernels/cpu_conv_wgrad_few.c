/* Weight gradient for windows whose rows hold few floats, as in the first layer of a network:
 *
 *   dw[kz,ky][m][b] = sum over n,oz,oy,ox of big[n,iz,iy][(ox*sx - px)*CA + m] * small[n,oz,oy,ox][b],
 *   m = (kx, a) < KW*CA
 *
 * Nothing is packed: the values of m of one position are neighbours in big, and those of the next position
 * follow after sx * CA floats. The micro-kernel reads both maps in place and keeps tiles of m by one or two
 * vectors of b in registers. Small is read from memory once, because a piece of one of its rows stays in the
 * first-level cache for all (kz, ky).
 *
 * Rows of small are divided into slices that depend only on the shape. Every slice has its own sums, which
 * are added in order at the end. The registers are added to the slice's sums after every piece, so that sums
 * over millions of voxels stay accurate. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_conv_wgrad_tile.h"

enum {
    MANY = 16,                       /* for this many m or more, cpu_conv_wgrad.c is faster   */
    PIECE_FLOATS = 6144,             /* floats in a piece of small: 24 KB                     */
    SLICES_FLOATS = 2 * 1024 * 1024, /* sums of all slices: 8 MB, unless one slice needs more */
    SLICES_WANTED = 64
};

typedef struct plan {
    int64_t taps, m, pieces; /* KD*KH; KW*CA; pieces of a row of small                               */
    int64_t rows, slices;    /* of small                                                             */
    int64_t sums;            /* floats of a slice: taps * m * CB, rounded up to lines                */
    bool copy;               /* windows overhang along x: big's rows are copied, zeros at both ends  */
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

/* ---- rows ---- */

/* Row (iz, iy) of big as it lies under the windows; NULL if it is outside the volume. */
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

/* Adds positions [x0, x1) of a row to the sums of one (kz, ky), for all m and b. */
static void piece_tap(const cpu_conv *g, const plan *p, const float *a, const float *b, int64_t x0,
                      int64_t x1, float *sums)
{
    const int64_t tiles = cpu_ceil_div(p->m, CPU_TILE_P), a_step = g->stride[2] * g->in_c;
    for (int64_t b0 = 0; b0 < g->out_c; b0 += CPU_TILE_PANEL)
        for (int64_t i = 0; i < tiles; i++) { /* tiles of almost equal length */
            const int64_t m0 = p->m * i / tiles, np = p->m * (i + 1) / tiles - m0;
            const cpu_tile t = {.a = a + x0 * a_step + m0,
                                .b = b + x0 * g->out_c + b0,
                                .a_step = a_step,
                                .b_step = g->out_c,
                                .rows = 1,
                                .positions = x1 - x0,
                                .sum = sums + m0 * g->out_c + b0,
                                .sum_step = g->out_c};
            cpu_tile_run(&t, np, g->out_c - b0);
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
    cpu_add_slices(sums, floats, p.slices, p.sums);
    for (int64_t i = 0; i < floats; i++) dw[i] = g->accumulate ? dw[i] + sums[i] : sums[i];
}
