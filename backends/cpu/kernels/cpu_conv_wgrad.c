/* Weight gradient: for every (kz, ky) a matrix product over voxels,
 *
 *   dw[kz,ky][m][b] = sum over n,oz,oy,ox of A[n,iz,iy][ox][m] * small[n,oz,oy,ox][b],
 *   A[n,iz,iy][ox][m] = big[n,iz,iy][(ox*sx - px)*CA + m],   m = (kx, a) < KW*CA, contiguous in big
 *
 * The micro-kernel keeps a tile of sums in registers, TILE_P values of m by one or two vectors of b, while it
 * loops over the voxels of a few rows.
 *   panels   A is packed as [tile of m][row][ox][i] and small as [panel of b][row][ox][lane], with zeros
 *            beyond the edges. So the inner loop reads two contiguous streams, and with stride 1 the rows for
 *            all ky are one piece of memory.
 *   blocks   The sums of a block of m by a block of b, over all (kz, ky), stay in the second-level cache.
 *   slices   Planes of big are divided into slices whose number depends only on the shape. Every (slice,
 *            block) is a task with its own sums, and the slices are added in order at the end. The registers
 *            are added to the task's sums after every few rows, so that a sum over millions of voxels is a
 *            sum of sums of sums and stays accurate. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_conv_impl.h"

enum {
    TILE_P = CPU_REGS == 32 ? 12 : 6, /* 12 and 6 divide 3 * CA for the usual channel counts    */
    TAIL_P = TILE_P / 3,              /* the last tile is one, two or three times TAIL_P wide   */
    PANEL = 2 * CPU_VL,
    SLOT = TILE_P * PANEL,           /* floats of one tile of sums                              */
    RUN_VOXELS = 2048 / CPU_VL,      /* before registers are emptied: a panel of 16 KB of small */
    BLOCK_COLS = 64,                 /* values of b per block                                   */
    BLOCK_FLOATS = 112 * 1024,       /* sums of a block: 448 KB                                 */
    SLICES_FLOATS = 2 * 1024 * 1024, /* sums of all slices: 8 MB, unless one slice needs more   */
    TASKS_WANTED = 32
};

typedef struct plan {
    int64_t taps, m;       /* KD*KH; KW*CA                           */
    int64_t tiles, panels; /* of m, of b                             */
    int64_t block_tiles, block_panels, m_blocks, n_blocks;
    int64_t rows, y_blocks;  /* rows of small in a unit of work           */
    int64_t units, slices;   /* units: planes of big x y_blocks           */
    int64_t a_rows;          /* rows of big that are packed               */
    int64_t a_tile, b_panel; /* floats per tile of A, per panel of small  */
    int64_t row_floats, a_floats, b_floats, slice_floats, thread_floats;
} plan;

/* Floats of big that lie under one row of windows. */
static int64_t row_reach(const cpu_conv *g)
{
    return ((g->out_size[2] - 1) * g->stride[2] + g->kernel[2]) * g->in_c;
}

/* With stride 1 the rows under all ky overlap and are packed together. */
static bool shares_rows(const cpu_conv *g)
{
    return g->stride[1] == 1;
}

static plan plan_of(const cpu_conv *g)
{
    plan p = {.taps = g->kernel[0] * g->kernel[1], .m = g->kernel[2] * g->in_c};

    p.tiles = cpu_ceil_div(p.m, TILE_P);
    p.panels = cpu_ceil_div(g->out_c, PANEL);
    p.block_panels = cpu_min(p.panels, BLOCK_COLS / PANEL);
    p.block_tiles = cpu_min(p.tiles, cpu_max(1, BLOCK_FLOATS / (p.taps * p.block_panels * SLOT)));
    p.m_blocks = cpu_ceil_div(p.tiles, p.block_tiles);
    p.n_blocks = cpu_ceil_div(p.panels, p.block_panels);
    p.slice_floats = p.taps * p.tiles * p.panels * SLOT;

    p.rows = cpu_min(g->out_size[1], cpu_max(1, RUN_VOXELS / g->out_size[2]));
    p.y_blocks = cpu_ceil_div(g->out_size[1], p.rows);
    p.units = g->n * g->in_size[0] * p.y_blocks;
    p.slices = cpu_min(cpu_ceil_div(TASKS_WANTED, p.m_blocks * p.n_blocks), SLICES_FLOATS / p.slice_floats);
    p.slices = cpu_max(1, cpu_min(p.slices, p.units));

    p.a_rows = p.rows + (shares_rows(g) ? g->kernel[1] - 1 : 0);
    p.a_tile = p.a_rows * g->out_size[2] * TILE_P;
    p.b_panel = p.rows * g->out_size[2] * PANEL;
    p.row_floats = cpu_lines(row_reach(g));
    p.a_floats = cpu_lines(p.block_tiles * p.a_tile);
    p.b_floats = cpu_lines(p.block_panels * p.b_panel);
    p.thread_floats = p.row_floats + p.a_floats + p.b_floats;
    return p;
}

