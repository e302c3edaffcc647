/* Prepared ops: the steps of a job and how they are enqueued. Used by cl_backend.c. */
#ifndef U3D_BACKENDS_OPENCL_CL_JOB_H
#define U3D_BACKENDS_OPENCL_CL_JOB_H

#include "backends/opencl/cl_program.h"

struct u3d_buffer {
    cl_mem mem;
    uint64_t bytes;
};

/* What building and running a job needs of the open backend. */
typedef struct cl_host {
    cl_device dev;
    cl_context context;
    cl_command_queue compute;
    cl_programs *programs;
    uint64_t bytes, peak_bytes; /* of device memory held, now and at most */
} cl_host;

static inline void cl_host_count(cl_host *h, uint64_t more, uint64_t less)
{
    h->bytes += more - less;
    if (h->bytes > h->peak_bytes) h->peak_bytes = h->bytes;
}

/* Prepares entry e for description d, which is copied. */
u3d_status cl_kernel_new(const cl_host *h, const cl_entry *e, const u3d_op_desc *d, uint64_t work_bytes,
                         u3d_kernel **out);
void cl_kernel_free(u3d_kernel *k);
u3d_status cl_kernel_run(const cl_host *h, u3d_kernel *k, const u3d_span *in, const u3d_span *out,
                         u3d_span work);

#endif
