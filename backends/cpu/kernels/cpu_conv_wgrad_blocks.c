/* Weight gradient for windows that tile big (kernel == stride, no padding), as in up-convolutions and in
 * heads with kernel 1. Under one (kz, ky) the KW * CB floats that belong to a voxel of small are contiguous,
 * and those of the next voxel follow:
 *
 *   dw[kz,ky][a][j] = sum over n,oz,oy,ox of small[n,oz,oy,ox][a] * big[n, oz*KD+kz, oy*KH+ky][ox*KW*CB + j],
 *   j = (kx, b) < KW*CB
 *
 * This is a product of two matrices whose layout already suits the micro-kernel, so nothing is packed. Per
 * voxel the micro-kernel broadcasts a tile of channels of small and loads one or two vectors of j from big.
 *
 * A task has one (kz, ky), a block of j, whose sums stay in the second-level cache, and a slice of small. The
 * slices depend only on the shape, and their sums are added in order. The registers are added to the task's
 * sums after some rows, so that long sums stay accurate. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_conv_wgrad_tile.h"

enum {
    RUN_VOXELS = 192,                /* voxels before registers are emptied                             */
    BLOCK_FLOATS = 112 * 1024,       /* sums of a block: 448 KB                                         */
    SLICES_FLOATS = 2 * 1024 * 1024, /* sums of all slices: 8 MB, unless one slice needs more           */
    TASKS_WANTED = 64
};

typedef struct plan {
    int64_t taps, ca, j;           /* KD*KH; channels of small; KW*CB */
    int64_t tiles, panels, blocks; /* of a; of j; blocks of panels    */
    int64_t rows, y_blocks;        /* rows of small in a unit of work */
    int64_t units, slices;
    int64_t sums; /* floats of a slice: taps * ca * j, rounded up to lines */
} plan;

static plan plan_of(const cpu_conv *g)
{
    plan p = {.taps = g->kernel[0] * g->kernel[1], .ca = g->out_c, .j = g->kernel[2] * g->in_c};

    p.tiles = cpu_ceil_div(p.ca, CPU_TILE_P);
    p.panels = cpu_ceil_div(p.j, CPU_TILE_PANEL);
    p.blocks = cpu_min(p.panels, cpu_ceil_div(p.ca * p.j, BLOCK_FLOATS));
    p.rows = cpu_min(g->out_size[1], cpu_max(1, RUN_VOXELS / g->out_size[2]));
    p.y_blocks = cpu_ceil_div(g->out_size[1], p.rows);
    p.units = g->n * g->out_size[0] * p.y_blocks;
    p.sums = cpu_lines(p.taps * p.ca * p.j);
    p.slices = cpu_min(cpu_ceil_div(TASKS_WANTED, p.taps * p.blocks), SLICES_FLOATS / p.sums);
    p.slices = cpu_max(1, cpu_min(p.slices, p.units));
    return p;
}

bool CPU_NAME(cpu_conv_wgrad_blocks_takes)(const cpu_conv *g)
{
    bool tiled = g->kernel[2] * g->in_c % CPU_VL == 0;
    for (int a = 0; a < 3; a++)
        tiled = tiled && g->kernel[a] == g->stride[a] && g->pad[a] == 0 &&
                g->in_size[a] == g->out_size[a] * g->kernel[a];
    return tiled;
}

uint64_t CPU_NAME(cpu_conv_wgrad_blocks_work)(const cpu_conv *g)
{
    const plan p = plan_of(g);
    return (uint64_t)(p.slices * p.sums) * sizeof(float);
}

typedef struct task {
    int64_t tap, panel0, panel1, unit0, unit1;
    float *sums; /* [ca][j] of this tap */
} task;

static task task_of(const plan *p, int64_t i, float *sums)
{
    const int64_t block = i % p->blocks, tap = i / p->blocks % p->taps, slice = i / p->blocks / p->taps;
    return (task){.tap = tap,
                  .panel0 = p->panels * block / p->blocks,
                  .panel1 = p->panels * (block + 1) / p->blocks,
                  .unit0 = p->units * slice / p->slices,
                  .unit1 = p->units * (slice + 1) / p->slices,
                  .sums = sums + slice * p->sums + tap * p->ca * p->j};
}

typedef struct unit { /* some rows of small (a) and, for one (kz, ky), the rows of big under them (b) */
    const float *a, *b;
    int64_t rows, b_row; /* floats from one row of b to the next */
} unit;

