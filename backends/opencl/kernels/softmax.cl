/* Softmax over the channels of a voxel: y = exp(x - max) / sum, with one work-item per voxel. y may share its
 * memory with x. */
#include "softmax.clh"

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
softmax(SHARED(float, x), SHARED(float, y), const int voxels, const int classes)
{
    AT(x);
    AT(y);
    const size_t v = get_global_id(0);
    if (v >= (size_t)voxels) return;
    __global const float *z = x + v * classes;
    __global float *p = y + v * classes;
    const float top = z[row_top(z, classes)], scale = 1.0f / row_exp_sum(z, classes, top, -1);
    for (int k = 0; k < classes; k++) p[k] = exp(z[k] - top) * scale;
}
