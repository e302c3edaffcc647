/* Batch and instance normalisation. For rows, columns and lanes see rows.clh.
 *
 *   norm_part     moments of each group's voxels: part [S][groups][2][C] with mean and sum of (x - mean)^2
 *   norm_moments  joins the groups: mean and biased variance, or mean and 1 / sqrt(var + eps) if STATS;
 *                 updates the running statistics if KEEP
 *   norm_apply    y = gain * (x - mean) * inv + bias with stats, or with the running statistics if GIVEN
 *   norm_table    turns moments, or the running statistics if GIVEN, into scale and shift
 *
 * The (count, mean, m2) of two sets of values give those of their union without cancellation: Chan, Golub &
 * LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979. A work-item
 * loads a block of voxels into registers, computes its moments in two passes, and joins them with its
 * previous ones. Then the group's lanes are joined, and finally the groups. */
#include "vec.clh"
#include "reduce.clh"
#include "rows.clh"

#ifndef STATS
#define STATS 0
#endif
#ifndef KEEP
#define KEEP 0
#endif
#ifndef GIVEN
#define GIVEN 0
#endif

typedef struct moments {
    float count;
    floatv mean, m2;
} moments;

static inline moments moments_join(moments a, moments b)
{
    const float count = a.count + b.count, part = count > 0.0f ? b.count / count : 0.0f;
    const floatv apart = b.mean - a.mean;
    return (moments){count, a.mean + apart * part, a.m2 + b.m2 + apart * apart * (a.count * part)};
}

/* The moments of n values that are `step` pieces apart; n is at most ROWS_BLOCK. */
static inline moments moments_block(__global const floatv *x, size_t step, int n)
{
    floatv v[ROWS_BLOCK], sum = (floatv)(0.0f), m2 = (floatv)(0.0f);
    UNROLL
    for (int i = 0; i < ROWS_BLOCK; i++) {
        v[i] = i < n ? x[i * step] : (floatv)(0.0f);
        sum += v[i];
    }
    const floatv mean = sum / (float)n;
    UNROLL
    for (int i = 0; i < ROWS_BLOCK; i++) {
        const floatv apart = i < n ? v[i] - mean : (floatv)(0.0f);
        m2 += apart * apart;
    }
    return (moments){(float)n, mean, m2};
}