static unit unit_of(const cpu_conv *g, const plan *p, int64_t tap, const float *big, const float *small,
                    int64_t i)
{
    const int64_t oy = i % p->y_blocks * p->rows, oz = i / p->y_blocks % g->out_size[0];
    const int64_t n = i / p->y_blocks / g->out_size[0], line = g->in_size[2] * g->in_c;
    const int64_t iz = oz * g->kernel[0] + tap / g->kernel[1], iy = oy * g->kernel[1] + tap % g->kernel[1];
    return (unit){.a = small + ((n * g->out_size[0] + oz) * g->out_size[1] + oy) * g->out_size[2] * p->ca,
                  .b = big + ((n * g->in_size[0] + iz) * g->in_size[1] + iy) * line,
                  .rows = cpu_min(p->rows, g->out_size[1] - oy),
                  .b_row = g->kernel[1] * line};
}

/* Prefetches one panel of a unit: short pieces of memory that are far apart, which the hardware prefetcher
 * does not predict. */
static void prefetch_panel(const cpu_conv *g, const plan *p, const unit *u, int64_t panel)
{
    for (int64_t r = 0; r < u->rows; r++)
        for (int64_t ox = 0; ox < g->out_size[2]; ox++) {
            const float *at = u->b + r * u->b_row + ox * p->j + panel * CPU_TILE_PANEL;
            for (int64_t i = 0; i < CPU_TILE_PANEL; i += 16) __builtin_prefetch(at + i, 0, 2);
        }
}

static void panel_sums(const cpu_conv *g, const plan *p, const unit *u, int64_t panel, float *sums)
{
    const int64_t j0 = panel * CPU_TILE_PANEL;
    for (int64_t i = 0; i < p->tiles; i++) { /* tiles of almost equal length */
        const int64_t a0 = p->ca * i / p->tiles, np = p->ca * (i + 1) / p->tiles - a0;
        const cpu_tile t = {.a = u->a + a0,
                            .b = u->b + j0,
                            .rows = u->rows,
                            .positions = g->out_size[2],
                            .a_step = p->ca,
                            .b_step = p->j,
                            .a_row = g->out_size[2] * p->ca,
                            .b_row = u->b_row,
                            .sum = sums + a0 * p->j + j0,
                            .sum_step = p->j};
        cpu_tile_run(&t, np, p->j - j0);
    }
}

static void run_task(const cpu_conv *g, const plan *p, const task *k, const float *big, const float *small)
{
    const int64_t j0 = k->panel0 * CPU_TILE_PANEL, j1 = cpu_min(k->panel1 * CPU_TILE_PANEL, p->j);

    for (int64_t a = 0; a < p->ca; a++) memset(k->sums + a * p->j + j0, 0, (size_t)(j1 - j0) * sizeof(float));
    unit u = unit_of(g, p, k->tap, big, small, k->unit0);
    for (int64_t i = k->unit0; i < k->unit1; i++) {
        const unit next = unit_of(g, p, k->tap, big, small, cpu_min(i + 1, k->unit1 - 1));
        for (int64_t panel = k->panel0; panel < k->panel1; panel++) {
            if (panel + 1 < k->panel1)
                prefetch_panel(g, p, &u, panel + 1);
            else
                prefetch_panel(g, p, &next, k->panel0);
            panel_sums(g, p, &u, panel, k->sums);
        }
        u = next;
    }
}

/* Adds up the slices of row a of one tap, in order, and writes the sums to their KW * CB places in dw. */
static void finish_row(const cpu_conv *g, const plan *p, float *sums, int64_t tap, int64_t a, bool transposed,
                       float *dw)
{
    float *row = sums + (tap * p->ca + a) * p->j;
    const int64_t step = transposed ? 1 : p->ca;

    cpu_add_slices(row, p->j, p->slices, p->sums);
    for (int64_t kx = 0; kx < g->kernel[2]; kx++, row += g->in_c) {
        float *to = dw + (tap * g->kernel[2] + kx) * p->ca * g->in_c + (transposed ? a * g->in_c : a);
        for (int64_t b = 0; b < g->in_c; b++) to[b * step] = g->accumulate ? to[b * step] + row[b] : row[b];
    }
}

void CPU_NAME(cpu_conv_wgrad_blocks)(const cpu_conv *g, const float *big, const float *small, bool transposed,
                                     float *dw, void *work, int threads)
{
    const plan p = plan_of(g);
    const int64_t tasks = p.slices * p.taps * p.blocks;
    float *sums = work;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t i = 0; i < tasks; i++) {
        const task k = task_of(&p, i, sums);
        run_task(g, &p, &k, big, small);
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < p.taps * p.ca; i++) finish_row(g, &p, sums, i / p.ca, i % p.ca, transposed, dw);
}
