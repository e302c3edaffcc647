/* What the direct convolutions of the CPU backend share: geometry, weights, and the engines that serve the
 * six convolution ops.
 *
 * In [N, D, H, W, C] the KW * C floats under one window and one (kz, ky) are contiguous, and so are the
 * weights [kx, ci, co] by which they are multiplied. So a convolution is a sum over (kz, ky) of small matrix
 * products. The engines:
 *   cpu_conv_rows    y = bias + conv(x, w) for any kernel, stride and padding: CONV3D, UPCONV3D_DX, and
 *                    UPCONV3D with one call per (kz, ky)
 *   cpu_conv_spread  the adjoint, with one call of cpu_conv_rows per stride phase: CONV3D_DX
 *   cpu_conv_wgrad   sums over voxels of x[m] * dy[n]: CONV3D_DW, UPCONV3D_DW; its variants _few and _blocks
 *                    are faster for shapes that suit them
 *   cpu_conv_bgrad   the gradient of the bias
 * Neither the split of the work nor the order of any sum depends on the number of threads. */
#ifndef U3D_CPU_CONV_IMPL_H
#define U3D_CPU_CONV_IMPL_H

#include "backends/cpu/cpu_impl.h"
#include "backends/cpu/kernels/cpu_map.h"
#include "backends/cpu/kernels/cpu_slice.h"
#include "backends/cpu/kernels/cpu_vec.h"

/* Geometry on the axes z, y, x: input position = output position * stride - pad + k. */
typedef struct cpu_conv {
    int64_t n;
    int64_t in_size[3], in_c;
    int64_t out_size[3], out_c;
    int64_t kernel[3], stride[3];
    int64_t pad[3];      /* zeros before the first voxel; negative: voxels skipped  */
    int64_t out_step[4]; /* floats from one output to the next along n, z, y, x     */
    bool accumulate;     /* add to the output instead of replacing it               */
} cpu_conv;

/* Weight (kz, ky, kx, in channel, out channel) is at w + the sum over these five of index * step. */
typedef struct cpu_conv_weights {
    const float *w;
    int64_t step[5];
} cpu_conv_weights;

/* A number of floats, rounded up to whole cache lines of 64 bytes. */
static inline int64_t cpu_lines(int64_t floats)
{
    return cpu_ceil_div(floats, 16) * 16;
}

/* Steps of a dense feature map along n, z, y, x. */
static inline void cpu_conv_dense(const int64_t size[3], int64_t c, int64_t step[4])
{
    step[3] = c;
    for (int a = 2; a >= 0; a--) step[a] = step[a + 1] * size[a];
}

static inline bool cpu_conv_inside(const int64_t i[3], const int64_t size[3])
{
    return i[0] >= 0 && i[0] < size[0] && i[1] >= 0 && i[1] < size[1] && i[2] >= 0 && i[2] < size[2];
}

static inline int64_t cpu_conv_voxel(int64_t n, const int64_t i[3], const int64_t size[3])
{
    return ((n * size[0] + i[0]) * size[1] + i[1]) * size[2] + i[2];
}

/* The convolution from feature map `x` to feature map `y` with the attributes of `d`; its output is dense. */
static inline cpu_conv cpu_conv_of(const u3d_op_desc *d, const u3d_type *x, const u3d_type *y)
{
    cpu_conv g = {.n = x->dim[0], .in_c = x->dim[4], .out_c = y->dim[4]};
    for (int a = 0; a < 3; a++) {
        g.in_size[a] = x->dim[a + 1];
        g.out_size[a] = y->dim[a + 1];
        g.kernel[a] = d->attr.conv.kernel[a];
        g.stride[a] = d->attr.conv.stride[a];
        g.pad[a] = d->attr.conv.pad[a];
    }
    cpu_conv_dense(g.out_size, g.out_c, g.out_step);
    return g;
}

/* Steps of dense weights [KD, KH, KW, CI, CO]. */
static inline cpu_conv_weights cpu_conv_weights_of(const float *w, const int64_t kernel[3], int64_t ci,
                                                   int64_t co)
{
    return (cpu_conv_weights){w, {kernel[1] * kernel[2] * ci * co, kernel[2] * ci * co, ci * co, co, 1}};
}

/* Input 0 of these ops may be lazy or joined, but the engines read dense maps. The functions below return its
 * type as read, the bytes of workspace for its dense copy (0 if it is plain), and the dense map itself; *work
 * then points to the workspace after that copy. */
static inline u3d_type cpu_conv_input_type(const u3d_op_desc *d)
{
    const cpu_map m = cpu_map_of(d, NULL);
    return cpu_map_type(&m);
}
static inline uint64_t cpu_conv_input_work(const u3d_op_desc *d)
{
    const cpu_map m = cpu_map_of(d, NULL);
    return cpu_map_dense_bytes(&m);
}
static inline const float *cpu_conv_input(const cpu_call *c, void **work)
{
    const cpu_map m = cpu_map_of(c->desc, c->in);
    *work = (char *)c->work + cpu_map_dense_bytes(&m);
    return CPU_NAME(cpu_map_dense)(&m, c->work, c->threads);
}

