/* Convolution and its two gradients: shapes, FLOPs, gradient rule.
 *
 *   conv3d      x [N,D,H,W,CI], w [KD,KH,KW,CI,CO], (bias [CO]) -> y [N,OD,OH,OW,CO]
 *   conv3d_dx   dy, w -> dx       the size of x follows from that of dy, because strides divide exactly
 *   conv3d_dw   x, dy -> dw, (dbias)
 *
 * In conv3d and conv3d_dw x may be joined and lazy (op_map.c), and conv3d may also return the moments of y
 * [S,2,CO].
 *
 * FLOPs: all three ops do one multiplication and one addition for each element of y and each of its
 * CI*KD*KH*KW taps, including taps in the padding. Source: Dumoulin & Visin, "A guide to convolution
 * arithmetic for deep learning", 2016, arXiv:1603.07285. */
#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static const u3d_op_conv_rule rule = {
    .check = u3d_op_check_window,
    .size_of_y = u3d_op_window_out,
    .size_of_x = u3d_op_window_in,
    .fused = U3D_FUSED_JOINED | U3D_FUSED_LAZY | U3D_FUSED_MOMENTS,
};

static u3d_status conv3d_infer(u3d_op_desc *d)
{
    return u3d_op_infer_conv(d, &rule);
}

static u3d_status conv3d_dx_infer(u3d_op_desc *d)
{
    return u3d_op_infer_conv_dx(d, &rule);
}

static u3d_status conv3d_dw_infer(u3d_op_desc *d)
{
    return u3d_op_infer_conv_dw(d, &rule);
}

static double conv3d_flops(const u3d_op_desc *d)
{
    return u3d_op_flops_conv(d, &d->out[0], d->in[1].dim[3]);
}

static double conv3d_dx_flops(const u3d_op_desc *d)
{
    return u3d_op_flops_conv(d, &d->in[0], d->out[0].dim[4]);
}

static double conv3d_dw_flops(const u3d_op_desc *d)
{
    return u3d_op_flops_conv(d, &d->in[1], d->out[0].dim[3]);
}

static u3d_status conv3d_grad(u3d_graph *g, const u3d_node *n)
{
    return u3d_op_grad_conv(g, n, U3D_OP_CONV3D_DX, U3D_OP_CONV3D_DW);
}

const u3d_op_info u3d_rule_CONV3D = {
    .name = "conv3d",
    .infer = conv3d_infer,
    .grad = conv3d_grad,
    .flops = conv3d_flops,
    .text = u3d_op_text_conv,
};

const u3d_op_info u3d_rule_CONV3D_DX = {
    .name = "conv3d_dx",
    .infer = conv3d_dx_infer,
    .flops = conv3d_dx_flops,
    .text = u3d_op_text_conv,
    .accumulates = 1,
};

const u3d_op_info u3d_rule_CONV3D_DW = {
    .name = "conv3d_dw",
    .infer = conv3d_dw_infer,
    .flops = conv3d_dw_flops,
    .text = u3d_op_text_conv,
    .accumulates = 3,
};
