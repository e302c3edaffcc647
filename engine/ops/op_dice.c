/* Soft Dice loss over the whole batch, and its gradient.
 *
 *   dice        logits [N,D,H,W,K], labels u8 [N,D,H,W], class_weight [K] -> loss [], sums [3,K]
 *   dice_back   logits, labels, class_weight, sums, dloss [] -> dlogits
 *
 * sums holds three rows, sum p*g, sum p and sum g, with one number per class. The gradient needs nothing else
 * from the forward pass besides the inputs.
 * Source: Milletari, Navab & Ahmadi, "V-Net", 2016, arXiv:1606.04797, with nnU-Net's smoothing term. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status dice_check(const u3d_op_desc *d)
{
    U3D_TRY(u3d_op_check_loss(d));
    if (!d->attr.loss.skip_background || d->in[0].dim[4] >= 2) return U3D_OK;
    return u3d_fail(U3D_E_SHAPE,
                    "%s: logits have %" PRId64 " class, expected at least 2 because class 0 is left out of the loss",
                    u3d_op_info_get(d->op)->name, d->in[0].dim[4]);
}

static u3d_type dice_sums_type(const u3d_op_desc *d)
{
    return u3d_type_f32(2, (const int64_t[]){3, d->in[0].dim[4]});
}

static u3d_status dice_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_LOSS, 3, 3, 2, 2}));
    U3D_TRY(dice_check(d));
    d->out[0] = u3d_type_scalar();
    d->out[1] = dice_sums_type(d);
    return u3d_op_end(d);
}

static u3d_status dice_back_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_LOSS, 5, 5, 1, 1}));
    U3D_TRY(dice_check(d));
    U3D_TRY(u3d_op_check_type(d, 3, "sums", dice_sums_type(d)));
    U3D_TRY(u3d_op_check_type(d, 4, "dloss", u3d_type_scalar()));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status dice_grad(u3d_graph *g, const u3d_node *n)
{
    return u3d_op_grad_loss(g, n, U3D_OP_DICE_BACK);
}

static int dice_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_loss_attr *a = &d->attr.loss;
    return snprintf(buf, cap, "ignore %" PRId32 "%s smooth %g", a->ignore_label,
                    a->skip_background ? " no background" : "", (double)a->smooth);
}

const u3d_op_info u3d_rule_DICE = {.name = "dice", .infer = dice_infer, .grad = dice_grad, .text = dice_text};

const u3d_op_info u3d_rule_DICE_BACK = {
    .name = "dice_back",
    .infer = dice_back_infer,
    .text = dice_text,
    .accumulates = 1,
};
