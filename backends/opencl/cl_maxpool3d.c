/* Max pooling and its gradient (kernels/maxpool3d.cl). */
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_map.h"

/* Begins a step over the windows; `windows` is the type of a map with one voxel per window. */
static void begin_pool(cl_job *j, const u3d_type *windows, const cl_map *map, const char *name)
{
    const int32_t *k = j->desc->attr.conv.kernel;
    const int64_t row = windows->dim[3] * (map->c / cl_map_vec(map));
    const cl_range range = {
        {(uint64_t)row, (uint64_t)windows->dim[2], (uint64_t)(windows->dim[0] * windows->dim[1])},
        {64, 4, 1}};
    cl_defines d = {0};
    cl_map_define(&d, map, cl_map_vec(map));
    cl_define(&d, "KD", k[0]);
    cl_define(&d, "KH", k[1]);
    cl_define(&d, "KW", k[2]);
    if (cl_adds(j->desc, 0)) cl_define(&d, "ADD", 1);
    cl_job_kernel(j, "maxpool3d", name, &d, range);
}

/* Adds the row length and the number of rows of a plane of windows, and the pieces of a voxel. */
static void add_sizes(cl_job *j, const u3d_type *windows, const cl_map *map)
{
    cl_job_int(j, windows->dim[3]);
    cl_job_int(j, windows->dim[2]);
    cl_job_int(j, map->c / cl_map_vec(map));
}

static void prepare_maxpool3d(cl_job *j)
{
    const cl_map map = cl_map_of(j->desc);
    begin_pool(j, &j->desc->out[0], &map, "maxpool3d");
    cl_map_args(j, &map);
    cl_job_arg(j, cl_out(0));
    cl_job_arg(j, cl_out(1));
    add_sizes(j, &j->desc->out[0], &map);
}

static void prepare_maxpool3d_dx(cl_job *j)
{
    const cl_map dy = cl_map_plain(cl_in(0), &j->desc->in[0]);
    begin_pool(j, &j->desc->in[0], &dy, "maxpool3d_dx");
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_out(0));
    add_sizes(j, &j->desc->in[0], &dy);
}

const cl_entry cl_maxpool3d_plain = {.name = "plain", .prepare = prepare_maxpool3d};
const cl_entry cl_maxpool3d_dx_plain = {.name = "plain", .prepare = prepare_maxpool3d_dx};
