/* Direct convolution, row by row.
 *
 *   y[n,oz,oy,ox,co] = bias[co] + sum over (kz,ky), i < KW*CI of
 *                      x[row(kz,ky)][ox*sx*CI + i] * w[kz,ky][i][co]
 *
 * The micro-kernel keeps a tile of sums in registers, some positions along x by one or two vectors of output
 * channels, while it loops over (kz, ky) and i. In each step it loads the one or two weight vectors and
 * broadcasts one input per position.
 *   weights   are packed in every call as [panel of 2 vectors][kz,ky][i][lane], with zeros beyond CO, so that
 *             every sweep reads them in order
 *   sweep     is as many (kz, ky) as let a panel's weights stay in the second-level cache; all sweeps except
 *             the first add to y
 *   task      is a few rows of one output plane, so that a panel's weights are used for about 256 positions
 *   padding   Rows outside the volume are left out of the sum. If windows overhang along x, a task first
 *             copies its input rows, with zeros at both ends, into its thread's part of the workspace. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_conv_impl.h"

enum {
    TILE_P = CPU_TILE_ROWS,   /* positions in a tile                                               */
    PANEL = 2 * CPU_VL,       /* output channels of a panel                                        */
    SWEEP_FLOATS = 64 * 1024, /* weights of a sweep: 256 KB, half of a common L2                   */
    COPY_FLOATS = 96 * 1024,  /* copied input per thread: 384 KB, unless one output row needs more */
    TASK_POSITIONS = 256,     /* positions that share a sweep's weights                            */
    TASKS_WANTED = 64         /* enough to keep 16 threads evenly busy                             */
};

typedef struct segment { /* one (kz, ky): the KW*CI inputs of position 0, and their weights [i][lane] */
    const float *x, *w;
} segment;

typedef struct tile {
    const segment *segs;
    int64_t n_segs, span;  /* span = KW * CI                                   */
    int64_t x_off, x_step; /* floats to the tile's first position; between two */
    const float *base;     /* is added to the sums: the bias, or y itself      */
    int64_t base_step;     /* per position                                     */
    float *y;
    int64_t y_step;
} tile;

typedef struct plan {
    int64_t span, segs, panels, sweep_segs; /* segs = KD * KH                                       */
    int64_t rows, y_blocks;                 /* output rows per task                                 */
    int64_t groups, tasks;                  /* groups: tasks that share the panels of the same rows */
    bool copy;                              /* input rows are copied, with zeros at both ends       */
    int64_t copy_rows, copy_width;          /* rows per kz; floats                                  */
    int64_t weight_floats, bias_floats, list_bytes, thread_bytes;
} plan;

static plan plan_of(const cpu_conv *g)
{
    plan p = {.span = g->kernel[2] * g->in_c, .segs = g->kernel[0] * g->kernel[1]};
    const int64_t out_w = g->out_size[2], reach = (out_w - 1) * g->stride[2] + g->kernel[2];

    p.panels = cpu_ceil_div(g->out_c, PANEL);
    p.sweep_segs = cpu_max(1, SWEEP_FLOATS / cpu_max(1, p.span * PANEL));
    p.rows = cpu_min(cpu_ceil_div(TASK_POSITIONS, out_w), g->out_size[1]);
    p.copy = g->pad[2] > 0 || reach - g->pad[2] > g->in_size[2];
    if (p.copy) {
        p.copy_width = cpu_lines(reach * g->in_c);
        const int64_t fit = COPY_FLOATS / cpu_max(1, p.copy_width * g->kernel[0]);
        p.rows = cpu_max(1, cpu_min(p.rows, (fit - g->kernel[1]) / g->stride[1] + 1));
        p.copy_rows = (p.rows - 1) * g->stride[1] + g->kernel[1];
    }
    p.y_blocks = cpu_ceil_div(g->out_size[1], p.rows);
    const int64_t places = g->n * g->out_size[0] * p.y_blocks;
    p.groups = cpu_min(p.panels, cpu_ceil_div(TASKS_WANTED, places));
    p.tasks = places * p.groups;
    p.weight_floats = cpu_lines(p.panels * p.segs * p.span * PANEL);
    p.bias_floats = cpu_lines(p.panels * PANEL);
    p.list_bytes = (cpu_max(1, p.segs) * (int64_t)sizeof(segment) + 63) / 64 * 64;
    p.thread_bytes = p.list_bytes + g->kernel[0] * p.copy_rows * p.copy_width * 4;
    return p;
}

