/* Convolution by Winograd: forward, and the gradient of the input as a convolution with flipped, transposed
 * weights.
 *
 * There are two ways through the three phases of cpu_wino.h:
 *
 * - private, for few channels: every thread has chunks of its own, which stay in its second-level cache, and
 *   reads the transformed weights again for each chunk, from the last-level cache.
 * - shared, for many channels: all threads work on one chunk in the last-level cache, so that the weights of
 *   a product are read once per chunk. Weights are transformed for one group of output channels at a time. If
 *   all strips form a single chunk, its planes are loaded once and serve all groups.
 *
 * The choice between the two and all borders depend only on the shape. */
#include <omp.h>

#include "backends/cpu/kernels/cpu_wino_conv.h"
#include "backends/cpu/kernels/cpu_wino_weights.h"

enum {
    /* Weights of a group: at most 48 MB. If the planes of the whole input take at most 8 MB, it is cheap to
     * read them again for every group. Then a group has at most 12 MB of weights, so that they are still in
     * the caches when they are multiplied. */
    WEIGHT_FLOATS = 12 << 20,
    FRESH_FLOATS = 3 << 20,
    FEW_FLOATS = 2 << 20,
    /* Planes of a shared chunk: 4 MB of the last-level cache, or as much as the group's weights if that is
     * more. */
    SHARED_FLOATS = 1 << 20,
    PRIVATE_FLOATS = 208 << 10, /* planes of a private chunk: 832 KB of 1 MB of L2                     */
    PRIVATE_TILES = 4,          /* with fewer tiles, loading the weights costs more than the tiles save */
    SHARED_LENGTH = 14          /* tiles of a strip in a shared chunk                                   */
};

typedef struct plan {
    cpu_wino w;
    bool shared, stream;
    int64_t in_cols, in_c, depth; /* columns and channels of loaded planes; channels to multiply */
    int64_t out_cols, group_c;    /* output channels per group                                   */
    int64_t strips, chunks;       /* strips per chunk                                            */
    int64_t u_step, v_step;       /* floats between products in a thread's scratch               */
    int64_t weights, bias, in, out, parts, thread; /* floats of each piece of the workspace      */
    int64_t copies;                                /* of the planes                              */
} plan;

/* The number of tiles whose planes fit into a private chunk. */
static int64_t private_tiles(const plan *p, int64_t co)
{
    return PRIVATE_FLOATS / (p->w.planes * p->w.m[2] * (p->in_c + co));
}

static void plan_chunks(plan *p, int64_t co)
{
    cpu_wino *w = &p->w;
    const int64_t panel = CPU_NAME(cpu_wino_products)(w, p->depth, CPU_PANEL, NULL).floats;
    const int64_t panels = cpu_ceil_div(co, CPU_PANEL);
    const int64_t planes = w->n * w->tiles[0] * w->tiles[1] * w->tiles[2] * w->planes * w->m[2] * p->in_c;
    const int64_t groups = cpu_ceil_div(panels * panel, planes <= FEW_FLOATS ? FRESH_FLOATS : WEIGHT_FLOATS);
    int64_t tiles = private_tiles(p, co);

    p->shared = groups > 1 || tiles < PRIVATE_TILES;
    p->group_c = p->shared ? cpu_min(co, cpu_ceil_div(panels, groups) * CPU_PANEL) : co;
    p->weights = CPU_NAME(cpu_wino_products)(w, p->depth, p->group_c, NULL).floats;
    if (p->shared) {
        const int64_t room = cpu_max(SHARED_FLOATS, p->weights);
        cpu_wino_cut(w, SHARED_LENGTH);
        tiles = room / (w->planes * w->m[2] * (p->in_c + p->group_c));
    } else {
        cpu_wino_cut(w, cpu_min(tiles, CPU_WINO_BLOCK));
        tiles = cpu_min(tiles, CPU_WINO_BLOCK);
    }
    p->strips = cpu_min(w->strips, cpu_max(1, tiles / w->length));
    p->chunks = cpu_ceil_div(w->strips, p->strips);
    if (p->shared) p->strips = cpu_ceil_div(w->strips, p->chunks);
}

