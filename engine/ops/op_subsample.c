/* Labels at a lower resolution, for losses at the coarser levels of a network (deep supervision).
 *
 *   subsample   labels u8 [N,D,H,W] -> u8 [N,D/sd,H/sh,W/sw]
 *
 * The label of a window is the one at position s / 2, as in nnU-Net (batchgeneratorsv2,
 * DownsampleSegForDSTransform: PyTorch's "nearest-exact", source index floor((o + 1/2) s)). If that voxel is
 * not labelled, the nearest labelled voxel of the window is used instead; otherwise a single annotated slice
 * would be lost at the lower resolutions whenever it does not lie in the middle of a window. Labels are not
 * differentiable, so the op has no gradient. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/ops/op_rules.h"

static u3d_status subsample_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_SUBSAMPLE, 1, 1, 1, 1}));
    const u3d_type *x = &d->in[0];
    const int32_t *stride = d->attr.subsample.stride;
    int64_t dim[4] = {x->dim[0], 0, 0, 0};
    U3D_TRY(u3d_op_check_type(d, 0, "labels", u3d_type_of(U3D_U8, 4, x->dim)));
    for (int axis = 0; axis < 3; axis++) {
        int64_t size = x->dim[1 + axis];
        if (stride[axis] < 1 || size > INT32_MAX || size % stride[axis] != 0)
            return u3d_fail(U3D_E_SHAPE,
                            "subsample: size %" PRId64 " along %c with stride %" PRId32
                            ", expected a size below 2^31 that is a multiple of the stride",
                            size, "zyx"[axis], stride[axis]);
        dim[1 + axis] = size / stride[axis];
    }
    d->out[0] = u3d_type_of(U3D_U8, 4, dim);
    return u3d_op_end(d);
}

static int subsample_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_subsample_attr *a = &d->attr.subsample;
    return snprintf(buf, cap, "s %" PRId32 "x%" PRId32 "x%" PRId32 " ignore %" PRId32, a->stride[0],
                    a->stride[1], a->stride[2], a->ignore_label);
}

const u3d_op_info u3d_rule_SUBSAMPLE = {
    .name = "subsample", .infer = subsample_infer, .text = subsample_text};
