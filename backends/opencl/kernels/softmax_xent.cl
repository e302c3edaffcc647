/* Weighted cross entropy of softmax, and its gradient. A work-item processes one voxel at a time.
 *
 *   loss = sum_v w(v) * (log sum_k exp(z[v,k]) - z[v,label(v)]) / sum_v w(v),   0 if no voxel counts
 *   dz[v,k] = dloss * w(v) / weight_sum * (p[v,k] - [k = label(v)])
 *
 *   softmax_xent_part  part [groups][2]: sums of loss and weight over `span` voxels
 *   softmax_xent_loss  sums [2] -> loss, weight_sum */
#include "reduce.clh"
#include "softmax.clh"

/* If the loss is near 0, the sum of exponentials is just above 1 and the excess is the loss. The excess is
 * therefore summed separately. */
static inline float voxel_loss(__global const float *z, int classes, int label)
{
    const int top = row_top(z, classes);
    return log1p(row_exp_sum(z, classes, z[top], top)) + (z[top] - z[label]);
}

__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
softmax_xent_part(VOXEL_PARAMETERS, OUT(float, part), const int span)
{
    __local float2 pairs[256];
    AT(logits);
    AT(labels);
    AT(class_weight);
    AT(part);
    const int item = (int)get_local_id(0), first = (int)get_group_id(0) * span,
              count = min(span, voxels - first);
    float2 loss = (float2)(0.0f), weight = (float2)(0.0f);
    for (int i = item; i < count; i += 256) {
        const size_t v = (size_t)first + i;
        const int label = labels[v];
        const float w = voxel_weight(class_weight, label, classes, ignore);
        if (!(w > 0.0f)) continue;
        loss = pair_add(loss, w * voxel_loss(logits + v * classes, classes, label));
        weight = pair_add(weight, w);
    }
    pairs[item] = loss;
    tree_pairs(pairs, 1, 256);
    if (item == 0) part[get_group_id(0) * 2] = pairs[0].x + pairs[0].y;
    barrier(CLK_LOCAL_MEM_FENCE);
    pairs[item] = weight;
    tree_pairs(pairs, 1, 256);
    if (item == 0) part[get_group_id(0) * 2 + 1] = pairs[0].x + pairs[0].y;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
softmax_xent_loss(IN(float, sums), OUT(float, loss), OUT(float, weight_sum))
{
    AT(sums);
    AT(loss);
    AT(weight_sum);
    loss[0] = sums[1] > 0.0f ? sums[0] / sums[1] : 0.0f;
    weight_sum[0] = sums[1];
}

/* For the label's class, p - 1 is computed as minus the sum of the other probabilities, which is accurate
 * even if p is near 1. */
__kernel __attribute__((reqd_work_group_size(256, 1, 1))) void
softmax_xent_back(VOXEL_PARAMETERS, IN(float, weight_sum), IN(float, dloss), OUT(float, dlogits))
{
    AT(logits);
    AT(labels);
    AT(class_weight);
    AT(weight_sum);
    AT(dloss);
    AT(dlogits);
    const size_t v = get_global_id(0);
    if (v >= (size_t)voxels) return;
    __global const float *z = logits + v * classes;
    __global float *to = dlogits + v * classes;
    const int label = labels[v];
    const float w = voxel_weight(class_weight, label, classes, ignore);
    const bool counts = w > 0.0f && weight_sum[0] > 0.0f;
    if (!counts) {
        if (!ADD)
            for (int k = 0; k < classes; k++) to[k] = 0.0f;
        return;
    }
    const float top = z[row_top(z, classes)], others = row_exp_sum(z, classes, top, label);
    const float scale = dloss[0] * w / weight_sum[0] / (others + exp(z[label] - top));
    for (int k = 0; k < classes; k++) {
        const float p = k == label ? -others : exp(z[k] - top);
        STORE(to[k], scale * p);
    }
}