static plan plan_of(const cpu_wino_conv *c, int threads)
{
    plan p = {.w = cpu_wino_of(c->map.n, c->size, c->m)};
    const cpu_part *last = &c->map.part[c->map.n_parts - 1];
    const int64_t co = cpu_wino_channels(c->co),
                  outputs = c->map.n * c->size[0] * c->size[1] * c->size[2] * c->co;

    p.in_c = cpu_wino_map_channels(&c->map);
    p.depth = p.in_c - cpu_wino_channels(last->c) + last->c;
    plan_chunks(&p, co);
    /* Outputs are stored past the caches only if a vector is a whole cache line. Otherwise the pieces of a
     * line would be written to memory at different times. */
    p.stream = cpu_stream_pays((uint64_t)outputs * sizeof(float)) && CPU_VL == 16 && c->co % 16 == 0 &&
               !c->accumulate;
    p.in_cols = cpu_wino_in_cols(&p.w);
    p.out_cols = cpu_wino_out_cols(&p.w);
    p.bias = cpu_lines(co);
    p.in = p.w.planes * cpu_wino_plane_step(p.strips, p.in_cols, p.in_c);
    p.out = p.w.planes * cpu_wino_plane_step(p.strips, p.out_cols, p.group_c);
    p.parts = c->gather ? cpu_lines(p.w.strips * 3 * co) : 0;
    p.copies = p.shared ? 1 : threads;
    const int64_t tiles = cpu_min(CPU_WINO_BLOCK, p.strips * p.w.length);
    p.u_step = tiles * p.in_c + 5 * 16;
    p.v_step = tiles * p.group_c + 5 * 16;
    p.thread = cpu_lines(p.w.a[2] * (p.u_step + p.v_step));
    return p;
}

uint64_t CPU_NAME(cpu_wino_conv_work)(const cpu_wino_conv *c, int threads)
{
    const plan p = plan_of(c, threads);
    return (uint64_t)(cpu_lines(p.weights) + p.bias + p.parts + p.copies * (p.in + p.out) +
                      threads * p.thread) *
           sizeof(float);
}

typedef struct run {
    const cpu_wino_conv *c;
    const plan *p;
    cpu_products products;
    cpu_planes in, out;
    const float *bias; /* [co rounded up] */
    float *parts, *scratch;
    int64_t strip0, strips; /* of this chunk          */
    int64_t co0, co1;       /* channels of this group */
} run;

/* ---- product ---- */

static void product_item(const run *r, int64_t plane, int64_t t0, int64_t t1)
{
    const plan *p = r->p;
    const cpu_wino *w = &p->w;
    float *u = r->scratch, *v = u + w->a[2] * p->u_step;

    CPU_NAME(cpu_wino_x_in)(w, &r->in, plane, t0, t1, 0, p->in_c, u, p->u_step);
    for (int j = 0; j < w->a[2]; j++) CPU_NAME(cpu_gemm_run)
    (&(cpu_gemm){.a = u + j * p->u_step,
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

/* A strip's part of the moments, [3][co rounded up]: origin, sum, square. */
static float *part_at(const run *r, int64_t strip)
{
    return r->parts + strip * 3 * cpu_wino_channels(r->c->co);
}

static void store_strip(const run *r, int64_t at)
{
    const cpu_wino_conv *c = r->c;
    const int64_t strip = r->strip0 + at;
    const cpu_wino_out out = {.y = c->y,
                              .co = c->co,
                              .co0 = r->co0,
                              .co1 = r->co1,
                              .bias = r->bias,
                              .part = r->parts ? part_at(r, strip) : NULL,
                              .add = c->accumulate,
                              .stream = r->p->stream};
    CPU_NAME(cpu_wino_store)(&r->p->w, &out, strip, at, &r->out);
}

/* ---- moments ---- */

/* Mean and biased variance of channel c over the strips of samples [n0, n1). */
static void merge_parts(const run *r, int64_t n0, int64_t n1, int64_t c, double *mean, double *var)
{
    const cpu_wino *w = &r->p->w;
    const int64_t co = cpu_wino_channels(r->c->co), per_sample = w->strips / w->n;
    double n = 0, m = 0, m2 = 0;
    for (int64_t strip = n0 * per_sample; strip < n1 * per_sample; strip++) {
        const cpu_strip s = cpu_wino_strip(w, strip);
        const int64_t lines = cpu_min(w->m[0], w->size[0] - s.z) * cpu_min(w->m[1], w->size[1] - s.y);
        const int64_t cols = cpu_wino_inside(w, s);
        if (cols <= 0) continue;
        const float *part = part_at(r, strip) + c;
        const double k = (double)(lines * cols), sum = (double)part[co], square = (double)part[2 * co];
        const double delta = (double)part[0] + sum / k - m, all = n + k;
        m += delta * (k / all);
        m2 += square - sum * sum / k + delta * delta * (n * k / all);
        n = all;
    }
    *mean = m;
    *var = m2 > 0 ? m2 / n : 0;
}

static void write_moments(const run *r)
{
    const cpu_wino_conv *c = r->c;
    const int64_t groups = c->per_instance ? c->map.n : 1, samples = c->map.n / groups;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < groups * c->co; i++) {
        const int64_t g = i / c->co, ch = i % c->co;
        double mean, var;
        merge_parts(r, g * samples, (g + 1) * samples, ch, &mean, &var);
        c->moments[2 * g * c->co + ch] = (float)mean;
        c->moments[(2 * g + 1) * c->co + ch] = (float)var;
    }
}

/* ---- shared and private chunks ---- */

static void set_chunk(run *r, int64_t chunk)
{
    r->strip0 = chunk * r->p->strips;
    r->strips = cpu_min(r->p->strips, r->p->w.strips - r->strip0);
}

static void shared_chunk(const run *r, bool loaded)
{
    const cpu_wino *w = &r->p->w;
    const int64_t tiles = r->strips * w->length, blocks = cpu_ceil_div(tiles, CPU_WINO_BLOCK);
    if (!loaded) {
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < r->strips; i++)
            CPU_NAME(cpu_wino_load)(w, &r->c->map, r->c->pad, r->strip0 + i, i, &r->in);
    }
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < w->planes * blocks; i++) {
        const int64_t b = i % blocks;
        product_item(r, i / blocks, tiles * b / blocks, tiles * (b + 1) / blocks);
    }
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < r->strips; i++) store_strip(r, i);
}

