/* Every implementation of every op; cl_list.c puts them in order. */
#ifndef U3D_BACKENDS_OPENCL_CL_ENTRIES_H
#define U3D_BACKENDS_OPENCL_CL_ENTRIES_H

#include "backends/opencl/cl_impl.h"

/* convolution (cl_conv3d.c, ...) */

/* matrix products by CLBlast (cl_clblast*.c) */

/* pooling, norm, crop and concat, pointwise, losses, optimizers */

#endif
