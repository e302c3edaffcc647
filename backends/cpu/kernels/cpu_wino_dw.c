/* Gradient of the weights: the exact adjoint of the Winograd convolution,
 *
 *   dw = G^T [ sum over tiles of (B^T x) * (A dy) ]   along each axis
 *
 * The sum of a product is a matrix [ci, co] to which every tile adds. All threads work on one chunk at a
 * time: first they load strips of x and dy into planes in the last-level cache. Then each takes a plane and a
 * block of input and output channels, whose sums stay in its second-level cache while it goes through all
 * tiles of the chunk. So every sum has one owner and one order of summation for any number of threads. If the
 * sums of all input channels exceed SUM_FLOATS, groups of input channels are processed one by one. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_wino_dw.h"
#include "backends/cpu/kernels/cpu_wino_weights.h"

enum {
    SUM_FLOATS = 12 << 20, /* sums of all products: 48 MB */
    /* The planes of a chunk take as much as the sums, because those are read and written once per chunk, but
     * at least 4 MB and at most 32 MB of the last-level cache. */
    CHUNK_MIN = 1 << 20,
    CHUNK_MAX = 8 << 20,
    ITEM_FLOATS = 96 << 10,    /* sums of an item: 384 KB of second-level cache */
    SCRATCH_FLOATS = 96 << 10, /* a thread's data that are transformed along x  */
    BLOCK_MIN = 28,            /* tiles that are multiplied at a time           */
    BLOCK_MAX = 64,
    STRIP_LENGTH = 14, /* tiles of a strip                   */
    ITEM_C = 128       /* most output channels of an item    */
};

typedef struct plan {
    cpu_wino w;
    int64_t x_cols, x_c, y_cols, y_c; /* columns and channels of the planes             */
    int64_t group_c, groups;          /* input channels whose sums are made together    */
    int64_t strips, chunks;           /* strips per chunk                               */
    int64_t item_ci, item_co, block;  /* channels of an item; tiles at a time           */
    int64_t u_step, v_step, sum_step; /* floats between products                        */
    int64_t x, y, sums, bias, thread; /* floats of each piece of the workspace          */
} plan;

static plan plan_of(const cpu_wino_dw *c)
{
    plan p = {.w = cpu_wino_of(c->map.n, c->size, c->m)};
    cpu_wino *w = &p.w;
    const int64_t products = w->planes * w->a[2];

    p.x_c = cpu_wino_map_channels(&c->map);
    p.y_c = cpu_wino_channels(c->co);
    p.groups = cpu_ceil_div(products * p.x_c * p.y_c, SUM_FLOATS);
    p.group_c = cpu_min(p.x_c, cpu_ceil_div(cpu_ceil_div(p.x_c, p.groups), CPU_VL) * CPU_VL);
    p.groups = cpu_ceil_div(p.x_c, p.group_c);
    p.sum_step = p.group_c * p.y_c + 5 * 16;
    p.sums = cpu_lines(products * p.sum_step);

    cpu_wino_cut(w, STRIP_LENGTH);
    p.x_cols = cpu_wino_in_cols(w);
    p.y_cols = cpu_wino_out_cols(w);
    const int64_t room = cpu_min(cpu_max(CHUNK_MIN, p.sums), CHUNK_MAX);
    const int64_t strip = w->planes * (p.x_cols * p.x_c + p.y_cols * p.y_c);
    p.chunks = cpu_ceil_div(w->strips, cpu_max(1, room / strip));
    p.strips = cpu_ceil_div(w->strips, p.chunks);
    p.x = w->planes * cpu_wino_plane_step(p.strips, p.x_cols, p.x_c);
    p.y = w->planes * cpu_wino_plane_step(p.strips, p.y_cols, p.y_c);
    p.bias = cpu_lines(w->strips * p.y_c);

    p.item_co = cpu_min(ITEM_C, p.y_c);
    p.item_ci = cpu_min(p.group_c, cpu_max(1, ITEM_FLOATS / (w->a[2] * p.item_co) / CPU_VL) * CPU_VL);
    p.block = SCRATCH_FLOATS / (w->a[2] * (p.item_ci + p.item_co));
    p.block = cpu_min(p.strips * w->length, cpu_min(cpu_max(BLOCK_MIN, p.block), BLOCK_MAX));
    p.u_step = p.block * p.item_ci + 5 * 16;
    p.v_step = p.block * p.item_co + 5 * 16;
    p.thread = cpu_lines(w->a[2] * (p.u_step + p.v_step));
    return p;
}

uint64_t CPU_NAME(cpu_wino_dw_work)(const cpu_wino_dw *c, int threads)
{
    const plan p = plan_of(c);
    return (uint64_t)(p.sums + p.bias + p.x + p.y + threads * p.thread) * sizeof(float);
}

typedef struct run {
    const cpu_wino_dw *c;
    const plan *p;
    cpu_planes x, y;
    float *sums, *scratch;
    float *bias;            /* [strips][y_c]: sums of dy    */
    int64_t strip0, strips; /* of this chunk                */
    int64_t ci0, ci1;       /* plane channels of this group */
} run;

typedef struct item { /* the sums of one plane for some input and output channels */
    int64_t plane, ci0, ci1, co0, co1;
} item;