static void run_shared(run *r, float *weights)
{
    const cpu_wino_conv *c = r->c;
    const plan *p = r->p;
    for (r->co0 = 0; r->co0 < c->co; r->co0 = r->co1) {
        r->co1 = cpu_min(r->co0 + p->group_c, c->co);
        r->products = CPU_NAME(cpu_wino_products)(&p->w, p->depth, r->co1 - r->co0, weights);
        r->out = cpu_wino_planes(r->out.data, p->strips, p->out_cols, cpu_wino_channels(r->co1 - r->co0));
        CPU_NAME(cpu_wino_weights)(&p->w, &c->w, &c->map, r->co0, r->co1, &r->products);
        for (int64_t chunk = 0; chunk < p->chunks; chunk++) {
            set_chunk(r, chunk);
            shared_chunk(r, r->co0 > 0 && p->chunks == 1);
        }
    }
}

/* Part i of the next chunk's input is prefetched before plane i is multiplied and arrives meanwhile. */
static void private_chunk(const run *r)
{
    const cpu_wino *w = &r->p->w;
    const int64_t next = r->strip0 + r->strips, end = cpu_min(w->strips, next + r->strips);
    for (int64_t i = 0; i < r->strips; i++)
        CPU_NAME(cpu_wino_load)(w, &r->c->map, r->c->pad, r->strip0 + i, i, &r->in);
    for (int64_t i = 0; i < w->planes; i++) {
        for (int64_t s = next; s < end; s++) CPU_NAME(cpu_wino_prefetch)(w, &r->c->map, r->c->pad, s, i);
        product_item(r, i, 0, r->strips * w->length);
    }
    for (int64_t i = 0; i < r->strips; i++) store_strip(r, i);
}

static void run_private(run *r, float *weights)
{
    enum { TOGETHER = 4 }; /* chunks that one thread takes in a row, so that it prefetches for itself */
    const cpu_wino_conv *c = r->c;
    const plan *p = r->p;
    r->co1 = c->co;
    r->products = CPU_NAME(cpu_wino_products)(&p->w, p->depth, c->co, weights);
    CPU_NAME(cpu_wino_weights)(&p->w, &c->w, &c->map, 0, c->co, &r->products);
#pragma omp for schedule(dynamic, TOGETHER)
    for (int64_t chunk = 0; chunk < p->chunks; chunk++) {
        set_chunk(r, chunk);
        private_chunk(r);
    }
}

void CPU_NAME(cpu_wino_conv_run)(const cpu_wino_conv *c, void *work, int threads)
{
    const plan p = plan_of(c, threads);
    float *weights = work, *bias = weights + cpu_lines(p.weights), *parts = bias + p.bias;
    float *planes = parts + p.parts, *scratch = planes + p.copies * (p.in + p.out);

    memset(bias, 0, (size_t)p.bias * sizeof(float));
    if (c->bias) memcpy(bias, c->bias, (size_t)c->co * sizeof(float));
#pragma omp parallel num_threads(threads)
    {
        const int64_t me = omp_get_thread_num();
        float *mine = planes + (p.shared ? 0 : me * (p.in + p.out));
        run r = {.c = c,
                 .p = &p,
                 .in = cpu_wino_planes(mine, p.strips, p.in_cols, p.in_c),
                 .out = cpu_wino_planes(mine + p.in, p.strips, p.out_cols, cpu_wino_channels(c->co)),
                 .bias = bias,
                 .parts = c->gather ? parts : NULL,
                 .scratch = scratch + me * p.thread};
        (p.shared ? run_shared : run_private)(&r, weights);
        if (c->gather) write_moments(&r);
    }
}
