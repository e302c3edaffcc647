/* Every implementation of every op; cl_list.c puts them in order. */
#ifndef U3D_BACKENDS_OPENCL_CL_ENTRIES_H
#define U3D_BACKENDS_OPENCL_CL_ENTRIES_H

#include "backends/opencl/cl_impl.h"

/* convolution (cl_conv3d.c, ...) */

/* matrix products by CLBlast (cl_clblast.c) */
extern const cl_entry cl_conv3d_clblast, cl_conv3d_unfold, cl_conv3d_dx_clblast,
    cl_conv3d_dx_unfold, cl_conv3d_dw_clblast, cl_conv3d_dw_unfold;
extern const cl_entry cl_upconv3d_clblast, cl_upconv3d_dx_clblast, cl_upconv3d_dw_clblast;

/* pooling, norm, crop and concat, pointwise, losses, optimizers */

#endif
