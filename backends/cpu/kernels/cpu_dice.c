/* Soft Dice loss over softmax probabilities, and its gradient.
 *
 *   over voxels with w(v) > 0:  I_k = sum p_k*g_k,  P_k = sum p_k,  G_k = sum g_k     (sums [3, K]: I, P, G)
 *   score_k = (2*I_k + smooth) / (P_k + G_k + smooth),  loss = 1 - mean over scored k of score_k
 *
 *   q_k(v) = d loss/d p_k(v) = (score_k - 2*g_k(v)) / ((P_k + G_k + smooth) * number of scored classes),
 *            0 for classes that are not scored
 *   dz_j(v) = dloss * p_j * (q_j - sum_k p_k q_k)
 *
 * Sums are made in double, one set per slice in the workspace, and added in slice order. */
#include "backends/cpu/kernels/cpu_softmax.h"

/* Computes p of one block; in voxels without weight p is set to 0. */
static void masked_softmax(const cpu_loss *l, int64_t v, int64_t n, const float *w, cpu_softmax_block *b)
{
    cpu_softmax_load(l->logits + v * l->classes, n, l->classes, l->lanes, b);
    cpu_softmax_exp(b, l->classes, l->lanes);
    cpu_softmax_divide(b, l->classes, l->lanes);
    for (int64_t k = 0; k < l->classes; k++) {
        float *row = b->p + k * l->lanes;
        for (int64_t i = 0; i < l->lanes; i++) row[i] = w[i] > 0 ? row[i] : 0;
    }
}

/* Sums a row in sixteen chains, so that the additions overlap and fill vectors; n is a multiple of 16. */
static double sum_row(const float *row, int64_t n)
{
    double lane[16] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i += 16)
        for (int j = 0; j < 16; j++) lane[j] += (double)row[i + j];
    for (int j = 0; j < 16; j++) sum += lane[j];
    return sum;
}

static void dice_slice(const cpu_loss *l, cpu_range r, double *sums)
{
    cpu_softmax_block b;
    float w[CPU_BLOCK_LANES];
    int64_t classes = l->classes;
    for (int64_t k = 0; k < 3 * classes; k++) sums[k] = 0;
    for (int64_t v = r.begin; v < r.end; v += l->lanes) {
        int64_t n = cpu_min(l->lanes, r.end - v);
        if (!cpu_loss_weights(l, v, n, w)) continue;
        masked_softmax(l, v, n, w, &b);
        for (int64_t i = 0; i < n; i++) {
            if (!(w[i] > 0)) continue;
            int64_t label = l->labels[v + i];
            sums[label] += (double)b.p[label * l->lanes + i];
            sums[2 * classes + label] += 1;
        }
        for (int64_t k = 0; k < classes; k++) sums[classes + k] += sum_row(b.p + k * l->lanes, l->lanes);
    }
}

/* 1 - mean score; 0 if no voxel counts or no class is scored. */
static double dice_loss(const double *sums, int64_t classes, const u3d_loss_attr *a)
{
    int64_t first = a->skip_background ? 1 : 0;
    double smooth = (double)a->smooth, counted = 0, score = 0;
    for (int64_t k = 0; k < classes; k++) counted += sums[2 * classes + k];
    if (!(counted > 0) || classes <= first) return 0;
    for (int64_t k = first; k < classes; k++)
        score += (2 * sums[k] + smooth) / (sums[classes + k] + sums[2 * classes + k] + smooth);
    return 1 - score / (double)(classes - first);
}

static void run_dice(const cpu_call *c)
{
    const cpu_loss l = cpu_loss_of(c);
    int64_t slices = cpu_loss_slices(&l), n = 3 * l.classes;
    double *part = c->work; /* [slices][3][K] */
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) dice_slice(&l, cpu_slice(l.voxels, slices, s, 16), part + s * n);
    for (int64_t s = 1; s < slices; s++)
        for (int64_t k = 0; k < n; k++) part[k] += part[s * n + k];
    *(float *)c->out[0] = (float)dice_loss(part, l.classes, &c->desc->attr.loss);
    float *sums = c->out[1];
    for (int64_t k = 0; k < n; k++) sums[k] = (float)part[k];
}