uint64_t CPU_NAME(cpu_conv_rows_work)(const cpu_conv *g, int threads)
{
    const plan p = plan_of(g);
    return (uint64_t)((p.weight_floats + p.bias_floats) * 4 + threads * p.thread_bytes);
}

/* ---- packing ---- */

static void pack_weights(const cpu_conv *g, const plan *p, const cpu_conv_weights *w, float *out, int threads)
{
    const int64_t ci_step = w->step[3], co_step = w->step[4], parts = p->panels * p->segs;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t part = 0; part < parts; part++) {
        const int64_t seg = part % p->segs, co0 = part / p->segs * PANEL,
                      cols = cpu_min(PANEL, g->out_c - co0);
        const int64_t lanes = cols > CPU_VL ? PANEL : CPU_VL;
        const float *from =
            w->w + seg / g->kernel[1] * w->step[0] + seg % g->kernel[1] * w->step[1] + co0 * co_step;
        float *to = out + co0 * p->segs * p->span + seg * p->span * lanes;
        for (int64_t kx = 0; kx < g->kernel[2]; kx++, to += g->in_c * lanes) {
            const float *tap = from + kx * w->step[2];
            if (cols < lanes) memset(to, 0, (size_t)(g->in_c * lanes) * sizeof(float));
            if (co_step == 1) {
                for (int64_t ci = 0; ci < g->in_c; ci++)
                    memcpy(to + ci * lanes, tap + ci * ci_step, (size_t)cols * sizeof(float));
            } else {
                /* Transposed weights are copied 16 input channels (a cache line) at a time, so that neither
                 * side goes to a new line with every float. */
                for (int64_t ci0 = 0; ci0 < g->in_c; ci0 += 16)
                    for (int64_t co = 0; co < cols; co++)
                        for (int64_t ci = ci0; ci < cpu_min(ci0 + 16, g->in_c); ci++)
                            to[ci * lanes + co] = tap[ci * ci_step + co * co_step];
            }
        }
    }
}

/* Copies the input rows under output rows [oy0, oy0 + p->rows) of plane oz as [kz][row][copy_width], with
 * zeros at both ends. Rows outside the volume are not written, because list_segments leaves them out. */
static void copy_input(const cpu_conv *g, const plan *p, const float *x, int64_t n, int64_t oz, int64_t oy0,
                       float *to)
{
    const int64_t row = g->in_size[2] * g->in_c, before = g->pad[2] * g->in_c;
    const int64_t lead = cpu_min(cpu_max(before, 0), p->copy_width), skip = cpu_max(-before, 0);
    const int64_t body = cpu_max(0, cpu_min(row - skip, p->copy_width - lead));

    for (int64_t kz = 0; kz < g->kernel[0]; kz++) {
        const int64_t z = oz * g->stride[0] + kz - g->pad[0];
        for (int64_t r = 0; r < p->copy_rows; r++, to += p->copy_width) {
            const int64_t y = oy0 * g->stride[1] + r - g->pad[1];
            if (z < 0 || z >= g->in_size[0] || y < 0 || y >= g->in_size[1]) continue;
            memset(to, 0, (size_t)lead * sizeof(float));
            if (body > 0)
                memcpy(to + lead, x + ((n * g->in_size[0] + z) * g->in_size[1] + y) * row + skip,
                       (size_t)body * sizeof(float));
            memset(to + lead + body, 0, (size_t)(p->copy_width - lead - body) * sizeof(float));
        }
    }
}

