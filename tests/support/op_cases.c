/* The table of op cases. Each geometry of a convolution is expanded into cases for all three of its ops, so that the
 * forward pass and the gradients are tested on the same shapes; fused forms have geometries of their own.
 *
 * The sizes cover: the smallest possible, odd sizes, batch > 1, rows longer than any vector block, kernels and strides
 * that differ per axis, and channel counts just below and just above 4, 8, 16, 32 and 64, where vector code takes a
 * different path. */
#include "tests/support/op_cases.h"

#include <string.h>

#define MAP(n, d, h, w, c)      {U3D_F32, 5, {n, d, h, w, c}}
#define LABELS(n, d, h, w)      {U3D_U8, 4, {n, d, h, w, 1}}
#define FLAT(n)                 {U3D_F32, 1, {n, 1, 1, 1, 1}}
#define PAIR(a, b)              {U3D_F32, 2, {a, b, 1, 1, 1}}
#define STATS(s, c)             {U3D_F32, 3, {s, 2, c, 1, 1}}
#define SCALAR                  {U3D_F32, 0, {1, 1, 1, 1, 1}}
#define TILES(kd, kh, kw)       .kernel = {kd, kh, kw}, .stride = {kd, kh, kw}
#define WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw) .kernel = {kd, kh, kw}, .stride = {sd, sh, sw}, .pad = {pd, ph, pw}
/* Optional inputs: NAME_0 stands for no input, NAME_1 for the input and its comma. */
#define BIAS_0(c)
#define BIAS_1(c)               FLAT(c),
#define TABLE_0(s, c)
#define TABLE_1(s, c)           STATS(s, c),
#define OUT(in, k, s, p)        (((in) + 2 * (p) - (k)) / (s) + 1)

/* A convolution and its two gradients; `bias` is 0 or 1. */
#define CONV(tag, n, d, h, w, ci, co, kd, kh, kw, sd, sh, sw, pd, ph, pw, bias)                                        \
    {tag, U3D_OP_CONV3D, {.conv = {WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw)}}, 2 + (bias), 1,                 \
     {MAP(n, d, h, w, ci), MAP(kd, kh, kw, ci, co), FLAT(co)}, {0}, 3e-6, U3D_FILL_DEFAULT},                           \
    {tag, U3D_OP_CONV3D_DX, {.conv = {WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw)}}, 2, 1,                       \
     {MAP(n, OUT(d, kd, sd, pd), OUT(h, kh, sh, ph), OUT(w, kw, sw, pw), co), MAP(kd, kh, kw, ci, co)},                \
     MAP(n, d, h, w, ci), 3e-6, U3D_FILL_DEFAULT},                                                                     \
    {tag, U3D_OP_CONV3D_DW, {.conv = {WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw)}}, 2, 1 + (bias),              \
     {MAP(n, d, h, w, ci), MAP(n, OUT(d, kd, sd, pd), OUT(h, kh, sh, ph), OUT(w, kw, sw, pw), co)}, {0}, 3e-6,         \
     U3D_FILL_DEFAULT}

/* An up-convolution of a map of size N, D, H, W, CI, and its two gradients. */
#define UPCONV(tag, n, d, h, w, ci, co, kd, kh, kw, bias)                                                              \
    {tag, U3D_OP_UPCONV3D, {.conv = {TILES(kd, kh, kw)}}, 2 + (bias), 1,                  \
     {MAP(n, d, h, w, ci), MAP(kd, kh, kw, ci, co), FLAT(co)}, {0}, 3e-6, U3D_FILL_DEFAULT},                           \
    {tag, U3D_OP_UPCONV3D_DX, {.conv = {TILES(kd, kh, kw)}}, 2, 1,                        \
     {MAP(n, (d) * (kd), (h) * (kh), (w) * (kw), co), MAP(kd, kh, kw, ci, co)}, MAP(n, d, h, w, ci), 3e-6,             \
     U3D_FILL_DEFAULT},                                                                                                \
    {tag, U3D_OP_UPCONV3D_DW, {.conv = {TILES(kd, kh, kw)}}, 2, 1 + (bias),               \
     {MAP(n, d, h, w, ci), MAP(n, (d) * (kd), (h) * (kh), (w) * (kw), co)}, {0}, 3e-6, U3D_FILL_DEFAULT}

/* Pooling with an output of size N, D, H, W, C. */
#define POOL(tag, n, d, h, w, c, kd, kh, kw, fill)                                                                     \
    {tag, U3D_OP_MAXPOOL3D, {.conv = {TILES(kd, kh, kw)}}, 1, 2,                          \
     {MAP(n, (d) * (kd), (h) * (kh), (w) * (kw), c)}, {0}, 0, fill},                                                   \
    {tag, U3D_OP_MAXPOOL3D_DX, {.conv = {TILES(kd, kh, kw)}}, 2, 1,                       \
     {MAP(n, d, h, w, c), {U3D_U8, 5, {n, d, h, w, c}}}, MAP(n, (d) * (kd), (h) * (kh), (w) * (kw), c), 1e-7, fill}

#define NORM(tag, n, d, h, w, c, instance, fill)                                                                       \
    {tag, U3D_OP_NORM, {.norm = {.per_instance = instance, .eps = 1e-5F, .momentum = 0.1F}}, 3, 2,                     \
     {MAP(n, d, h, w, c), FLAT(c), FLAT(c)}, {0}, 1e-5, fill},                                                         \
    {tag, U3D_OP_NORM_BACK, {.norm = {.per_instance = instance, .eps = 1e-5F, .momentum = 0.1F}}, 4, 3,                \
     {MAP(n, d, h, w, c), MAP(n, d, h, w, c), FLAT(c), STATS((instance) ? (n) : 1, c)}, {0}, 1e-5, fill}
