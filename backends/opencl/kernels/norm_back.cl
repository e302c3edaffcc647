/* Gradient of batch and instance normalisation; with ACT, of the normalisation followed by an activation. For
 * rows, columns and lanes see rows.clh. With xhat = (x - mean) * inv and sums over the m voxels of a set:
 *
 *   s1 = sum dy, s2 = sum dy * xhat;   dbias = sum over sets of s1, dgain = sum over sets of s2
 *   dx = gain * inv * (dy - s1 / m - xhat * s2 / m)
 *
 * If ACT, dy is first multiplied by the derivative of act at scale * x + shift, where table = (scale, shift).
 *
 *   norm_back_part  part [S][groups][2][C] with s1 and s2 of each group
 *   norm_back_sums  dgain, dbias, and means [S][2][C] with s1 / m and s2 / m
 *   norm_back       dx, which may share its memory with dy */
#include "vec.clh"
#include "reduce.clh"
#include "rows.clh"

#ifndef ACT
#define ACT 0
#endif

/* The parameters of a column in norm_back_part and norm_back. */
typedef struct channel {
    floatv mean, inv;
    floatv scale, shift; /* of the table */
    float slope;
} channel;

#if ACT
#define CHANNEL_PARAMETERS IN(float, stats), IN(float, table), const float slope
#define CHANNEL_ARGUMENTS  stats + stats_at, table + table_at, slope
static inline channel channel_load(__global const float *stats, __global const float *table, float slope,
                                   rows r, int width)
{
    return (channel){rows_load(stats, r, r.set * 2, width), rows_load(stats, r, r.set * 2 + 1, width),
                     rows_load(table, r, r.set * 2, width), rows_load(table, r, r.set * 2 + 1, width), slope};
}
#else
#define CHANNEL_PARAMETERS IN(float, stats)
#define CHANNEL_ARGUMENTS  stats + stats_at
static inline channel channel_load(__global const float *stats, rows r, int width)
{
    return (channel){rows_load(stats, r, r.set * 2, width), rows_load(stats, r, r.set * 2 + 1, width),
                     (floatv)(0.0f), (floatv)(0.0f), 0.0f};
}
#endif

/* The gradient before the activation. */
static inline floatv before_act(channel c, floatv dy, floatv x)
{
#if ACT
    return x * c.scale + c.shift > 0.0f ? dy : c.slope * dy;
#else
    return dy;
#endif
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
norm_back_part(IN(float, dy), IN(float, x), CHANNEL_PARAMETERS, OUT(float, part), ROWS_PARAMETERS)
{
    __local floatv s1[ROWS_GROUP], s2[ROWS_GROUP];
    AT(dy);
    AT(x);
    AT(part);
    const rows r = rows_mine(ROWS_ARGUMENTS);
    const channel c = channel_load(CHANNEL_ARGUMENTS, r, width);
    const int item = (int)get_local_id(0);
    floatv sum = (floatv)(0.0f), product = (floatv)(0.0f);
    for (int i = 0; i < r.count; i += ROWS_BLOCK) {
        const int n = min((int)ROWS_BLOCK, r.count - i);
        const size_t at = r.at + i * r.step;
        floatv block_sum = (floatv)(0.0f), block_product = (floatv)(0.0f);
        for (int k = 0; k < n; k++) {
            const floatv v = CPIECES(x)[at + k * r.step], g = before_act(c, CPIECES(dy)[at + k * r.step], v);
            block_sum += g;
            block_product += g * (v - c.mean);
        }
        sum += block_sum;
        product += block_product;
    }
    s1[item] = sum;
    s2[item] = product * c.inv;
    tree_sums(s1, columns, lanes);
    tree_sums(s2, columns, lanes);
    if (r.lane > 0 || r.column >= width) return;
    const size_t row = ((size_t)r.set * get_num_groups(0) + r.group) * 2;
    PIECES(part)[row * width + r.column] = s1[item];
    PIECES(part)[(row + 1) * width + r.column] = s2[item];
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
norm_back_sums(IN(float, part), OUT(float, dgain), OUT(float, dbias), OUT(float, means), const int sets,
               const int voxels, const int width, const int groups)
{
    __local floatv s1[REDUCE_COLUMNS * REDUCE_LANES], s2[REDUCE_COLUMNS * REDUCE_LANES];
    AT(part);
    AT(dgain);
    AT(dbias);
    AT(means);
    const int item = (int)get_local_id(0), lane = item / REDUCE_COLUMNS;
    const int column = (int)get_group_id(0) * REDUCE_COLUMNS + item % REDUCE_COLUMNS;
    floatv gain_sum = (floatv)(0.0f), bias_sum = (floatv)(0.0f);
    for (int set = 0; set < sets; set++) {
        floatv sum = (floatv)(0.0f), product = (floatv)(0.0f);
        for (int g = lane; g < groups && column < width; g += REDUCE_LANES) {
            const size_t row = ((size_t)set * groups + g) * 2;
            sum += CPIECES(part)[row * width + column];
            product += CPIECES(part)[(row + 1) * width + column];
        }
        s1[item] = sum;
        s2[item] = product;
        tree_sums(s1, REDUCE_COLUMNS, REDUCE_LANES);
        tree_sums(s2, REDUCE_COLUMNS, REDUCE_LANES);
        if (lane == 0 && column < width) {
            bias_sum += s1[item];
            gain_sum += s2[item];
            PIECES(means)[(size_t)set * 2 * width + column] = s1[item] / (float)voxels;
            PIECES(means)[((size_t)set * 2 + 1) * width + column] = s2[item] / (float)voxels;
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* the sums of the next set overwrite those that are read here */
    }
    if (lane > 0 || column >= width) return;
    PIECES(dgain)[column] = gain_sum;
    PIECES(dbias)[column] = bias_sum;
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
norm_back(SHARED(float, dy), IN(float, x), IN(float, gain), IN(float, means), CHANNEL_PARAMETERS,
          SHARED(float, dx), ROWS_PARAMETERS)
{
    AT(dy);
    AT(x);
    AT(gain);
    AT(means);
    AT(dx);
    const rows r = rows_mine(ROWS_ARGUMENTS);
    const channel c = channel_load(CHANNEL_ARGUMENTS, r, width);
    const floatv scale = rows_load(gain, r, 0, width) * c.inv;
    const floatv level = rows_load(means, r, r.set * 2, width);
    const floatv along = rows_load(means, r, r.set * 2 + 1, width) * c.inv;
    __global const floatv *from = PIECES(dy) + r.at, *at = CPIECES(x) + r.at;
    __global floatv *to = PIECES(dx) + r.at;
    for (int i = 0; i < r.count; i++) {
        const floatv v = at[i * r.step], g = before_act(c, from[i * r.step], v);
        to[i * r.step] = scale * (g - level - (v - c.mean) * along);
    }
}
