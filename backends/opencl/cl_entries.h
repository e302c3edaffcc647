/* Every implementation of every op; cl_list.c puts them in order. */
#ifndef U3D_BACKENDS_OPENCL_CL_ENTRIES_H
#define U3D_BACKENDS_OPENCL_CL_ENTRIES_H

#include "backends/opencl/cl_impl.h"

/* convolution (cl_conv3d.c, cl_upconv3d.c, cl_conv3d_implicit.c) */
extern const cl_entry cl_conv3d_implicit, cl_conv3d_dx_implicit, cl_conv3d_dw_implicit;
extern const cl_entry cl_conv3d_plain, cl_conv3d_dx_plain, cl_conv3d_dw_plain;
extern const cl_entry cl_upconv3d_plain, cl_upconv3d_dx_plain, cl_upconv3d_dw_plain;

/* matrix products by CLBlast (cl_clblast*.c) */

/* pooling, norm, crop and concat, pointwise, losses, optimizers */

#endif
