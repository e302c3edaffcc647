/* Copies bytes between host and device through pinned memory, which the driver can read and write while
 * kernels run. */
#ifndef U3D_BACKENDS_OPENCL_CL_TRANSFER_H
#define U3D_BACKENDS_OPENCL_CL_TRANSFER_H

#include "backends/opencl/cl_job.h"

enum { CL_STAGING_BYTES = 64 << 20 }; /* at most so much memory of the device is used for staging */

typedef struct cl_transfers cl_transfers;

u3d_status cl_transfers_new(cl_host *h, cl_transfers **out);
void cl_transfers_free(cl_transfers *t); /* waits for the transfers that are under way */

/* Uploads take effect in the order of the compute queue: kernels enqueued before see the old bytes, kernels
 * enqueued after see the new ones. `src` may be reused on return. Large uploads go through a queue of their
 * own to a staging buffer while earlier kernels still run; only a copy within the device waits for its
 * turn. */
u3d_status cl_upload(cl_transfers *t, u3d_span dst, const void *src, uint64_t bytes);
u3d_status cl_download(cl_transfers *t, void *dst, u3d_span src, uint64_t bytes); /* waits for the bytes */

/* See u3d_backend_post and u3d_backend_collect. */
u3d_status cl_post(cl_transfers *t, u3d_span src, uint32_t bytes, int slot);
u3d_status cl_collect(cl_transfers *t, int slot, void *dst, uint32_t bytes);

#endif
