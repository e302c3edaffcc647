/* The skip connection: crops one map about its centre and appends its channels to those of another map; and
 * the gradient of this.
 *
 *   crop_concat        up [N,D,H,W,CU], skip [N,SD,SH,SW,CS] -> y [N,D,H,W,CU+CS]
 *   crop_concat_back   dy -> dup, dskip (zero outside the crop); with attr.crop.part only one of them
 *
 * The differences SD - D, SH - H and SW - W are even and not negative, so that the same number of voxels is
 * cut off on both sides. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status crop_concat_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 2, 2, 1, 1}));
    U3D_TRY(u3d_op_check_join(d, 0, 1));
    const int64_t *up = d->in[0].dim, *skip = d->in[1].dim;
    d->out[0] = u3d_type_map(up[0], up + 1, up[4] + skip[4]);
    return u3d_op_end(d);
}

static u3d_status crop_concat_back_infer(u3d_op_desc *d)
{
    const u3d_crop_attr *a = &d->attr.crop;
    int32_t n_out = a->part == U3D_CROP_BOTH ? 2 : 1;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_CROP, 1, 1, n_out, n_out}));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    const int64_t *dy = d->in[0].dim;
    if ((unsigned)a->part > U3D_CROP_SKIP) {
        return u3d_fail(U3D_E_ARG, "crop_concat_back: part %d, expected 0 to %d", (int)a->part,
                        (int)U3D_CROP_SKIP);
    }
    if (a->up_channels < 1 || a->up_channels >= dy[4]) {
        return u3d_fail(U3D_E_SHAPE,
                        "crop_concat_back: dup gets %" PRId32 " of dy's %" PRId64
                        " channels, but dup and dskip need at least 1 channel each",
                        a->up_channels, dy[4]);
    }
    U3D_TRY(u3d_op_check_crop(d, dy + 1, a->skip_size));
    if (a->part != U3D_CROP_SKIP) d->out[0] = u3d_type_map(dy[0], dy + 1, a->up_channels);
    if (a->part != U3D_CROP_UP) d->out[n_out - 1] = u3d_type_map(dy[0], a->skip_size, dy[4] - a->up_channels);
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
    return snprintf(buf, cap, "up %" PRId32 " skip %" PRId64 "x%" PRId64 "x%" PRId64 "%s", a->up_channels,
                    a->skip_size[0], a->skip_size[1], a->skip_size[2],
                    a->part == U3D_CROP_UP     ? ", up only"
                    : a->part == U3D_CROP_SKIP ? ", skip only"
                                               : "");
}

const u3d_op_info u3d_rule_CROP_CONCAT = {
    .name = "crop_concat", .infer = crop_concat_infer, .grad = crop_concat_grad};

const u3d_op_info u3d_rule_CROP_CONCAT_BACK = {
    .name = "crop_concat_back",
    .infer = crop_concat_back_infer,
    .text = crop_concat_back_text,
    .accumulates = 3,
};
