/* Which implementations each op has, best first. An entry lives in the file of its op: cl_<op>_<name>. */
#include "backends/opencl/cl_entries.h"

#define ENTRIES(...) (const cl_entry *const[]){__VA_ARGS__ NULL}

const cl_entry *const *const cl_list[U3D_OP_COUNT] = {
    [U3D_OP_CONV3D] = ENTRIES(&cl_conv3d_implicit, &cl_conv3d_plain,),
    [U3D_OP_CONV3D_DX] = ENTRIES(&cl_conv3d_dx_implicit, &cl_conv3d_dx_plain,),
    [U3D_OP_CONV3D_DW] = ENTRIES(&cl_conv3d_dw_implicit, &cl_conv3d_dw_plain,),
    [U3D_OP_UPCONV3D] = ENTRIES(&cl_upconv3d_plain,),
    [U3D_OP_UPCONV3D_DX] = ENTRIES(&cl_upconv3d_dx_plain,),
    [U3D_OP_UPCONV3D_DW] = ENTRIES(&cl_upconv3d_dw_plain,),
    [U3D_OP_MAXPOOL3D] = ENTRIES(),
    [U3D_OP_MAXPOOL3D_DX] = ENTRIES(),
    [U3D_OP_NORM] = ENTRIES(),
    [U3D_OP_NORM_BACK] = ENTRIES(),
    [U3D_OP_MOMENTS] = ENTRIES(),
    [U3D_OP_NORM_TABLE] = ENTRIES(),
    [U3D_OP_RELU] = ENTRIES(),
    [U3D_OP_RELU_BACK] = ENTRIES(),
    [U3D_OP_FILL] = ENTRIES(),
    [U3D_OP_COPY] = ENTRIES(),
    [U3D_OP_ADD] = ENTRIES(),
    [U3D_OP_CROP_CONCAT] = ENTRIES(),
    [U3D_OP_CROP_CONCAT_BACK] = ENTRIES(),
    [U3D_OP_SOFTMAX] = ENTRIES(),
    [U3D_OP_SOFTMAX_XENT] = ENTRIES(),
    [U3D_OP_SOFTMAX_XENT_BACK] = ENTRIES(),
    [U3D_OP_DICE] = ENTRIES(),
    [U3D_OP_DICE_BACK] = ENTRIES(),
    [U3D_OP_SGD_STEP] = ENTRIES(),
    [U3D_OP_ADAM_STEP] = ENTRIES(),
    [U3D_OP_LERP] = ENTRIES(),
    [U3D_OP_SUM_SQUARES] = ENTRIES(),
};
