/* Up-convolution with kernel == stride and no padding: every voxel of x becomes a block of voxels of y.
 *
 *   y[n,z*kd+a,y*kh+b,x*kw+c,co]   = bias[co] + sum over ci of x[n,z,y,x,ci] w[a,b,c,ci,co]
 *   dx[n,z,y,x,ci]                 = sum over a,b,c,co of dy[n,z*kd+a,y*kh+b,x*kw+c,co] w[a,b,c,ci,co]
 *   dw[a,b,c,ci,co]                = sum over n,z,y,x of x[n,z,y,x,ci] dy[n,z*kd+a,y*kh+b,x*kw+c,co]
 *
 * It is the adjoint of the convolution y -> x with the same kernel and stride. So dx is that convolution,
 * while forward is computed as KD * KH convolutions with kernel 1. "direct" calls the convolution engines for
 * all three, "blocks" calls cpu_conv_wgrad_blocks for dw, and "plain" is the formulas. A lazy x is first
 * written into the workspace. */
#include "backends/cpu/kernels/cpu_conv_impl.h"

/* ---- direct ---- */

/* The geometry of the convolution big -> small. */
static cpu_conv geometry(const u3d_op_desc *d, const u3d_type *small, const u3d_type *big)
{
    cpu_conv g = cpu_conv_of(d, big, small);
    g.accumulate = (d->accumulate & 1U) != 0;
    return g;
}

/* The forward pass for one (a, b): a convolution with kernel 1 from x to KW * CO channels (c, co), which in y
 * are a run of KW voxels. */
static cpu_conv pair_geometry(const cpu_conv *g)
{
    const int64_t row = g->in_size[2] * g->in_c;
    return (cpu_conv){.n = g->n,
                      .in_size = {g->out_size[0], g->out_size[1], g->out_size[2]},
                      .in_c = g->out_c,
                      .out_size = {g->out_size[0], g->out_size[1], g->out_size[2]},
                      .out_c = g->kernel[2] * g->in_c,
                      .kernel = {1, 1, 1},
                      .stride = {1, 1, 1},
                      .out_step = {g->in_size[0] * g->in_size[1] * row, g->kernel[0] * g->in_size[1] * row,
                                   g->kernel[1] * row, g->kernel[2] * g->in_c}};
}

/* Floats for the weights [ci][c, co] of one (a, b), followed by the bias of each (c, co). */
static int64_t pair_floats(const cpu_conv *p)
{
    return cpu_lines(p->in_c * p->out_c) + cpu_lines(p->out_c);
}

static void direct_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d, &d->in[0], &d->out[0]), p = pair_geometry(&g);
    *min = *best = cpu_conv_input_work(d) + (uint64_t)pair_floats(&p) * sizeof(float) +
                   CPU_NAME(cpu_conv_rows_work)(&p, threads);
}

/* Reorders the weights w [c][ci][co] of one (a, b), and repeats the bias for each c. */
static void pair_weights(const cpu_conv *g, const float *w, const float *bias, float *to, int threads)
{
    const int64_t ci_n = g->out_c, co_n = g->in_c, kw = g->kernel[2];
    float *to_bias = to + cpu_lines(ci_n * kw * co_n);
#pragma omp parallel for num_threads(threads) schedule(static) if (ci_n * co_n > 4096)
    for (int64_t ci = 0; ci < ci_n; ci++)
        for (int64_t c = 0; c < kw; c++)
            memcpy(to + (ci * kw + c) * co_n, w + (c * ci_n + ci) * co_n, (size_t)co_n * sizeof(float));
    for (int64_t i = 0; i < kw * co_n; i++) to_bias[i] = bias ? bias[i % co_n] : 0.0F;
}

static void direct(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work), *w = c->in[1], *bias = cpu_map_bias(c->desc, c->in);
    const cpu_conv g = geometry(c->desc, &c->desc->in[0], &c->desc->out[0]), p = pair_geometry(&g);
    float *pair = work, *rows_work = pair + pair_floats(&p), *pair_bias = pair + cpu_lines(p.in_c * p.out_c);
    const int64_t row = g.in_size[2] * g.in_c;

    for (int64_t a = 0; a < g.kernel[0]; a++)
        for (int64_t b = 0; b < g.kernel[1]; b++, w += p.in_c * p.out_c) {
            pair_weights(&g, w, bias, pair, c->threads);
            const cpu_conv_weights pw = cpu_conv_weights_of(pair, p.kernel, p.in_c, p.out_c);
            CPU_NAME(cpu_conv_rows)
            (&p, x, &pw, pair_bias, (float *)c->out[0] + (a * g.in_size[1] + b) * row, rows_work, c->threads);
        }
}

