/* The windows of a map as a matrix, a slab of rows at a time. This turns convolutions into matrix products.
 *
 * Row v holds the window of output voxel v (counted over all samples, x fastest); column k = tap * C + c. The
 * whole matrix is as large as the map times the number of taps, so only one slab of its rows exists at any
 * time, in the workspace. If the windows have one voxel and the map is plain, the matrix is the map itself
 * and needs no memory. */
#ifndef U3D_BACKENDS_OPENCL_CL_UNFOLD_H
#define U3D_BACKENDS_OPENCL_CL_UNFOLD_H

#include "backends/opencl/cl_map.h"

typedef struct cl_windows {
    cl_map map;
    int64_t grid[3]; /* output voxels of a sample: z, y, x */
    int32_t kernel[3], stride[3], pad[3];
} cl_windows;

int64_t cl_windows_rows(const cl_windows *w);
int64_t cl_windows_columns(const cl_windows *w);

/* Whether the matrix is the map itself, as it lies in memory. */
bool cl_windows_are_map(const cl_windows *w);

/* Bytes of workspace for a slab: a multiple of the device's align, and 0 if the matrix is the map itself. */
uint64_t cl_windows_bytes(const cl_device *dev, const cl_windows *w, int64_t rows);

/* Makes rows [row0, row0 + rows) available and returns their place. If the matrix is the map itself, this is
 * a place in the map, stored as [row, column]. Otherwise it is `work`: a step is added to the job that writes
 * the rows there, as [row, column], or as [column, row] if `transposed`. */
cl_place cl_windows_slab(cl_job *j, const cl_windows *w, int64_t row0, int64_t rows, bool transposed,
                         cl_place work);

/* ---- slabs ---- */

/* Describes how a matrix can be cut into slabs. `need` returns the bytes of workspace for a slab with
 * that number of rows. */
typedef struct cl_slabs {
    const cl_device *dev;
    int64_t total;    /* rows of the whole matrix   */
    int64_t rows_max; /* the most rows of a slab    */
    uint64_t (*need)(const void *user, int64_t rows);
    const void *user;
} cl_slabs;

/* The rows of the longest slab that `bytes` of workspace allow: a multiple of 128, or all rows. All slabs are
 * equal, except that the last one may be shorter. */
int64_t cl_slab_rows(const cl_slabs *s, uint64_t bytes);

/* The workspace, including `fixed` bytes for other data. `min` is enough for the shortest slabs; `best` is
 * enough for the longest slabs that need at most 128 MB, and never less than `min`. */
void cl_slab_work(const cl_slabs *s, uint64_t fixed, uint64_t *min, uint64_t *best);

#endif
