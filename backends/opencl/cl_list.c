/* The implementations of each op, best first. An entry is called cl_<op>_<name> and is defined in the file of
 * its op. */
#include "backends/opencl/cl_entries.h"

#define ENTRIES(...)                                                                                         \
    (const cl_entry *const[])                                                                                \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

const cl_entry *const *const cl_list[U3D_OP_COUNT] = {
    /* 1x1x1 convolutions and up-convolutions are matrix products already, so CLBlast comes first. */
    [U3D_OP_CONV3D] = ENTRIES(&cl_conv3d_clblast, &cl_conv3d_implicit, &cl_conv3d_unfold, &cl_conv3d_plain),
    [U3D_OP_CONV3D_DX] =
        ENTRIES(&cl_conv3d_dx_clblast, &cl_conv3d_dx_implicit, &cl_conv3d_dx_unfold, &cl_conv3d_dx_plain),
    [U3D_OP_CONV3D_DW] =
        ENTRIES(&cl_conv3d_dw_clblast, &cl_conv3d_dw_implicit, &cl_conv3d_dw_unfold, &cl_conv3d_dw_plain),
    [U3D_OP_UPCONV3D] = ENTRIES(&cl_upconv3d_clblast, &cl_upconv3d_plain),
    [U3D_OP_UPCONV3D_DX] = ENTRIES(&cl_upconv3d_dx_clblast, &cl_upconv3d_dx_plain),
    [U3D_OP_UPCONV3D_DW] = ENTRIES(&cl_upconv3d_dw_clblast, &cl_upconv3d_dw_plain),
    [U3D_OP_MAXPOOL3D] = ENTRIES(&cl_maxpool3d_plain),
    [U3D_OP_MAXPOOL3D_DX] = ENTRIES(&cl_maxpool3d_dx_plain),
    [U3D_OP_NORM] = ENTRIES(&cl_norm_plain),
    [U3D_OP_NORM_BACK] = ENTRIES(&cl_norm_back_plain),
    [U3D_OP_MOMENTS] = ENTRIES(&cl_moments_plain),
    [U3D_OP_NORM_TABLE] = ENTRIES(&cl_norm_table_plain),
    [U3D_OP_RELU] = ENTRIES(&cl_relu_plain),
    [U3D_OP_RELU_BACK] = ENTRIES(&cl_relu_back_plain),
    [U3D_OP_FILL] = ENTRIES(&cl_fill_plain),
    [U3D_OP_COPY] = ENTRIES(&cl_copy_plain),
    [U3D_OP_ADD] = ENTRIES(&cl_add_plain),
    [U3D_OP_SCALE] = ENTRIES(&cl_scale_plain),
    [U3D_OP_SUBSAMPLE] = ENTRIES(&cl_subsample_plain),
    [U3D_OP_CROP_CONCAT] = ENTRIES(&cl_crop_concat_plain),
    [U3D_OP_CROP_CONCAT_BACK] = ENTRIES(&cl_crop_concat_back_plain),
    [U3D_OP_SOFTMAX] = ENTRIES(&cl_softmax_plain),
    [U3D_OP_SOFTMAX_XENT] = ENTRIES(&cl_softmax_xent_plain),
    [U3D_OP_SOFTMAX_XENT_BACK] = ENTRIES(&cl_softmax_xent_back_plain),
    [U3D_OP_DICE] = ENTRIES(&cl_dice_plain),
    [U3D_OP_DICE_BACK] = ENTRIES(&cl_dice_back_plain),
    [U3D_OP_SGD_STEP] = ENTRIES(&cl_sgd_step_plain),
    [U3D_OP_ADAM_STEP] = ENTRIES(&cl_adam_step_plain),
    [U3D_OP_LERP] = ENTRIES(&cl_lerp_plain),
    [U3D_OP_SUM_SQUARES] = ENTRIES(&cl_sum_squares_plain),
};
