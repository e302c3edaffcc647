/* The device's ceilings, measured: what `u3d bench` compares with. */
#ifndef U3D_BACKENDS_OPENCL_CL_PEAK_H
#define U3D_BACKENDS_OPENCL_CL_PEAK_H

#include "backends/opencl/cl_job.h"

/* Fused multiply-adds in 10^9 FLOP/s, bandwidth of a triad in 10^9 bytes/s; about a second. Needs 192 MB of
 * device memory, or an eighth of it where that is less. */
u3d_status cl_peak_measure(const cl_host *h, double *gflops, double *gbytes_s);

#endif
