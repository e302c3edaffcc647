/* Maximum over windows that do not overlap, and its gradient.
 *
 *   maxpool3d      x [N,D,H,W,C] -> y [N,D/KD,H/KH,W/KW,C], index u8 of y's shape
 *   maxpool3d_dx   dy, index -> dx
 *
 * In maxpool3d x may be lazy (op_map.c).
 *
 * The index is the position of the maximum in its window, x fastest, so that the gradient needs neither x nor
 * y. It is stored in a byte, so a window may have at most 256 voxels. */
#include <inttypes.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

enum { POOL_MAX_WINDOW = 256 };

static u3d_status maxpool3d_check_attr(const u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    U3D_TRY(u3d_op_check_tiles(d));
    int64_t n = 1;
    for (int axis = 0; axis < 3 && n <= POOL_MAX_WINDOW; axis++) n *= k[axis];
    if (n <= POOL_MAX_WINDOW) return U3D_OK;
    return u3d_fail(U3D_E_UNSUPPORTED,
                    "%s: window %" PRId32 "x%" PRId32 "x%" PRId32 " (z, y, x) has more than %d voxels",
                    u3d_op_info_get(d->op)->name, k[0], k[1], k[2], (int)POOL_MAX_WINDOW);
}

static u3d_status maxpool3d_infer(u3d_op_desc *d)
{
    int32_t extra = u3d_op_fused_inputs(d);
    int64_t size[3], channels;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 1 + extra, 1 + extra, 2, 2}));
    U3D_TRY(maxpool3d_check_attr(d));
    U3D_TRY(u3d_op_check_fused(d, U3D_FUSED_LAZY));
    U3D_TRY(u3d_op_check_read_map(d, &channels));
    U3D_TRY(u3d_op_window_out(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, channels);
    d->out[1] = u3d_type_of(U3D_U8, 5, d->out[0].dim);
    return u3d_op_end(d);
}

static u3d_status maxpool3d_dx_infer(u3d_op_desc *d)
{
    int64_t size[3];
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CONV, 2, 2, 1, 1}));
    U3D_TRY(maxpool3d_check_attr(d));
    U3D_TRY(u3d_op_check_fused(d, 0));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    U3D_TRY(u3d_op_check_type(d, 1, "index", u3d_type_of(U3D_U8, 5, d->in[0].dim)));
    U3D_TRY(u3d_op_window_in(d, d->in[0].dim + 1, size));
    d->out[0] = u3d_type_map(d->in[0].dim[0], size, d->in[0].dim[4]);
    return u3d_op_end(d);
}

static u3d_status maxpool3d_grad(u3d_graph *g, const u3d_node *n)
{
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    u3d_val in[] = {dy, n->out[1]};
    return u3d_grad_append(g, n, "dx", U3D_OP_MAXPOOL3D_DX, &n->attr, in, 2, n->in, 1);
}

const u3d_op_info u3d_rule_MAXPOOL3D = {
    .name = "maxpool3d",
    .infer = maxpool3d_infer,
    .grad = maxpool3d_grad,
    .text = u3d_op_text_conv,
};

const u3d_op_info u3d_rule_MAXPOOL3D_DX = {
    .name = "maxpool3d_dx",
    .infer = maxpool3d_dx_infer,
    .text = u3d_op_text_conv,
    .accumulates = 1,
};