/* Adds the products of all tiles of the chunk to the sums of one item. */
static void product_item(const run *r, item it)
{
    const plan *p = r->p;
    const cpu_wino *w = &p->w;
    const int64_t tiles = r->strips * w->length, blocks = cpu_ceil_div(tiles, p->block);
    float *u = r->scratch, *v = u + w->a[2] * p->u_step;
    cpu_gemm g = {.rows = it.ci1 - it.ci0,
                  .cols = it.co1 - it.co0,
                  .a_row = it.ci1 - it.ci0,
                  .b_row = it.co1 - it.co0,
                  .c_row = p->y_c,
                  .transposed = true};

    for (int64_t b = 0; b < blocks; b++) {
        const int64_t t0 = tiles * b / blocks, t1 = tiles * (b + 1) / blocks;
        CPU_NAME(cpu_wino_x_in)(w, &r->x, it.plane, t0, t1, it.ci0, it.ci1, u, p->u_step);
        CPU_NAME(cpu_wino_x_grad)(w, &r->y, it.plane, t0, t1, it.co0, it.co1, v, p->v_step);
        g.depth = t1 - t0;
        g.add = b > 0 || r->strip0 > 0;
        for (int j = 0; j < w->a[2]; j++) {
            g.a = u + j * p->u_step;
            g.b = v + j * p->v_step;
            g.c = r->sums + (it.plane * w->a[2] + j) * p->sum_step + (it.ci0 - r->ci0) * p->y_c + it.co0;
            CPU_NAME(cpu_gemm_run)(&g);
        }
    }
}

static void load_item(const run *r, int64_t i)
{
    const cpu_wino_dw *c = r->c;
    const cpu_wino *w = &r->p->w;
    const int64_t at = i / 2, strip = r->strip0 + at;
    if (i % 2 == 0)
        CPU_NAME(cpu_wino_load)(w, &c->map, c->pad, strip, at, &r->x);
    else
        CPU_NAME(cpu_wino_load_grad)(w, c->dy, c->co, strip, at, &r->y, r->bias + strip * r->p->y_c);
}

static void sum_chunk(const run *r, bool loaded)
{
    const plan *p = r->p;
    const int64_t co_parts = cpu_ceil_div(p->y_c, p->item_co);
    const int64_t parts = co_parts * cpu_ceil_div(r->ci1 - r->ci0, p->item_ci);
    if (!loaded) {
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < 2 * r->strips; i++) load_item(r, i);
    }
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < p->w.planes * parts; i++) {
        item it = {.plane = i / parts, .co0 = i % co_parts * p->item_co};
        it.ci0 = r->ci0 + i % parts / co_parts * p->item_ci;
        it.ci1 = cpu_min(it.ci0 + p->item_ci, r->ci1);
        it.co1 = cpu_min(it.co0 + p->item_co, p->y_c);
        product_item(r, it);
    }
}

/* The channel of the map that is channel c in its planes; -1 if c only fills up a vector. */
static int64_t map_channel(const cpu_map *m, int64_t c)
{
    int64_t first = 0;
    for (int i = 0; i < m->n_parts; i++) {
        if (c < cpu_wino_channels(m->part[i].c)) return c < m->part[i].c ? first + c : -1;
        c -= cpu_wino_channels(m->part[i].c);
        first += m->part[i].c;
    }
    return -1;
}

static void write_group(const run *r)
{
    const cpu_wino_dw *c = r->c;
#pragma omp for schedule(static)
    for (int64_t row = r->ci0; row < r->ci1; row++) {
        const int64_t ci = map_channel(&c->map, row);
        if (ci < 0) continue;
        CPU_NAME(cpu_wino_gradients)
        (&r->p->w, r->sums + (row - r->ci0) * r->p->y_c, r->p->sum_step, ci, c->map.c, c->co, c->dw,
         c->accumulate);
    }
}

/* The gradient of the bias: adds the sums of the strips, in order and in double. */
static void write_bias(const run *r)
{
    const cpu_wino_dw *c = r->c;
#pragma omp for schedule(static)
    for (int64_t co = 0; co < c->co; co++) {
        double sum = c->accumulate_db ? (double)c->db[co] : 0;
        for (int64_t strip = 0; strip < r->p->w.strips; strip++)
            sum += (double)r->bias[strip * r->p->y_c + co];
        c->db[co] = (float)sum;
    }
}

void CPU_NAME(cpu_wino_dw_run)(const cpu_wino_dw *c, void *work, int threads)
{
    const plan p = plan_of(c);
    float *sums = work, *bias = sums + p.sums, *x = bias + p.bias, *y = x + p.x, *scratch = y + p.y;

#pragma omp parallel num_threads(threads)
    {
        run r = {.c = c,
                 .p = &p,
                 .x = cpu_wino_planes(x, p.strips, p.x_cols, p.x_c),
                 .y = cpu_wino_planes(y, p.strips, p.y_cols, p.y_c),
                 .sums = sums,
                 .bias = bias,
                 .scratch = scratch + omp_get_thread_num() * p.thread};
        for (r.ci0 = 0; r.ci0 < p.x_c; r.ci0 = r.ci1) {
            r.ci1 = cpu_min(r.ci0 + p.group_c, p.x_c);
            for (r.strip0 = 0; r.strip0 < p.w.strips; r.strip0 += p.strips) {
                r.strips = cpu_min(p.strips, p.w.strips - r.strip0);
                sum_chunk(&r, r.ci0 > 0 && p.chunks == 1);
            }
            write_group(&r);
        }
        if (c->db) write_bias(&r);
    }
}