uint64_t CPU_NAME(cpu_conv_wgrad_work)(const cpu_conv *g, int threads)
{
    const plan p = plan_of(g);
    return (uint64_t)(p.slices * p.slice_floats + threads * p.thread_floats) * sizeof(float);
}

/* ---- packing ---- */

/* Width of a tile of m and of a panel of b: the full width or, for the last one, the rest rounded up. */
static int64_t tile_width(const plan *p, int64_t tile)
{
    return cpu_min(TILE_P, cpu_ceil_div(p->m - tile * TILE_P, TAIL_P) * TAIL_P);
}

static int64_t panel_width(const cpu_conv *g, int64_t panel)
{
    return g->out_c - panel * PANEL > CPU_VL ? PANEL : CPU_VL;
}

/* Packs one row of A into one tile: `width` floats per position; positions are `step` floats apart. Only the
 * first `have` of these floats count. The others go into sums that are never read, so they may be whatever
 * follows in the row; they are set to zero only where the row ends. */
static void pack_tile(const float *from, int64_t positions, int64_t step, int64_t have, int64_t width,
                      float *to)
{
    const int64_t whole = cpu_max(0, positions - cpu_ceil_div(width - have, step));

    if (width == TILE_P)
        for (int64_t ox = 0; ox < whole; ox++)
            memcpy(to + ox * TILE_P, from + ox * step, TILE_P * sizeof(float));
    else
        for (int64_t ox = 0; ox < whole; ox++)
            for (int64_t i = 0; i < width; i += TAIL_P)
                memcpy(to + ox * width + i, from + ox * step + i, TAIL_P * sizeof(float));
    for (int64_t ox = whole; ox < positions; ox++)
        for (int64_t i = 0; i < width; i++) to[ox * width + i] = i < have ? from[ox * step + i] : 0.0F;
}

/* Row iy of plane iz as it lies under the windows, with zeros beyond the edges. Points into `big` if the row
 * needs no zeros, otherwise to a copy in `spare`. */
static const float *a_row(const cpu_conv *g, const float *big, int64_t n, int64_t iz, int64_t iy,
                          float *spare)
{
    const int64_t in_row = g->in_size[2] * g->in_c, lead = g->pad[2] * g->in_c;
    const int64_t reach = row_reach(g);
    const int64_t body = cpu_max(0, cpu_min(in_row, reach - lead));
    const bool inside = iy >= 0 && iy < g->in_size[1];

    if (inside && lead == 0 && reach <= in_row)
        return big + ((n * g->in_size[0] + iz) * g->in_size[1] + iy) * in_row;
    memset(spare, 0, (size_t)reach * sizeof(float));
    if (inside && body > 0)
        memcpy(spare + lead, big + ((n * g->in_size[0] + iz) * g->in_size[1] + iy) * in_row,
               (size_t)body * sizeof(float));
    return spare;
}

/* Packs input rows iy0, iy0 + sy, ... of plane iz into the tiles [tile0, tile1) of A. */
static void pack_a(const cpu_conv *g, const plan *p, const float *big, int64_t n, int64_t iz, int64_t iy0,
                   int64_t rows, int64_t tile0, int64_t tile1, float *spare, float *a)
{
    const int64_t step = g->stride[2] * g->in_c;

    for (int64_t r = 0; r < rows; r++) {
        const int64_t iy = iy0 + r * g->stride[1];
        const float *row = a_row(g, big, n, iz, iy, spare);
        for (int64_t tile = tile0; tile < tile1; tile++) {
            const int64_t width = tile_width(p, tile);
            pack_tile(row + tile * TILE_P, g->out_size[2], step, cpu_min(width, p->m - tile * TILE_P), width,
                      a + (tile - tile0) * p->a_tile + r * g->out_size[2] * width);
        }
    }
}

