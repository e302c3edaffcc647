/* Sums that convolutions split into slices, and the bias gradient. */

/* y[e] (+)= bias[e mod channels] + sum over slices of part[slice, e], in fixed order: four running sums, then
 * those. */
__kernel void conv3d_add_slices(IN(float, part), IN(float, bias), OUT(float, y), const int n,
                                const int slices, const int has_bias, const int channels)
{
    AT(part);
    AT(bias);
    AT(y);
    const int e = get_global_id(0);
    if (e >= n) return;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int s = 0;
    for (; s + 4 <= slices; s += 4)
        for (int i = 0; i < 4; i++) sum[i] += part[(long)(s + i) * n + e];
    for (; s < slices; s++) sum[0] += part[(long)s * n + e];
    float total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if (has_bias) total += bias[e % channels];
    STORE(y[e], total);
}

/* part[slice, co] = sum over the slice's voxels of dy[v, co]. Group 0: slice, group 1: 256 channels. Of the
 * work-items as many rows as fit read voxels side by side, so that few channels still fill the group. */
#define GROUP 256

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
conv3d_dbias(IN(float, dy), OUT(float, part), const int voxels, const int channels, const int per_slice)
{
    __local float sums[GROUP];
    AT(dy);
    AT(part);
    const int lid = get_local_id(0), slice = get_group_id(0), c0 = get_group_id(1) * GROUP;
    const int width = min(channels - c0, GROUP), rows = GROUP / width;
    const int row = lid / width, c = c0 + lid % width;

    float sum = 0.0f;
    const int end = min(voxels, (slice + 1) * per_slice);
    if (row < rows)
        for (int v = slice * per_slice + row; v < end; v += rows) sum += dy[v * channels + c];
    sums[lid] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid >= width) return;
    sum = 0.0f;
    for (int r = 0; r < rows; r++) sum += sums[r * width + lid];
    part[slice * channels + c] = sum;
}
