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
#include <inttypes.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status upconv3d_infer(u3d_op_desc *d)
{
    int32_t extra = u3d_op_fused_inputs(d);
    int64_t size[3], channels;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2 + extra, 3 + extra, 1, 1}));
    U3D_TRY(u3d_op_check_tiles(d));
    U3D_TRY(u3d_op_check_fused(d, U3D_FUSED_LAZY));
    U3D_TRY(u3d_op_check_read_map(d, &channels));
    U3D_TRY(u3d_op_check_weight(d));
    int64_t ci = d->in[1].dim[3], co = d->in[1].dim[4];
    if (channels != ci) {
        return u3d_fail(U3D_E_SHAPE, "upconv3d: x has %" PRId64 " channels, the weight expects %" PRId64,
                        channels, ci);
    }
    if (d->n_in == 3 + extra) U3D_TRY(u3d_op_check_vector(d, 2, "bias", co));
    U3D_TRY(u3d_op_window_in(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, co);
    return u3d_op_end(d);
}

static u3d_status upconv3d_dx_infer(u3d_op_desc *d)
{
    int64_t size[3];
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2, 2, 1, 1}));
    U3D_TRY(u3d_op_check_tiles(d));
    U3D_TRY(u3d_op_check_fused(d, 0));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    U3D_TRY(u3d_op_check_weight(d));
    int64_t ci = d->in[1].dim[3], co = d->in[1].dim[4];
    if (d->in[0].dim[4] != co) {
        return u3d_fail(U3D_E_SHAPE, "upconv3d_dx: dy has %" PRId64 " channels, the weight gives %" PRId64,
                        d->in[0].dim[4], co);
    }
    U3D_TRY(u3d_op_window_out(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, ci);
    return u3d_op_end(d);
}

static u3d_status upconv3d_dw_infer(u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    int32_t extra = u3d_op_fused_inputs(d);
    int64_t size[3], ci;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2 + extra, 2 + extra, 1, 2}));
    U3D_TRY(u3d_op_check_tiles(d));
    U3D_TRY(u3d_op_check_fused(d, U3D_FUSED_LAZY));
    U3D_TRY(u3d_op_check_read_map(d, &ci));
    U3D_TRY(u3d_op_check_map(d, 1, "dy"));
    int64_t co = d->in[1].dim[4];
    U3D_TRY(u3d_op_window_in(d, d->in[0].dim + 1, size));
    U3D_TRY(u3d_op_check_type(d, 1, "dy", u3d_type_map(d->in[0].dim[0], size, co)));
    d->out[0] = u3d_type_f32(5, (const int64_t[]){k[0], k[1], k[2], ci, co});
    if (d->n_out == 2) d->out[1] = u3d_type_f32(1, &co);
    return u3d_op_end(d);
}

static double upconv3d_flops_of(const u3d_op_desc *d, const u3d_type *x, int64_t co)
{
    return 2.0 * (double)u3d_type_elems(x) * (double)co * (double)u3d_op_kernel_volume(d);
}

static double upconv3d_flops(const u3d_op_desc *d)
{
    return upconv3d_flops_of(d, &d->in[0], d->out[0].dim[4]);
}

static double upconv3d_dx_flops(const u3d_op_desc *d)
{
    return upconv3d_flops_of(d, &d->out[0], d->in[0].dim[4]);
}

static double upconv3d_dw_flops(const u3d_op_desc *d)
{
    return upconv3d_flops_of(d, &d->in[0], d->in[1].dim[4]);
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
