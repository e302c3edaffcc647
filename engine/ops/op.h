/* What the engine knows about ops: descriptions, and one u3d_op_info per op. An op's shape rule, gradient
 * rule, FLOPs and text are in engine/ops/op_<family>.c.
 *
 * The ops, with inputs -> outputs; those in parentheses are optional. Feature maps are f32 [N, D, H, W, C].
 * "y may share x" means that y may be written over x, in the same memory (u3d_op_info.in_place).
 *
 *   conv3d            x, w [KD,KH,KW,CI,CO], (bias [CO])    -> y          zero padding; any stride >= 1
 *   conv3d_dx         dy, w                                 -> dx
 *   conv3d_dw         x, dy                                 -> dw, (dbias)
 *   upconv3d          x, w [KD,KH,KW,CI,CO], (bias [CO])    -> y          kernel == stride, pad 0:
 *                     y[n,z*kd+a,y*kh+b,x*kw+c,co] = bias[co] + sum_ci x[n,z,y,x,ci] w[a,b,c,ci,co]
 *   upconv3d_dx       dy, w                                 -> dx
 *   upconv3d_dw       x, dy                                 -> dw, (dbias)
 *   maxpool3d         x                                     -> y, index u8 kernel == stride, pad 0;
 *                     index: position of the maximum in its window, x fastest; if several voxels are equal,
 *                     the first of them
 *   maxpool3d_dx      dy, index                             -> dx
 *   norm              x, gain [C], bias [C]                 -> y, stats [S,2,C], (running [2,C])
 *                     y may share x
 *                     stats: mean and 1/sqrt(var + eps), biased variance; S = N if per_instance, otherwise 1;
 *                     running (mean, unbiased variance) += momentum * (batch - running)
 *   norm (use_running) x, gain, bias, running [2,C]         -> y          y may share x
 *   norm_back         dy, x, gain, stats                    -> dx, dgain, dbias   dx may share dy
 *   moments           x                                     -> moments [S,2,C]: mean and biased variance
 *   norm_table        moments, gain, bias                   -> table [S,2,C], stats [S,2,C], (running [2,C])
 *                     table: scale = gain * inv and shift = bias - mean * scale, inv = 1/sqrt(var + eps), so
 *                     that norm is scale * x + shift; the variance in running is unbiased, for which
 *                     attr.norm.voxels is the number of values that each mean was taken over
 *   norm_table (use_running) running [2,C], gain, bias      -> table [1,2,C]
 *   relu              x -> y = x > 0 ? x : slope * x                      y may share x
 *   relu_back         dy, y -> dx                                         dx may share dy
 *   fill              -> scalar with the value attr.fill.value
 *   copy              x -> y
 *   add               a, b -> y                                           y may share a
 *   scale             x -> y = attr.scale.factor * x                      y may share x
 *   subsample         labels u8 [N,D,H,W] -> u8 [N,D/sd,H/sh,W/sw]: the label at the middle of each window
 *                     (position s / 2 on every axis). If it is attr.subsample.ignore_label, the output is the
 *                     label nearest to it in the window that is not; if several are equally near, the
 *                     first of them, x fastest
 *   crop_concat       up [..CU], skip [..CS] -> [.., CU+CS]; skip is cropped about its centre to the
 *                     size of up, from which it differs by an even number on each axis
 *   crop_concat_back  dy -> dup, dskip (zero outside the crop)
 *   softmax           logits -> probabilities                             probabilities may share logits
 *   softmax_xent      logits, labels u8 [N,D,H,W], class_weight [K] -> loss [], weight_sum []
 *                     loss = sum_v w(v) * -log p(v) / sum_v w(v), 0 if that sum is 0;
 *                     w(v) = class_weight[label], 0 for attr.loss.ignore_label
 *   softmax_xent_back logits, labels, class_weight, weight_sum, dloss [] -> dlogits
 *   dice              logits, labels, class_weight -> loss [], sums [3,K]
 *                     p = softmax(logits), g = one-hot label, over voxels with w(v) > 0 of the whole batch:
 *                     sums = sum p*g, sum p, sum g;  loss = 1 - mean_k (2*pg + smooth) / (p + g + smooth),
 *                     k from 1 if attr.loss.skip_background, otherwise from 0; 0 if no voxel counts
 *   dice_back         logits, labels, class_weight, sums, dloss -> dlogits
 *
 * Fused forms. Only engine/rewrite (fuse.c, fuse_lazy.c) makes them, and a backend may refuse them. A lazy
 * map is a map z that stands for act(scale[c] * z + shift[c]), with act(v) = v > 0 ? v : slope * v; its table
 * [S,2,C] of scales and shifts is a further input, and zero padding is applied after act. A joined map is a
 * pair (up, skip) that stands for crop_concat(up, skip). The further inputs follow those of the plain form in
 * the order skip, table of x (or of up), table of skip; attr.conv says which of them are present:
 *   conv3d            x, w, (bias), (skip), (tables)        -> y, (moments [S,2,CO] of y)
 *   conv3d_dw         x, dy, (skip), (tables)               -> dw, (dbias)
 *   maxpool3d, upconv3d, upconv3d_dw                           x may be lazy but not joined
 *   norm_back (act)   dy, x, gain, stats, table             -> dx, dgain, dbias   of act(norm(x))
 *   crop_concat_back  with attr.crop.part: only one of its two outputs
 *
 * Ops over flat blocks that update their outputs in place (u3d_op_info.updates), and sum_squares:
 *   sgd_step          grad [n], hyper [8] -> value [n], velocity [n]      hyper: see engine/run/optim.h
 *   adam_step         grad [n], hyper [8] -> value [n], m [n], v [n]      hyper: see engine/run/optim.h
 *   lerp              x [n], t [] -> y [n];  y += t * (x - y)
 *   sum_squares       x [n] -> scalar (accumulated in double); updates nothing */
