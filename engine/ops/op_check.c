/* Checks that shape rules share. Descriptions come from graphs, from tests and, through network settings,
 * from users, so nothing in them can be relied on before it has been checked.
 *
 * The axes of maps must be below 2^31, so that the product of a size and a 32-bit kernel or stride fits into
 * 64 bits. */
#include "engine/ops/op_rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/ops/op.h"

static const char axis_names[] = "zyx";

static const char *op_name(const u3d_op_desc *d)
{
    return u3d_op_info_get(d->op)->name;
}

static u3d_status op_check_count(const u3d_op_desc *d, const char *what, int32_t n, int32_t min, int32_t max)
{
    if (n >= min && n <= max) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "%s has %" PRId32 " %s, expected %" PRId32 " to %" PRId32, op_name(d), n, what,
                    min, max);
}

/* Copies the fields of a convolution. per_instance has no effect without moments, and slope has none without
 * a lazy map. In these cases they stay 0, so that descriptions that mean the same are equal bytes. */
static void op_clean_conv(u3d_conv_attr *out, const u3d_conv_attr *a)
{
    memcpy(out->kernel, a->kernel, sizeof out->kernel);
    memcpy(out->stride, a->stride, sizeof out->stride);
    memcpy(out->pad, a->pad, sizeof out->pad);
    out->strict = a->strict;
    out->joined = a->joined;
    out->lazy[0] = a->lazy[0];
    out->lazy[1] = a->lazy[1];
    out->moments = a->moments;
    out->per_instance = a->moments && a->per_instance;
    if (a->lazy[0] || a->lazy[1]) out->slope = a->slope;
}

/* Copies field by field into zeroed memory, because a struct copy would also copy the padding bytes. */
static void op_clean_attr(u3d_op_desc *d, u3d_attr_kind kind)
{
    u3d_attr a = d->attr;
    memset(&d->attr, 0, sizeof d->attr);
    switch (kind) {
    case U3D_ATTR_NONE: break;
    case U3D_ATTR_CONV: op_clean_conv(&d->attr.conv, &a.conv); break;
    case U3D_ATTR_NORM:
        d->attr.norm.per_instance = a.norm.per_instance;
        d->attr.norm.use_running = a.norm.use_running;
        d->attr.norm.keep_running = a.norm.keep_running;
        d->attr.norm.eps = a.norm.eps;
        d->attr.norm.momentum = a.norm.momentum;
        d->attr.norm.act = a.norm.act;
        d->attr.norm.slope = a.norm.slope;
        d->attr.norm.voxels = a.norm.voxels;
        break;
    case U3D_ATTR_RELU: d->attr.relu.slope = a.relu.slope; break;
    case U3D_ATTR_FILL: d->attr.fill.value = a.fill.value; break;
    case U3D_ATTR_SCALE: d->attr.scale.factor = a.scale.factor; break;
    case U3D_ATTR_SUBSAMPLE:
        memcpy(d->attr.subsample.stride, a.subsample.stride, sizeof a.subsample.stride);
        d->attr.subsample.ignore_label = a.subsample.ignore_label;
        break;
    case U3D_ATTR_CROP:
        d->attr.crop.up_channels = a.crop.up_channels;
        memcpy(d->attr.crop.skip_size, a.crop.skip_size, sizeof a.crop.skip_size);
        d->attr.crop.part = a.crop.part;
        break;
    case U3D_ATTR_LOSS:
        d->attr.loss.ignore_label = a.loss.ignore_label;
        d->attr.loss.skip_background = a.loss.skip_background;
        d->attr.loss.smooth = a.loss.smooth;
        break;
    }
}

