/* Sums of the columns of a matrix [rows, columns] in a fixed order: `lanes` rows side by side are added up first,
 * row after row; then the lanes of each column as a tree. */

/* partial[lane, column] = sum over j of x[j * lanes + lane, column]. Neighbours read neighbouring elements whatever
 * the number of columns is. Four sums take turns, to keep rounding errors small. */
__kernel void column_sum_lanes(IN(float, x), OUT(float, partial), const int n, const int lanes_by_columns)
{
    AT(x);
    AT(partial);
    const int i = (int)get_global_id(0);
    if (i >= lanes_by_columns) return;
    x += i;
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    const int steps = (n - 1 - i) / lanes_by_columns + 1;
    int step = 0;
    for (; step < steps - 3; step += 4) {
        s0 += x[step * lanes_by_columns];
        s1 += x[(step + 1) * lanes_by_columns];
        s2 += x[(step + 2) * lanes_by_columns];
        s3 += x[(step + 3) * lanes_by_columns];
    }
    for (; step < steps; step++) s0 += x[step * lanes_by_columns];
    partial[i] = (s0 + s1) + (s2 + s3);
}

#define GROUP 128

/* One work-group per column: out[column] = sum over lanes of partial[lane, column]. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void column_sum_tree(IN(float, partial), OUT(float, out), const int lanes, const int columns)
{
    __local float sums[GROUP];
    AT(partial);
    AT(out);
    const int item = (int)get_local_id(0), column = (int)get_group_id(0);
    float sum = 0.0f;
    for (int lane = item; lane < lanes; lane += GROUP) sum += partial[lane * columns + column];
    sums[item] = sum;
    for (int width = GROUP / 2; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < width) sums[item] += sums[item + width];
    }
    if (item == 0) STORE(out[column], sums[0]);
}