/* ---- micro-kernel ---- */

/* Sums for np positions by nv vectors. Both numbers are constants in every call, so that all loops over them
 * unroll and `acc` stays in registers. */
__attribute__((always_inline)) static inline void tile_body(int np, const tile *t, int nv)
{
    cpu_vec acc[TILE_P][2];
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) acc[p][0] = acc[p][1] = (cpu_vec){0};

    const int64_t step = t->x_step, span = t->span;
    for (int64_t s = 0; s < t->n_segs; s++) {
        const float *x = t->segs[s].x + t->x_off, *w = t->segs[s].w;
        for (int64_t i = 0; i < span; i++, x++, w += nv * CPU_VL) {
            const cpu_vec w0 = cpu_load(w), w1 = nv == 2 ? cpu_load(w + CPU_VL) : w0;
#pragma GCC unroll 16
            for (int p = 0; p < np; p++) {
                const cpu_vec b = cpu_set1(x[p * step]);
                acc[p][0] += b * w0;
                if (nv == 2) acc[p][1] += b * w1;
            }
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) {
        const float *base = t->base + p * t->base_step;
        float *y = t->y + p * t->y_step;
        cpu_store(y, cpu_load(base) + acc[p][0]);
        if (nv == 2) cpu_store(y + CPU_VL, cpu_load(base + CPU_VL) + acc[p][1]);
    }
}

__attribute__((always_inline)) static inline void tile_switch(const tile *t, int64_t np, int nv)
{
    CPU_SWITCH_ROWS(np, tile_body, t, nv);
}

static void tile_1(const tile *t, int64_t np)
{
    tile_switch(t, np, 1);
}
static void tile_2(const tile *t, int64_t np)
{
    tile_switch(t, np, 2);
}

/* A panel whose channels do not fill its vectors. The tile is computed in a small dense array and copied from
 * there, because whole vectors would overwrite the next position. */
static void tile_ragged(const tile *t, int64_t np, int64_t cols)
{
    float dense[TILE_P * PANEL];
    const int64_t lanes = cols > CPU_VL ? PANEL : CPU_VL;
    tile d = *t;

    d.y = dense;
    d.y_step = lanes;
    if (t->base_step != 0) {
        memset(dense, 0, sizeof dense);
        for (int64_t p = 0; p < np; p++)
            memcpy(dense + p * lanes, t->base + p * t->base_step, (size_t)cols * sizeof(float));
        d.base = dense;
        d.base_step = lanes;
    }
    if (lanes == PANEL)
        tile_2(&d, np);
    else
        tile_1(&d, np);
    for (int64_t p = 0; p < np; p++)
        memcpy(t->y + p * t->y_step, dense + p * lanes, (size_t)cols * sizeof(float));
}

/* ---- tasks ---- */

typedef struct run {
    const cpu_conv *g;
    const plan *p;
    const float *x, *weights, *bias;
    float *y;
} run;

/* One output row and one panel, summed over the (kz, ky) of one sweep. */
static void row_panel(const run *r, segment *list, int64_t n_segs, int64_t panel, bool first, float *y)
{
    const cpu_conv *g = r->g;
    const int64_t out_w = g->out_size[2], n_tiles = cpu_ceil_div(out_w, TILE_P);
    const int64_t cols = cpu_min(PANEL, g->out_c - panel * PANEL);
    const bool from_y = !first || g->accumulate;
    tile t = {.segs = list,
              .n_segs = n_segs,
              .span = r->p->span,
              .x_step = g->stride[2] * g->in_c,
              .y_step = g->out_step[3]};

    /* Tiles of almost equal length: none is too short to fill the pipeline. */
    for (int64_t i = 0; i < n_tiles; i++) {
        const int64_t x0 = out_w * i / n_tiles, np = out_w * (i + 1) / n_tiles - x0;
        t.x_off = x0 * t.x_step;
        t.y = y + x0 * t.y_step + panel * PANEL;
        t.base = from_y ? t.y : r->bias + panel * PANEL;
        t.base_step = from_y ? t.y_step : 0;
        if (cols == PANEL)
            tile_2(&t, np);
        else if (cols == CPU_VL)
            tile_1(&t, np);
        else
            tile_ragged(&t, np, cols);
    }
}