/* db[c] = sum over voxels of dy[.., c], summed in double; with `accumulate`, the sum is added to db[c]. */
uint64_t CPU_NAME(cpu_conv_bgrad_work)(const u3d_type *dy);
void CPU_NAME(cpu_conv_bgrad)(const u3d_type *type, const float *dy, bool accumulate, float *db, void *work,
                              int threads);

/* Both weight gradients end with the gradient of the bias. The weights are done by then, so it reuses their
 * workspace. cpu_conv_dw_work gives the bytes for the dense input and the engine that computes the weights,
 * or for the gradient of the bias if that needs more. */
static inline uint64_t cpu_conv_dw_work(const u3d_op_desc *d, uint64_t engine)
{
    const uint64_t weights = cpu_conv_input_work(d) + engine;
    const uint64_t bias = d->n_out > 1 ? CPU_NAME(cpu_conv_bgrad_work)(&d->in[1]) : 0;
    return weights > bias ? weights : bias;
}
static inline void cpu_conv_dw_bias(const cpu_call *c)
{
    const bool add = (c->desc->accumulate & 2U) != 0;
    if (c->desc->n_out < 2) return;
    CPU_NAME(cpu_conv_bgrad)(&c->desc->in[1], c->in[1], add, c->out[1], c->work, c->threads);
}

/* Estimated cycles of one core, for cpu_entry.cost: multiply-adds of whole vectors of output channels, one
 * vector per cycle times `share` of that peak, plus the time to write the map out if it is not plain. */
static inline double cpu_conv_direct_cost(const cpu_conv *g, const u3d_op_desc *d, double share)
{
    const double taps = (double)(g->kernel[0] * g->kernel[1] * g->kernel[2]), per_float = 0.6;
    const double voxels = (double)(g->n * g->out_size[0] * g->out_size[1] * g->out_size[2]);
    const double vectors = (double)cpu_ceil_div(g->out_c, CPU_VL);
    const double copied = d->op == U3D_OP_CONV3D_DX ? 0 : (double)cpu_conv_input_work(d) / sizeof(float);
    return voxels * taps * (double)g->in_c * vectors / share + copied * per_float;
}

/* y = bias + conv(x, w), without a bias if it is NULL. `work` is 64-byte aligned and has cpu_conv_rows_work
 * bytes. */
uint64_t CPU_NAME(cpu_conv_rows_work)(const cpu_conv *g, int threads);
void CPU_NAME(cpu_conv_rows)(const cpu_conv *g, const float *x, const cpu_conv_weights *w, const float *bias,
                             float *y, void *work, int threads);

/* The adjoint: big = bias + sum over windows of small * w. `g` is the convolution big -> small, but its
 * out_step and accumulate refer to big. `w` has the steps of (kz, ky, kx, small channel, big channel). */
uint64_t CPU_NAME(cpu_conv_spread_work)(const cpu_conv *g, int threads);
void CPU_NAME(cpu_conv_spread)(const cpu_conv *g, const float *small, const cpu_conv_weights *w,
                               const float *bias, float *big, void *work, int threads);

/* dw[kz,ky,kx,a,b] = sum over windows of big[.., a] * small[.., b], where g is the convolution big -> small.
 * dw is dense; if `transposed`, its order is [kz,ky,kx,b,a]. */
uint64_t CPU_NAME(cpu_conv_wgrad_work)(const cpu_conv *g, int threads);
void CPU_NAME(cpu_conv_wgrad)(const cpu_conv *g, const float *big, const float *small, bool transposed,
                              float *dw, void *work, int threads);

/* Computes dw for windows with few floats per row (KW * in_c) and for channels of small that fill vectors.
 * cpu_conv_wgrad_few_takes tells whether `g` is such a case. */
bool CPU_NAME(cpu_conv_wgrad_few_takes)(const cpu_conv *g);
uint64_t CPU_NAME(cpu_conv_wgrad_few_work)(const cpu_conv *g, int threads);
void CPU_NAME(cpu_conv_wgrad_few)(const cpu_conv *g, const float *big, const float *small, float *dw,
                                  void *work, int threads);

/* Computes dw for windows that tile big: kernel == stride, no padding, KW * in_c floats that fill vectors.
 * cpu_conv_wgrad_blocks_takes tells whether `g` is such a case. */
bool CPU_NAME(cpu_conv_wgrad_blocks_takes)(const cpu_conv *g);
uint64_t CPU_NAME(cpu_conv_wgrad_blocks_work)(const cpu_conv *g);
void CPU_NAME(cpu_conv_wgrad_blocks)(const cpu_conv *g, const float *big, const float *small, bool transposed,
                                     float *dw, void *work, int threads);

#endif