static void work_dice(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    (void)threads;
    *min = *best = CPU_SLICES_MAX * 3 * (uint64_t)cpu_channels(&d->in[0]) * sizeof(double);
}

/* dloss * q_k = base[k] + g_k * hit[k]. */
typedef struct dice_slope {
    float base[CPU_CLASSES_MAX], hit[CPU_CLASSES_MAX];
} dice_slope;

static void dice_slopes(const float *sums, int64_t classes, const u3d_loss_attr *a, float dloss,
                        dice_slope *q)
{
    int64_t first = a->skip_background ? 1 : 0;
    double smooth = (double)a->smooth;
    for (int64_t k = 0; k < classes; k++) {
        double under = (double)sums[classes + k] + (double)sums[2 * classes + k] + smooth;
        double scale = k >= first && under > 0 ? (double)dloss / (under * (double)(classes - first)) : 0;
        double score = under > 0 ? (2 * (double)sums[k] + smooth) / under : 0;
        q->base[k] = (float)(scale * score);
        q->hit[k] = (float)(scale * -2);
    }
}

/* Replaces p in b->p by dz; `mean` is sum_k p_k q_k. */
static void dice_gradient(cpu_softmax_block *b, const cpu_loss *l, int64_t v, int64_t n, const float *w,
                          const dice_slope *q)
{
    float mean[CPU_BLOCK_LANES] = {0}, hit[CPU_BLOCK_LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        if (!(w[i] > 0)) continue;
        int64_t label = l->labels[v + i];
        hit[i] = b->p[label * l->lanes + i] * q->hit[label]; /* p_label times the term that g adds to q */
    }
    for (int64_t k = 0; k < l->classes; k++) {
        const float *row = b->p + k * l->lanes;
        for (int64_t i = 0; i < l->lanes; i++) mean[i] += row[i] * q->base[k];
    }
    for (int64_t i = 0; i < l->lanes; i++) mean[i] += hit[i];
    for (int64_t k = 0; k < l->classes; k++) {
        float *row = b->p + k * l->lanes;
        for (int64_t i = 0; i < l->lanes; i++) row[i] *= q->base[k] - mean[i];
    }
    for (int64_t i = 0; i < n; i++)
        if (w[i] > 0) b->p[l->labels[v + i] * l->lanes + i] += hit[i];
}

static void dice_back_slice(const cpu_loss *l, cpu_range r, const dice_slope *q, bool add, float *dlogits)
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
        masked_softmax(l, v, n, w, &b);
        dice_gradient(&b, l, v, n, w, q);
        cpu_softmax_store(&b, n, l->classes, l->lanes, add, to);
    }
}

static void run_dice_back(const cpu_call *c)
{
    const cpu_loss l = cpu_loss_of(c);
    bool add = c->desc->accumulate & 1;
    float *dlogits = c->out[0];
    int64_t slices = cpu_loss_slices(&l);
    dice_slope q;
    dice_slopes(c->in[3], l.classes, &c->desc->attr.loss, *(const float *)c->in[4], &q);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++)
        dice_back_slice(&l, cpu_slice(l.voxels, slices, s, 16), &q, add, dlogits);
}

static const char *refuse_dice(const u3d_op_desc *d)
{
    const char *reason = cpu_refuse_classes(d);
    return reason ? reason : cpu_refuse_accumulate(d);
}

const cpu_entry CPU_NAME(cpu_DICE)[] = {
    {.name = "plain", .refuses = refuse_dice, .work = work_dice, .run = run_dice}, {0}};
const cpu_entry CPU_NAME(cpu_DICE_BACK)[] = {
    {.name = "plain", .refuses = cpu_refuse_classes, .run = run_dice_back}, {0}};
