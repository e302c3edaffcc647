/* Which devices there are, and which one is meant. */
#ifndef U3D_BACKENDS_OPENCL_CL_DEVICE_H
#define U3D_BACKENDS_OPENCL_CL_DEVICE_H

#include "backends/opencl/cl_impl.h"

enum { CL_MAX_DEVICES = 32 };

/* All devices of all platforms, GPUs first, in a fixed order; their numbers are those of --device.
 * U3D_E_DEVICE where there is no loader, no platform or no device: the message says why and what to do. */
u3d_status cl_devices(cl_device *out, int cap, int *n);

/* The device that `wanted` (a number, part of a name; NULL: U3D_CL_DEVICE, else the first usable) means.
 * U3D_E_DEVICE lists what there is. */
u3d_status cl_device_pick(const char *wanted, cl_device *out);

void cl_device_caps(const cl_device *dev, u3d_caps *out);

#endif
