/* Chooses from the shape of a map how many voxels a work-group processes and how its work-items share
 * them. */
#include "backends/opencl/cl_rows.h"

enum {
    GROUP = 256,           /* work-items, as in rows.clh                                                 */
    BLOCK = 8,             /* voxels that a work-item sums at once, as in rows.clh                       */
    MAX_COLUMNS = 64,      /* columns of float4: 1 KB of a voxel, and still 4 voxels at once             */
    MAX_SUM_GROUPS = 1024, /* several per multiprocessor of a large GPU, yet few partial sums for 32 lanes */
    MAP_VOXELS = 4,        /* per work-item: enough that a channel's parameters are loaded rarely        */
    REDUCE_COLUMNS = 8     /* as in reduce.clh                                                           */
};

cl_rows cl_rows_of(const u3d_type *map, bool per_instance)
{
    cl_rows r = {.sets = per_instance ? map->dim[0] : 1, .vec = cl_vec_of(cl_channels(map))};
    r.voxels = cl_voxels(map) / r.sets;
    r.width = cl_channels(map) / r.vec;
    r.blocks = cl_ceil_div(r.width, MAX_COLUMNS);
    r.columns = cl_ceil_div(r.width, r.blocks);
    r.lanes = GROUP / r.columns;
    return r;
}

cl_spans cl_spans_of(int64_t n, int64_t unit, int64_t most)
{
    cl_spans s = {.span = cl_ceil_div(cl_ceil_div(n, most), unit) * unit};
    s.groups = cl_ceil_div(n, s.span);
    return s;
}

cl_spans cl_rows_sum_spans(const cl_rows *r)
{
    return cl_spans_of(r->voxels, r->lanes * BLOCK, MAX_SUM_GROUPS);
}

cl_spans cl_rows_map_spans(const cl_rows *r)
{
    const int64_t span = r->lanes * MAP_VOXELS;
    return (cl_spans){span, cl_ceil_div(r->voxels, span)};
}

void cl_rows_kernel(cl_job *j, const cl_rows *r, const cl_spans *s, const char *file, const char *name,
                    const cl_defines *defines)
{
    const cl_range range = {{(uint64_t)s->groups * GROUP, (uint64_t)r->blocks, (uint64_t)r->sets},
                            {GROUP, 1, 1}};
    cl_job_kernel(j, file, name, defines, range);
}

void cl_rows_arguments(cl_job *j, const cl_rows *r, const cl_spans *s)
{
    cl_job_int(j, r->voxels);
    cl_job_int(j, r->width);
    cl_job_int(j, r->columns);
    cl_job_int(j, r->lanes);
    cl_job_int(j, s->span);
}

cl_range cl_reduce_range(int64_t columns, int64_t sets)
{
    const uint64_t groups = (uint64_t)cl_ceil_div(columns, REDUCE_COLUMNS);
    return (cl_range){{groups * GROUP, 1, (uint64_t)sets}, {GROUP, 1, 1}};
}

void cl_job_reduce_columns(cl_job *j, cl_place part, int64_t rows, int64_t columns, cl_place out, bool add)
{
    cl_defines defines = {0};
    if (add) cl_define(&defines, "ADD", 1);
    cl_job_kernel(j, "reduce", "reduce_columns", &defines, cl_reduce_range(columns, 1));
    cl_job_arg(j, part);
    cl_job_arg(j, out);
    cl_job_int(j, rows);
    cl_job_int(j, columns);
}

uint64_t cl_sum_voxels_bytes(const u3d_type *map)
{
    const cl_rows r = cl_rows_of(map, false);
    return cl_floats_bytes(cl_rows_sum_spans(&r).groups * cl_channels(map));
}

void cl_job_sum_voxels(cl_job *j, cl_place x, const u3d_type *map, cl_place out, bool add, cl_place work)
{
    const cl_rows r = cl_rows_of(map, false);
    const cl_spans s = cl_rows_sum_spans(&r);
    cl_defines defines = {0};
    cl_define(&defines, "VEC", r.vec);
    cl_rows_kernel(j, &r, &s, "reduce", "sum_voxels", &defines);
    cl_job_arg(j, x);
    cl_job_arg(j, work);
    cl_rows_arguments(j, &r, &s);
    cl_job_reduce_columns(j, work, s.groups, cl_channels(map), out, add);
}