#ifndef U3D_ENGINE_OP_H
#define U3D_ENGINE_OP_H

#include "engine/ops/op_list.h"
#include "engine/base/type.h"

#define U3D_OP_ENUM(id, text) U3D_OP_##id,
typedef enum u3d_op { U3D_OP_LIST(U3D_OP_ENUM) U3D_OP_COUNT } u3d_op;

typedef struct u3d_conv_attr { /* convolution, up-convolution, pooling; z, y, x */
    int32_t kernel[3], stride[3], pad[3];
    bool strict;       /* arithmetic as exact as direct convolution: no Winograd beyond F(2)   */
    bool joined;       /* fused: x is (up, skip)                                               */
    bool lazy[2];      /* fused: [0]: x (or up) is a lazy map; [1]: skip is one                */
    bool moments;      /* fused: conv3d has a second output, the moments of y                  */
    bool per_instance; /* S of the moments: N if true, otherwise 1. S of a table is its dim[0] */
    float slope;       /* of the activation act of lazy maps                                   */
} u3d_conv_attr;

typedef struct u3d_norm_attr {
    bool per_instance; /* true: statistics per (n, c); false: per c over the batch    */
    bool use_running;  /* true: inference form, the running statistics are an input   */
    bool keep_running; /* true: the running statistics are a third output and updated */
    float eps, momentum;
    bool act;       /* norm_back, fused: the gradient of act(norm(x))         */
    float slope;    /* of act                                                 */
    int64_t voxels; /* norm_table: values that each mean was taken over       */
} u3d_norm_attr;

typedef struct u3d_relu_attr {
    float slope; /* >= 0; 0: ReLU; 0.01: leaky ReLU as in nnU-Net */
} u3d_relu_attr;

typedef struct u3d_fill_attr {
    float value;
} u3d_fill_attr;

typedef struct u3d_scale_attr {
    float factor; /* finite */
} u3d_scale_attr;

typedef struct u3d_subsample_attr {
    int32_t stride[3]; /* z, y, x; each divides the size */
    int32_t ignore_label;
} u3d_subsample_attr;

typedef enum u3d_crop_part { U3D_CROP_BOTH, U3D_CROP_UP, U3D_CROP_SKIP } u3d_crop_part;

typedef struct u3d_crop_attr { /* crop_concat_back: the sizes that do not follow from dy */
    int32_t up_channels;
    int64_t skip_size[3];
    u3d_crop_part part;
} u3d_crop_attr;

typedef struct u3d_loss_attr {
    int32_t ignore_label; /* voxels with this label do not count  */
    bool skip_background; /* Dice: class 0 is left out            */
    float smooth;         /* Dice: >= 0; nnU-Net uses 1e-5        */
} u3d_loss_attr;

typedef union u3d_attr {
    u3d_conv_attr conv;
    u3d_norm_attr norm;
    u3d_relu_attr relu;
    u3d_fill_attr fill;
    u3d_scale_attr scale;
    u3d_subsample_attr subsample;
    u3d_crop_attr crop;
    u3d_loss_attr loss;
} u3d_attr;

/* Everything that a backend may know about one piece of work. It contains no pointers to data, so that two
 * nodes with equal descriptions can share a prepared kernel. Zero the struct before filling it, so that equal
 * descriptions are equal bytes. */
typedef struct u3d_op_desc {
    u3d_op op;
    u3d_attr attr;
    int32_t n_in, n_out;
    u3d_type in[U3D_MAX_IN];
    u3d_type out[U3D_MAX_OUT];
    uint32_t accumulate; /* bit i set: out[i] += result; clear: out[i] = result, without reading out[i] */
    const char *impl;    /* NULL: the best one; otherwise an exact name (tests, U3D_IMPL)               */
} u3d_op_desc;

typedef struct u3d_graph u3d_graph;
typedef struct u3d_node u3d_node;

typedef struct u3d_op_info {
    const char *name;
    u3d_status (*infer)(u3d_op_desc *d);                 /* in, attr, n_out -> out; checks everything   */
    u3d_status (*grad)(u3d_graph *g, const u3d_node *n); /* appends gradient nodes; NULL: no gradient   */
    double (*flops)(const u3d_op_desc *d);               /* NULL: the op is memory-bound and counts 0   */
    int (*text)(const u3d_op_desc *d, char *buf, size_t cap); /* attributes, for people; NULL: none     */
    bool in_place;        /* out[0] may use the memory of in[0]                                         */
    uint32_t updates;     /* bit i: out[i] is read and updated, not replaced                            */
    uint32_t accumulates; /* bit i: out[i] supports the accumulate flag                                 */
} u3d_op_info;

const u3d_op_info *u3d_op_info_get(u3d_op op); /* never NULL */

/* Writes text such as "conv3d f32 [1, ...] * ... k 3x3x3 s 1x1x1 p 0x0x0" for plans and errors; returns
 * buf. */
const char *u3d_op_desc_text(const u3d_op_desc *d, char *buf, size_t cap);

#endif
