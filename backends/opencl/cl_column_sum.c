#include "backends/opencl/cl_column_sum.h"

enum {
    LANES_BY_COLUMNS = 1 << 16, /* work-items that every GPU is busy with */
    GROUP = 256,
    TREE_GROUP = 128 /* GROUP of column_sum.cl */
};

static int64_t lanes_of(int64_t rows, int64_t columns)
{
    const int64_t lanes = LANES_BY_COLUMNS / columns;
    return lanes < 1 ? 1 : lanes < rows ? lanes : rows;
}

uint64_t cl_column_sum_bytes(int64_t rows, int64_t columns)
{
    return (uint64_t)(lanes_of(rows, columns) * columns) * sizeof(float);
}

void cl_column_sum(cl_job *j, cl_place x, int64_t rows, int64_t columns, cl_place out, bool add,
                   cl_place work)
{
    const int64_t lanes = lanes_of(rows, columns);
    cl_defines defines = {{0}};
    cl_define(&defines, "ADD", add);
    cl_job_kernel(j, "column_sum", "column_sum_lanes", &defines,
                  cl_range_1d((uint64_t)(lanes * columns), GROUP));
    cl_job_arg(j, x);
    cl_job_arg(j, work);
    cl_job_int(j, rows * columns);
    cl_job_int(j, lanes * columns);
    cl_job_kernel(j, "column_sum", "column_sum_tree", &defines,
                  cl_range_1d((uint64_t)columns * TREE_GROUP, TREE_GROUP));
    cl_job_arg(j, work);
    cl_job_arg(j, out);
    cl_job_int(j, lanes);
    cl_job_int(j, columns);
}
