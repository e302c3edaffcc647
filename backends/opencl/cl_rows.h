/* Maps that are reduced or scaled per channel, and sums in two stages: the sizes that the host chooses for
 * kernels/rows.clh, vec.clh, reduce.clh and reduce.cl. They follow from shapes only, so that sums are added
 * in the same order on every device. */
#ifndef U3D_BACKENDS_OPENCL_CL_ROWS_H
#define U3D_BACKENDS_OPENCL_CL_ROWS_H

#include "backends/opencl/cl_impl.h"

/* A map as `sets` (the batch, or each sample) of `voxels` rows of `width` pieces of `vec` floats. */
typedef struct cl_rows {
    int64_t sets, voxels, width;
    int64_t vec;            /* 4 if the number of channels is a multiple of 4, otherwise 1       */
    int64_t columns, lanes; /* of a work-group: neighbouring pieces of a voxel, voxels at a time */
    int64_t blocks;         /* number of blocks of `columns` pieces that cover the width         */
} cl_rows;

cl_rows cl_rows_of(const u3d_type *map, bool per_instance);

/* Voxels per work-group and work-groups per set. Sums use long spans, so that few partial sums are left to
 * add. Kernels that write single elements use short spans, so that there are many work-groups. */
typedef struct cl_spans {
    int64_t span, groups;
} cl_spans;

cl_spans cl_rows_sum_spans(const cl_rows *r);
cl_spans cl_rows_map_spans(const cl_rows *r);

/* Begins a kernel step over the map; cl_rows_arguments adds the arguments for ROWS_PARAMETERS. */
void cl_rows_kernel(cl_job *j, const cl_rows *r, const cl_spans *s, const char *file, const char *name,
                    const cl_defines *defines);
void cl_rows_arguments(cl_job *j, const cl_rows *r, const cl_spans *s);

/* Splits n elements for sums: the span is a multiple of `unit`, and there are at most `most` groups. */
cl_spans cl_spans_of(int64_t n, int64_t unit, int64_t most);

/* The work-items of a second stage over this number of columns of pieces (kernels/reduce.clh). */
cl_range cl_reduce_range(int64_t columns, int64_t sets);

/* Adds the step out[c] = sum over rows r of part[r][c] (with `add`: +=), where part is [rows][columns]. */
void cl_job_reduce_columns(cl_job *j, cl_place part, int64_t rows, int64_t columns, cl_place out, bool add);

/* Adds two steps for out[c] = sum over all voxels of map x (with `add`: +=). They use cl_sum_voxels_bytes at
 * `work`. */
uint64_t cl_sum_voxels_bytes(const u3d_type *map);
void cl_job_sum_voxels(cl_job *j, cl_place x, const u3d_type *map, cl_place out, bool add, cl_place work);

#endif
