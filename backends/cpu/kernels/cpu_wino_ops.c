/* The Winograd implementations of the convolution ops: which descriptions they accept, what they are
 * estimated to cost, and how a description becomes a cpu_wino_conv or a cpu_wino_dw, which are then run. */
#include "backends/cpu/kernels/cpu_wino_ops.h"

#include "backends/cpu/kernels/cpu_wino_conv.h"
#include "backends/cpu/kernels/cpu_wino_dw.h"

/* Outputs per tile along an axis: at most `most`, or fewer if that does not need more products. */
static int tile_of(int64_t size, int32_t kernel, int most)
{
    if (kernel == 1) return 1;
    return most == 4 && cpu_ceil_div(size, 4) * 6 < cpu_ceil_div(size, 2) * 4 ? 4 : 2;
}

static void tiles_of(const int64_t size[3], const u3d_conv_attr *a, int most, int m[3])
{
    for (int i = 0; i < 3; i++) m[i] = tile_of(size[i], a->kernel[i], most);
}

/* Kernels have 3 taps along x, and 3 or 1 along y and z; 1 along y is accepted only with 1 along z. */
static const char *refuses_window(const u3d_conv_attr *a)
{
    for (int i = 0; i < 3; i++) {
        if (a->stride[i] != 1) return "Winograd needs stride 1";
        if (a->kernel[i] != 3 && (a->kernel[i] != 1 || i == 2))
            return "Winograd needs a 3x3x3, 1x3x3 or 1x1x3 kernel";
        if (a->pad[i] >= a->kernel[i]) return "Winograd needs padding below the kernel";
    }
    if (a->kernel[0] == 3 && a->kernel[1] == 1) return "Winograd needs a 3x3x3, 1x3x3 or 1x1x3 kernel";
    return NULL;
}

const char *CPU_NAME(cpu_wino_refuses_f4)(const u3d_op_desc *d)
{
    return d->attr.conv.strict ? "precision is strict" : refuses_window(&d->attr.conv);
}

const char *CPU_NAME(cpu_wino_refuses_f2)(const u3d_op_desc *d)
{
    return refuses_window(&d->attr.conv);
}

/* ---- cost ---- */

/* Cycles per vector, measured on Zen 4 with AVX-512, where a vector is a cache line (README.md of
 * backends/cpu). */
static const double PER_LOAD = 13;   /* z and y transform of a column, per plane to which it is stored */
static const double PER_RAGGED = 30; /* the same if channels do not fill vectors */
static const double PER_X = 45;      /* x transform of a tile in one plane */
static const double PER_STORE = 8;   /* transform back along y and z, per plane that is read */
static const double PER_WEIGHT = 25; /* transform of a vector of weights, per product */

/* Shares of the peak that matrix products reach: forward, and into the sums of the weight gradient. */
static const double GEMM_SHARE = 0.85, SUM_SHARE = 0.7;

typedef struct amounts { /* of one convolution by tiles of m */
    double tiles, planes, products, columns;
} amounts;

static amounts amounts_of(int64_t n, const int64_t size[3], const int m[3])
{
    const cpu_wino w = cpu_wino_of(n, size, m);
    const double tiles = (double)(n * w.tiles[0] * w.tiles[1] * w.tiles[2]);
    return (amounts){tiles, (double)w.planes, (double)(w.planes * w.a[2]), tiles * m[2]};
}

static double vectors(int64_t channels)
{
    return (double)cpu_ceil_div(channels, CPU_VL);
}

static double conv_cost_of(const cpu_wino_conv *c)
{
    const amounts a = amounts_of(c->map.n, c->size, c->m);
    const double in = (double)cpu_wino_map_channels(&c->map) / CPU_VL, out = vectors(c->co);
    const double gemm = a.tiles * a.products * (double)c->map.c * out / GEMM_SHARE;
    const double per_load = c->map.c % CPU_VL == 0 ? PER_LOAD : PER_RAGGED;
    const double load = (a.columns * per_load + a.tiles * PER_X) * a.planes * in;
    const double store = (a.columns * PER_STORE + a.tiles * PER_X) * a.planes * out;
    return gemm + load + store + a.products * (double)c->map.c * out * PER_WEIGHT;
}

static double dw_cost_of(const cpu_wino_dw *c)
{
    const amounts a = amounts_of(c->map.n, c->size, c->m);
    const double in = (double)cpu_wino_map_channels(&c->map) / CPU_VL, out = vectors(c->co);
    const double sums = a.products * in * CPU_VL * out;
    return a.tiles * sums / SUM_SHARE + (a.columns * PER_LOAD + a.tiles * PER_X) * a.planes * (in + out) +
           sums * PER_WEIGHT;
}

/* ---- forward ---- */

static cpu_wino_conv forward_of(const u3d_op_desc *d, const cpu_call *call, int most)
{
    const u3d_conv_attr *a = &d->attr.conv;
    const u3d_type *w = &d->in[1], *y = &d->out[0];
    cpu_wino_conv c = {
        .map = cpu_map_of(d, call ? call->in : NULL), .co = w->dim[4], .per_instance = a->per_instance};
    const int64_t kernel[3] = {a->kernel[0], a->kernel[1], a->kernel[2]};
    for (int i = 0; i < 3; i++) {
        c.size[i] = y->dim[1 + i];
        c.pad[i] = a->pad[i];
    }
    tiles_of(c.size, a, most, c.m);
    c.w = cpu_conv_weights_of(call ? call->in[1] : NULL, kernel, w->dim[3], w->dim[4]);
    c.gather = a->moments;
    if (!call) return c;
    if (c.gather) c.moments = call->out[1];
    c.bias = cpu_map_bias(d, call->in);
    c.y = call->out[0];
    return c;
}

