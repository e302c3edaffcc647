/* Convolutions and up-convolutions as matrix products by CLBlast, slab by slab (cl_unfold.h). With X for the
 * unfolded windows [voxels, taps * CI] of the map that is read, the products are:
 *
 *   - conv3d: y = X w + bias, w as [taps * CI, CO]
 *   - conv3d_dx: dx = X(dy) w', stride 1, dy padded by kernel - 1 - pad, w' = w with its taps in reverse
 *     order, as [taps * CO, CI]
 *   - conv3d_dw: dw = X' dy
 *   - upconv3d: y = fold(x w') + bias, w' = w as [CI, taps * CO]
 *   - upconv3d_dx: dx = X(dy) w', windows of dy with stride = kernel, w' as [taps * CO, CI]
 *   - upconv3d_dw: dw' = x' X(dy) as [CI, taps * CO], reordered at the end
 *
 * The entry "clblast" accepts 1x1x1 convolutions, which are matrix products already, and up-convolutions;
 * "unfold" accepts convolutions with any kernel. In weight gradients the slabs are summands, which are added
 * one after the other; in all other products the slabs are rows of the result. */
#include <limits.h>

#include "backends/opencl/cl_conv3d.h"
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_gemm.h"
#include "backends/opencl/cl_rows.h"
#include "backends/opencl/cl_unfold.h"

enum {
    GROUP = 256,
    SUMMANDS_MAX = 16384 /* terms of a sum that CLBlast adds in float; its rounding errors grow with them */
};

/* ---- descriptions ---- */

static int64_t taps_of(const u3d_op_desc *d)
{
    return cl_taps(d->attr.conv.kernel);
}

static bool is_pointwise(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    for (int axis = 0; axis < 3; axis++)
        if (a->kernel[axis] != 1 || a->stride[axis] != 1 || a->pad[axis] != 0) return false;
    return true;
}

/* Windows of one voxel each: the map itself, one row per voxel. */
static cl_windows voxels_of(cl_map map)
{
    cl_windows w = {.map = map, .kernel = {1, 1, 1}, .stride = {1, 1, 1}};
    for (int axis = 0; axis < 3; axis++) w.grid[axis] = map.size[axis];
    return w;
}

/* Windows with the kernel, stride and padding of the description, one for each voxel of `to`. */
static cl_windows windows_of(const u3d_op_desc *d, cl_map map, const u3d_type *to)
{
    const u3d_conv_attr *a = &d->attr.conv;
    cl_windows w = {.map = map};
    for (int axis = 0; axis < 3; axis++) {
        w.grid[axis] = to->dim[1 + axis];
        w.kernel[axis] = a->kernel[axis];
        w.stride[axis] = a->stride[axis];
        w.pad[axis] = a->pad[axis];
    }
    return w;
}

static uint64_t bytes_of(const cl_device *dev, int64_t floats)
{
    return cl_round_up((uint64_t)floats * sizeof(float), dev->align);
}

/* ---- products whose slabs are rows of the result: c[rows, n] = windows * b ---- */

typedef struct by_rows {
    const cl_device *dev;
    cl_windows a;
    cl_place b;
    bool trans_b; /* b is stored [n, k] */
    int64_t n;
    cl_place c;
    float beta;
    bool fold;      /* c is computed in the workspace and then folded into out[0] */
    uint64_t fixed; /* bytes at the beginning of the workspace that hold b        */
} by_rows;

static uint64_t by_rows_result(const by_rows *p, int64_t rows)
{
    return p->fold ? bytes_of(p->dev, rows * p->n) : 0;
}

/* Windows that must be written to memory anyway are stored as [k, m], the order that CLBlast needs. */
static cl_gemm by_rows_gemm(const by_rows *p, int64_t rows)
{
    const int64_t k = cl_windows_columns(&p->a);
    const bool written = !cl_windows_are_map(&p->a);
    return (cl_gemm){.trans_a = written,
                     .trans_b = p->trans_b,
                     .m = rows,
                     .n = p->n,
                     .k = k,
                     .b = p->b,
                     .c = p->c,
                     .lda = written ? rows : k,
                     .ldb = p->trans_b ? k : p->n,
                     .ldc = p->n,
                     .beta = p->beta};
}

static uint64_t by_rows_need(const void *user, int64_t rows)
{
    const by_rows *p = user;
    const cl_gemm g = by_rows_gemm(p, rows);
    return cl_windows_bytes(p->dev, &p->a, rows) + by_rows_result(p, rows) + cl_gemm_temp_bytes(p->dev, &g);
}

