/* Second stage of sums: the parts that work-groups left behind, added column by column in fixed order.
 *
 *   out[c] = sum over r of part[r][c],   part [rows][columns] */
#include "reduce.clh"

enum { COLUMNS = 8, LANES = 32 }; /* 8 floats: the least that memory hands out */

__kernel __attribute__((reqd_work_group_size(256, 1, 1)))
void reduce_columns(IN(float, part), OUT(float, out), const int rows, const int columns)
{
    __local float2 pairs[COLUMNS * LANES];
    AT(part);
    AT(out);
    const int item = (int)get_local_id(0), lane = item / COLUMNS;
    const int column = (int)get_group_id(0) * COLUMNS + item % COLUMNS;
    float2 sum = (float2)(0.0f);
    if (column < columns)
        for (int r = lane; r < rows; r += LANES) sum = pair_add(sum, part[(size_t)r * columns + column]);
    pairs[item] = sum;
    tree_pairs(pairs, COLUMNS, LANES);
    if (lane == 0 && column < columns) out[column] = pairs[item].x + pairs[item].y;
}