#define NORM_RUNNING(tag, n, d, h, w, c)                                                                               \
    {tag "_keep", U3D_OP_NORM, {.norm = {.keep_running = true, .eps = 1e-5F, .momentum = 0.1F}}, 3, 3,                 \
     {MAP(n, d, h, w, c), FLAT(c), FLAT(c)}, {0}, 1e-5, U3D_FILL_DEFAULT},                                             \
    {tag "_use", U3D_OP_NORM, {.norm = {.use_running = true, .eps = 1e-5F}}, 4, 1,                                     \
     {MAP(n, d, h, w, c), FLAT(c), FLAT(c), PAIR(2, c)}, {0}, 3e-6, U3D_FILL_DEFAULT}

/* Element-wise ops on a map of size N, D, H, W, C. */
#define POINTWISE(tag, n, d, h, w, c, slope_, fill)                                                                    \
    {tag, U3D_OP_RELU, {.relu = {slope_}}, 1, 1, {MAP(n, d, h, w, c)}, {0}, 1e-7, fill},                               \
    {tag, U3D_OP_RELU_BACK, {.relu = {slope_}}, 2, 1, {MAP(n, d, h, w, c), MAP(n, d, h, w, c)}, {0}, 1e-7, fill},      \
    {tag, U3D_OP_ADD, {.relu = {0}}, 2, 1, {MAP(n, d, h, w, c), MAP(n, d, h, w, c)}, {0}, 1e-7, fill},                 \
    {tag, U3D_OP_COPY, {.relu = {0}}, 1, 1, {MAP(n, d, h, w, c)}, {0}, 1e-7, fill},                                    \
    {tag, U3D_OP_SCALE, {.scale = {0.3F - (slope_)}}, 1, 1, {MAP(n, d, h, w, c)}, {0}, 1e-7, fill}

#define CROP_ATTR(d, h, w, cu, mz, my, mx, part_)                                                                      \
    {.crop = {.up_channels = cu, .skip_size = {(d) + 2 * (mz), (h) + 2 * (my), (w) + 2 * (mx)}, .part = part_}}

/* `up` has size N, D, H, W, CU; the skip has CS channels and is larger by 2*mz, 2*my, 2*mx. */
#define CROP(tag, n, d, h, w, cu, cs, mz, my, mx)                                                                      \
    {tag, U3D_OP_CROP_CONCAT, {.relu = {0}}, 2, 1,                                                                     \
     {MAP(n, d, h, w, cu), MAP(n, (d) + 2 * (mz), (h) + 2 * (my), (w) + 2 * (mx), cs)}, {0}, 1e-7, U3D_FILL_DEFAULT},  \
    {tag, U3D_OP_CROP_CONCAT_BACK, CROP_ATTR(d, h, w, cu, mz, my, mx, U3D_CROP_BOTH), 1, 2,                            \
     {MAP(n, d, h, w, (cu) + (cs))}, {0}, 1e-7, U3D_FILL_DEFAULT},                                                     \
    {tag "_up", U3D_OP_CROP_CONCAT_BACK, CROP_ATTR(d, h, w, cu, mz, my, mx, U3D_CROP_UP), 1, 1,                        \
     {MAP(n, d, h, w, (cu) + (cs))}, {0}, 1e-7, U3D_FILL_DEFAULT},                                                     \
    {tag "_skip", U3D_OP_CROP_CONCAT_BACK, CROP_ATTR(d, h, w, cu, mz, my, mx, U3D_CROP_SKIP), 1, 1,                    \
     {MAP(n, d, h, w, (cu) + (cs))}, {0}, 1e-7, U3D_FILL_DEFAULT}

/* Softmax and losses over K classes; `skip` leaves class 0 out of Dice. */
#define LOSS(tag, n, d, h, w, k, skip, fill)                                                                           \
    {tag, U3D_OP_SOFTMAX, {.relu = {0}}, 1, 1, {MAP(n, d, h, w, k)}, {0}, 2e-6, fill},                                 \
    {tag, U3D_OP_SOFTMAX_XENT, {.loss = {255, skip, 1e-5F}}, 3, 2,                                                     \
     {MAP(n, d, h, w, k), LABELS(n, d, h, w), FLAT(k)}, {0}, 2e-6, fill},                                              \
    {tag, U3D_OP_SOFTMAX_XENT_BACK, {.loss = {255, skip, 1e-5F}}, 5, 1,                                                \
     {MAP(n, d, h, w, k), LABELS(n, d, h, w), FLAT(k), SCALAR, SCALAR}, {0}, 5e-6, fill},                              \
    {tag, U3D_OP_DICE, {.loss = {255, skip, 1e-5F}}, 3, 2,                                                             \
     {MAP(n, d, h, w, k), LABELS(n, d, h, w), FLAT(k)}, {0}, 2e-6, fill},                                              \
    {tag, U3D_OP_DICE_BACK, {.loss = {255, skip, 1e-5F}}, 5, 1,                                                        \
     {MAP(n, d, h, w, k), LABELS(n, d, h, w), FLAT(k), PAIR(3, k), SCALAR}, {0}, 5e-6, fill}

/* Labels subsampled to size N, D, H, W. */
#define SUBSAMPLE(tag, n, d, h, w, sd, sh, sw, fill)                                                                   \
    {tag, U3D_OP_SUBSAMPLE, {.subsample = {{sd, sh, sw}, 255}}, 1, 1,                                                  \
     {LABELS(n, (d) * (sd), (h) * (sh), (w) * (sw))}, {0}, 0, fill}

