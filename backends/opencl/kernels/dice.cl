/* Soft Dice loss of softmax probabilities, and its gradient. Only voxels with a positive weight count.
 *
 *   I_k = sum p_k*g_k, P_k = sum p_k, G_k = sum g_k (sums [3][K]: I, P, G; g: one-hot label)
 *   score_k = (2*I_k + smooth) / (P_k + G_k + smooth),  loss = 1 - mean over scored k of score_k
 *   q_k = d loss/d p_k = (score_k - 2*g_k) / ((P_k + G_k + smooth) * scored), 0 if class k is not scored
 *   dz_j = dloss * p_j * (q_j - sum_k p_k q_k)
 *
 *   dice_part  part [groups][3][K] over `tiles` tiles of 256 voxels
 *   dice_loss  sums [3][K] -> loss; one work-group */
#include "reduce.clh"
#include "softmax.clh"

enum { TILE = 256, MAX_CLASSES = 256 };

/* For each tile, a work-item first finds the maximum and the sum of exponentials of one voxel. Then it adds
 * up one class: `lanes` = 256 / K lanes of K work-items each read the tile's logits in order, and each
 * work-item keeps three sums, however large K is. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
dice_part(VOXEL_PARAMETERS, OUT(float, part), const int tiles)
{
    __local float2 pairs[TILE];
    __local float top[TILE], scale[TILE];
    __local int label[TILE]; /* -1: the voxel does not count */
    AT(logits);
    AT(labels);
    AT(class_weight);
    AT(part);
    const int item = (int)get_local_id(0), lanes = TILE / classes, lane = item / classes,
              k = item - lane * classes;
    float2 sums[3] = {(float2)(0.0f), (float2)(0.0f), (float2)(0.0f)}; /* I, P, G of class k */
    for (int t = 0; t < tiles; t++) {
        const int first = ((int)get_group_id(0) * tiles + t) * TILE, n = clamp(voxels - first, 0, (int)TILE);
        label[item] = -1;
        if (item < n) {
            const size_t v = (size_t)first + item;
            const int own = labels[v];
            if (voxel_weight(class_weight, own, classes, ignore) > 0.0f) {
                __global const float *z = logits + v * classes;
                label[item] = own;
                top[item] = z[row_top(z, classes)];
                scale[item] = 1.0f / row_exp_sum(z, classes, top[item], -1);
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = lane; i < n && lane < lanes; i += lanes) {
            if (label[i] < 0) continue;
            const float p = exp(logits[((size_t)first + i) * classes + k] - top[i]) * scale[i];
            sums[1] = pair_add(sums[1], p);
            if (label[i] != k) continue;
            sums[0] = pair_add(sums[0], p);
            sums[2] = pair_add(sums[2], 1.0f);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (int which = 0; which < 3; which++) {
        pairs[item] = sums[which];
        tree_pairs(pairs, classes, lanes);
        if (item < classes)
            part[(get_group_id(0) * 3 + which) * classes + item] = pairs[item].x + pairs[item].y;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
dice_loss(IN(float, sums), OUT(float, loss), const int classes, const int first, const float smooth)
{
    __local float2 pairs[MAX_CLASSES];
    AT(sums);
    AT(loss);
    const int k = (int)get_local_id(0);
    const float both = k < classes ? sums[k] : 0.0f, predicted = k < classes ? sums[classes + k] : 0.0f;
    const float given = k < classes ? sums[2 * classes + k] : 0.0f;
    pairs[k] = (float2)(given, 0.0f);
    tree_pairs(pairs, 1, MAX_CLASSES);
    const bool any = pairs[0].x > 0.0f;
    barrier(CLK_LOCAL_MEM_FENCE);
    const bool scored = k >= first && k < classes;
    pairs[k] = (float2)(scored ? (2.0f * both + smooth) / (predicted + given + smooth) : 0.0f, 0.0f);
    tree_pairs(pairs, 1, MAX_CLASSES);
    if (k == 0) loss[0] = any ? 1.0f - (pairs[0].x + pairs[0].y) / (float)(classes - first) : 0.0f;
}

/* dloss * q_k = base[k] + g_k * hit[k]. Each group computes base and hit once; its 256 work-items are enough
 * for at most 256 classes. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
dice_back(VOXEL_PARAMETERS, IN(float, sums), IN(float, dloss), OUT(float, dlogits), const int first,
          const float smooth)
{
    __local float base[MAX_CLASSES], hit[MAX_CLASSES];
    AT(logits);
    AT(labels);
    AT(class_weight);
    AT(sums);
    AT(dloss);
    AT(dlogits);
    const int own = (int)get_local_id(0);
    if (own < classes) {
        const float under = sums[classes + own] + sums[2 * classes + own] + smooth;
        const bool scored = own >= first && under > 0.0f;
        const float unit = scored ? dloss[0] / (under * (float)(classes - first)) : 0.0f;
        base[own] = scored ? unit * ((2.0f * sums[own] + smooth) / under) : 0.0f;
        hit[own] = -2.0f * unit;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const size_t v = get_global_id(0);
    if (v >= (size_t)voxels) return;
    __global const float *z = logits + v * classes;
    __global float *to = dlogits + v * classes;
    const int label = labels[v];
    if (!(voxel_weight(class_weight, label, classes, ignore) > 0.0f)) {
        if (!ADD)
            for (int k = 0; k < classes; k++) to[k] = 0.0f;
        return;
    }
    const float top = z[row_top(z, classes)];
    float sum = 0.0f, mean = 0.0f;
    for (int k = 0; k < classes; k++) {
        const float e = exp(z[k] - top);
        sum += e;
        mean += e * (k == label ? base[k] + hit[k] : base[k]);
    }
    const float scale = 1.0f / sum;
    mean *= scale;
    for (int k = 0; k < classes; k++) {
        const float q = k == label ? base[k] + hit[k] : base[k];
        STORE(to[k], exp(z[k] - top) * scale * (q - mean));
    }
}
