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
#include <inttypes.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status conv3d_infer(u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    int32_t extra = u3d_op_fused_inputs(d), n_out = a->moments ? 2 : 1;
    int64_t size[3], channels;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2 + extra, 3 + extra, n_out, n_out}));
    U3D_TRY(u3d_op_check_window(d));
    U3D_TRY(u3d_op_check_fused(d, U3D_FUSED_JOINED | U3D_FUSED_LAZY | U3D_FUSED_MOMENTS));
    U3D_TRY(u3d_op_check_read_map(d, &channels));
    U3D_TRY(u3d_op_check_weight(d));
    int64_t ci = d->in[1].dim[3], co = d->in[1].dim[4];
    if (channels != ci) {
        return u3d_fail(U3D_E_SHAPE, "conv3d: x has %" PRId64 " channels, the weight expects %" PRId64,
                        channels, ci);
    }
    if (d->n_in == 3 + extra) U3D_TRY(u3d_op_check_vector(d, 2, "bias", co));
    U3D_TRY(u3d_op_window_out(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, co);
    if (a->moments)
        d->out[1] = u3d_type_f32(3, (const int64_t[]){a->per_instance ? d->in[0].dim[0] : 1, 2, co});
    return u3d_op_end(d);
}

static u3d_status conv3d_dx_infer(u3d_op_desc *d)
{
    int64_t size[3];
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2, 2, 1, 1}));
    U3D_TRY(u3d_op_check_window(d));
    U3D_TRY(u3d_op_check_fused(d, 0));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    U3D_TRY(u3d_op_check_weight(d));
    int64_t ci = d->in[1].dim[3], co = d->in[1].dim[4];
    if (d->in[0].dim[4] != co) {
        return u3d_fail(U3D_E_SHAPE, "conv3d_dx: dy has %" PRId64 " channels, the weight gives %" PRId64,
                        d->in[0].dim[4], co);
    }
    U3D_TRY(u3d_op_window_in(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, ci);
    return u3d_op_end(d);
}

static u3d_status conv3d_dw_infer(u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    int32_t extra = u3d_op_fused_inputs(d);
    int64_t size[3], ci;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2 + extra, 2 + extra, 1, 2}));
    U3D_TRY(u3d_op_check_window(d));
    U3D_TRY(u3d_op_check_fused(d, U3D_FUSED_JOINED | U3D_FUSED_LAZY));
    U3D_TRY(u3d_op_check_read_map(d, &ci));
    U3D_TRY(u3d_op_check_map(d, 1, "dy"));
    int64_t co = d->in[1].dim[4];
    U3D_TRY(u3d_op_window_out(d, d->in[0].dim + 1, size));
    U3D_TRY(u3d_op_check_type(d, 1, "dy", u3d_type_map(d->in[0].dim[0], size, co)));
    d->out[0] = u3d_type_f32(5, (const int64_t[]){k[0], k[1], k[2], ci, co});
    if (d->n_out == 2) d->out[1] = u3d_type_f32(1, &co);
    return u3d_op_end(d);
}

static double conv3d_flops_of(const u3d_op_desc *d, const u3d_type *y, int64_t ci)
{
    return 2.0 * (double)u3d_type_elems(y) * (double)ci * (double)u3d_op_kernel_volume(d);
}

static double conv3d_flops(const u3d_op_desc *d)
{
    return conv3d_flops_of(d, &d->out[0], d->in[1].dim[3]);
}

static double conv3d_dx_flops(const u3d_op_desc *d)
{
    return conv3d_flops_of(d, &d->in[0], d->out[0].dim[4]);
}

static double conv3d_dw_flops(const u3d_op_desc *d)
{
    return conv3d_flops_of(d, &d->in[1], d->out[0].dim[3]);
}

u3d_status u3d_op_grad_conv(u3d_graph *g, const u3d_node *n, u3d_op dx_op, u3d_op dw_op)
{
    u3d_val x = n->in[0], w = n->in[1], dy = u3d_graph_value(g, n->out[0])->grad;
    U3D_TRY(u3d_grad_append(g, n, "dx", dx_op, &n->attr, (const u3d_val[]){dy, w}, 2, &x, 1));
    return u3d_grad_append(g, n, "dw", dw_op, &n->attr, (const u3d_val[]){x, dy}, 2, n->in + 1, n->n_in - 1);
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
