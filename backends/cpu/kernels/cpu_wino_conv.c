/* Convolution by Winograd: forward, and the gradient of the input as a convolution with flipped, transposed
 * weights.
 *
 * Weights of a group of output channels are transformed first, as many as stay in the last-level cache; then come
 * the chunks of the map. Where all tiles make one chunk, its loaded planes serve every group. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_wino_conv.h"
#include "backends/cpu/kernels/cpu_wino_weights.h"

enum {
    WEIGHT_FLOATS = 12 << 20, /* of a group: 48 MB                                         */
    CHUNK_FLOATS = 4 << 20,   /* of a chunk's planes: 16 MB, half of a common L3           */
    SEGMENT = 32              /* columns of one item of load and store                     */
};

typedef struct plan {
    cpu_wino w;
    int64_t in_cols, in_c, depth;            /* columns and channels of loaded planes; channels that count */
    int64_t out_cols, group_c, groups;       /* output channels per group                                  */
    int64_t rows, chunks;                    /* of tiles per chunk                                         */
    int64_t in_segs, out_segs;               /* items of one row                                           */
    int64_t u_step, v_step;                  /* between products in a thread's scratch                     */
    int64_t weights, bias, in, out, parts, thread; /* floats of each piece of the workspace                */
} plan;

static plan plan_of(const cpu_wino_conv *c)
{
    plan p = {.w = cpu_wino_of(c->map.n, c->size, c->m)};
    const cpu_wino *w = &p.w;
    const int64_t co = cpu_wino_channels(c->co);

    p.in_cols = w->tiles[2] * w->m[2] + w->a[2] - w->m[2];
    p.out_cols = w->tiles[2] * w->m[2];
    p.in_c = cpu_wino_map_channels(&c->map);
    p.depth = p.in_c - cpu_wino_channels(c->map.part[c->map.n_parts - 1].c) +
              c->map.part[c->map.n_parts - 1].c;
    const int64_t panel = CPU_NAME(cpu_wino_products)(w, p.depth, CPU_PANEL, NULL).floats;
    const int64_t panels = cpu_ceil_div(co, CPU_PANEL);
    p.groups = cpu_ceil_div(panels, cpu_max(1, WEIGHT_FLOATS / panel));
    p.group_c = cpu_min(co, cpu_ceil_div(panels, p.groups) * CPU_PANEL);
    p.weights = CPU_NAME(cpu_wino_products)(w, p.depth, p.group_c, NULL).floats;

    const int64_t row = w->planes * (p.in_cols * p.in_c + p.out_cols * p.group_c);
    p.chunks = cpu_ceil_div(w->rows, cpu_max(1, cpu_max(CHUNK_FLOATS, p.weights) / row));
    p.rows = cpu_ceil_div(w->rows, p.chunks);
    p.chunks = cpu_ceil_div(w->rows, p.rows);
    p.in_segs = cpu_ceil_div(p.in_cols, SEGMENT);
    p.out_segs = cpu_ceil_div(c->size[2], SEGMENT);
    p.in = w->planes * cpu_wino_plane_step(p.rows, p.in_cols, p.in_c);
    p.out = w->planes * cpu_wino_plane_step(p.rows, p.out_cols, p.group_c);
    p.parts = c->moments ? cpu_lines(w->rows * p.out_segs * 3 * co) : 0;
    const int64_t tiles = cpu_min(CPU_WINO_BLOCK, p.rows * w->tiles[2]);
    p.u_step = tiles * p.in_c + 5 * 16;
    p.v_step = tiles * p.group_c + 5 * 16;
    p.bias = cpu_lines(co);
    p.thread = cpu_lines(w->a[2] * (p.u_step + p.v_step));
    return p;
}

uint64_t CPU_NAME(cpu_wino_conv_work)(const cpu_wino_conv *c, int threads)
{
    const plan p = plan_of(c);
    return (uint64_t)(cpu_lines(p.weights) + p.bias + p.in + p.out + p.parts + threads * p.thread) * sizeof(float);
}