u3d_status u3d_op_begin(u3d_op_desc *d, u3d_op_form form)
{
    U3D_TRY(op_check_count(d, "inputs", d->n_in, form.in_min, form.in_max));
    U3D_TRY(op_check_count(d, "outputs", d->n_out, form.out_min, form.out_max));
    uint32_t possible = u3d_op_info_get(d->op)->accumulates & ((1U << d->n_out) - 1U);
    if (d->accumulate & ~possible) {
        return u3d_fail(U3D_E_ARG, "%s cannot accumulate into outputs 0x%" PRIx32 ", only into 0x%" PRIx32,
                        op_name(d), d->accumulate, possible);
    }
    for (int32_t i = 0; i < d->n_in; i++) {
        int64_t elements;
        uint64_t bytes;
        if (u3d_type_count(&d->in[i], &elements, &bytes) != U3D_OK) {
            return u3d_wrap(U3D_E_SHAPE, "%s input %" PRId32, op_name(d), i);
        }
        d->in[i] = u3d_type_of(d->in[i].dtype, d->in[i].rank, d->in[i].dim);
    }
    memset(d->in + d->n_in, 0, (size_t)(U3D_MAX_IN - d->n_in) * sizeof *d->in);
    memset(d->out, 0, sizeof d->out);
    op_clean_attr(d, form.attr);
    return U3D_OK;
}

u3d_status u3d_op_end(const u3d_op_desc *d)
{
    for (int32_t i = 0; i < d->n_out; i++) {
        int64_t elements;
        uint64_t bytes;
        if (u3d_type_count(&d->out[i], &elements, &bytes) != U3D_OK) {
            return u3d_wrap(U3D_E_SHAPE, "%s output %" PRId32, op_name(d), i);
        }
    }
    return U3D_OK;
}

static u3d_status op_fail_type(const u3d_op_desc *d, int i, const char *what, const char *expected)
{
    char found[160];
    return u3d_fail(U3D_E_SHAPE, "%s: %s is %s, expected %s", op_name(d), what,
                    u3d_type_text(&d->in[i], found, sizeof found), expected);
}

u3d_status u3d_op_check_map(const u3d_op_desc *d, int i, const char *what)
{
    const u3d_type *t = &d->in[i];
    bool fits = t->dtype == U3D_F32 && t->rank == 5;
    for (int axis = 0; axis < 5; axis++) fits = fits && t->dim[axis] <= INT32_MAX;
    return fits ? U3D_OK : op_fail_type(d, i, what, "f32 [N, D, H, W, C] with every axis below 2^31");
}

u3d_status u3d_op_check_flat(const u3d_op_desc *d, int i, const char *what)
{
    if (d->in[i].dtype == U3D_F32 && d->in[i].rank == 1) return U3D_OK;
    return op_fail_type(d, i, what, "f32 [n]");
}

u3d_status u3d_op_check_type(const u3d_op_desc *d, int i, const char *what, u3d_type expected)
{
    char text[160];
    if (u3d_type_equal(&d->in[i], &expected)) return U3D_OK;
    return op_fail_type(d, i, what, u3d_type_text(&expected, text, sizeof text));
}

u3d_status u3d_op_check_vector(const u3d_op_desc *d, int i, const char *what, int64_t n)
{
    return u3d_op_check_type(d, i, what, u3d_type_f32(1, &n));
}

u3d_status u3d_op_check_window(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    for (int axis = 0; axis < 3; axis++) {
        if (a->kernel[axis] < 1 || a->stride[axis] < 1) {
            return u3d_fail(U3D_E_ARG,
                            "%s: kernel %" PRId32 " and stride %" PRId32 " along %c must be at least 1",
                            op_name(d), a->kernel[axis], a->stride[axis], axis_names[axis]);
        }
        if (a->pad[axis] < 0 || a->pad[axis] >= a->kernel[axis]) {
            return u3d_fail(U3D_E_ARG,
                            "%s: padding %" PRId32 " along %c must be 0 to %" PRId32 ", less than the kernel size",
                            op_name(d), a->pad[axis], axis_names[axis], a->kernel[axis] - 1);
        }
    }
    return U3D_OK;
}

u3d_status u3d_op_check_tiles(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    U3D_TRY(u3d_op_check_window(d));
    for (int axis = 0; axis < 3; axis++) {
        if (a->kernel[axis] == a->stride[axis] && a->pad[axis] == 0) continue;
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "%s: kernel %" PRId32 ", stride %" PRId32 ", padding %" PRId32
                        " along %c; only a kernel equal to stride and padding 0 are supported",
                        op_name(d), a->kernel[axis], a->stride[axis], a->pad[axis], axis_names[axis]);
    }
    return U3D_OK;
}

