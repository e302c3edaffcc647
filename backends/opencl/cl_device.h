/* Lists the OpenCL devices and picks the one that the user asked for. */
#ifndef U3D_BACKENDS_OPENCL_CL_DEVICE_H
#define U3D_BACKENDS_OPENCL_CL_DEVICE_H

#include "backends/opencl/cl_impl.h"

enum { CL_MAX_DEVICES = 32 };

/* Lists all devices of all platforms in a fixed order, GPUs first; a device's index is its number for
 * --device. U3D_E_DEVICE: there is no loader, no platform or no device; the message says which and what to
 * do. */
u3d_status cl_devices(cl_device *out, int cap, int *n);

/* Picks the usable device that `wanted` describes: a number, or part of the name of a device or its platform.
 * If `wanted` is NULL, U3D_CL_DEVICE is used instead; without that variable the first usable device is
 * picked. U3D_E_DEVICE: no usable device fits; the message lists all devices. */
u3d_status cl_device_pick(const char *wanted, cl_device *out);

void cl_device_caps(const cl_device *dev, u3d_caps *out);

#endif
