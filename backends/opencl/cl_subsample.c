/* Labels at a lower resolution (kernels/subsample.cl). */
#include "backends/opencl/cl_entries.h"

static void prepare_subsample(cl_job *j)
{
    const u3d_type *y = &j->desc->out[0];
    const int32_t *s = j->desc->attr.subsample.stride;
    const cl_range range = {{(uint64_t)y->dim[3], (uint64_t)y->dim[2], (uint64_t)(y->dim[0] * y->dim[1])},
                            {64, 4, 1}};
    cl_defines d = {0};
    cl_define(&d, "SD", s[0]);
    cl_define(&d, "SH", s[1]);
    cl_define(&d, "SW", s[2]);
    cl_job_kernel(j, "subsample", "subsample", &d, range);
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_out(0));
    cl_job_int(j, y->dim[3]);
    cl_job_int(j, y->dim[2]);
    cl_job_int(j, j->desc->attr.subsample.ignore_label);
}

const cl_entry cl_subsample_plain = {.name = "plain", .prepare = prepare_subsample};
