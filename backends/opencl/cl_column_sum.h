/* Sums of the columns of a matrix in a fixed order: gradients of biases. */
#ifndef U3D_BACKENDS_OPENCL_CL_COLUMN_SUM_H
#define U3D_BACKENDS_OPENCL_CL_COLUMN_SUM_H

#include "backends/opencl/cl_impl.h"

/* Workspace, a multiple of 4: at most 256 KB unless one row is longer. */
uint64_t cl_column_sum_bytes(int64_t rows, int64_t columns);

/* out[columns] = (or, with `add`, +=) the sums over x [rows, columns]; `work` is used until then. */
void cl_column_sum(cl_job *j, cl_place x, int64_t rows, int64_t columns, cl_place out, bool add,
                   cl_place work);

#endif
