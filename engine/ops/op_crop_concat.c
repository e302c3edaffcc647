/* The skip connection: crop one map about its centre and put its channels behind another's; and the gradient.
 *
 *   crop_concat        up [N,D,H,W,CU], skip [N,SD,SH,SW,CS] -> y [N,D,H,W,CU+CS]
 *   crop_concat_back   dy -> dup, dskip (zero outside the crop)
 *
 * Differences SD - D, SH - H, SW - W are even and not negative, so that the centre is a voxel border of both.
 */
#include <inttypes.h>
#include <stdio.h>

#include "engine/graph.h"
#include "engine/op_rules.h"

static u3d_status crop_check_sizes(const u3d_op_desc *d, const int64_t up[3], const int64_t skip[3])
{
    for (int axis = 0; axis < 3; axis++) {
        if (skip[axis] >= up[axis] && (skip[axis] - up[axis]) % 2 == 0) continue;
        return u3d_fail(U3D_E_SHAPE,
                        "%s: skip has size %" PRId64 " along %c, up has %" PRId64
                        "; it must be larger by an even number or equal",
                        u3d_op_info_get(d->op)->name, skip[axis], "zyx"[axis], up[axis]);
    }
    return U3D_OK;
}

static u3d_status crop_concat_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 2, 2, 1, 1}));
    U3D_TRY(u3d_op_check_map(d, 0, "up"));
    U3D_TRY(u3d_op_check_map(d, 1, "skip"));
    const int64_t *up = d->in[0].dim, *skip = d->in[1].dim;
    if (up[0] != skip[0]) {
        return u3d_fail(U3D_E_SHAPE, "crop_concat: up has batch size %" PRId64 ", skip has %" PRId64, up[0],
                        skip[0]);
    }
    if (up[4] + skip[4] > INT32_MAX) {
        return u3d_fail(U3D_E_SHAPE, "crop_concat: %" PRId64 " + %" PRId64 " channels are not below 2^31",
                        up[4], skip[4]);
    }
    U3D_TRY(crop_check_sizes(d, up + 1, skip + 1));
    d->out[0] = u3d_type_map(up[0], up + 1, up[4] + skip[4]);
    return u3d_op_end(d);
}

static u3d_status crop_concat_back_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CROP, 1, 1, 2, 2}));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    const int64_t *dy = d->in[0].dim;
    const u3d_crop_attr *a = &d->attr.crop;
    if (a->up_channels < 1 || a->up_channels >= dy[4]) {
        return u3d_fail(U3D_E_SHAPE,
                        "crop_concat_back: dup takes %" PRId32 " of dy's %" PRId64
                        " channels; both parts need at least 1",
                        a->up_channels, dy[4]);
    }
    U3D_TRY(crop_check_sizes(d, dy + 1, a->skip_size));
    d->out[0] = u3d_type_map(dy[0], dy + 1, a->up_channels);
    d->out[1] = u3d_type_map(dy[0], a->skip_size, dy[4] - a->up_channels);
    return u3d_op_end(d);
}

static u3d_status crop_concat_grad(u3d_graph *g, const u3d_node *n)
{
    const int64_t *up = u3d_graph_value(g, n->in[0])->type.dim,
                  *skip = u3d_graph_value(g, n->in[1])->type.dim;
    u3d_attr attr = {.crop = {.up_channels = (int32_t)up[4], .skip_size = {skip[1], skip[2], skip[3]}}};
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    return u3d_grad_append(g, n, "back", U3D_OP_CROP_CONCAT_BACK, &attr, &dy, 1, n->in, 2);
}

static int crop_concat_back_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_crop_attr *a = &d->attr.crop;
    return snprintf(buf, cap, "up %" PRId32 " skip %" PRId64 "x%" PRId64 "x%" PRId64, a->up_channels,
                    a->skip_size[0], a->skip_size[1], a->skip_size[2]);
}

const u3d_op_info u3d_rule_CROP_CONCAT = {
    .name = "crop_concat", .infer = crop_concat_infer, .grad = crop_concat_grad};

const u3d_op_info u3d_rule_CROP_CONCAT_BACK = {
    .name = "crop_concat_back",
    .infer = crop_concat_back_infer,
    .text = crop_concat_back_text,
    .accumulates = 3,
};