/* Lists the (kz, ky) in [seg0, seg1) whose input row for output row oy lies inside the volume, and returns
 * their number. */
static int64_t list_segments(const run *r, const float *copied, int64_t n, int64_t oz, int64_t oy,
                             int64_t oy0, int64_t panel, int64_t seg0, int64_t seg1, segment *list)
{
    const cpu_conv *g = r->g;
    const plan *p = r->p;
    const int64_t lanes = g->out_c - panel * PANEL > CPU_VL ? PANEL : CPU_VL;
    const float *w = r->weights + panel * PANEL * p->segs * p->span;
    int64_t count = 0;

    for (int64_t s = seg0; s < seg1; s++) {
        const int64_t kz = s / g->kernel[1], ky = s % g->kernel[1];
        const int64_t z = oz * g->stride[0] + kz - g->pad[0], y = oy * g->stride[1] + ky - g->pad[1];
        if (z < 0 || z >= g->in_size[0] || y < 0 || y >= g->in_size[1]) continue;
        list[count].x =
            p->copy ? copied + (kz * p->copy_rows + (oy - oy0) * g->stride[1] + ky) * p->copy_width
                    : r->x + (((n * g->in_size[0] + z) * g->in_size[1] + y) * g->in_size[2] - g->pad[2]) *
                                 g->in_c;
        list[count++].w = w + s * p->span * lanes;
    }
    return count;
}

static void run_task(const run *r, int64_t task, char *mine)
{
    const cpu_conv *g = r->g;
    const plan *p = r->p;
    const int64_t group = task % p->groups, place = task / p->groups;
    const int64_t oy0 = place % p->y_blocks * p->rows, oy1 = cpu_min(oy0 + p->rows, g->out_size[1]);
    const int64_t oz = place / p->y_blocks % g->out_size[0], n = place / p->y_blocks / g->out_size[0];
    const int64_t panel1 = p->panels * (group + 1) / p->groups;
    segment *list = (segment *)(void *)mine;
    float *copied = (float *)(void *)(mine + p->list_bytes);

    if (p->copy) copy_input(g, p, r->x, n, oz, oy0, copied);
    for (int64_t panel = p->panels * group / p->groups; panel < panel1; panel++)
        for (int64_t seg0 = 0; seg0 == 0 || seg0 < p->segs; seg0 += p->sweep_segs)
            for (int64_t oy = oy0; oy < oy1; oy++) {
                const int64_t count = list_segments(r, copied, n, oz, oy, oy0, panel, seg0,
                                                    cpu_min(seg0 + p->sweep_segs, p->segs), list);
                float *y = r->y + n * g->out_step[0] + oz * g->out_step[1] + oy * g->out_step[2];
                row_panel(r, list, count, panel, seg0 == 0, y);
            }
}

void CPU_NAME(cpu_conv_rows)(const cpu_conv *g, const float *x, const cpu_conv_weights *w, const float *bias,
                             float *y, void *work, int threads)
{
    const plan p = plan_of(g);
    float *weights = work, *bias_padded = weights + p.weight_floats;
    char *thread_mem = (char *)(bias_padded + p.bias_floats);
    const run r = {.g = g, .p = &p, .x = x, .weights = weights, .bias = bias_padded, .y = y};

    memset(bias_padded, 0, (size_t)p.bias_floats * sizeof(float));
    if (bias) memcpy(bias_padded, bias, (size_t)g->out_c * sizeof(float));
    pack_weights(g, &p, w, weights, threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < p.tasks; task++)
        run_task(&r, task, thread_mem + omp_get_thread_num() * p.thread_bytes);
}
