/* Weighted cross-entropy of softmax, and its gradient.
 *
 *   loss = sum_v w(v) * (log sum_k exp(z[v,k]) - z[v,label(v)]) / sum_v w(v)
 *   dz[v,k] = dloss * w(v) / weight_sum * (p[v,k] - [k = label(v)])
 *
 * The log of the sum of exponentials is taken relative to the largest logit. Sums over voxels are made in
 * double, one partial sum per slice, and added in slice order. */
#include "backends/cpu/kernels/cpu_softmax.h"

#include <math.h>

typedef struct xent_part {
    double loss, weight;
} xent_part;

/* The loss of one voxel. The sum and its log are in double: if the loss is near 0, the sum is 1 plus a small
 * number, and that number is the loss. */
static double voxel_loss(const cpu_softmax_block *b, const float *logits, const cpu_loss *l, int64_t voxel,
                         int64_t lane)
{
    double sum = 0;
    for (int64_t k = 0; k < l->classes; k++) sum += (double)b->p[k * l->lanes + lane];
    return log(sum) + (double)b->max[lane] - (double)logits[l->labels[voxel]];
}

static xent_part xent_slice(const cpu_loss *l, cpu_range r)
{
    cpu_softmax_block b;
    float w[CPU_BLOCK_LANES];
    xent_part part = {0, 0};
    for (int64_t v = r.begin; v < r.end; v += l->lanes) {
        int64_t n = cpu_min(l->lanes, r.end - v);
        if (!cpu_loss_weights(l, v, n, w)) continue;
        cpu_softmax_load(l->logits + v * l->classes, n, l->classes, l->lanes, &b);
        cpu_softmax_exp(&b, l->classes, l->lanes);
        for (int64_t i = 0; i < n; i++) {
            if (!(w[i] > 0)) continue;
            part.loss += (double)w[i] * voxel_loss(&b, l->logits + (v + i) * l->classes, l, v + i, i);
            part.weight += (double)w[i];
        }
    }
    return part;
}

static void run_xent(const cpu_call *c)
{
    const cpu_loss l = cpu_loss_of(c);
    int64_t slices = cpu_loss_slices(&l);
    xent_part part[CPU_SLICES_MAX], all = {0, 0};
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) part[s] = xent_slice(&l, cpu_slice(l.voxels, slices, s, 16));
    for (int64_t s = 0; s < slices; s++) {
        all.loss += part[s].loss;
        all.weight += part[s].weight;
    }
    *(float *)c->out[0] = all.weight > 0 ? (float)(all.loss / all.weight) : 0;
    *(float *)c->out[1] = (float)all.weight;
}

/* Replaces the probabilities in b->p by the gradient of the logits, scaled by w per voxel. */
static void xent_gradient(cpu_softmax_block *b, const cpu_loss *l, int64_t v, int64_t n, const float *w)
{
    for (int64_t i = 0; i < n; i++)
        if (w[i] > 0) b->p[l->labels[v + i] * l->lanes + i] -= 1;
    for (int64_t k = 0; k < l->classes; k++) {
        float *row = b->p + k * l->lanes;
        for (int64_t i = 0; i < l->lanes; i++) row[i] = w[i] > 0 ? row[i] * w[i] : 0;
    }
}

static void xent_back_slice(const cpu_loss *l, cpu_range r, float scale, bool add, float *dlogits)
{
    cpu_softmax_block b;
    float w[CPU_BLOCK_LANES];
    for (int64_t v = r.begin; v < r.end; v += l->lanes) {
        int64_t n = cpu_min(l->lanes, r.end - v);
        float *to = dlogits + v * l->classes;
        if (!cpu_loss_weights(l, v, n, w)) {
            if (!add) memset(to, 0, (size_t)(n * l->classes) * sizeof *to);
            continue;
        }
        cpu_softmax_load(l->logits + v * l->classes, n, l->classes, l->lanes, &b);
        cpu_softmax_exp(&b, l->classes, l->lanes);
        cpu_softmax_divide(&b, l->classes, l->lanes);
        xent_gradient(&b, l, v, n, w);
        for (int64_t i = 0; i < l->classes * l->lanes; i++) b.p[i] *= scale;
        cpu_softmax_store(&b, n, l->classes, l->lanes, add, to);
    }
}

static void run_xent_back(const cpu_call *c)
{
    const cpu_loss l = cpu_loss_of(c);
    float weight_sum = *(const float *)c->in[3], dloss = *(const float *)c->in[4];
    float scale = weight_sum > 0 ? dloss / weight_sum : 0, *dlogits = c->out[0];
    bool add = c->desc->accumulate & 1;
    int64_t slices = cpu_loss_slices(&l);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++)
        xent_back_slice(&l, cpu_slice(l.voxels, slices, s, 16), scale, add, dlogits);
}

static const char *refuse_xent(const u3d_op_desc *d)
{
    const char *reason = cpu_refuse_classes(d);
    return reason ? reason : cpu_refuse_accumulate(d);
}

const cpu_entry CPU_NAME(cpu_SOFTMAX_XENT)[] = {{.name = "plain", .refuses = refuse_xent, .run = run_xent},
                                                {0}};
const cpu_entry CPU_NAME(cpu_SOFTMAX_XENT_BACK)[] = {
    {.name = "plain", .refuses = cpu_refuse_classes, .run = run_xent_back}, {0}};
