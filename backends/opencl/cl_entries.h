/* All implementations of all ops; cl_list.c puts them in order. */
#ifndef U3D_BACKENDS_OPENCL_CL_ENTRIES_H
#define U3D_BACKENDS_OPENCL_CL_ENTRIES_H

#include "backends/opencl/cl_impl.h"

/* convolutions (cl_conv3d.c, cl_conv3d_implicit.c) */
extern const cl_entry cl_conv3d_implicit, cl_conv3d_dx_implicit, cl_conv3d_dw_implicit;
extern const cl_entry cl_conv3d_plain, cl_conv3d_dx_plain, cl_conv3d_dw_plain;
extern const cl_entry cl_upconv3d_plain, cl_upconv3d_dx_plain, cl_upconv3d_dw_plain;

/* matrix products by CLBlast (cl_clblast.c) */
extern const cl_entry cl_conv3d_clblast, cl_conv3d_unfold, cl_conv3d_dx_clblast, cl_conv3d_dx_unfold,
    cl_conv3d_dw_clblast, cl_conv3d_dw_unfold;
extern const cl_entry cl_upconv3d_clblast, cl_upconv3d_dx_clblast, cl_upconv3d_dw_clblast;

/* pooling, norm, crop and concat, labels, pointwise, losses, optimizers */
extern const cl_entry cl_maxpool3d_plain, cl_maxpool3d_dx_plain;
extern const cl_entry cl_norm_plain, cl_norm_back_plain, cl_moments_plain, cl_norm_table_plain;
extern const cl_entry cl_crop_concat_plain, cl_crop_concat_back_plain;
extern const cl_entry cl_relu_plain, cl_relu_back_plain, cl_fill_plain, cl_copy_plain, cl_add_plain,
    cl_scale_plain;
extern const cl_entry cl_subsample_plain;
extern const cl_entry cl_softmax_plain, cl_softmax_xent_plain, cl_softmax_xent_back_plain, cl_dice_plain,
    cl_dice_back_plain;
extern const cl_entry cl_sgd_step_plain, cl_adam_step_plain, cl_lerp_plain, cl_sum_squares_plain;

#endif