static cl_slabs by_rows_slabs(const by_rows *p)
{
    return (cl_slabs){p->dev, cl_windows_rows(&p->a), INT_MAX, by_rows_need, p};
}

static void fold_step(cl_job *j, const by_rows *p, cl_place blocks, int64_t row0, int64_t rows)
{
    cl_defines defines = {{0}};
    cl_define(&defines, "HAS_BIAS", cl_conv_has_bias(j->desc));
    cl_job_kernel(j, "fold", "fold", &defines, cl_range_1d((uint64_t)(rows * p->n), GROUP));
    cl_job_arg(j, blocks);
    cl_job_arg(j, cl_conv_bias(j->desc));
    cl_job_arg(j, cl_out(0));
    cl_job_int(j, row0);
    cl_job_int(j, rows);
    for (int axis = 1; axis < 3; axis++) cl_job_int(j, p->a.grid[axis]);
    cl_job_window(j, j->desc->attr.conv.kernel);
    cl_job_int(j, j->desc->out[0].dim[4]);
}

static void by_rows_steps(cl_job *j, const by_rows *p)
{
    const cl_slabs slabs = by_rows_slabs(p);
    const int64_t slab = cl_slab_rows(&slabs, j->work_bytes - p->fixed);
    for (int64_t row0 = 0; row0 < slabs.total; row0 += slab) {
        const int64_t rows = slab < slabs.total - row0 ? slab : slabs.total - row0;
        cl_gemm g = by_rows_gemm(p, rows);
        const uint64_t result = p->fixed + cl_windows_bytes(p->dev, &p->a, rows);
        g.a = cl_windows_slab(j, &p->a, row0, rows, true, cl_work(p->fixed));
        if (p->fold)
            g.c = cl_work(result);
        else
            g.c.off += (uint64_t)(row0 * p->n) * sizeof(float);
        g.temp = cl_work(result + by_rows_result(p, rows));
        cl_job_gemm(j, &g);
        if (p->fold) fold_step(j, p, g.c, row0, rows);
    }
}

/* ---- products whose slabs are summands: c[m, n] = sum over slabs of windows a' * windows b ---- */

typedef struct by_sums {
    const cl_device *dev;
    cl_windows a, b;
    cl_place c;
    bool add;       /* the sum is added to what c holds                            */
    uint64_t fixed; /* bytes at the beginning of the workspace that other data use */
} by_sums;

static cl_gemm by_sums_gemm(const by_sums *p, int64_t rows)
{
    const int64_t m = cl_windows_columns(&p->a), n = cl_windows_columns(&p->b);
    return (cl_gemm){.trans_a = true, .m = m, .n = n, .k = rows, .c = p->c, .lda = m, .ldb = n, .ldc = n};
}

static uint64_t by_sums_need(const void *user, int64_t rows)
{
    const by_sums *p = user;
    const cl_gemm g = by_sums_gemm(p, rows);
    return cl_windows_bytes(p->dev, &p->a, rows) + cl_windows_bytes(p->dev, &p->b, rows) +
           cl_gemm_temp_bytes(p->dev, &g);
}

static cl_slabs by_sums_slabs(const by_sums *p)
{
    return (cl_slabs){p->dev, cl_windows_rows(&p->a), SUMMANDS_MAX, by_sums_need, p};
}

static void by_sums_steps(cl_job *j, const by_sums *p)
{
    const cl_slabs slabs = by_sums_slabs(p);
    const int64_t slab = cl_slab_rows(&slabs, j->work_bytes - p->fixed);
    for (int64_t row0 = 0; row0 < slabs.total; row0 += slab) {
        const int64_t rows = slab < slabs.total - row0 ? slab : slabs.total - row0;
        cl_gemm g = by_sums_gemm(p, rows);
        uint64_t at = p->fixed;
        g.a = cl_windows_slab(j, &p->a, row0, rows, false, cl_work(at));
        at += cl_windows_bytes(p->dev, &p->a, rows);
        g.b = cl_windows_slab(j, &p->b, row0, rows, false, cl_work(at));
        at += cl_windows_bytes(p->dev, &p->b, rows);
        g.temp = cl_work(at);
        g.beta = p->add || row0 > 0 ? 1.0F : 0.0F;
        cl_job_gemm(j, &g);
    }
}

/* ---- weights in another order ---- */