static void direct_dx_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d, &d->out[0], &d->in[0]);
    *min = *best = CPU_NAME(cpu_conv_rows_work)(&g, threads);
}

static void direct_dx(const cpu_call *c)
{
    const cpu_conv g = geometry(c->desc, &c->desc->out[0], &c->desc->in[0]);
    cpu_conv_weights w = cpu_conv_weights_of(c->in[1], g.kernel, g.out_c, g.in_c);
    w.step[3] = 1; /* the sum runs over co, the result over ci */
    w.step[4] = g.in_c;
    CPU_NAME(cpu_conv_rows)(&g, c->in[0], &w, NULL, c->out[0], c->work, c->threads);
}

static const char *blocks_dw_refuses(const u3d_op_desc *d)
{
    const cpu_conv g = geometry(d, &d->in[0], &d->in[1]);
    return CPU_NAME(cpu_conv_wgrad_blocks_takes)(&g) ? NULL : "output channels that do not fill vectors";
}

static void blocks_dw_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d, &d->in[0], &d->in[1]);
    (void)threads;
    *min = *best = cpu_conv_dw_work(d, CPU_NAME(cpu_conv_wgrad_blocks_work)(&g));
}

static void blocks_dw(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc, &c->desc->in[0], &c->desc->in[1]);
    CPU_NAME(cpu_conv_wgrad_blocks)(&g, c->in[1], x, true, c->out[0], work, c->threads);
    cpu_conv_dw_bias(c);
}

static void direct_dw_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d, &d->in[0], &d->in[1]);
    *min = *best = cpu_conv_dw_work(d, CPU_NAME(cpu_conv_wgrad_work)(&g, threads));
}

static void direct_dw(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc, &c->desc->in[0], &c->desc->in[1]);
    CPU_NAME(cpu_conv_wgrad)(&g, c->in[1], x, true, c->out[0], work, c->threads);
    cpu_conv_dw_bias(c);
}

/* ---- plain ---- */

/* For voxel ix of row `row` in the big map: its voxel in the small map, and the tap that connects them. */
typedef struct join {
    int64_t small, tap;
} join;

static join join_of(const cpu_conv *g, int64_t row, int64_t ix)
{
    const int64_t y = row % g->in_size[1], z = row / g->in_size[1] % g->in_size[0];
    const int64_t n = row / g->in_size[1] / g->in_size[0];
    const int64_t o[3] = {z / g->kernel[0], y / g->kernel[1], ix / g->kernel[2]};
    const int64_t tap =
        (z % g->kernel[0] * g->kernel[1] + y % g->kernel[1]) * g->kernel[2] + ix % g->kernel[2];
    return (join){cpu_conv_voxel(n, o, g->out_size), tap};
}

static void plain_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    (void)threads;
    *min = *best = cpu_conv_input_work(d);
}

static void plain(const cpu_call *c)
{
    void *work;
    const cpu_conv g = geometry(c->desc, &c->desc->in[0], &c->desc->out[0]);
    const int64_t ci_n = g.out_c, co_n = g.in_c, rows = g.n * g.in_size[0] * g.in_size[1];
    const float *x = cpu_conv_input(c, &work), *w = c->in[1], *bias = cpu_map_bias(c->desc, c->in);

#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 1)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t ix = 0; ix < g.in_size[2]; ix++) {
            const join j = join_of(&g, row, ix);
            float *y = (float *)c->out[0] + (row * g.in_size[2] + ix) * co_n;
            for (int64_t co = 0; co < co_n; co++) y[co] = bias ? bias[co] : 0.0F;
            for (int64_t ci = 0; ci < ci_n; ci++)
                for (int64_t co = 0; co < co_n; co++)
                    y[co] += x[j.small * ci_n + ci] * w[(j.tap * ci_n + ci) * co_n + co];
        }
}