typedef struct run {
    const cpu_wino_conv *c;
    const plan *p;
    cpu_products products;
    cpu_planes in, out;
    const float *bias; /* [co rounded up] */
    float *parts, *scratch;
    int64_t row0, rows;   /* of this chunk          */
    int64_t co0, co1;     /* channels of this group */
} run;

/* ---- product ---- */

static void product_item(const run *r, int64_t plane, int64_t t0, int64_t t1)
{
    const plan *p = r->p;
    const cpu_wino *w = &p->w;
    float *u = r->scratch + omp_get_thread_num() * p->thread, *v = u + w->a[2] * p->u_step;

    CPU_NAME(cpu_wino_x_in)(w, &r->in, plane, t0, t1, 0, p->in_c, u, p->u_step);
    for (int j = 0; j < w->a[2]; j++)
        CPU_NAME(cpu_gemm_run)(&(cpu_gemm){.a = u + j * p->u_step,
                                           .b = r->products.data + (plane * w->a[2] + j) * r->products.step,
                                           .c = v + j * p->v_step,
                                           .rows = t1 - t0,
                                           .cols = r->out.c,
                                           .depth = p->depth,
                                           .a_row = p->in_c,
                                           .b_panel = r->products.panel,
                                           .c_row = r->out.c});
    CPU_NAME(cpu_wino_x_out)(w, v, p->v_step, &r->out, plane, t0, t1);
}

/* ---- store ---- */

typedef struct target { /* one tile row of the output */
    float *line[16];    /* voxel x = 0, channel co0 of each (z, y); NULL outside */
    int64_t step, channels;
    const float *bias;
    float *origin, *sum, *square; /* moments of this item; NULL: not wanted      */
    bool whole, add;
} target;

CPU_INLINE void put(const target *t, float *to, int64_t c, cpu_vec v, bool ragged)
{
    const int64_t lanes = cpu_min(CPU_VL, t->channels - c);
    if (!ragged || lanes == CPU_VL) {
        cpu_store(to + c, t->add ? cpu_load(to + c) + v : v);
    } else {
        for (int64_t i = 0; i < lanes; i++) to[c + i] = t->add ? to[c + i] + v[i] : v[i];
    }
}

/* Sums about the first voxel of the item, which no offset of the data can spoil. */
CPU_INLINE void gather(const target *t, int64_t c, const cpu_vec *v, const bool *inside, int n, bool first,
                       bool careful)
{
    if (first) cpu_store(t->origin + c, v[0]);
    const cpu_vec origin = cpu_load(t->origin + c);
    cpu_vec sum = first ? (cpu_vec){0} : cpu_load(t->sum + c);
    cpu_vec square = first ? (cpu_vec){0} : cpu_load(t->square + c);
    for (int i = 0; i < n; i++) {
        if (careful && !inside[i]) continue;
        const cpu_vec d = v[i] - origin;
        sum += d;
        square += d * d;
    }
    cpu_store(t->sum + c, sum);
    cpu_store(t->square + c, square);
}

/* All vectors of one column; mz, my and careful are constants. */
CPU_INLINE void column_out(int mz, int my, const target *t, const float *from, int64_t step, int64_t x,
                           bool first, bool careful)
{
    const int az = cpu_wino_inputs(mz), ay = cpu_wino_inputs(my);
    bool inside[16];
    for (int i = 0; i < mz * my; i++) inside[i] = t->line[i] != NULL;
    for (int64_t c = 0; c < t->channels; c += CPU_VL) {
        cpu_vec tmp[4][CPU_WINO_A], v[16];
        for (int y = 0; y < ay; y++) {
            cpu_vec p[CPU_WINO_A], o[4];
            for (int z = 0; z < az; z++) p[z] = cpu_load(from + (z * ay + y) * step + c);
            cpu_wino_at(mz, p, o);
            for (int z = 0; z < mz; z++) tmp[z][y] = o[z];
        }
        const cpu_vec bias = cpu_load(t->bias + c);
        for (int z = 0; z < mz; z++) {
            cpu_wino_at(my, tmp[z], v + z * my);
            for (int y = 0; y < my; y++) {
                v[z * my + y] += bias;
                if (!careful || inside[z * my + y]) put(t, t->line[z * my + y] + x * t->step, c, v[z * my + y], careful);
            }
        }
        if (t->sum) gather(t, c, v, inside, mz * my, first, careful);
    }
}

