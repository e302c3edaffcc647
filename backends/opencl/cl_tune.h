/* Measures CLBlast's parameters: u3d_backend_tune for this backend. */
#ifndef U3D_BACKENDS_OPENCL_CL_TUNE_H
#define U3D_BACKENDS_OPENCL_CL_TUNE_H

#include "backends/opencl/cl_job.h"

u3d_status cl_tune(const cl_host *h, double seconds, u3d_tune_say *say, void *user);

#endif
