/* Bytes between host and device, through pinned memory that the driver can copy from while kernels run. */
#ifndef U3D_BACKENDS_OPENCL_CL_TRANSFER_H
#define U3D_BACKENDS_OPENCL_CL_TRANSFER_H

#include "backends/opencl/cl_job.h"

enum { CL_STAGING_BYTES = 64 << 20 }; /* on the device, at most */

typedef struct cl_transfers cl_transfers;

u3d_status cl_transfers_new(cl_host *h, cl_transfers **out);
void cl_transfers_free(cl_transfers *t); /* waits for what is under way */

/* In the order of the compute queue, as seen from the kernels before and behind; src is free on return. The
 * bytes travel on a queue of their own to a staging buffer while earlier kernels still run; what waits for
 * its turn is a copy inside the device. */
u3d_status cl_upload(cl_transfers *t, u3d_span dst, const void *src, uint64_t bytes);
u3d_status cl_download(cl_transfers *t, void *dst, u3d_span src, uint64_t bytes); /* waits */

u3d_status cl_post(cl_transfers *t, u3d_span src, uint32_t bytes, int slot);
u3d_status cl_collect(cl_transfers *t, int slot, void *dst, uint32_t bytes);

#endif
