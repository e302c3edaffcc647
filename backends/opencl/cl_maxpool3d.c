/* Max pooling and its gradient: kernels/maxpool3d.cl. */
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_rows.h"

typedef struct pool {       /* the map of windows */
    int64_t planes, oh, ow; /* planes of all samples */
    int64_t vec, width;     /* pieces of channels    */
} pool;

static pool pool_of(const u3d_type *windows)
{
    const int64_t vec = cl_vec_of(cl_channels(windows));
    return (pool){.planes = windows->dim[0] * windows->dim[1],
                  .oh = windows->dim[2],
                  .ow = windows->dim[3],
                  .vec = vec,
                  .width = cl_channels(windows) / vec};
}

static void begin_pool(cl_job *j, const pool *p, const char *name, bool lazy)
{
    const int32_t *k = j->desc->attr.conv.kernel;
    const cl_range range = {{(uint64_t)(p->ow * p->width), (uint64_t)p->oh, (uint64_t)p->planes}, {64, 4, 1}};
    cl_defines d = {0};
    cl_define(&d, "VEC", p->vec);
    cl_define(&d, "KD", k[0]);
    cl_define(&d, "KH", k[1]);
    cl_define(&d, "KW", k[2]);
    if (lazy) cl_define(&d, "LAZY", 1);
    if (cl_adds(j->desc, 0)) cl_define(&d, "ADD", 1);
    cl_job_kernel(j, "maxpool3d", name, &d, range);
}

static void add_sizes(cl_job *j, const pool *p)
{
    cl_job_int(j, p->ow);
    cl_job_int(j, p->oh);
    cl_job_int(j, p->width);
}

static void prepare_maxpool3d(cl_job *j)
{
    const u3d_op_desc *d = j->desc;
    const pool p = pool_of(&d->out[0]);
    const bool lazy = d->attr.conv.lazy[0];
    begin_pool(j, &p, "maxpool3d", lazy);
    cl_job_arg(j, cl_in(0));
    if (lazy) {
        cl_job_arg(j, cl_in(1));
        cl_job_float(j, d->attr.conv.slope);
        cl_job_int(j, p.planes / d->in[1].dim[0]);
    }
    cl_job_arg(j, cl_out(0));
    cl_job_arg(j, cl_out(1));
    add_sizes(j, &p);
}

static void prepare_maxpool3d_dx(cl_job *j)
{
    const pool p = pool_of(&j->desc->in[0]);
    begin_pool(j, &p, "maxpool3d_dx", false);
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_out(0));
    add_sizes(j, &p);
}

const cl_entry cl_maxpool3d_plain = {.name = "plain", .prepare = prepare_maxpool3d};
const cl_entry cl_maxpool3d_dx_plain = {.name = "plain", .prepare = prepare_maxpool3d_dx};
