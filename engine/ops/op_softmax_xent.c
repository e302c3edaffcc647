/* Softmax over channels; softmax with weighted cross-entropy as one op, and the gradient of that op.
 *
 *   softmax             logits [N,D,H,W,K] -> probabilities
 *   softmax_xent        logits, labels u8 [N,D,H,W], class_weight [K] -> loss [], weight_sum []
 *   softmax_xent_back   logits, labels, class_weight, weight_sum, dloss [] -> dlogits
 *
 * The gradient of softmax and cross-entropy together, dloss * w(v) / weight_sum * (p - onehot), needs neither
 * a logarithm nor stored probabilities. The op softmax is only for inference and has no gradient rule. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status softmax_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 1, 1, 1, 1}));
    U3D_TRY(u3d_op_check_map(d, 0, "logits"));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status softmax_xent_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_LOSS, 3, 3, 2, 2}));
    U3D_TRY(u3d_op_check_loss(d));
    d->out[0] = d->out[1] = u3d_type_scalar();
    return u3d_op_end(d);
}

static u3d_status softmax_xent_back_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_LOSS, 5, 5, 1, 1}));
    U3D_TRY(u3d_op_check_loss(d));
    U3D_TRY(u3d_op_check_type(d, 3, "weight_sum", u3d_type_scalar()));
    U3D_TRY(u3d_op_check_type(d, 4, "dloss", u3d_type_scalar()));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

u3d_status u3d_op_grad_loss(u3d_graph *g, const u3d_node *n, u3d_op back_op)
{
    u3d_val in[] = {n->in[0], n->in[1], n->in[2], n->out[1], u3d_graph_value(g, n->out[0])->grad};
    return u3d_grad_append(g, n, "back", back_op, &n->attr, in, 5, n->in, 1);
}

static u3d_status softmax_xent_grad(u3d_graph *g, const u3d_node *n)
{
    return u3d_op_grad_loss(g, n, U3D_OP_SOFTMAX_XENT_BACK);
}

static int softmax_xent_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    return snprintf(buf, cap, "ignore %" PRId32, d->attr.loss.ignore_label);
}

const u3d_op_info u3d_rule_SOFTMAX = {.name = "softmax", .infer = softmax_infer, .in_place = true};

const u3d_op_info u3d_rule_SOFTMAX_XENT = {
    .name = "softmax_xent",
    .infer = softmax_xent_infer,
    .grad = softmax_xent_grad,
    .text = softmax_xent_text,
};

const u3d_op_info u3d_rule_SOFTMAX_XENT_BACK = {
    .name = "softmax_xent_back",
    .infer = softmax_xent_back_infer,
    .text = softmax_xent_text,
    .accumulates = 1,
};
