/* Up-convolution (transposed convolution whose windows do not overlap) and its two gradients.
 *
 *   upconv3d      x [N,D,H,W,CI], w [KD,KH,KW,CI,CO], (bias [CO]) -> y [N,D*KD,H*KH,W*KW,CO]
 *   upconv3d_dx   dy, w -> dx
 *   upconv3d_dw   x, dy -> dw, (dbias)
 *
 * In upconv3d and upconv3d_dw x may be lazy (op_map.c).
 *
 * The kernel equals the stride and padding is 0, so every voxel of y comes from exactly one voxel of x.
 * FLOPs: each of the three ops does elements(x) * CO * KD*KH*KW multiplications and as many additions. */
#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static const u3d_op_conv_rule rule = {
    .check = u3d_op_check_tiles,
    .size_of_y = u3d_op_window_in,
    .size_of_x = u3d_op_window_out,
    .fused = U3D_FUSED_LAZY,
};

static u3d_status upconv3d_infer(u3d_op_desc *d)
{
    return u3d_op_infer_conv(d, &rule);
}

static u3d_status upconv3d_dx_infer(u3d_op_desc *d)
{
    return u3d_op_infer_conv_dx(d, &rule);
}

static u3d_status upconv3d_dw_infer(u3d_op_desc *d)
{
    return u3d_op_infer_conv_dw(d, &rule);
}

static double upconv3d_flops(const u3d_op_desc *d)
{
    return u3d_op_flops_conv(d, &d->in[0], d->out[0].dim[4]);
}

static double upconv3d_dx_flops(const u3d_op_desc *d)
{
    return u3d_op_flops_conv(d, &d->out[0], d->in[0].dim[4]);
}

static double upconv3d_dw_flops(const u3d_op_desc *d)
{
    return u3d_op_flops_conv(d, &d->in[0], d->in[1].dim[4]);
}

static u3d_status upconv3d_grad(u3d_graph *g, const u3d_node *n)
{
    return u3d_op_grad_conv(g, n, U3D_OP_UPCONV3D_DX, U3D_OP_UPCONV3D_DW);
}

const u3d_op_info u3d_rule_UPCONV3D = {
    .name = "upconv3d",
    .infer = upconv3d_infer,
    .grad = upconv3d_grad,
    .flops = upconv3d_flops,
    .text = u3d_op_text_conv,
};

const u3d_op_info u3d_rule_UPCONV3D_DX = {
    .name = "upconv3d_dx",
    .infer = upconv3d_dx_infer,
    .flops = upconv3d_dx_flops,
    .text = u3d_op_text_conv,
    .accumulates = 1,
};

const u3d_op_info u3d_rule_UPCONV3D_DW = {
    .name = "upconv3d_dw",
    .infer = upconv3d_dw_infer,
    .flops = upconv3d_dw_flops,
    .text = u3d_op_text_conv,
    .accumulates = 3,
};