typedef struct order { /* to[i0, i1, i2] = from[at + i0 * step[0] + i1 * step[1] + i2 * step[2]] */
    int64_t n[3], at, step[3];
} order;

static void permute_step(cl_job *j, cl_place from, cl_place to, const order *o, bool add)
{
    cl_defines defines = {{0}};
    cl_define(&defines, "ADD", add);
    cl_job_kernel(j, "permute", "permute", &defines,
                  cl_range_1d((uint64_t)(o->n[0] * o->n[1] * o->n[2]), GROUP));
    cl_job_arg(j, from);
    cl_job_arg(j, to);
    for (int axis = 0; axis < 3; axis++) cl_job_int(j, o->n[axis]);
    cl_job_int(j, o->at);
    for (int axis = 0; axis < 3; axis++) cl_job_int(j, o->step[axis]);
}

/* [tap, ci, co] -> [tap, co, ci], with the taps in reverse order if `flip`. */
static order transposed_taps(const u3d_type *w, int64_t taps, bool flip)
{
    const int64_t ci = w->dim[3], co = w->dim[4], tap = ci * co;
    return (order){{taps, co, ci}, flip ? (taps - 1) * tap : 0, {flip ? -tap : tap, 1, co}};
}

/* ---- conv3d ---- */

static by_rows conv3d_product(const cl_device *dev, const u3d_op_desc *d)
{
    return (by_rows){.dev = dev,
                     .a = windows_of(d, cl_map_of(d), &d->out[0]),
                     .b = cl_in(1),
                     .n = d->out[0].dim[4],
                     .c = cl_out(0)};
}

static void conv3d_prepare(cl_job *j)
{
    const u3d_op_desc *d = j->desc;
    const by_rows p = conv3d_product(j->dev, d);
    by_rows_steps(j, &p);
    if (!cl_conv_has_bias(d)) return;
    cl_job_kernel(j, "fold", "add_bias", NULL, cl_range_1d((uint64_t)u3d_type_elems(&d->out[0]), GROUP));
    cl_job_arg(j, cl_out(0));
    cl_job_arg(j, cl_in(2));
    cl_job_int(j, u3d_type_elems(&d->out[0]));
    cl_job_int(j, p.n);
}

/* ---- conv3d_dx, upconv3d_dx ---- */

static by_rows dx_product(const cl_device *dev, const u3d_op_desc *d)
{
    const u3d_conv_attr *attr = &d->attr.conv;
    by_rows p = {.dev = dev,
                 .a = windows_of(d, cl_map_plain(cl_in(0), &d->in[0]), &d->out[0]),
                 .n = d->out[0].dim[4],
                 .c = cl_out(0),
                 .beta = cl_adds(d, 0) ? 1.0F : 0.0F};
    if (d->op == U3D_OP_CONV3D_DX)
        for (int axis = 0; axis < 3; axis++) p.a.pad[axis] = attr->kernel[axis] - 1 - attr->pad[axis];
    p.trans_b = taps_of(d) == 1; /* then w as it lies in memory is w' transposed */
    p.b = p.trans_b ? cl_in(1) : cl_work(0);
    p.fixed = p.trans_b ? 0 : bytes_of(dev, u3d_type_elems(&d->in[1]));
    return p;
}

static void dx_prepare(cl_job *j)
{
    const by_rows p = dx_product(j->dev, j->desc);
    const order o = transposed_taps(&j->desc->in[1], taps_of(j->desc), j->desc->op == U3D_OP_CONV3D_DX);
    if (!p.trans_b) permute_step(j, cl_in(1), p.b, &o, false);
    by_rows_steps(j, &p);
}

/* ---- upconv3d ---- */

static by_rows upconv3d_product(const cl_device *dev, const u3d_op_desc *d)
{
    return (by_rows){.dev = dev,
                     .a = voxels_of(cl_map_of(d)),
                     .b = cl_work(0),
                     .n = taps_of(d) * d->out[0].dim[4],
                     .fold = true,
                     .fixed = bytes_of(dev, u3d_type_elems(&d->in[1]))};
}

static void upconv3d_prepare(cl_job *j)
{
    const by_rows p = upconv3d_product(j->dev, j->desc);
    const int64_t ci = j->desc->in[1].dim[3], co = j->desc->in[1].dim[4];
    const order o = {{ci, taps_of(j->desc), co}, 0, {co, ci * co, 1}}; /* [tap, ci, co] -> [ci, tap, co] */
    permute_step(j, cl_in(1), p.b, &o, false);
    by_rows_steps(j, &p);
}