static void plain_dx(const cpu_call *c)
{
    const cpu_conv g = geometry(c->desc, &c->desc->out[0], &c->desc->in[0]);
    const int64_t ci_n = g.out_c, co_n = g.in_c, taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
    const int64_t voxels = g.n * g.out_size[0] * g.out_size[1] * g.out_size[2];
    const float *dy = c->in[0], *w = c->in[1];

#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 16)
    for (int64_t v = 0; v < voxels; v++) {
        const int64_t ox = v % g.out_size[2], oy = v / g.out_size[2] % g.out_size[1];
        const int64_t oz = v / g.out_size[2] / g.out_size[1] % g.out_size[0];
        float *dx = (float *)c->out[0] + v * ci_n;
        if (!g.accumulate) memset(dx, 0, (size_t)ci_n * sizeof(float));
        for (int64_t tap = 0; tap < taps; tap++) {
            const int64_t i[3] = {oz * g.kernel[0] + tap / g.kernel[2] / g.kernel[1],
                                  oy * g.kernel[1] + tap / g.kernel[2] % g.kernel[1],
                                  ox * g.kernel[2] + tap % g.kernel[2]};
            const float *dv =
                dy + cpu_conv_voxel(v / g.out_size[2] / g.out_size[1] / g.out_size[0], i, g.in_size) * co_n;
            for (int64_t ci = 0; ci < ci_n; ci++)
                for (int64_t co = 0; co < co_n; co++) dx[ci] += dv[co] * w[(tap * ci_n + ci) * co_n + co];
        }
    }
}

static void plain_dw_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    (void)threads;
    *min = *best = cpu_conv_dw_work(d, 0);
}

enum { CHUNK = 32 }; /* output channels that are summed together */

static void plain_dw(const cpu_call *c)
{
    void *work;
    const cpu_conv g = geometry(c->desc, &c->desc->in[0], &c->desc->in[1]);
    const int64_t ci_n = g.out_c, co_n = g.in_c, taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
    const int64_t chunks = cpu_ceil_div(co_n, CHUNK), rows = g.n * g.in_size[0] * g.in_size[1];
    const float *x = cpu_conv_input(c, &work), *dy = c->in[1];

#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < taps * ci_n * chunks; task++) {
        const int64_t co0 = task % chunks * CHUNK, cols = cpu_min(CHUNK, co_n - co0);
        const int64_t ci = task / chunks % ci_n, tap = task / chunks / ci_n;
        float *dw = (float *)c->out[0] + (tap * ci_n + ci) * co_n + co0;
        double sum[CHUNK] = {0};
        for (int64_t row = 0; row < rows; row++)
            for (int64_t ix = 0; ix < g.in_size[2]; ix++) {
                const join j = join_of(&g, row, ix);
                if (j.tap != tap) continue;
                const float *dv = dy + (row * g.in_size[2] + ix) * co_n + co0;
                for (int64_t co = 0; co < cols; co++)
                    sum[co] += (double)x[j.small * ci_n + ci] * (double)dv[co];
            }
        for (int64_t co = 0; co < cols; co++)
            dw[co] = (float)(sum[co] + (g.accumulate ? (double)dw[co] : 0.0));
    }
    cpu_conv_dw_bias(c);
}

const cpu_entry CPU_NAME(cpu_UPCONV3D)[] = {{.name = "direct", .work = direct_work, .run = direct},
                                            {.name = "plain", .work = plain_work, .run = plain},
                                            {.name = NULL}};
const cpu_entry CPU_NAME(cpu_UPCONV3D_DX)[] = {{.name = "direct", .work = direct_dx_work, .run = direct_dx},
                                               {.name = "plain", .run = plain_dx},
                                               {.name = NULL}};
const cpu_entry CPU_NAME(cpu_UPCONV3D_DW)[] = {
    {.name = "blocks", .refuses = blocks_dw_refuses, .work = blocks_dw_work, .run = blocks_dw},
    {.name = "direct", .work = direct_dw_work, .run = direct_dw},
    {.name = "plain", .work = plain_dw_work, .run = plain_dw},
    {.name = NULL}};
