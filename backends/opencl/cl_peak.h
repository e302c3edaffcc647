/* Measures the ceilings of a device, with which `u3d bench` compares its results. */
#ifndef U3D_BACKENDS_OPENCL_CL_PEAK_H
#define U3D_BACKENDS_OPENCL_CL_PEAK_H

#include "backends/opencl/cl_job.h"

/* Measures fused multiply-adds in 10^9 FLOP/s and the memory bandwidth of a triad in 10^9 bytes/s, in about a
 * second. Uses 192 MB of device memory, or less on devices where 192 MB is more than an eighth of the
 * memory. */
u3d_status cl_peak_measure(const cl_host *h, double *gflops, double *gbytes_s);

#endif
