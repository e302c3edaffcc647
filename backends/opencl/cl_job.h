/* Prepared ops: builds the steps of a job and enqueues them. cl_host is the open device, which cl_backend.c,
 * cl_transfer.c, cl_peak.c and cl_tune.c share. */
#ifndef U3D_BACKENDS_OPENCL_CL_JOB_H
#define U3D_BACKENDS_OPENCL_CL_JOB_H

#include "backends/opencl/cl_program.h"

struct u3d_buffer {
    cl_mem mem;
    uint64_t bytes;
};

/* The parts of the open backend that are needed to build and run jobs. */
typedef struct cl_host {
    cl_device dev;
    cl_context context;
    cl_command_queue compute;
    cl_programs *programs;
    uint64_t bytes, peak_bytes; /* device memory that is held now, and the most that was held at once */
} cl_host;

static inline void cl_host_count(cl_host *h, uint64_t more, uint64_t less)
{
    h->bytes += more - less;
    if (h->bytes > h->peak_bytes) h->peak_bytes = h->bytes;
}

/* Prepares entry e for description d; *out keeps a copy of d. */
u3d_status cl_kernel_new(const cl_host *h, const cl_entry *e, const u3d_op_desc *d, uint64_t work_bytes,
                         u3d_kernel **out);
void cl_kernel_free(u3d_kernel *k);
u3d_status cl_kernel_run(const cl_host *h, u3d_kernel *k, const u3d_span *in, const u3d_span *out,
                         u3d_span work);

#endif
