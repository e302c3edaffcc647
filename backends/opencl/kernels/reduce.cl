/* Second stage of sums: the parts that work-groups left behind, added column by column in fixed order.
 *
 *   out[c] = sum over r of part[r][c],   part [rows][columns] */
#include "reduce.clh"

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
    if (lane == 0 && column < columns) out[column] = pairs[item].x + pairs[item].y;
}
