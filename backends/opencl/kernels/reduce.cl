/* Sums in a fixed order, in two stages: a second kernel adds the partial sums of the work-groups.
 *
 *   sum_voxels      part[group][c] = sum of x[v][c] over the group's voxels, rows.clh
 *   reduce_columns  out[c] = sum over r of part[r][c], for few columns, many rows
 *   add_slices      out[e] = sum over s of part[s][e] + bias[e mod channels], for many elements, few slices
 *
 * With ADD, reduce_columns and add_slices add to `out`. */
#include "vec.clh"
#include "reduce.clh"
#include "rows.clh"

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
sum_voxels(IN(float, x), OUT(float, part), ROWS_PARAMETERS)
{
    __local floatv sums[ROWS_GROUP];
    AT(x);
    AT(part);
    const rows r = rows_mine(ROWS_ARGUMENTS);
    __global const floatv *from = CPIECES(x) + r.at;
    floatv sum = (floatv)(0.0f);
    for (int i = 0; i < r.count; i += ROWS_BLOCK) {
        const int end = min(i + (int)ROWS_BLOCK, r.count);
        floatv block = (floatv)(0.0f);
        for (int k = i; k < end; k++) block += from[k * r.step];
        sum += block;
    }
    sums[get_local_id(0)] = sum;
    tree_sums(sums, columns, lanes);
    if (r.lane == 0 && r.column < width) PIECES(part)[(size_t)r.group * width + r.column] = sums[r.slot];
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
reduce_columns(IN(float, part), OUT(float, out), const int rows, const int columns)
{
    __local float2 pairs[REDUCE_COLUMNS * REDUCE_LANES];
    AT(part);
    AT(out);
    const int item = (int)get_local_id(0), lane = item / REDUCE_COLUMNS;
    const int column = (int)get_group_id(0) * REDUCE_COLUMNS + item % REDUCE_COLUMNS;
    float2 sum = (float2)(0.0f);
    if (column < columns)
        for (int r = lane; r < rows; r += REDUCE_LANES)
            sum = pair_add(sum, part[(size_t)r * columns + column]);
    pairs[item] = sum;
    tree_pairs(pairs, REDUCE_COLUMNS, REDUCE_LANES);
    if (lane == 0 && column < columns) STORE(out[column], pairs[item].x + pairs[item].y);
}

/* Four running sums take turns, which keeps rounding errors small. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
add_slices(IN(float, part), IN(float, bias), OUT(float, out), const int n, const int slices,
           const int has_bias, const int channels)
{
    AT(part);
    AT(bias);
    AT(out);
    const int e = (int)get_global_id(0);
    if (e >= n) return;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    int s = 0;
    for (; s + 4 <= slices; s += 4)
        for (int i = 0; i < 4; i++) sum[i] += part[(size_t)(s + i) * n + e];
    for (; s < slices; s++) sum[0] += part[(size_t)s * n + e];
    float total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if (has_bias) total += bias[e % channels];
    STORE(out[e], total);
}