#define COLUMN_OUT(mz, my)                                                                                   \
    static void column_out_##mz##my(const target *t, const float *from, int64_t step, int64_t x, bool first) \
    {                                                                                                        \
        if (t->whole && t->channels % CPU_VL == 0)                                                           \
            column_out(mz, my, t, from, step, x, first, false);                                              \
        else                                                                                                 \
            column_out(mz, my, t, from, step, x, first, true);                                               \
    }
COLUMN_OUT(1, 1)
COLUMN_OUT(1, 2)
COLUMN_OUT(1, 4)
COLUMN_OUT(2, 1)
COLUMN_OUT(2, 2)
COLUMN_OUT(2, 4)
COLUMN_OUT(4, 1)
COLUMN_OUT(4, 2)
COLUMN_OUT(4, 4)

typedef void column_out_fn(const target *t, const float *from, int64_t step, int64_t x, bool first);

static column_out_fn *column_out_of(const int m[3])
{
    static column_out_fn *const table[3][3] = {{column_out_11, column_out_12, column_out_14},
                                               {column_out_21, column_out_22, column_out_24},
                                               {column_out_41, column_out_42, column_out_44}};
    return table[m[0] / 2][m[1] / 2];
}

/* The moments' part of an item: [3][co rounded up]: origin, sum, square. */
static float *part_at(const run *r, int64_t row, int64_t seg)
{
    return r->parts + (row * r->p->out_segs + seg) * 3 * cpu_wino_channels(r->c->co);
}

static target target_of(const run *r, int64_t row, int64_t seg)
{
    const cpu_wino_conv *c = r->c;
    const cpu_wino *w = &r->p->w;
    target t = {.step = c->co, .channels = r->co1 - r->co0, .whole = true, .add = c->accumulate};
    int64_t n, z0, y0;
    cpu_wino_row(w, row, &n, &z0, &y0);
    for (int i = 0; i < w->m[0] * w->m[1]; i++) {
        const int64_t z = z0 + i / w->m[1], y = y0 + i % w->m[1];
        const bool inside = z < w->size[0] && y < w->size[1];
        t.whole = t.whole && inside;
        if (inside) t.line[i] = c->y + (((n * w->size[0] + z) * w->size[1] + y) * w->size[2]) * c->co + r->co0;
    }
    t.bias = r->bias + r->co0;
    if (r->parts) {
        const int64_t co = cpu_wino_channels(c->co);
        t.origin = part_at(r, row, seg) + r->co0;
        t.sum = t.origin + co;
        t.square = t.sum + co;
    }
    return t;
}

static void store_item(const run *r, int64_t at, int64_t seg)
{
    const plan *p = r->p;
    const int64_t x0 = p->w.size[2] * seg / p->out_segs, x1 = p->w.size[2] * (seg + 1) / p->out_segs;
    const target t = target_of(r, r->row0 + at, seg);
    column_out_fn *const run_column = column_out_of(p->w.m);
    const float *from = r->out.data + (at * p->out_cols + x0) * r->out.c;
    for (int64_t x = x0; x < x1; x++, from += r->out.c) run_column(&t, from, r->out.step, x, x == x0);
}

/* ---- moments ---- */

