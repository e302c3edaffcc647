/* The windows of a map as a matrix, a slab of rows at a time: what turns convolutions into matrix products.
 *
 * Row v holds the window of output voxel v (of all samples, x fastest), column k = tap * C + c. The whole
 * matrix is kernel volume times the map: only a slab of rows exists at any time, in the workspace. A window
 * of one voxel over a plain map is the map itself and needs no memory. */
#ifndef U3D_BACKENDS_OPENCL_CL_UNFOLD_H
#define U3D_BACKENDS_OPENCL_CL_UNFOLD_H

#include "backends/opencl/cl_map.h"

typedef struct cl_windows {
    cl_map map;
    int64_t grid[3]; /* output voxels of a sample */
    int32_t kernel[3], stride[3], pad[3];
} cl_windows;

int64_t cl_windows_rows(const cl_windows *w);
int64_t cl_windows_columns(const cl_windows *w);

/* The map itself, as it lies in memory. */
bool cl_windows_are_map(const cl_windows *w);

/* Bytes of workspace for a slab, 0 where the windows are the map; a multiple of the device's align. */
uint64_t cl_windows_bytes(const cl_device *dev, const cl_windows *w, int64_t rows);

/* Where rows [row0, row0 + rows) lie after this: in the map itself, stored [row, column]; or at `work`,
 * written by a step of the job, stored [row, column], or [column, row] where `transposed`. */
cl_place cl_windows_slab(cl_job *j, const cl_windows *w, int64_t row0, int64_t rows, bool transposed,
                         cl_place work);

/* ---- slabs ---- */

/* How many rows a slab has. `need` tells the bytes of workspace for a slab of that many rows. */
typedef struct cl_slabs {
    const cl_device *dev;
    int64_t total;    /* rows in all                               */
    int64_t rows_max; /* of a slab, more than that is not wanted   */
    uint64_t (*need)(const void *user, int64_t rows);
    const void *user;
} cl_slabs;

/* The longest slab that `bytes` of workspace allow: a multiple of 128, or all rows; equal slabs but for a
 * shorter last one. */
int64_t cl_slab_rows(const cl_slabs *s, uint64_t bytes);

/* Workspace, `fixed` bytes for others included: the least, for the shortest slabs; and the best, 128 MB where
 * that is enough for slabs of good length. */
void cl_slab_work(const cl_slabs *s, uint64_t fixed, uint64_t *min, uint64_t *best);

#endif