/* Ops over flat blocks of n numbers. */
#define BLOCK(tag, n, fill)                                                                                            \
    {tag, U3D_OP_SGD_STEP, {.relu = {0}}, 2, 2, {FLAT(n), FLAT(8)}, {0}, 1e-6, fill},                                  \
    {tag, U3D_OP_ADAM_STEP, {.relu = {0}}, 2, 3, {FLAT(n), FLAT(8)}, {0}, 1e-6, fill},                                 \
    {tag, U3D_OP_LERP, {.relu = {0}}, 2, 1, {FLAT(n), SCALAR}, {0}, 1e-6, fill},                                       \
    {tag, U3D_OP_SUM_SQUARES, {.relu = {0}}, 1, 1, {FLAT(n)}, {0}, 3e-7, fill}

/* A convolution, with bias and stride 1, that asks for exact arithmetic (attr.conv.strict). */
#define STRICT(tag, n, d, h, w, ci, co, kd, kh, kw, pd, ph, pw)                                                        \
    {tag, U3D_OP_CONV3D, {.conv = {WINDOW(kd, kh, kw, 1, 1, 1, pd, ph, pw), .strict = true}}, 3, 1,                    \
     {MAP(n, d, h, w, ci), MAP(kd, kh, kw, ci, co), FLAT(co)}, {0}, 3e-6, U3D_FILL_DEFAULT},                           \
    {tag, U3D_OP_CONV3D_DX, {.conv = {WINDOW(kd, kh, kw, 1, 1, 1, pd, ph, pw), .strict = true}}, 2, 1,                 \
     {MAP(n, OUT(d, kd, 1, pd), OUT(h, kh, 1, ph), OUT(w, kw, 1, pw), co), MAP(kd, kh, kw, ci, co)},                   \
     MAP(n, d, h, w, ci), 3e-6, U3D_FILL_DEFAULT},                                                                     \
    {tag, U3D_OP_CONV3D_DW, {.conv = {WINDOW(kd, kh, kw, 1, 1, 1, pd, ph, pw), .strict = true}}, 2, 2,                 \
     {MAP(n, d, h, w, ci), MAP(n, OUT(d, kd, 1, pd), OUT(h, kh, 1, ph), OUT(w, kw, 1, pw), co)}, {0}, 3e-6,            \
     U3D_FILL_DEFAULT}

/* A convolution that also computes the moments of its output: per sample if `each`, otherwise over the batch. */
#define GATHER(tag, n, d, h, w, ci, co, kd, kh, kw, sd, sh, sw, pd, ph, pw, bias, each, fill)                          \
    {tag, U3D_OP_CONV3D,                                                                                               \
     {.conv = {WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw), .moments = true, .per_instance = each}}, 2 + (bias), 2,     \
     {MAP(n, d, h, w, ci), MAP(kd, kh, kw, ci, co), FLAT(co)}, {0}, 1e-5, fill}

/* A convolution of a lazy map with `sets` tables (1 or N), without moments and with moments over the batch, and its
 * weight gradient. */
#define LAZY(tag, n, d, h, w, ci, co, kd, kh, kw, sd, sh, sw, pd, ph, pw, bias, sets, slope_)                          \
    LAZY_CONV(tag, n, d, h, w, ci, co, kd, kh, kw, sd, sh, sw, pd, ph, pw, bias, sets, slope_, 0, 3e-6),               \
    LAZY_CONV(tag "_moments", n, d, h, w, ci, co, kd, kh, kw, sd, sh, sw, pd, ph, pw, bias, sets, slope_, 1, 1e-5),    \
    {tag, U3D_OP_CONV3D_DW,                                                                                            \
     {.conv = {WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw), .lazy = {true, false}, .slope = slope_}}, 3, 1 + (bias),    \
     {MAP(n, d, h, w, ci), MAP(n, OUT(d, kd, sd, pd), OUT(h, kh, sh, ph), OUT(w, kw, sw, pw), co), STATS(sets, ci)}, {0},\
     3e-6, U3D_FILL_DEFAULT}
