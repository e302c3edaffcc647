/* Maps that are reduced or scaled per channel, and sums in two stages: what the host decides for
 * kernels/rows.clh, vec.clh, reduce.clh and reduce.cl. All of it follows from shapes, so that sums are equal
 * on every device. */
#ifndef U3D_BACKENDS_OPENCL_CL_ROWS_H
#define U3D_BACKENDS_OPENCL_CL_ROWS_H

#include "backends/opencl/cl_impl.h"

/* A map as `sets` (the batch, or each sample) of `voxels` rows of `width` pieces of `vec` floats. */
typedef struct cl_rows {
    int64_t sets, voxels, width;
    int64_t vec;            /* 4 where the number of channels is a multiple of it, else 1 */
    int64_t columns, lanes; /* of a work-group: neighbouring pieces of a voxel, voxels    */
    int64_t blocks;         /* of columns that cover the width                            */
} cl_rows;

cl_rows cl_rows_of(const u3d_type *map, bool per_instance);

/* Voxels per work-group and groups per set. For sums: long runs, so that few parts are left to add. For
 * results of single elements: short ones, so that there are many groups. */
typedef struct cl_spans {
    int64_t span, groups;
} cl_spans;

cl_spans cl_rows_sum_spans(const cl_rows *r);
cl_spans cl_rows_map_spans(const cl_rows *r);

/* Begins a kernel step over the map; its parameters ROWS_PARAMETERS are added by cl_rows_arguments. */
void cl_rows_kernel(cl_job *j, const cl_rows *r, const cl_spans *s, const char *file, const char *name,
                    const cl_defines *defines);
void cl_rows_arguments(cl_job *j, const cl_rows *r, const cl_spans *s);

/* n things split for sums: the span is a multiple of `unit`, and there are at most `most` groups. */
cl_spans cl_spans_of(int64_t n, int64_t unit, int64_t most);

/* Work-items of a second stage over this many columns (of pieces): kernels/reduce.clh. */
cl_range cl_reduce_range(int64_t columns, int64_t sets);

/* Adds the step out[c] = (or, with `add`, +=) sum over rows r of part[r][c], part [rows][columns]. */
void cl_job_reduce_columns(cl_job *j, cl_place part, int64_t rows, int64_t columns, cl_place out, bool add);

/* Two steps: out[c] = (or +=) sum over all voxels of map x; `work` is used until then. */
uint64_t cl_sum_voxels_bytes(const u3d_type *map);
void cl_job_sum_voxels(cl_job *j, cl_place x, const u3d_type *map, cl_place out, bool add, cl_place work);

#endif
