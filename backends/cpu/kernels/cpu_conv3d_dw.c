/* Gradients of a 3D convolution's weights and bias:
 *
 *   dw[kz,ky,kx,ci,co] = sum over n,oz,oy,ox of
 *                        x[n, oz*sz - pz + kz, oy*sy - py + ky, ox*sx - px + kx, ci] * dy[n,oz,oy,ox,co]
 *   dbias[co]          = sum over n,oz,oy,ox of dy[n,oz,oy,ox,co]
 *
 * "blocks" calls cpu_conv_wgrad_blocks, "few" calls cpu_conv_wgrad_few and "direct" calls cpu_conv_wgrad;
 * "plain" sums the formula in double. All four first write a lazy or joined x into the workspace and leave
 * the bias to cpu_conv_bgrad. The Winograd implementations are in cpu_wino_dw.c. */
#include "backends/cpu/kernels/cpu_conv_impl.h"
#include "backends/cpu/kernels/cpu_wino_ops.h"

/* Shares of the peak, as measured (README.md of backends/cpu). With few channels "direct" is far slower than
 * this and than "few", which comes before it in the list. */
static const double FEW_SHARE = 0.85, DIRECT_SHARE = 0.8;

static cpu_conv geometry(const u3d_op_desc *d)
{
    const u3d_type x = cpu_conv_input_type(d);
    cpu_conv g = cpu_conv_of(d, &x, &d->in[1]);
    g.accumulate = (d->accumulate & 1U) != 0;
    return g;
}

/* The vectors of this engine run over the channels of x, which pays off if the output channels do not fill a
 * vector. */
static const char *blocks_refuses(const u3d_op_desc *d)
{
    const cpu_conv g = geometry(d);
    return g.out_c < CPU_VL && CPU_NAME(cpu_conv_wgrad_blocks_takes)(&g)
               ? NULL
               : "output channels that fill a vector, windows that do not tile x, "
                 "or input channels that do not fill vectors";
}

static void blocks_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d);
    (void)threads;
    *min = *best = cpu_conv_dw_work(d, CPU_NAME(cpu_conv_wgrad_blocks_work)(&g));
}

static const char *few_refuses(const u3d_op_desc *d)
{
    const cpu_conv g = geometry(d);
    return CPU_NAME(cpu_conv_wgrad_few_takes)(&g)
               ? NULL
               : "too many input channels, or output channels that do not fill vectors";
}

static double few_cost(const u3d_op_desc *d)
{
    const cpu_conv g = geometry(d);
    return cpu_conv_direct_cost(&g, d, FEW_SHARE);
}

static double direct_cost(const u3d_op_desc *d)
{
    const cpu_conv g = geometry(d);
    return cpu_conv_direct_cost(&g, d, DIRECT_SHARE);
}

static void few_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d);
    *min = *best = cpu_conv_dw_work(d, CPU_NAME(cpu_conv_wgrad_few_work)(&g, threads));
}

static void direct_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d);
    *min = *best = cpu_conv_dw_work(d, CPU_NAME(cpu_conv_wgrad_work)(&g, threads));
}

static void blocks(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc);
    CPU_NAME(cpu_conv_wgrad_blocks)(&g, x, c->in[1], false, c->out[0], work, c->threads);
    cpu_conv_dw_bias(c);
}

static void few(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc);
    CPU_NAME(cpu_conv_wgrad_few)(&g, x, c->in[1], c->out[0], work, c->threads);
    cpu_conv_dw_bias(c);
}

static void direct(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc);
    CPU_NAME(cpu_conv_wgrad)(&g, x, c->in[1], false, c->out[0], work, c->threads);
    cpu_conv_dw_bias(c);
}

static void plain_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    (void)threads;
    *min = *best = cpu_conv_dw_work(d, 0);
}

enum { CHUNK = 32 }; /* output channels that are summed together */

/* sum[co] += the sum over all windows, for tap k, input channel ci and output channels [co0, co0 + cols). */
static void plain_sum(const cpu_conv *g, const float *x, const float *dy, const int64_t k[3], int64_t ci,
                      int64_t co0, int64_t cols, double *sum)
{
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t oz = 0; oz < g->out_size[0]; oz++)
            for (int64_t oy = 0; oy < g->out_size[1]; oy++)
                for (int64_t ox = 0; ox < g->out_size[2]; ox++) {
                    const int64_t o[3] = {oz, oy, ox};
                    int64_t i[3];
                    for (int a = 0; a < 3; a++) i[a] = o[a] * g->stride[a] - g->pad[a] + k[a];
                    if (!cpu_conv_inside(i, g->in_size)) continue;
                    const double xv = (double)x[cpu_conv_voxel(n, i, g->in_size) * g->in_c + ci];
                    const float *dv = dy + cpu_conv_voxel(n, o, g->out_size) * g->out_c + co0;
                    for (int64_t co = 0; co < cols; co++) sum[co] += xv * (double)dv[co];
                }
}

static void plain(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc);
    const int64_t chunks = cpu_ceil_div(g.out_c, CHUNK);
    const int64_t tasks = g.kernel[0] * g.kernel[1] * g.kernel[2] * g.in_c * chunks;

#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t co0 = task % chunks * CHUNK, cols = cpu_min(CHUNK, g.out_c - co0);
        const int64_t ci = task / chunks % g.in_c, tap = task / chunks / g.in_c;
        const int64_t k[3] = {tap / g.kernel[2] / g.kernel[1], tap / g.kernel[2] % g.kernel[1],
                              tap % g.kernel[2]};
        float *dw = (float *)c->out[0] + (tap * g.in_c + ci) * g.out_c + co0;
        double sum[CHUNK] = {0};
        plain_sum(&g, x, c->in[1], k, ci, co0, cols, sum);
        for (int64_t co = 0; co < cols; co++)
            dw[co] = (float)(sum[co] + (g.accumulate ? (double)dw[co] : 0.0));
    }
    cpu_conv_dw_bias(c);
}

const cpu_entry CPU_NAME(cpu_CONV3D_DW)[] = {
    {.name = "blocks", .refuses = blocks_refuses, .work = blocks_work, .run = blocks},
    CPU_WINO_ENTRY(dw, 4),
    CPU_WINO_ENTRY(dw, 2),
    {.name = "few", .refuses = few_refuses, .work = few_work, .run = few, .cost = few_cost},
    {.name = "direct", .work = direct_work, .run = direct, .cost = direct_cost},
    {.name = "plain", .work = plain_work, .run = plain},
    {.name = NULL}};