#define LAZY_CONV(tag, n, d, h, w, ci, co, kd, kh, kw, sd, sh, sw, pd, ph, pw, bias, sets, slope_, moments_, tol)      \
    {tag, U3D_OP_CONV3D,                                                                                               \
     {.conv = {WINDOW(kd, kh, kw, sd, sh, sw, pd, ph, pw), .lazy = {true, false}, .moments = moments_, .slope = slope_}},\
     3 + (bias), 1 + (moments_), {MAP(n, d, h, w, ci), MAP(kd, kh, kw, ci, co), BIAS_##bias(co) STATS(sets, ci)}, {0}, tol,\
     U3D_FILL_DEFAULT}

/* A 3x3x3 convolution with stride 1 of a joined map: `up` has size N, D, H, W, CU, and the skip is larger by 2*mz,
 * 2*my, 2*mx. If lazy_up or lazy_skip is 1, that part is lazy and has su or ss tables. There is one case without
 * moments, one with moments (per sample if `each`, otherwise over the batch), and one for the weight gradient. */
#define JOIN(tag, n, d, h, w, cu, cs, mz, my, mx, co, pad_, bias, lazy_up, su, lazy_skip, ss, slope_, each)            \
    JOIN_CONV(tag, n, d, h, w, cu, cs, mz, my, mx, co, pad_, bias, lazy_up, su, lazy_skip, ss, slope_, 0, false, 3e-6),\
    JOIN_CONV(tag "_moments", n, d, h, w, cu, cs, mz, my, mx, co, pad_, bias, lazy_up, su, lazy_skip, ss, slope_, 1, each,\
              1e-5),                                                                                                   \
    {tag, U3D_OP_CONV3D_DW,                                                                                            \
     {.conv = {WINDOW(3, 3, 3, 1, 1, 1, pad_, pad_, pad_), .joined = true, .lazy = {lazy_up, lazy_skip},               \
               .slope = slope_}},                                                                                      \
     3 + (lazy_up) + (lazy_skip), 1 + (bias),                                                                          \
     {MAP(n, d, h, w, cu), MAP(n, OUT(d, 3, 1, pad_), OUT(h, 3, 1, pad_), OUT(w, 3, 1, pad_), co),                     \
      MAP(n, (d) + 2 * (mz), (h) + 2 * (my), (w) + 2 * (mx), cs), TABLE_##lazy_up(su, cu) TABLE_##lazy_skip(ss, cs)},  \
     {0}, 3e-6, U3D_FILL_DEFAULT}
#define JOIN_CONV(tag, n, d, h, w, cu, cs, mz, my, mx, co, pad_, bias, lazy_up, su, lazy_skip, ss, slope_, moments_,   \
                  each, tol)                                                                                           \
    {tag, U3D_OP_CONV3D,                                                                                               \
     {.conv = {WINDOW(3, 3, 3, 1, 1, 1, pad_, pad_, pad_), .joined = true, .lazy = {lazy_up, lazy_skip},               \
               .moments = moments_, .per_instance = each, .slope = slope_}},                                           \
     3 + (bias) + (lazy_up) + (lazy_skip), 1 + (moments_),                                                             \
     {MAP(n, d, h, w, cu), MAP(3, 3, 3, (cu) + (cs), co), BIAS_##bias(co)                                              \
      MAP(n, (d) + 2 * (mz), (h) + 2 * (my), (w) + 2 * (mx), cs), TABLE_##lazy_up(su, cu) TABLE_##lazy_skip(ss, cs)},  \
     {0}, tol, U3D_FILL_DEFAULT}

#define UPCONV_LAZY(tag, n, d, h, w, ci, co, kd, kh, kw, bias, sets, slope_)                                           \
    {tag, U3D_OP_UPCONV3D, {.conv = {TILES(kd, kh, kw), .lazy = {true, false}, .slope = slope_}}, 3 + (bias), 1,       \
     {MAP(n, d, h, w, ci), MAP(kd, kh, kw, ci, co), BIAS_##bias(co) STATS(sets, ci)}, {0}, 3e-6, U3D_FILL_DEFAULT},    \
    {tag, U3D_OP_UPCONV3D_DW, {.conv = {TILES(kd, kh, kw), .lazy = {true, false}, .slope = slope_}}, 3, 1 + (bias),    \
     {MAP(n, d, h, w, ci), MAP(n, (d) * (kd), (h) * (kh), (w) * (kw), co), STATS(sets, ci)}, {0}, 3e-6, U3D_FILL_DEFAULT}

#define POOL_LAZY(tag, n, d, h, w, c, kd, kh, kw, sets, slope_)                                                        \
    {tag, U3D_OP_MAXPOOL3D, {.conv = {TILES(kd, kh, kw), .lazy = {true, false}, .slope = slope_}}, 2, 2,               \
     {MAP(n, (d) * (kd), (h) * (kh), (w) * (kw), c), STATS(sets, c)}, {0}, 1e-6, U3D_FILL_DEFAULT}

/* norm_back fused with the gradient of the activation. */
#define NORM_ACT(tag, n, d, h, w, c, each, slope_, fill)                                                               \
    {tag, U3D_OP_NORM_BACK, {.norm = {.per_instance = each, .eps = 1e-5F, .act = true, .slope = slope_}}, 5, 3,        \
     {MAP(n, d, h, w, c), MAP(n, d, h, w, c), FLAT(c), STATS((each) ? (n) : 1, c), STATS((each) ? (n) : 1, c)}, {0}, 1e-5,\
     fill}

#define MOMENTS(tag, n, d, h, w, c, each, fill)                                                                        \
    {tag, U3D_OP_MOMENTS, {.norm = {.per_instance = each}}, 1, 1, {MAP(n, d, h, w, c)}, {0}, 1e-5, fill}

#define NORM_TABLE(tag, s, c, keep, voxels_)                                                                           \
    {tag, U3D_OP_NORM_TABLE,                                                                                           \
     {.norm = {.per_instance = (s) > 1, .keep_running = keep, .eps = 1e-5F, .momentum = 0.1F, .voxels = voxels_}}, 3,  \
     2 + (keep), {STATS(s, c), FLAT(c), FLAT(c)}, {0}, 3e-6, U3D_FILL_DEFAULT}
#define NORM_TABLE_RUNNING(tag, c)                                                                                     \
    {tag, U3D_OP_NORM_TABLE, {.norm = {.use_running = true, .eps = 1e-5F}}, 3, 1, {PAIR(2, c), FLAT(c), FLAT(c)}, {0}, \
     3e-6, U3D_FILL_DEFAULT}

#define FILL(tag, number) {tag, U3D_OP_FILL, {.fill = {number}}, 0, 1, {SCALAR}, {0}, 0, U3D_FILL_DEFAULT}

const u3d_op_case u3d_op_cases[] = {
    /*   tag          N   D   H   W  CI  CO  kernel   stride   pad     bias */
    CONV("one",       1,  1,  1,  1,  1,  1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1),
    CONV("tiny",      1,  4,  4,  4,  1,  1, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0),
    CONV("grey",      1,  6,  7,  9,  1,  8, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1),
    CONV("first",     1,  6,  9, 21,  3, 32, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1),
    CONV("odd",       1,  5,  7, 11,  7, 17, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    CONV("n2",        2,  4,  5,  6,  8, 16, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0),
    CONV("n3",        3,  3,  5,  4, 17,  3, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1),
    CONV("head",      1,  5,  6,  7, 24,  3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1),
    CONV("point",     2,  3,  4,  5, 33, 70, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0),
    CONV("flat",      1,  4,  9, 10, 16, 33, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1),
    CONV("flat_in",   1,  3,  7,  8,  3, 16, 1, 3, 3, 1, 1, 1, 0, 0, 0, 0),
    CONV("column",    1,  9,  4,  5, 17,  7, 5, 3, 1, 1, 1, 1, 2, 1, 0, 1),
    CONV("half",      1,  9,  9, 11,  8, 24, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1),
    CONV("half_axes", 2,  4,  9,  7,  7,  8, 3, 3, 3, 1, 2, 2, 1, 1, 1, 0),
    CONV("blocks",    1,  6,  4,  8, 16,  8, 2, 2, 2, 2, 2, 2, 0, 0, 0, 1),
    CONV("steps",     1,  7,  7, 10,  3,  5, 3, 3, 1, 2, 2, 3, 0, 0, 0, 1),
    CONV("full",      1,  4,  4,  5,  5,  9, 3, 3, 3, 1, 1, 1, 2, 2, 2, 1),
    CONV("even",      1,  5,  6,  7,  8,  8, 2, 4, 2, 1, 1, 1, 0, 1, 0, 0),
    CONV("long_row",  1,  3,  4, 75,  8, 16, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    CONV("narrow",    1, 12,  9,  2, 16, 16, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0),
    CONV("wide",      1,  4,  6,  6, 64, 70, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    CONV("wide_in",   1,  4,  5,  6, 70,  8, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1),
    CONV("wide_odd",  1,  4,  6,  5, 33, 65, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0),
    CONV("unet",      1,  8, 10, 16, 32, 64, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1),
    CONV("unet_same", 1,  9, 11, 13, 16, 32, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    CONV("large",     1, 14, 18, 22, 24, 40, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    CONV("large_n2",  2, 11, 20, 34,  9, 16, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1),
    /* The paths of the deep levels of the paper's network: Winograd with all threads on one chunk, in groups of output
     * channels (large_deep), and sums of the weight gradient in groups of input channels (large_deepest). */
    CONV("large_deep",    1, 6,  6,  6, 128, 128, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1),
    CONV("large_deepest", 1, 4,  4,  4, 256, 256, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0),

    /*     tag              N   D   H   W  CI  CO  kernel   pad */
    STRICT("strict_tiny",   1,  4,  5,  6,  1,  2, 3, 3, 3, 0, 0, 0),
    STRICT("strict_odd",    2,  5,  7,  9,  7, 17, 3, 3, 3, 1, 1, 1),
    STRICT("strict_flat",   1,  4,  9, 10, 16, 33, 1, 3, 3, 0, 1, 1),
    STRICT("strict_unet",   1,  8, 10, 16, 32, 64, 3, 3, 3, 1, 1, 1),

    /*     tag              N   D   H   W  CI  CO  kernel   stride   pad     bias per sample */
    GATHER("moments_one",   1,  3,  3,  4,  1,  1, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1, false, U3D_FILL_DEFAULT),
    GATHER("moments_odd",   2,  5,  7,  9,  7, 17, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, false, U3D_FILL_DEFAULT),
    GATHER("moments_each",  3,  4,  5,  6,  8, 16, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0, true,  U3D_FILL_DEFAULT),
    GATHER("moments_far",   2,  6,  6, 12, 16, 24, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1, false, U3D_FILL_OFFSET),
    GATHER("moments_apart", 2,  5,  6,  7,  8, 33, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1, true,  U3D_FILL_OFFSET),
    GATHER("moments_point", 2,  5,  6,  7, 24,  3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, true,  U3D_FILL_DEFAULT),
    GATHER("moments_half",  1,  9,  9, 11,  8, 24, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1, false, U3D_FILL_DEFAULT),
    GATHER("moments_unet",  1,  8, 10, 16, 32, 64, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, false, U3D_FILL_DEFAULT),
    /* The output has 16 MB, from which size on it is written around the caches. */
    GATHER("moments_large", 1, 64, 64, 64, 1, 16, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, false, U3D_FILL_DEFAULT),

    /*   tag                N   D   H   W  CI  CO  kernel   stride   pad     bias tables slope */
    LAZY("lazy_one",        1,  1,  1,  1,  1,  1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0.0F),
    LAZY("lazy_tiny",       1,  4,  4,  4,  1,  1, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0, 1, 0.01F),
    LAZY("lazy_odd",        1,  5,  7, 11,  7, 17, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0.0F),
    LAZY("lazy_n2",         2,  4,  5,  6,  8, 16, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0, 2, 0.01F),
    LAZY("lazy_n3_shared",  3,  3,  5,  4, 17,  3, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1, 1, 0.0F),
    LAZY("lazy_head",       2,  5,  6,  7, 24,  3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 2, 0.01F),
    LAZY("lazy_flat",       1,  4,  9, 10, 16, 33, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 0.0F),
    LAZY("lazy_half",       1,  9,  9, 11,  8, 24, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 0.01F),
    LAZY("lazy_even",       1,  5,  6,  7,  8,  8, 2, 4, 2, 1, 1, 1, 0, 1, 0, 0, 1, 0.0F),
    LAZY("lazy_wide",       1,  4,  6,  6, 64, 70, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0.0F),
    LAZY("lazy_unet",       1,  8, 10, 16, 32, 64, 3, 3, 3, 1, 1, 1, 0, 0, 0, 1, 1, 0.0F),
    LAZY("lazy_large",      2, 11, 14, 22, 24, 40, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, 0.01F),

    /*   tag                N   D   H   W  CU  CS  margin   CO pad bias up,   skip: lazy, tables; slope, per sample */
    JOIN("joined_one",      1,  3,  3,  3,  1,  1, 0, 0, 0,  1, 0, 1, 0, 1, 0, 1, 0.0F,  false),
    JOIN("joined_same",     2,  4,  5,  6,  8, 16, 0, 0, 0, 16, 1, 1, 0, 1, 0, 1, 0.0F,  false),
    JOIN("joined_odd",      1,  3,  5,  4,  7,  3, 1, 2, 3,  5, 0, 1, 0, 1, 0, 1, 0.0F,  false),
    JOIN("joined_n2",       2,  4,  3,  5, 17,  8, 2, 1, 4, 24, 1, 0, 0, 1, 0, 1, 0.0F,  true),
    JOIN("joined_lazy_up",  1,  4,  5,  6,  5,  7, 1, 1, 2,  8, 1, 1, 1, 1, 0, 1, 0.01F, false),
    JOIN("joined_lazy_skip", 2, 4,  5,  6, 16,  9, 2, 1, 1, 17, 1, 0, 0, 1, 1, 2, 0.0F,  false),
    JOIN("joined_lazy_both", 2, 3,  6,  7,  7, 17, 1, 2, 0, 16, 1, 1, 1, 1, 1, 2, 0.01F, true),
    JOIN("joined_lazy_shared", 2, 5, 4, 6,  3,  5, 1, 0, 3, 33, 0, 1, 1, 2, 1, 1, 0.0F,  false),
    JOIN("joined_unet",     1,  6,  8, 12, 64, 32, 4, 4, 4, 32, 0, 1, 0, 1, 1, 1, 0.0F,  false),
    JOIN("joined_large",    1, 10, 14, 22, 24, 24, 0, 0, 0, 24, 1, 1, 0, 1, 1, 1, 0.01F, true),

    /*     tag        N   D   H   W  CI  CO  kernel  bias */
    UPCONV("one",     1,  1,  1,  1,  1,  1, 2, 2, 2, 1),
    UPCONV("odd",     1,  3,  5,  7,  7, 17, 2, 2, 2, 1),
    UPCONV("n2",      2,  3,  2,  4, 16,  8, 2, 2, 2, 0),
    UPCONV("flat",    1,  3,  5,  4, 24, 33, 1, 2, 2, 0),
    UPCONV("mixed",   1,  2,  3,  2,  3, 64, 3, 1, 2, 1),
    UPCONV("single",  1,  2,  3,  4,  8,  8, 1, 1, 1, 1),
    UPCONV("unet",    1,  5,  6,  7, 64, 64, 2, 2, 2, 0),
    UPCONV("wide",    1,  4,  4,  4, 70, 17, 2, 2, 2, 1),
    UPCONV("large",   1,  9, 14, 13, 32, 24, 2, 2, 2, 1),

    /*          tag            N   D   H   W  CI  CO  kernel  bias tables slope */
    UPCONV_LAZY("lazy_one",    1,  1,  1,  1,  1,  1, 2, 2, 2, 1, 1, 0.0F),
    UPCONV_LAZY("lazy_odd",    1,  3,  5,  7,  7, 17, 2, 2, 2, 1, 1, 0.01F),
    UPCONV_LAZY("lazy_n2",     2,  3,  2,  4, 16,  8, 2, 2, 2, 0, 2, 0.0F),
    UPCONV_LAZY("lazy_shared", 3,  3,  5,  4, 24, 33, 1, 2, 2, 0, 1, 0.01F),
    UPCONV_LAZY("lazy_unet",   1,  5,  6,  7, 64, 64, 2, 2, 2, 0, 1, 0.0F),
    UPCONV_LAZY("lazy_large",  1,  9, 14, 13, 32, 24, 2, 2, 2, 1, 1, 0.0F),

    /*   tag          N   D   H   W   C  window */
    POOL("one",       1,  1,  1,  1,  1, 2, 2, 2, U3D_FILL_DEFAULT),
    POOL("odd",       1,  3,  5,  7, 17, 2, 2, 2, U3D_FILL_DEFAULT),
    POOL("n2",        2,  2,  3,  4,  8, 2, 2, 2, U3D_FILL_DEFAULT),
    POOL("flat",      1,  5,  4,  3,  7, 1, 2, 2, U3D_FILL_DEFAULT),
    POOL("mixed",     1,  2,  3,  5, 33, 3, 1, 2, U3D_FILL_DEFAULT),
    POOL("ties",      1,  4,  4,  5, 16, 2, 2, 2, U3D_FILL_TIES),
    POOL("zero",      1,  2,  2,  2,  3, 2, 2, 2, U3D_FILL_ZERO),
    POOL("unet",      1, 10, 12, 11, 64, 2, 2, 2, U3D_FILL_DEFAULT),
    POOL("large",     2, 16, 15, 18, 20, 2, 2, 2, U3D_FILL_DEFAULT),
    POOL("stream",    1, 16, 32, 32, 32, 2, 2, 2, U3D_FILL_DEFAULT), /* dx has 16 MB: written around the caches */

    /*        tag            N   D   H   W   C  window  tables slope */
    POOL_LAZY("lazy_one",    1,  1,  1,  1,  1, 2, 2, 2, 1, 0.0F), /* with slope 0, some windows hold only zeros */
    POOL_LAZY("lazy_odd",    1,  3,  5,  7, 17, 2, 2, 2, 1, 0.0F),
    POOL_LAZY("lazy_n2",     2,  2,  3,  4,  8, 2, 2, 2, 2, 0.01F),
    POOL_LAZY("lazy_shared", 3,  5,  4,  3,  7, 1, 2, 2, 1, 0.01F),
    POOL_LAZY("lazy_unet",   1, 10, 12, 11, 64, 2, 2, 2, 1, 0.0F),

    /*   tag            N   D   H   W   C  per sample */
    NORM("three",       1,  1,  1,  3,  1, false, U3D_FILL_DEFAULT), /* with two voxels, dx would cancel to 0 */
    NORM("odd",         1,  5,  7,  9,  7, false, U3D_FILL_DEFAULT),
    NORM("n2",          2,  4,  5,  6, 17, false, U3D_FILL_DEFAULT),
    NORM("n3_instance", 3,  4,  5,  3, 24, true,  U3D_FILL_DEFAULT),
    NORM("instance",    1,  6,  5,  7, 33, true,  U3D_FILL_DEFAULT),
    NORM("offset",      2,  6,  6,  6,  8, false, U3D_FILL_OFFSET),
    NORM("constant",    1,  3,  4,  5,  3, false, U3D_FILL_ZERO),
    NORM("unet",        1, 14, 16, 15, 64, false, U3D_FILL_DEFAULT),
    NORM("large",       2, 24, 28, 26, 16, false, U3D_FILL_DEFAULT),
    NORM("large_each",  2, 24, 28, 26,  3, true,  U3D_FILL_DEFAULT),
    NORM("wide",        1,  3,  4,  7, 70, false, U3D_FILL_DEFAULT),
    NORM("wide_each",   2,  3,  2,  7, 268, true, U3D_FILL_DEFAULT),
    NORM_RUNNING("running_odd",  2, 3, 5, 7, 17),
    NORM_RUNNING("running_unet", 1, 6, 8, 9, 32),

    /*       tag            N   D   H   W   C  per sample, slope */
    NORM_ACT("act_three",   1,  1,  1,  3,  1, false, 0.01F, U3D_FILL_DEFAULT),
    NORM_ACT("act_odd",     1,  5,  7,  9,  7, false, 0.0F,  U3D_FILL_DEFAULT),
    NORM_ACT("act_n2",      2,  4,  5,  6, 17, false, 0.01F, U3D_FILL_DEFAULT),
    NORM_ACT("act_each",    3,  4,  5,  3, 24, true,  0.0F,  U3D_FILL_DEFAULT),
    NORM_ACT("act_offset",  2,  6,  6,  6,  8, false, 0.01F, U3D_FILL_OFFSET),
    NORM_ACT("act_unet",    1, 14, 16, 15, 64, false, 0.0F,  U3D_FILL_DEFAULT),
    NORM_ACT("act_large",   2, 24, 28, 26,  3, true,  0.01F, U3D_FILL_DEFAULT),

    /*      tag         N   D   H   W   C  per sample */
    MOMENTS("one",      1,  1,  1,  1,  1, false, U3D_FILL_DEFAULT),
    MOMENTS("odd",      1,  5,  7,  9,  7, false, U3D_FILL_DEFAULT),
    MOMENTS("n2",       2,  4,  5,  6, 17, false, U3D_FILL_DEFAULT),
    MOMENTS("n3_each",  3,  4,  5,  3, 24, true,  U3D_FILL_DEFAULT),
    MOMENTS("offset",   2,  6,  6,  6,  8, false, U3D_FILL_OFFSET),
    MOMENTS("constant", 1,  3,  4,  5,  3, true,  U3D_FILL_ZERO),
    MOMENTS("unet",     1, 14, 16, 15, 64, false, U3D_FILL_DEFAULT),
    MOMENTS("large",    2, 24, 28, 26, 33, true,  U3D_FILL_OFFSET),
    MOMENTS("wide",     1,  3,  4,  7, 70, false, U3D_FILL_DEFAULT),
    MOMENTS("wide_each", 2, 3,  2,  7, 268, true, U3D_FILL_OFFSET),

    /*         tag     S   C  running, voxels */
    NORM_TABLE("one",  1,  1, 0, 1),
    NORM_TABLE("odd",  1,  7, 1, 315),
    NORM_TABLE("pair", 1, 16, 1, 2),
    NORM_TABLE("each", 3, 24, 0, 60),
    NORM_TABLE("unet", 1, 64, 1, 3360),
    NORM_TABLE("wide", 2, 70, 0, 1000000),
    NORM_TABLE_RUNNING("use_odd", 17), NORM_TABLE_RUNNING("use_unet", 32),

    /*        tag         N   D   H   W   C  slope */
    POINTWISE("one",      1,  1,  1,  1,  1, 0.0F,  U3D_FILL_DEFAULT),
    POINTWISE("odd",      1,  3,  5,  7,  3, 0.0F,  U3D_FILL_DEFAULT),
    POINTWISE("leaky",    2,  4,  3,  5, 17, 0.01F, U3D_FILL_DEFAULT),
    POINTWISE("ties",     1,  4,  4,  4,  7, 0.0F,  U3D_FILL_TIES),
    POINTWISE("leaky_0",  1,  4,  4,  4,  8, 0.01F, U3D_FILL_TIES),
    POINTWISE("unet",     1, 14, 16, 15, 33, 0.0F,  U3D_FILL_DEFAULT),
    POINTWISE("large",    1, 30, 32, 31, 16, 0.01F, U3D_FILL_DEFAULT),

    /*   tag          N   D   H   W  CU  CS  margin */
    CROP("one",       1,  1,  1,  1,  1,  1, 0, 0, 0),
    CROP("same",      1,  3,  4,  5,  8, 16, 0, 0, 0),
    CROP("odd",       1,  3,  5,  4,  7,  3, 1, 2, 3),
    CROP("n2",        2,  4,  3,  2, 17,  8, 2, 1, 4),
    CROP("flat",      2,  3,  4,  6, 16, 33, 0, 2, 2),
    CROP("unet",      1,  6,  8,  8, 64, 32, 4, 4, 4),

    /*   tag          N   D   H   W   K  skip */
    LOSS("one",       1,  1,  1,  1,  2, false, U3D_FILL_DEFAULT),
    LOSS("odd",       1,  3,  5,  7,  3, true,  U3D_FILL_DEFAULT),
    LOSS("n2",        2,  4,  3,  5,  2, false, U3D_FILL_DEFAULT),
    LOSS("many",      1,  4,  4,  5, 17, true,  U3D_FILL_DEFAULT),
    LOSS("eight",     1,  3,  4,  5,  8, false, U3D_FILL_DEFAULT),
    LOSS("extreme",   1,  4,  5,  6,  4, true,  U3D_FILL_EXTREME),
    LOSS("ignored",   1,  3,  3,  4,  3, true,  U3D_FILL_IGNORED),
    LOSS("unet",      1, 28, 22, 21,  3, true,  U3D_FILL_DEFAULT),
    LOSS("large",     2, 36, 32, 38,  4, true,  U3D_FILL_DEFAULT),
    LOSS("classes",   1,  6,  7,  9, 130, true, U3D_FILL_DEFAULT),
    LOSS("bytes",     1,  5,  8,  9, 255, false, U3D_FILL_DEFAULT),

    /*        tag       N   D   H   W  stride */
    SUBSAMPLE("one",    1,  1,  1,  1, 1, 1, 1, U3D_FILL_DEFAULT),
    SUBSAMPLE("odd",    1,  3,  5,  7, 2, 2, 2, U3D_FILL_DEFAULT),
    SUBSAMPLE("axes",   3,  4,  3,  5, 1, 3, 2, U3D_FILL_DEFAULT),
    SUBSAMPLE("sparse", 2,  5,  6,  9, 4, 2, 3, U3D_FILL_SPARSE),
    SUBSAMPLE("ignored", 1, 3,  3,  4, 2, 4, 4, U3D_FILL_IGNORED),
    SUBSAMPLE("unet",   2, 20, 28, 20, 2, 2, 2, U3D_FILL_SPARSE),
    SUBSAMPLE("large",  1, 33, 35, 37, 4, 4, 4, U3D_FILL_DEFAULT),

    BLOCK("one",      1,     U3D_FILL_DEFAULT),
    BLOCK("seven",    7,     U3D_FILL_DEFAULT),
    BLOCK("line",     64,    U3D_FILL_DEFAULT),
    BLOCK("odd",      1037,  U3D_FILL_DEFAULT),
    BLOCK("zero",     33,    U3D_FILL_ZERO),
    BLOCK("page",     40960, U3D_FILL_DEFAULT),
    BLOCK("large",    100003, U3D_FILL_DEFAULT),
    BLOCK("million",  1000003, U3D_FILL_DEFAULT),

    FILL("zero", 0.0F), FILL("one", 1.0F), FILL("minus", -2.5F), FILL("small", 1e-30F), FILL("large", 1e30F),
};

const int u3d_op_case_count = (int) (sizeof u3d_op_cases / sizeof *u3d_op_cases);

u3d_status u3d_op_case_desc(const u3d_op_case *c, u3d_op_desc *out)
{
    memset(out, 0, sizeof *out);
    out->op = c->op;
    out->attr = c->attr;
    out->n_in = c->n_in;
    out->n_out = c->n_out;
    memcpy(out->in, c->in, (size_t) c->n_in * sizeof *c->in);
    if (c->out.rank) out->out[0] = c->out;
    U3D_TRY(u3d_op_info_get(c->op)->infer(out));
    if (c->out.rank && !u3d_type_equal(&out->out[0], &c->out))
        return u3d_fail(U3D_E_SHAPE, "%s %s: the inferred output type differs from the one in the table",
                        u3d_op_info_get(c->op)->name, c->tag);
    return U3D_OK;
}

double u3d_op_case_tol(const u3d_op_case *c, const char *impl)
{
    /* The transforms of F(4) multiply by factors from 1/24 to 8, which causes rounding errors of 4e-6 to 3e-5. */
    const double f4 = 3e-5;
    return strcmp(impl, "winograd-f4") == 0 && c->tol < f4 ? f4 : c->tol;
}

double u3d_op_tol(const u3d_op_desc *d, const char *impl)
{
    double tol = 0;
    for (int i = 0; i < u3d_op_case_count; i++) {
        const u3d_op_case *c = &u3d_op_cases[i];
        if (c->op != d->op || u3d_op_case_optional(c) != (d->op == U3D_OP_CONV3D && d->attr.conv.moments)) continue;
        double one = u3d_op_case_tol(c, impl);
        if (one > tol) tol = one;
    }
    return tol;
}

bool u3d_op_case_fused(const u3d_op_case *c)
{
    const u3d_conv_attr *a = &c->attr.conv;
    switch ((int) c->op) {
    case U3D_OP_CONV3D:
    case U3D_OP_CONV3D_DW:
    case U3D_OP_UPCONV3D:
    case U3D_OP_UPCONV3D_DW:
    case U3D_OP_MAXPOOL3D: return a->joined || a->lazy[0] || a->lazy[1] || a->moments;
    default: return false;
    }
}

bool u3d_op_case_optional(const u3d_op_case *c)
{
    return c->op == U3D_OP_CONV3D && c->attr.conv.moments;
}