/* Joins lanes in the same order as tree_pairs (reduce.clh). */
static inline void tree_moments(__local float *count, __local floatv *mean, __local floatv *m2, int columns,
                                int lanes)
{
    const int item = (int)get_local_id(0), lane = item / columns;
    for (int h = tree_half(lanes); h > 0; h /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < h && lane + h < lanes) {
            const int other = item + h * columns;
            const moments all = moments_join((moments){count[item], mean[item], m2[item]},
                                             (moments){count[other], mean[other], m2[other]});
            count[item] = all.count;
            mean[item] = all.mean;
            m2[item] = all.m2;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
norm_part(IN(float, x), OUT(float, part), ROWS_PARAMETERS)
{
    __local float count[ROWS_GROUP];
    __local floatv mean[ROWS_GROUP], m2[ROWS_GROUP];
    AT(x);
    AT(part);
    const rows r = rows_mine(ROWS_ARGUMENTS);
    const int item = (int)get_local_id(0);
    __global const floatv *from = CPIECES(x) + r.at;
    moments all = {0.0f, (floatv)(0.0f), (floatv)(0.0f)};
    for (int i = 0; i < r.count; i += ROWS_BLOCK)
        all = moments_join(all, moments_block(from + i * r.step, r.step, min((int)ROWS_BLOCK, r.count - i)));
    count[item] = all.count;
    mean[item] = all.mean;
    m2[item] = all.m2;
    tree_moments(count, mean, m2, columns, lanes);
    if (r.lane > 0 || r.column >= width) return;
    const size_t row = ((size_t)r.set * get_num_groups(0) + r.group) * 2;
    PIECES(part)[row * width + r.column] = mean[item];
    PIECES(part)[(row + 1) * width + r.column] = m2[item];
}

/* out is [S][2][width]. There are `groups` groups of `span` voxels; the last group has the rest. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
norm_moments(IN(float, part), OUT(float, out),
#if KEEP
             OUT(float, running), const float momentum, const float unbiased,
#endif
             const int voxels, const int width, const int span, const int groups, const float eps)
{
    __local float count[REDUCE_COLUMNS * REDUCE_LANES];
    __local floatv mean[REDUCE_COLUMNS * REDUCE_LANES], m2[REDUCE_COLUMNS * REDUCE_LANES];
    AT(part);
    AT(out);
#if KEEP
    AT(running);
#endif
    const int item = (int)get_local_id(0), lane = item / REDUCE_COLUMNS, set = (int)get_group_id(2);
    const int column = (int)get_group_id(0) * REDUCE_COLUMNS + item % REDUCE_COLUMNS;
    moments all = {0.0f, (floatv)(0.0f), (floatv)(0.0f)};
    for (int g = lane; g < groups && column < width; g += REDUCE_LANES) {
        const size_t row = ((size_t)set * groups + g) * 2;
        all = moments_join(all,
                           (moments){(float)min(span, voxels - g * span), CPIECES(part)[row * width + column],
                                     CPIECES(part)[(row + 1) * width + column]});
    }
    count[item] = all.count;
    mean[item] = all.mean;
    m2[item] = all.m2;
    tree_moments(count, mean, m2, REDUCE_COLUMNS, REDUCE_LANES);
    if (lane > 0 || column >= width) return;
    const size_t at_mean = (size_t)set * 2 * width + column, at_var = at_mean + width;
    const floatv var = m2[item] / (float)voxels;
    PIECES(out)[at_mean] = mean[item];
    PIECES(out)[at_var] = STATS ? 1.0f / sqrt(var + eps) : var;
#if KEEP /* there is only one set, because only batch normalisation keeps running statistics */
    const floatv old_mean = PIECES(running)[column], old_var = PIECES(running)[width + column];
    PIECES(running)[column] = old_mean + momentum * (mean[item] - old_mean);
    PIECES(running)[width + column] = old_var + momentum * (var * unbiased - old_var);
#endif
}

/* statistics is stats [S][2][width], or running [2][width] if GIVEN. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
norm_apply(SHARED(float, x), IN(float, gain), IN(float, bias), IN(float, statistics), SHARED(float, y),
           ROWS_PARAMETERS, const float eps)
{
    AT(x);
    AT(gain);
    AT(bias);
    AT(statistics);
    AT(y);
    const rows r = rows_mine(ROWS_ARGUMENTS);
    const floatv mean = rows_load(statistics, r, r.set * 2, width);
    const floatv spread = rows_load(statistics, r, r.set * 2 + 1, width);
    const floatv scale = rows_load(gain, r, 0, width) * (GIVEN ? 1.0f / sqrt(spread + eps) : spread);
    const floatv shift = rows_load(bias, r, 0, width);
    __global const floatv *from = PIECES(x) + r.at;
    __global floatv *to = PIECES(y) + r.at;
    for (int i = 0; i < r.count; i++) to[i * r.step] = (from[i * r.step] - mean) * scale + shift;
}

/* There is one work-item per channel and set.
 *
 *   inv = 1 / sqrt(var + eps), scale = gain * inv, shift = bias - mean * scale
 *
 * table and stats are [S][2][channels]. The variance in running is `unbiased` times the biased variance. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
norm_table(IN(float, statistics), IN(float, gain), IN(float, bias), OUT(float, table),
#if !GIVEN
           OUT(float, stats),
#endif
#if KEEP
           OUT(float, running), const float momentum, const float unbiased,
#endif
           const int channels, const float eps)
{
    AT(statistics);
    AT(gain);
    AT(bias);
    AT(table);
    const int c = (int)get_global_id(0), at_mean = (int)get_global_id(1) * 2 * channels + c,
              at_var = at_mean + channels;
#if !GIVEN
    AT(stats);
#endif
#if KEEP
    AT(running);
#endif
    if (c >= channels) return;
    const float mean = statistics[at_mean], var = statistics[at_var], inv = 1.0f / sqrt(var + eps),
                scale = gain[c] * inv;
    table[at_mean] = scale;
    table[at_var] = bias[c] - mean * scale;
#if !GIVEN
    stats[at_mean] = mean;
    stats[at_var] = inv;
#endif
#if KEEP
    running[c] += momentum * (mean - running[c]);
    running[channels + c] += momentum * (var * unbiased - running[channels + c]);
#endif
}