static void pack_b(const cpu_conv *g, const plan *p, const float *from, int64_t voxels, int64_t panel0,
                   int64_t panel1, float *b)
{
    for (int64_t panel = panel0; panel < panel1; panel++, b += p->b_panel) {
        const int64_t width = panel_width(g, panel), cols = cpu_min(width, g->out_c - panel * PANEL);
        const float *v = from + panel * PANEL;
        if (cols == PANEL) { /* constant sizes, so that the copy becomes one or two vectors */
            for (int64_t k = 0; k < voxels; k++)
                memcpy(b + k * PANEL, v + k * g->out_c, PANEL * sizeof(float));
        } else if (cols == CPU_VL) {
            for (int64_t k = 0; k < voxels; k++)
                memcpy(b + k * CPU_VL, v + k * g->out_c, CPU_VL * sizeof(float));
        } else {
            memset(b, 0, (size_t)(voxels * width) * sizeof(float));
            for (int64_t k = 0; k < voxels; k++)
                for (int64_t i = 0; i < cols; i++) b[k * width + i] = v[k * g->out_c + i];
        }
    }
}

/* ---- micro-kernel ---- */

/* sum[np][nv vectors] += sum over k of a[k][np] * b[k][nv vectors]; np and nv are constants in every call. */
__attribute__((always_inline)) static inline void tile_body(const float *a, const float *b, int64_t voxels,
                                                            float *sum, int np, int nv)
{
    cpu_vec acc[TILE_P][2];
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) acc[p][0] = acc[p][1] = (cpu_vec){0};

    for (int64_t k = 0; k < voxels; k++, a += np, b += nv * CPU_VL) {
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
        float *s = sum + p * PANEL;
        cpu_store(s, cpu_load(s) + acc[p][0]);
        if (nv == 2) cpu_store(s + CPU_VL, cpu_load(s + CPU_VL) + acc[p][1]);
    }
}

static void tile_run(const float *a, const float *b, int64_t voxels, float *sum, int64_t np, int64_t lanes)
{
    if (lanes == PANEL) {
        if (np == TILE_P)
            tile_body(a, b, voxels, sum, TILE_P, 2);
        else if (np == 2 * TAIL_P)
            tile_body(a, b, voxels, sum, 2 * TAIL_P, 2);
        else
            tile_body(a, b, voxels, sum, TAIL_P, 2);
    } else {
        if (np == TILE_P)
            tile_body(a, b, voxels, sum, TILE_P, 1);
        else if (np == 2 * TAIL_P)
            tile_body(a, b, voxels, sum, 2 * TAIL_P, 1);
        else
            tile_body(a, b, voxels, sum, TAIL_P, 1);
    }
}

/* ---- tasks ---- */

typedef struct block { /* tiles of m by panels of b; the slice's sums are [tap][tile][panel][SLOT] */
    int64_t tile0, tile1, panel0, panel1;
    float *sums;
} block;

/* Adds some voxels to all tiles of the block for one (kz, ky). */
static void block_tap(const cpu_conv *g, const plan *p, const block *k, int64_t tap, const float *a,
                      int64_t a_row, const float *b, int64_t voxels)
{
    for (int64_t panel = k->panel0; panel < k->panel1; panel++, b += p->b_panel) {
        const int64_t lanes = panel_width(g, panel);
        for (int64_t tile = k->tile0; tile < k->tile1; tile++) {
            const int64_t width = tile_width(p, tile);
            tile_run(a + (tile - k->tile0) * p->a_tile + a_row * g->out_size[2] * width, b, voxels,
                     k->sums + ((tap * p->tiles + tile) * p->panels + panel) * SLOT, width, lanes);
        }
    }
}

