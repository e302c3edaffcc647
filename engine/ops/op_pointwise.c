/* Ops that compute each element independently of the others: relu, fill, copy, add, scale.
 *
 * The gradient of relu reads y instead of x, so that y may be written over x. This works because, with slope
 * >= 0, y > 0 if and only if x > 0. */
#include <math.h>
#include <stdio.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status relu_check_attr(const u3d_op_desc *d)
{
    float slope = d->attr.relu.slope;
    if (isfinite(slope) && slope >= 0.0F) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "%s: slope is %g, expected a finite number >= 0",
                    u3d_op_info_get(d->op)->name, (double)slope);
}

static u3d_status relu_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_RELU, 1, 1, 1, 1}));
    U3D_TRY(relu_check_attr(d));
    U3D_TRY(u3d_op_check_map(d, 0, "x"));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status relu_back_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_RELU, 2, 2, 1, 1}));
    U3D_TRY(relu_check_attr(d));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    U3D_TRY(u3d_op_check_type(d, 1, "y", d->in[0]));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status relu_grad(u3d_graph *g, const u3d_node *n)
{
    u3d_val in[] = {u3d_graph_value(g, n->out[0])->grad, n->out[0]};
    return u3d_grad_append(g, n, "dx", U3D_OP_RELU_BACK, &n->attr, in, 2, n->in, 1);
}

static int relu_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    return snprintf(buf, cap, "slope %g", (double)d->attr.relu.slope);
}

static u3d_status fill_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_FILL, 0, 0, 1, 1}));
    d->out[0] = u3d_type_scalar();
    return u3d_op_end(d);
}

static int fill_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    return snprintf(buf, cap, "%g", (double)d->attr.fill.value);
}

static u3d_status pointwise_check_f32(const u3d_op_desc *d, int i, const char *what)
{
    return u3d_op_check_type(d, i, what, u3d_type_f32(d->in[i].rank, d->in[i].dim));
}

static u3d_status copy_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 1, 1, 1, 1}));
    U3D_TRY(pointwise_check_f32(d, 0, "x"));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status copy_grad(u3d_graph *g, const u3d_node *n)
{
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    return u3d_grad_append(g, n, "dx", U3D_OP_COPY, NULL, &dy, 1, n->in, 1);
}

static u3d_status add_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 2, 2, 1, 1}));
    U3D_TRY(pointwise_check_f32(d, 0, "a"));
    U3D_TRY(u3d_op_check_type(d, 1, "b", d->in[0]));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status add_grad(u3d_graph *g, const u3d_node *n)
{
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    U3D_TRY(u3d_grad_append(g, n, "da", U3D_OP_COPY, NULL, &dy, 1, &n->in[0], 1));
    return u3d_grad_append(g, n, "db", U3D_OP_COPY, NULL, &dy, 1, &n->in[1], 1);
}

static u3d_status scale_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_SCALE, 1, 1, 1, 1}));
    if (!isfinite(d->attr.scale.factor))
        return u3d_fail(U3D_E_ARG, "scale: factor is %g, expected a finite number",
                        (double)d->attr.scale.factor);
    U3D_TRY(pointwise_check_f32(d, 0, "x"));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status scale_grad(u3d_graph *g, const u3d_node *n)
{
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    return u3d_grad_append(g, n, "dx", U3D_OP_SCALE, &n->attr, &dy, 1, n->in, 1);
}

static int scale_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    return snprintf(buf, cap, "%g", (double)d->attr.scale.factor);
}

const u3d_op_info u3d_rule_RELU = {
    .name = "relu",
    .infer = relu_infer,
    .grad = relu_grad,
    .text = relu_text,
    .in_place = true,
};

const u3d_op_info u3d_rule_RELU_BACK = {
    .name = "relu_back",
    .infer = relu_back_infer,
    .text = relu_text,
    .in_place = true,
};

const u3d_op_info u3d_rule_FILL = {.name = "fill", .infer = fill_infer, .text = fill_text};

const u3d_op_info u3d_rule_COPY = {.name = "copy", .infer = copy_infer, .grad = copy_grad, .accumulates = 1};

const u3d_op_info u3d_rule_ADD = {.name = "add", .infer = add_infer, .grad = add_grad, .in_place = true};

const u3d_op_info u3d_rule_SCALE = {
    .name = "scale", .infer = scale_infer, .grad = scale_grad, .text = scale_text, .in_place = true};