static void rows_work(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    const by_rows p = d->op == U3D_OP_CONV3D     ? conv3d_product(dev, d)
                      : d->op == U3D_OP_UPCONV3D ? upconv3d_product(dev, d)
                                                 : dx_product(dev, d);
    const cl_slabs slabs = by_rows_slabs(&p);
    cl_slab_work(&slabs, p.fixed, min, best);
}

/* ---- conv3d_dw, upconv3d_dw ---- */

static bool is_up(const u3d_op_desc *d)
{
    return d->op == U3D_OP_UPCONV3D_DW;
}

/* The workspace holds dw in its other order (up-convolutions only), partial sums for dbias, and the data of a
 * slab. Returns the offset of the second part. */
static uint64_t dw_sorted_at(const cl_device *dev, const u3d_op_desc *d)
{
    return is_up(d) ? bytes_of(dev, u3d_type_elems(&d->out[0])) : 0;
}

static by_sums dw_product(const cl_device *dev, const u3d_op_desc *d)
{
    const cl_map dy = cl_map_plain(cl_in(1), &d->in[1]);
    by_sums p = {.dev = dev, .c = is_up(d) ? cl_work(0) : cl_out(0), .add = !is_up(d) && cl_adds(d, 0)};
    p.a = is_up(d) ? voxels_of(cl_map_of(d)) : windows_of(d, cl_map_of(d), &d->in[1]);
    p.b = is_up(d) ? windows_of(d, dy, &d->in[0]) : voxels_of(dy);
    p.fixed = dw_sorted_at(dev, d);
    if (d->n_out > 1) p.fixed += cl_round_up(cl_sum_voxels_bytes(&d->in[1]), dev->align);
    return p;
}

static void dw_work(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    const by_sums p = dw_product(dev, d);
    const cl_slabs slabs = by_sums_slabs(&p);
    cl_slab_work(&slabs, p.fixed, min, best);
}

static void dw_prepare(cl_job *j)
{
    const u3d_op_desc *d = j->desc;
    const by_sums p = dw_product(j->dev, d);
    const int64_t ci = d->out[0].dim[3], co = d->out[0].dim[4], taps = taps_of(d);
    const order o = {{taps, ci, co}, 0, {co, taps * co, 1}}; /* [ci, tap, co] -> [tap, ci, co] */
    by_sums_steps(j, &p);
    if (is_up(d)) permute_step(j, p.c, cl_out(0), &o, cl_adds(d, 0));
    if (d->n_out > 1)
        cl_job_sum_voxels(j, cl_in(1), &d->in[1], cl_out(1), cl_adds(d, 1), cl_work(dw_sorted_at(j->dev, d)));
}

/* ---- entries ---- */

static const char *refuses_any(const cl_device *dev, const u3d_op_desc *d)
{
    const char *reason = cl_conv_refuses(dev, d);
    return reason ? reason : clblast_missing();
}

static const char *refuses_windows(const cl_device *dev, const u3d_op_desc *d)
{
    return is_pointwise(d) ? refuses_any(dev, d) : "only for 1x1x1 kernels with stride 1 and no padding";
}

static const char *refuses_strides(const cl_device *dev, const u3d_op_desc *d)
{
    const int32_t *s = d->attr.conv.stride;
    return s[0] == 1 && s[1] == 1 && s[2] == 1 ? refuses_any(dev, d) : "only for stride 1";
}

const cl_entry cl_conv3d_clblast = {"clblast", refuses_windows, rows_work, conv3d_prepare};
const cl_entry cl_conv3d_dx_clblast = {"clblast", refuses_windows, rows_work, dx_prepare};
const cl_entry cl_conv3d_dw_clblast = {"clblast", refuses_windows, dw_work, dw_prepare};
const cl_entry cl_conv3d_unfold = {"unfold", refuses_any, rows_work, conv3d_prepare};
const cl_entry cl_conv3d_dx_unfold = {"unfold", refuses_strides, rows_work, dx_prepare};
const cl_entry cl_conv3d_dw_unfold = {"unfold", refuses_any, dw_work, dw_prepare};
const cl_entry cl_upconv3d_clblast = {"clblast", refuses_any, rows_work, upconv3d_prepare};
const cl_entry cl_upconv3d_dx_clblast = {"clblast", refuses_any, rows_work, dx_prepare};
const cl_entry cl_upconv3d_dw_clblast = {"clblast", refuses_any, dw_work, dw_prepare};