/* Adds the terms of all taps for one unit: a plane iz of big and the output rows [oy0, oy0 + rows). */
static void unit_sums(const cpu_conv *g, const plan *p, const block *k, const float *big, const float *small,
                      int64_t unit, float *mine)
{
    const int64_t oy0 = unit % p->y_blocks * p->rows, rows = cpu_min(p->rows, g->out_size[1] - oy0);
    const int64_t iz = unit / p->y_blocks % g->in_size[0], n = unit / p->y_blocks / g->in_size[0];
    const int64_t iy0 = oy0 * g->stride[1] - g->pad[1], voxels = rows * g->out_size[2];
    float *spare = mine, *a = spare + p->row_floats, *b = a + p->a_floats;
    const bool once = shares_rows(g);
    bool packed = false;

    for (int64_t kz = 0; kz < g->kernel[0]; kz++) {
        const int64_t oz = (iz + g->pad[0] - kz) / g->stride[0];
        if (iz + g->pad[0] < kz || (iz + g->pad[0] - kz) % g->stride[0] != 0 || oz >= g->out_size[0])
            continue;
        pack_b(g, p, small + (((n * g->out_size[0] + oz) * g->out_size[1] + oy0) * g->out_size[2]) * g->out_c,
               voxels, k->panel0, k->panel1, b);
        if (once && !packed)
            pack_a(g, p, big, n, iz, iy0, rows + g->kernel[1] - 1, k->tile0, k->tile1, spare, a);
        packed = true;
        for (int64_t ky = 0; ky < g->kernel[1]; ky++) {
            if (!once) pack_a(g, p, big, n, iz, iy0 + ky, rows, k->tile0, k->tile1, spare, a);
            block_tap(g, p, k, kz * g->kernel[1] + ky, a, once ? ky : 0, b, voxels);
        }
    }
}

static void run_task(const cpu_conv *g, const plan *p, int64_t task, const float *big, const float *small,
                     float *sums, float *mine)
{
    const int64_t slice = task % p->slices, nb = task / p->slices % p->n_blocks,
                  mb = task / p->slices / p->n_blocks;
    const block k = {.tile0 = p->tiles * mb / p->m_blocks,
                     .tile1 = p->tiles * (mb + 1) / p->m_blocks,
                     .panel0 = p->panels * nb / p->n_blocks,
                     .panel1 = p->panels * (nb + 1) / p->n_blocks,
                     .sums = sums + slice * p->slice_floats};
    const int64_t unit1 = p->units * (slice + 1) / p->slices;

    for (int64_t tap = 0; tap < p->taps; tap++)
        for (int64_t tile = k.tile0; tile < k.tile1; tile++)
            memset(k.sums + ((tap * p->tiles + tile) * p->panels + k.panel0) * SLOT, 0,
                   (size_t)((k.panel1 - k.panel0) * SLOT) * sizeof(float));
    for (int64_t unit = p->units * slice / p->slices; unit < unit1; unit++)
        unit_sums(g, p, &k, big, small, unit, mine);
}

/* Adds up the slices of row m of one tap, in order, and writes the sums to their place in dw. */
static void finish_row(const cpu_conv *g, const plan *p, const float *sums, int64_t tap, int64_t m,
                       bool transposed, float *dw)
{
    const int64_t a = m % g->in_c, step = transposed ? g->in_c : 1;
    const int64_t at = (tap * p->m + m - a) * g->out_c + (transposed ? a : a * g->out_c);
    const float *row = sums + (tap * p->tiles + m / TILE_P) * p->panels * SLOT + m % TILE_P * PANEL;

    for (int64_t panel = 0; panel < p->panels; panel++) {
        const int64_t cols = cpu_min(PANEL, g->out_c - panel * PANEL);
        float total[PANEL];
        memcpy(total, row + panel * SLOT, (size_t)cols * sizeof(float));
        for (int64_t s = 1; s < p->slices; s++)
            for (int64_t i = 0; i < cols; i++) total[i] += row[s * p->slice_floats + panel * SLOT + i];
        float *to = dw + at + panel * PANEL * step;
        for (int64_t i = 0; i < cols; i++) to[i * step] = g->accumulate ? to[i * step] + total[i] : total[i];
    }
}

void CPU_NAME(cpu_conv_wgrad)(const cpu_conv *g, const float *big, const float *small, bool transposed,
                              float *dw, void *work, int threads)
{
    const plan p = plan_of(g);
    const int64_t tasks = p.slices * p.m_blocks * p.n_blocks, out_rows = p.taps * p.m;
    float *sums = work, *thread_mem = sums + p.slices * p.slice_floats;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; task++)
        run_task(g, &p, task, big, small, sums, thread_mem + omp_get_thread_num() * p.thread_floats);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < out_rows; i++) finish_row(g, &p, sums, i / p.m, i % p.m, transposed, dw);
}
