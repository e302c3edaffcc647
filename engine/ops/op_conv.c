/* What conv3d and upconv3d share: shapes, FLOPs and the gradient rule of y = op(x, w, bias).
 *
 * An up-convolution is the adjoint of a convolution with the same windows: y of conv3d and x of upconv3d have
 * one voxel per window, and the other map is the one on which the windows lie. u3d_op_conv_rule says in which
 * direction sizes are computed, what is checked about the windows, and which fused forms exist. */
#include <inttypes.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

u3d_status u3d_op_infer_conv(u3d_op_desc *d, const u3d_op_conv_rule *rule)
{
    const u3d_conv_attr *a = &d->attr.conv;
    const bool moments = (rule->fused & U3D_FUSED_MOMENTS) != 0 && a->moments;
    int32_t extra = u3d_op_fused_inputs(d), n_out = moments ? 2 : 1;
    int64_t size[3], channels;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2 + extra, 3 + extra, n_out, n_out}));
    U3D_TRY(rule->check(d));
    U3D_TRY(u3d_op_check_fused(d, rule->fused));
    U3D_TRY(u3d_op_check_read_map(d, &channels));
    U3D_TRY(u3d_op_check_weight(d));
    int64_t ci = d->in[1].dim[3], co = d->in[1].dim[4];
    if (channels != ci) {
        return u3d_fail(U3D_E_SHAPE, "%s: x has %" PRId64 " channels, the weight expects %" PRId64,
                        u3d_op_info_get(d->op)->name, channels, ci);
    }
    if (d->n_in == 3 + extra) U3D_TRY(u3d_op_check_vector(d, 2, "bias", co));
    U3D_TRY(rule->size_of_y(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, co);
    if (moments) d->out[1] = u3d_type_f32(3, (const int64_t[]){a->per_instance ? d->in[0].dim[0] : 1, 2, co});
    return u3d_op_end(d);
}

u3d_status u3d_op_infer_conv_dx(u3d_op_desc *d, const u3d_op_conv_rule *rule)
{
    int64_t size[3];
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2, 2, 1, 1}));
    U3D_TRY(rule->check(d));
    U3D_TRY(u3d_op_check_fused(d, 0));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    U3D_TRY(u3d_op_check_weight(d));
    int64_t ci = d->in[1].dim[3], co = d->in[1].dim[4];
    if (d->in[0].dim[4] != co) {
        return u3d_fail(U3D_E_SHAPE, "%s: dy has %" PRId64 " channels, the weight gives %" PRId64,
                        u3d_op_info_get(d->op)->name, d->in[0].dim[4], co);
    }
    U3D_TRY(rule->size_of_x(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, ci);
    return u3d_op_end(d);
}

u3d_status u3d_op_infer_conv_dw(u3d_op_desc *d, const u3d_op_conv_rule *rule)
{
    const int32_t *k = d->attr.conv.kernel;
    int32_t extra = u3d_op_fused_inputs(d);
    int64_t size[3], ci;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2 + extra, 2 + extra, 1, 2}));
    U3D_TRY(rule->check(d));
    U3D_TRY(u3d_op_check_fused(d, rule->fused & ~(uint32_t)U3D_FUSED_MOMENTS));
    U3D_TRY(u3d_op_check_read_map(d, &ci));
    U3D_TRY(u3d_op_check_map(d, 1, "dy"));
    int64_t co = d->in[1].dim[4];
    U3D_TRY(rule->size_of_y(d, d->in[0].dim + 1, size));
    U3D_TRY(u3d_op_check_type(d, 1, "dy", u3d_type_map(d->in[0].dim[0], size, co)));
    d->out[0] = u3d_type_f32(5, (const int64_t[]){k[0], k[1], k[2], ci, co});
    if (d->n_out == 2) d->out[1] = u3d_type_f32(1, &co);
    return u3d_op_end(d);
}

double u3d_op_flops_conv(const u3d_op_desc *d, const u3d_type *windows, int64_t channels)
{
    return 2.0 * (double)u3d_type_elems(windows) * (double)channels * (double)u3d_op_kernel_volume(d);
}

u3d_status u3d_op_grad_conv(u3d_graph *g, const u3d_node *n, u3d_op dx_op, u3d_op dw_op)
{
    u3d_val x = n->in[0], w = n->in[1], dy = u3d_graph_value(g, n->out[0])->grad;
    U3D_TRY(u3d_grad_append(g, n, "dx", dx_op, &n->attr, (const u3d_val[]){dy, w}, 2, &x, 1));
    return u3d_grad_append(g, n, "dw", dw_op, &n->attr, (const u3d_val[]){x, dy}, 2, n->in + 1, n->n_in - 1);
}