/* ---- input gradient: the convolution of dy with flipped, transposed weights ---- */

static cpu_wino_conv dx_of(const u3d_op_desc *d, const cpu_call *call, int most)
{
    const u3d_conv_attr *a = &d->attr.conv;
    const u3d_type *dy = &d->in[0], *w = &d->in[1], *dx = &d->out[0];
    cpu_wino_conv c = {.map = {.n = dy->dim[0], .c = dy->dim[4], .n_parts = 1}, .co = w->dim[3]};
    const int64_t kernel[3] = {a->kernel[0], a->kernel[1], a->kernel[2]};
    for (int i = 0; i < 3; i++) {
        c.size[i] = dx->dim[1 + i];
        c.map.size[i] = c.map.part[0].size[i] = dy->dim[1 + i];
        c.pad[i] = a->kernel[i] - 1 - a->pad[i];
    }
    c.map.part[0].c = dy->dim[4];
    tiles_of(c.size, a, most, c.m);
    const cpu_conv_weights plain =
        cpu_conv_weights_of(call ? call->in[1] : NULL, kernel, w->dim[3], w->dim[4]);
    c.w = plain;
    for (int i = 0; i < 3; i++) {
        if (call) c.w.w += (kernel[i] - 1) * plain.step[i];
        c.w.step[i] = -plain.step[i];
    }
    c.w.step[3] = plain.step[4];
    c.w.step[4] = plain.step[3];
    c.accumulate = (d->accumulate & 1U) != 0;
    if (!call) return c;
    c.map.part[0].x = call->in[0];
    c.y = call->out[0];
    return c;
}

/* ---- both ---- */

static cpu_wino_conv conv_of(const u3d_op_desc *d, const cpu_call *call, int most)
{
    return (d->op == U3D_OP_CONV3D_DX ? dx_of : forward_of)(d, call, most);
}

static void conv_work(const u3d_op_desc *d, int threads, int most, uint64_t *min, uint64_t *best)
{
    const cpu_wino_conv c = conv_of(d, NULL, most);
    *min = *best = CPU_NAME(cpu_wino_conv_work)(&c, threads);
}

static double conv_cost(const u3d_op_desc *d, int most)
{
    const cpu_wino_conv c = conv_of(d, NULL, most);
    return conv_cost_of(&c);
}

static void conv_run(const cpu_call *call, int most)
{
    const cpu_wino_conv c = conv_of(call->desc, call, most);
    CPU_NAME(cpu_wino_conv_run)(&c, call->work, call->threads);
}

/* ---- weight gradient ---- */

static cpu_wino_dw dw_of(const u3d_op_desc *d, const cpu_call *call, int most)
{
    const u3d_conv_attr *a = &d->attr.conv;
    const u3d_type *dy = &d->in[1];
    cpu_wino_dw c = {.map = cpu_map_of(d, call ? call->in : NULL), .co = dy->dim[4]};
    for (int i = 0; i < 3; i++) {
        c.size[i] = dy->dim[1 + i];
        c.pad[i] = a->pad[i];
    }
    tiles_of(c.size, a, most, c.m);
    c.accumulate = (d->accumulate & 1U) != 0;
    if (!call) return c;
    c.dy = call->in[1];
    c.dw = call->out[0];
    if (d->n_out > 1) c.db = call->out[1];
    c.accumulate_db = (d->accumulate & 2U) != 0;
    return c;
}

static void dw_work(const u3d_op_desc *d, int threads, int most, uint64_t *min, uint64_t *best)
{
    const cpu_wino_dw c = dw_of(d, NULL, most);
    *min = *best = CPU_NAME(cpu_wino_dw_work)(&c, threads);
}

static double dw_cost(const u3d_op_desc *d, int most)
{
    const cpu_wino_dw c = dw_of(d, NULL, most);
    return dw_cost_of(&c);
}

static void dw_run(const cpu_call *call, int most)
{
    const cpu_wino_dw c = dw_of(call->desc, call, most);
    CPU_NAME(cpu_wino_dw_run)(&c, call->work, call->threads);
}

#define ENTRY(op, f)                                                                                         \
    void CPU_NAME(cpu_wino_##op##_work_f##f)(const u3d_op_desc *d, int threads, uint64_t *min,               \
                                             uint64_t *best)                                                 \
    {                                                                                                        \
        op##_work(d, threads, f, min, best);                                                                 \
    }                                                                                                        \
    void CPU_NAME(cpu_wino_##op##_f##f)(const cpu_call *c)                                                   \
    {                                                                                                        \
        op##_run(c, f);                                                                                      \
    }                                                                                                        \
    double CPU_NAME(cpu_wino_##op##_cost_f##f)(const u3d_op_desc *d)                                         \
    {                                                                                                        \
        return op##_cost(d, f);                                                                              \
    }
ENTRY(conv, 4)
ENTRY(conv, 2)
ENTRY(dw, 4)
ENTRY(dw, 2)
