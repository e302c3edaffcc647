/* Softmax of a block of voxels, for softmax and the losses.
 *
 * Classes are innermost in memory but few (2 to 10). So a block of voxels is transposed to class-major order
 * in the first-level cache, with one lane per voxel; all loops then run over full vectors of voxels. */
#ifndef U3D_CPU_SOFTMAX_H
#define U3D_CPU_SOFTMAX_H

#include "backends/cpu/kernels/cpu_slice.h"

#include <string.h>

enum {
    CPU_CLASSES_MAX = 256, /* labels are u8 */
    CPU_BLOCK_LANES = 256, /* most voxels in a block */
    CPU_BLOCK_ELEMS = 4096 /* most voxels * classes: 16 kB, half of a first-level cache */
};

typedef struct cpu_softmax_block {
    float p[CPU_BLOCK_ELEMS];   /* [K][lanes]: logits, then exp(logit - max) */
    float max[CPU_BLOCK_LANES]; /* largest logit of a voxel */
    float sum[CPU_BLOCK_LANES]; /* sum over classes of exp(logit - max), >= 1 */
} cpu_softmax_block;

/* Voxels per block: a multiple of 16, and at least 16 because K <= CPU_CLASSES_MAX. */
static inline int64_t cpu_softmax_lanes(int64_t classes)
{
    return cpu_min(CPU_BLOCK_LANES, CPU_BLOCK_ELEMS / classes / 16 * 16);
}

static inline const char *cpu_refuse_classes(const u3d_op_desc *d)
{
    return cpu_channels(&d->in[0]) > CPU_CLASSES_MAX ? "more than 256 classes" : NULL;
}

/* exp(x) for x <= 0 with a relative error below 2e-7. Below -87.3 the result is exp(-87.3) = 1.2e-38, about
 * the smallest normal number. With x = n ln 2 + r and |r| <= ln(2)/2, exp(x) = 2^n exp(r). n is found by
 * adding 1.5 * 2^23, which rounds to an integer and leaves it in the low bits. exp(r) is its Taylor
 * polynomial of degree 7, whose remainder is r^8/8! < 6e-9. */
static inline float cpu_exp(float x)
{
    const float shift = 12582912.0f;
    x = x < -87.3f ? -87.3f : x;
    float t = x * 1.44269504f + shift, n = t - shift;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* ln 2 in two parts: Cody & Waite 1980 */
    float e = 1.0f / 5040;
    e = e * r + 1.0f / 720;
    e = e * r + 1.0f / 120;
    e = e * r + 1.0f / 24;
    e = e * r + 1.0f / 6;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    int32_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (int32_t)((uint32_t)(bits + 127) << 23); /* 2^n; the bits of `shift` drop out at the top */
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return e * scale;
}

/* Transposes logits [n][K] to b->p [K][lanes]; lanes from n on are filled with zeros. */
static inline void cpu_softmax_load(const float *logits, int64_t n, int64_t classes, int64_t lanes,
                                    cpu_softmax_block *b)
{
    for (int64_t k = 0; k < classes; k++) {
        float *row = b->p + k * lanes;
        for (int64_t i = 0; i < n; i++) row[i] = logits[i * classes + k];
        for (int64_t i = n; i < lanes; i++) row[i] = 0;
    }
}

/* Replaces the logits in b->p by exponentials and fills max and sum. Probabilities are exponentials divided
 * by sum. */
static inline void cpu_softmax_exp(cpu_softmax_block *b, int64_t classes, int64_t lanes)
{
    for (int64_t i = 0; i < lanes; i++) b->max[i] = b->p[i];
    for (int64_t k = 1; k < classes; k++) {
        const float *row = b->p + k * lanes;
        for (int64_t i = 0; i < lanes; i++) b->max[i] = row[i] > b->max[i] ? row[i] : b->max[i];
    }
    for (int64_t i = 0; i < lanes; i++) b->sum[i] = 0;
    for (int64_t k = 0; k < classes; k++) {
        float *row = b->p + k * lanes;
        for (int64_t i = 0; i < lanes; i++) {
            row[i] = cpu_exp(row[i] - b->max[i]);
            b->sum[i] += row[i];
        }
    }
}

/* Replaces the exponentials in b->p by probabilities, and sum by its reciprocal. */
static inline void cpu_softmax_divide(cpu_softmax_block *b, int64_t classes, int64_t lanes)
{
    for (int64_t i = 0; i < lanes; i++) b->sum[i] = 1.0f / b->sum[i];
    for (int64_t k = 0; k < classes; k++) {
        float *row = b->p + k * lanes;
        for (int64_t i = 0; i < lanes; i++) row[i] *= b->sum[i];
    }
}

/* Transposes b->p [K][lanes] back to out [n][K], or adds it to out. */
static inline void cpu_softmax_store(const cpu_softmax_block *b, int64_t n, int64_t classes, int64_t lanes,
                                     bool add, float *out)
{
    for (int64_t k = 0; k < classes; k++) {
        const float *row = b->p + k * lanes;
        if (add)
            for (int64_t i = 0; i < n; i++) out[i * classes + k] += row[i];
        else
            for (int64_t i = 0; i < n; i++) out[i * classes + k] = row[i];
    }
}

/* What the losses share: sizes, labels and the weight of a voxel. */
typedef struct cpu_loss {
    const float *logits, *class_weight;
    const uint8_t *labels;
    int64_t voxels, classes, lanes;
    int32_t ignore;
} cpu_loss;

static inline cpu_loss cpu_loss_of(const cpu_call *c)
{
    int64_t classes = cpu_channels(&c->desc->in[0]);
    return (cpu_loss){.logits = c->in[0],
                      .labels = c->in[1],
                      .class_weight = c->in[2],
                      .voxels = u3d_type_elems(&c->desc->in[1]),
                      .classes = classes,
                      .lanes = cpu_softmax_lanes(classes),
                      .ignore = c->desc->attr.loss.ignore_label};
}

/* w(v): the weight of the voxel's class, or 0 for the ignored label and for labels that are not a class. */
static inline float cpu_loss_weight(const cpu_loss *l, int64_t voxel)
{
    uint8_t label = l->labels[voxel];
    return label == l->ignore || label >= l->classes ? 0 : l->class_weight[label];
}

/* Writes the weights of voxels v..v+n-1 to w[lanes], followed by zeros. Returns false if all are 0, as in
 * most blocks of sparsely annotated volumes. */
static inline bool cpu_loss_weights(const cpu_loss *l, int64_t v, int64_t n, float *w)
{
    bool any = false;
    for (int64_t i = 0; i < n; i++) {
        w[i] = cpu_loss_weight(l, v + i);
        any |= w[i] > 0;
    }
    for (int64_t i = n; i < l->lanes; i++) w[i] = 0;
    return any;
}

static inline int64_t cpu_loss_slices(const cpu_loss *l)
{
    return cpu_slices(l->voxels, cpu_max(l->lanes, CPU_SLICE_ELEMS / 4 / l->classes));
}

#endif
