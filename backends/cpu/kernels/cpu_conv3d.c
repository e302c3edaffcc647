/* 3D convolution, forward:
 *
 *   y[n,oz,oy,ox,co] = bias[co] + sum over kz,ky,kx,ci of
 *                      x[n, oz*sz - pz + kz, oy*sy - py + ky, ox*sx - px + kx, ci] * w[kz,ky,kx,ci,co]
 *
 * "direct" calls cpu_conv_rows; "plain" is the formula. Both accept every kernel, stride, padding and channel
 * count. They first write a lazy or joined x into the workspace, and at the end they call the op moments if
 * the moments of y are wanted. The Winograd implementations are in cpu_wino_conv.c. */
#include "backends/cpu/kernels/cpu_conv_impl.h"
#include "backends/cpu/kernels/cpu_wino_ops.h"

static cpu_conv geometry(const u3d_op_desc *d)
{
    const u3d_type x = cpu_conv_input_type(d);
    return cpu_conv_of(d, &x, &d->out[0]);
}

static double direct_cost(const u3d_op_desc *d)
{
    const double share = 0.88; /* of the peak, as measured (README.md of backends/cpu) */
    const cpu_conv g = geometry(d);
    return cpu_conv_direct_cost(&g, d, share);
}

extern const cpu_entry CPU_NAME(cpu_MOMENTS)[];

static u3d_op_desc moments_of(const u3d_op_desc *d)
{
    u3d_op_desc m = {.op = U3D_OP_MOMENTS, .n_in = 1, .n_out = 1, .in = {d->out[0]}, .out = {d->out[1]}};
    m.attr.norm.per_instance = d->attr.conv.per_instance;
    return m;
}

/* Raises *min and *best to the workspace that the moments need. */
static void moments_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    uint64_t least, most;
    if (!d->attr.conv.moments) return;
    const u3d_op_desc m = moments_of(d);
    CPU_NAME(cpu_MOMENTS)->work(&m, threads, &least, &most);
    if (*min < least) *min = least;
    if (*best < most) *best = most;
}

static void moments(const cpu_call *c)
{
    if (!c->desc->attr.conv.moments) return;
    const u3d_op_desc m = moments_of(c->desc);
    const cpu_call call = {.desc = &m,
                           .in = {c->out[0]},
                           .out = {c->out[1]},
                           .work = c->work,
                           .work_bytes = c->work_bytes,
                           .threads = c->threads};
    CPU_NAME(cpu_MOMENTS)->run(&call);
}

static void direct_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d);
    *min = *best = cpu_conv_input_work(d) + CPU_NAME(cpu_conv_rows_work)(&g, threads);
    moments_work(d, threads, min, best);
}

static void direct(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work);
    const cpu_conv g = geometry(c->desc);
    const cpu_conv_weights w = cpu_conv_weights_of(c->in[1], g.kernel, g.in_c, g.out_c);
    CPU_NAME(cpu_conv_rows)(&g, x, &w, cpu_map_bias(c->desc, c->in), c->out[0], work, c->threads);
    moments(c);
}

/* y[co] += the sum over the window of output voxel o in sample n. */
static void plain_voxel(const cpu_conv *g, const float *x, const float *w, int64_t n, const int64_t o[3],
                        float *y)
{
    for (int64_t kz = 0; kz < g->kernel[0]; kz++)
        for (int64_t ky = 0; ky < g->kernel[1]; ky++)
            for (int64_t kx = 0; kx < g->kernel[2]; kx++, w += g->in_c * g->out_c) {
                const int64_t i[3] = {o[0] * g->stride[0] - g->pad[0] + kz,
                                      o[1] * g->stride[1] - g->pad[1] + ky,
                                      o[2] * g->stride[2] - g->pad[2] + kx};
                if (!cpu_conv_inside(i, g->in_size)) continue;
                const float *xv = x + cpu_conv_voxel(n, i, g->in_size) * g->in_c;
                for (int64_t ci = 0; ci < g->in_c; ci++)
                    for (int64_t co = 0; co < g->out_c; co++) y[co] += xv[ci] * w[ci * g->out_c + co];
            }
}

static void plain_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    *min = *best = cpu_conv_input_work(d);
    moments_work(d, threads, min, best);
}

static void plain(const cpu_call *c)
{
    void *work;
    const float *x = cpu_conv_input(c, &work), *bias = cpu_map_bias(c->desc, c->in);
    const cpu_conv g = geometry(c->desc);
    const int64_t rows = g.n * g.out_size[0] * g.out_size[1];

#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 1)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t ox = 0; ox < g.out_size[2]; ox++) {
            const int64_t o[3] = {row / g.out_size[1] % g.out_size[0], row % g.out_size[1], ox};
            float *y = (float *)c->out[0] + (row * g.out_size[2] + ox) * g.out_c;
            for (int64_t co = 0; co < g.out_c; co++) y[co] = bias ? bias[co] : 0.0F;
            plain_voxel(&g, x, c->in[1], row / g.out_size[1] / g.out_size[0], o, y);
        }
    moments(c);
}

const cpu_entry CPU_NAME(cpu_CONV3D)[] = {
    CPU_WINO_ENTRY(conv, 4),
    CPU_WINO_ENTRY(conv, 2),
    {.name = "direct", .work = direct_work, .run = direct, .cost = direct_cost},
    {.name = "plain", .work = plain_work, .run = plain},
    {.name = NULL}};