/* Mean and biased variance of channel c over tile rows [row0, row1). */
static void merge_parts(const run *r, int64_t row0, int64_t row1, int64_t c, double *mean, double *var)
{
    const plan *p = r->p;
    const cpu_wino *w = &p->w;
    const int64_t co = cpu_wino_channels(r->c->co);
    double n = 0, m = 0, m2 = 0;
    for (int64_t row = row0; row < row1; row++) {
        int64_t sample, z, y;
        cpu_wino_row(w, row, &sample, &z, &y);
        const int64_t lines = cpu_min(w->m[0], w->size[0] - z) * cpu_min(w->m[1], w->size[1] - y);
        for (int64_t seg = 0; seg < p->out_segs; seg++) {
            const float *part = part_at(r, row, seg) + c;
            const int64_t x0 = w->size[2] * seg / p->out_segs, x1 = w->size[2] * (seg + 1) / p->out_segs;
            const double k = (double)(lines * (x1 - x0)), sum = (double)part[co], square = (double)part[2 * co];
            const double delta = (double)part[0] + sum / k - m, all = n + k;
            m += delta * (k / all);
            m2 += square - sum * sum / k + delta * delta * (n * k / all);
            n = all;
        }
    }
    *mean = m;
    *var = m2 > 0 ? m2 / n : 0;
}

static void write_moments(const run *r)
{
    const cpu_wino_conv *c = r->c;
    const int64_t groups = c->per_instance ? c->map.n : 1, rows = r->p->w.rows / groups;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < groups * c->co; i++) {
        const int64_t g = i / c->co, ch = i % c->co;
        double mean, var;
        merge_parts(r, g * rows, (g + 1) * rows, ch, &mean, &var);
        c->moments[2 * g * c->co + ch] = (float)mean;
        c->moments[(2 * g + 1) * c->co + ch] = (float)var;
    }
}

/* ---- the phases ---- */

static void load_chunk(const run *r)
{
    const plan *p = r->p;
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < r->rows * p->in_segs; i++) {
        const int64_t at = i / p->in_segs, seg = i % p->in_segs;
        CPU_NAME(cpu_wino_load)(&p->w, &r->c->map, r->c->pad, r->row0 + at, at, p->in_cols * seg / p->in_segs,
                                p->in_cols * (seg + 1) / p->in_segs, &r->in);
    }
}

static void multiply_chunk(const run *r)
{
    const cpu_wino *w = &r->p->w;
    const int64_t tiles = r->rows * w->tiles[2], blocks = cpu_ceil_div(tiles, CPU_WINO_BLOCK);
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < w->planes * blocks; i++) {
        const int64_t b = i % blocks;
        product_item(r, i / blocks, tiles * b / blocks, tiles * (b + 1) / blocks);
    }
}

static void store_chunk(const run *r)
{
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < r->rows * r->p->out_segs; i++) store_item(r, i / r->p->out_segs, i % r->p->out_segs);
}

void CPU_NAME(cpu_wino_conv_run)(const cpu_wino_conv *c, void *work, int threads)
{
    const plan p = plan_of(c);
    float *weights = work, *bias = weights + cpu_lines(p.weights), *in = bias + p.bias, *out = in + p.in;
    float *parts = out + p.out;

    memset(bias, 0, (size_t)p.bias * sizeof(float));
    if (c->bias) memcpy(bias, c->bias, (size_t)c->co * sizeof(float));

#pragma omp parallel num_threads(threads)
    {
        run r = {.c = c, .p = &p, .bias = bias, .parts = c->moments ? parts : NULL, .scratch = parts + p.parts};
        for (r.co0 = 0; r.co0 < c->co; r.co0 = r.co1) {
            r.co1 = cpu_min(r.co0 + p.group_c, c->co);
            r.products = CPU_NAME(cpu_wino_products)(&p.w, p.depth, r.co1 - r.co0, weights);
            CPU_NAME(cpu_wino_weights)(&p.w, &c->w, &c->map, r.co0, r.co1, &r.products);
            for (r.row0 = 0; r.row0 < p.w.rows; r.row0 += p.rows) {
                r.rows = cpu_min(p.rows, p.w.rows - r.row0);
                r.in = cpu_wino_planes(in, p.rows, p.in_cols, p.in_c);
                r.out = cpu_wino_planes(out, p.rows, p.out_cols, cpu_wino_channels(r.co1 - r.co0));
                if (r.co0 == 0 || p.chunks > 1) load_chunk(&r);
                multiply_chunk(&r);
                store_chunk(&r);
            }
        }
        if (c->moments) write_moments(&r);
    }
}