u3d_status u3d_op_check_weight(const u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    const u3d_type *w = &d->in[1];
    U3D_TRY(u3d_op_check_map(d, 1, "the weight")); /* a weight is also f32 with five axes */
    int64_t want[] = {k[0], k[1], k[2], w->dim[3], w->dim[4]};
    return u3d_op_check_type(d, 1, "the weight", u3d_type_f32(5, want));
}

u3d_status u3d_op_check_loss(const u3d_op_desc *d)
{
    const u3d_type *x = &d->in[0];
    U3D_TRY(u3d_op_check_map(d, 0, "logits"));
    int64_t n_classes = x->dim[4];
    if (n_classes > 256) {
        return u3d_fail(U3D_E_SHAPE,
                        "%s: logits have %" PRId64 " classes, but labels are bytes, which can hold at most 256",
                        op_name(d), n_classes);
    }
    U3D_TRY(u3d_op_check_type(d, 1, "labels", u3d_type_of(U3D_U8, 4, x->dim)));
    U3D_TRY(u3d_op_check_vector(d, 2, "class_weight", n_classes));
    float smooth = d->attr.loss.smooth;
    if (!isfinite(smooth) || smooth < 0.0F) {
        return u3d_fail(U3D_E_ARG, "%s: smooth is %g, expected a finite number >= 0", op_name(d),
                        (double)smooth);
    }
    return U3D_OK;
}

u3d_status u3d_op_window_out(const u3d_op_desc *d, const int64_t in[3], int64_t out[3])
{
    const u3d_conv_attr *a = &d->attr.conv;
    for (int axis = 0; axis < 3; axis++) {
        int64_t span = in[axis] + 2 * (int64_t)a->pad[axis] - a->kernel[axis];
        if (span < 0) {
            return u3d_fail(U3D_E_SHAPE,
                            "%s: size %" PRId64 " along %c with padding %" PRId32
                            " is smaller than the kernel, %" PRId32,
                            op_name(d), in[axis], axis_names[axis], a->pad[axis], a->kernel[axis]);
        }
        if (span % a->stride[axis] != 0) {
            return u3d_fail(U3D_E_SHAPE,
                            "%s: size %" PRId64 " along %c leaves %" PRId64
                            " voxels over; windows with kernel %" PRId32 ", stride %" PRId32 ", padding %" PRId32
                            " must end exactly at the border",
                            op_name(d), in[axis], axis_names[axis], span % a->stride[axis], a->kernel[axis],
                            a->stride[axis], a->pad[axis]);
        }
        out[axis] = span / a->stride[axis] + 1;
    }
    return U3D_OK;
}

u3d_status u3d_op_window_in(const u3d_op_desc *d, const int64_t out[3], int64_t in[3])
{
    const u3d_conv_attr *a = &d->attr.conv;
    for (int axis = 0; axis < 3; axis++) {
        in[axis] = (out[axis] - 1) * a->stride[axis] + a->kernel[axis] - 2 * (int64_t)a->pad[axis];
        if (in[axis] >= 1 && in[axis] <= INT32_MAX) continue;
        return u3d_fail(U3D_E_SHAPE,
                        "%s: size %" PRId64 " along %c with kernel %" PRId32 ", stride %" PRId32
                        ", padding %" PRId32 " would come from a map of size %" PRId64
                        ", expected at least 1 and below 2^31",
                        op_name(d), out[axis], axis_names[axis], a->kernel[axis], a->stride[axis],
                        a->pad[axis], in[axis]);
    }
    return U3D_OK;
}

int64_t u3d_op_kernel_volume(const u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    return (int64_t)k[0] * k[1] * k[2];
}

int u3d_op_text_window(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return snprintf(buf, cap,
                    "k %" PRId32 "x%" PRId32 "x%" PRId32 " s %" PRId32 "x%" PRId32 "x%" PRId32 " p %" PRId32
                    "x%" PRId32 "x%" PRId32,
                    a->kernel[0], a->kernel[1], a->kernel[2], a->stride[0], a->stride[1], a->stride[2],
                    a->pad[0], a->pad[1], a->pad[2]);
}
