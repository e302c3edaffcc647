/* Input gradient of a 3D convolution:
 *
 *   dx[n,z,y,x,ci] = sum over kz,ky,kx,co of dy[n,oz,oy,ox,co] * w[kz,ky,kx,ci,co],
 *   where o = (i + pad - k) / stride on each axis, and only terms with exact division and 0 <= o < size(dy)
 *   count
 *
 * "direct" calls cpu_conv_spread, which runs the forward micro-kernel on flipped, transposed weights; "plain"
 * is the formula. The Winograd implementations are in cpu_wino_conv.c. */
#include "backends/cpu/kernels/cpu_conv_impl.h"
#include "backends/cpu/kernels/cpu_wino_ops.h"

static cpu_conv geometry(const u3d_op_desc *d)
{
    cpu_conv g = cpu_conv_of(d, &d->out[0], &d->in[0]);
    cpu_conv_dense(g.in_size, g.in_c, g.out_step);
    g.accumulate = (d->accumulate & 1U) != 0;
    return g;
}

static double direct_cost(const u3d_op_desc *d)
{
    const double share = 0.8; /* of the peak, as measured (README.md of backends/cpu) */
    cpu_conv g = geometry(d);
    const int64_t ci = g.in_c;
    g.in_c = g.out_c; /* the sum runs over co, vectors over ci */
    g.out_c = ci;
    return cpu_conv_direct_cost(&g, d, share);
}

static void direct_work(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    const cpu_conv g = geometry(d);
    *min = *best = CPU_NAME(cpu_conv_spread_work)(&g, threads);
}

static void direct(const cpu_call *c)
{
    const cpu_conv g = geometry(c->desc);
    cpu_conv_weights w = cpu_conv_weights_of(c->in[1], g.kernel, g.in_c, g.out_c);
    w.step[3] = 1; /* the sum runs over co, the result over ci */
    w.step[4] = g.out_c;
    CPU_NAME(cpu_conv_spread)(&g, c->in[0], &w, NULL, c->out[0], c->work, c->threads);
}

/* Finds on one axis the window position o whose tap k lies on voxel i; returns false if there is none. */
static bool window(const cpu_conv *g, int axis, int64_t i, int64_t k, int64_t *o)
{
    const int64_t at = i + g->pad[axis] - k;
    *o = at / g->stride[axis];
    return at >= 0 && at % g->stride[axis] == 0 && *o < g->out_size[axis];
}

static void plain_voxel(const cpu_conv *g, const float *dy, const float *w, int64_t n, const int64_t i[3],
                        float *dx)
{
    int64_t o[3];

    for (int64_t kz = 0; kz < g->kernel[0]; kz++)
        for (int64_t ky = 0; ky < g->kernel[1]; ky++)
            for (int64_t kx = 0; kx < g->kernel[2]; kx++, w += g->in_c * g->out_c) {
                if (!window(g, 0, i[0], kz, &o[0]) || !window(g, 1, i[1], ky, &o[1]) ||
                    !window(g, 2, i[2], kx, &o[2]))
                    continue;
                const float *dv = dy + cpu_conv_voxel(n, o, g->out_size) * g->out_c;
                for (int64_t ci = 0; ci < g->in_c; ci++)
                    for (int64_t co = 0; co < g->out_c; co++) dx[ci] += dv[co] * w[ci * g->out_c + co];
            }
}

static void plain(const cpu_call *c)
{
    const cpu_conv g = geometry(c->desc);
    const int64_t rows = g.n * g.in_size[0] * g.in_size[1];

#pragma omp parallel for num_threads(c->threads) schedule(dynamic, 1)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t ix = 0; ix < g.in_size[2]; ix++) {
            const int64_t i[3] = {row / g.in_size[1] % g.in_size[0], row % g.in_size[1], ix};
            float *dx = (float *)c->out[0] + (row * g.in_size[2] + ix) * g.in_c;
            if (!g.accumulate) memset(dx, 0, (size_t)g.in_c * sizeof(float));
            plain_voxel(&g, c->in[0], c->in[1], row / g.in_size[1] / g.in_size[0], i, dx);
        }
}

const cpu_entry CPU_NAME(cpu_CONV3D_DX)[] = {
    CPU_WINO_ENTRY(conv, 4),
    CPU_WINO_ENTRY(conv, 2),
    {.name = "direct", .work = direct_work, .run = direct, .cost = direct_cost},
    {.name = "plain", .run = plain},
    {.name = NULL}};
