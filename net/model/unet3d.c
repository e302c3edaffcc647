/* The 3D U-Net of Cicek et al. 2016 (arXiv:1606.06650) and its family.
 *
 * Encoder level l repeats (convolution, norm, ReLU) `convs` times. Its result is kept for the skip connection
 * and pooled for level l + 1. Decoder level l is an up-convolution, the concatenation (up, skip) with the
 * skip cropped about its centre, and the same block again. A 1x1x1 convolution makes the logits. With base
 * 32, 4 levels and double=before-pool the numbers of channels are:
 *
 *   enc0  C -> 32 -> 64        dec2  up 512 -> 512, 512+256 -> 256 -> 256
 *   enc1  64 -> 64 -> 128      dec1  up 256 -> 256, 256+128 -> 128 -> 128
 *   enc2  128 -> 128 -> 256    dec0  up 128 -> 128, 128+64  -> 64  -> 64
 *   enc3  256 -> 256 -> 512    head  64 -> labels
 *
 * With 3 input channels and 3 labels these are the paper's 19,069,955 parameters: all 3x3x3 convolutions and
 * the head have biases, the up-convolutions have none. With double=at-start (nnU-Net's layout) both
 * convolutions of level l make base * 2^l channels, and the up-convolution reduces to the channels of its
 * level.
 *
 * Deep supervision (only in training) adds 1x1x1 heads on further decoder levels, each with the same loss
 * against the labels at its resolution. */
#include "net/model/unet3d.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/rewrite/fuse.h"
#include "net/volume/labels.h"

/* base * 2^doublings channels, at most max_width if that is set. */
static int64_t width(const u3d_config *c, int64_t doublings)
{
    int64_t channels = c->base << doublings;
    return c->max_width > 0 && channels > c->max_width ? c->max_width : channels;
}

/* Channels of the result of an encoder or decoder level. */
static int64_t level_width(const u3d_config *c, int level)
{
    return width(c, c->doubling == U3D_DOUBLE_BEFORE_POOL ? level + 1 : level);
}

/* ---- sizes ---- */

/* Length along an axis after the convolutions of one level; <= 0: the length is too short for them. */
static int64_t convs_size(const u3d_config *c, int level, int axis, int64_t size)
{
    return c->padding == U3D_PAD_SAME ? size : size - c->convs * (c->kernel[level][axis] - 1);
}

/* Output length of the whole network along one axis, or 0 if the input length does not fit. It fits if every
 * convolution leaves at least one voxel, every pooling divides evenly, and every skip is longer than the
 * up-convolved map beside it by an even number of voxels (0 included). */
static int64_t axis_output(const u3d_config *c, int axis, int64_t size)
{
    int64_t skip[U3D_MAX_LEVELS];
    int levels = (int)c->levels;
    for (int level = 0; level < levels; level++) {
        size = skip[level] = convs_size(c, level, axis, size);
        if (size < 1) return 0;
        if (level == levels - 1) break;
        if (size % c->pool[level][axis] != 0) return 0;
        size /= c->pool[level][axis];
    }
    for (int level = levels - 2; level >= 0; level--) {
        size *= c->pool[level][axis];
        if (size > skip[level] || (skip[level] - size) % 2 != 0) return 0;
        size = convs_size(c, level, axis, size);
        if (size < 1) return 0;
    }
    return size;
}

/* Smallest legal length >= want, or 0 if no length is legal. Once the convolutions fit, legal lengths repeat
 * with the product of the poolings as period, and the convolutions fit at the latest when the length exceeds
 * the sum of what they take away, measured in voxels of the input. */
static int64_t axis_legal(const u3d_config *c, int axis, int64_t want)
{
    int64_t scale = 1, shrink = 0;
    for (int level = 0; level < c->levels; level++) {
        shrink += 2 * scale * c->convs * (c->kernel[level][axis] - 1);
        if (level < c->levels - 1) scale *= c->pool[level][axis];
    }
    int64_t first = want > 1 ? want : 1;
    for (int64_t size = first; size <= first + shrink + 2 * scale; size++)
        if (axis_output(c, axis, size) > 0) return size;
    return 0;
}

/* Largest legal length < want, or 0 if there is none. */
static int64_t axis_legal_below(const u3d_config *c, int axis, int64_t want)
{
    for (int64_t size = want - 1; size >= 1; size--)
        if (axis_output(c, axis, size) > 0) return size;
    return 0;
}

static u3d_status size_refused(const u3d_config *c, int axis, const int64_t in[3])
{
    int64_t below = axis_legal_below(c, axis, in[axis]), above = axis_legal(c, axis, in[axis]);
    char nearest[80];
    if (below > 0 && above > 0)
        (void)snprintf(nearest, sizeof nearest, "the nearest legal lengths are %lld and %lld",
                       (long long)below, (long long)above);
    else if (below > 0 || above > 0)
        (void)snprintf(nearest, sizeof nearest, "the nearest legal length is %lld",
                       (long long)(below > 0 ? below : above));
    else
        (void)snprintf(nearest, sizeof nearest, "no length fits: change kernel or pool");
    return u3d_fail(
        U3D_E_SHAPE,
        "network input %lldx%lldx%lld (x, y, z): "
        "%lld voxels along %c do not fit %lld levels of %s convolutions; %s",
        (long long)in[2], (long long)in[1], (long long)in[0], (long long)in[axis], "zyx"[axis],
        (long long)c->levels, c->padding == U3D_PAD_SAME ? "same-padded" : "valid", nearest);
}

u3d_status u3d_unet3d_output_size(const u3d_config *c, const int64_t in[3], int64_t out[3])
{
    for (int axis = 0; axis < 3; axis++) {
        out[axis] = axis_output(c, axis, in[axis]);
        if (out[axis] < 1) return size_refused(c, axis, in);
    }
    return U3D_OK;
}

void u3d_unet3d_legal_size(const u3d_config *c, const int64_t want[3], int64_t in[3])
{
    for (int axis = 0; axis < 3; axis++) {
        int64_t legal = axis_legal(c, axis, want[axis]);
        in[axis] = legal > 0 ? legal : want[axis]; /* u3d_unet3d_build then reports it */
    }
}

/* ---- layers ---- */

/* Factor on the standard deviation sqrt(2 / fan_in) of initial weights for a leaky ReLU: weights of variance
 * 2 / ((1 + slope^2) * fan_in) keep the variance of the signal (He et al. 2015, arXiv:1502.01852, eq. 14). */
static float init_gain(const u3d_config *c)
{
    return c->activation == U3D_ACT_LEAKY ? (float)(1.0 / sqrt(1.0 + c->leaky_slope * c->leaky_slope)) : 1.0F;
}

static u3d_val add_norm(u3d_graph *g, const char *name, u3d_val x, const u3d_config *c, u3d_mode mode)
{
    bool running = c->norm_statistics == U3D_STAT_RUNNING;
    u3d_norm_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.per_instance = c->norm == U3D_NORM_INSTANCE;
    attr.keep_running = running && mode == U3D_MODE_TRAIN;
    attr.use_running = running && mode == U3D_MODE_INFER;
    attr.eps = (float)c->norm_eps;
    attr.momentum = (float)c->norm_momentum;
    return u3d_layer_norm(g, name, x, attr);
}

/* Repeats convolution, norm, ReLU `convs` times. The last convolution makes `last` channels, all others
 * `mid`. */
static u3d_val add_block(u3d_graph *g, u3d_val x, const u3d_config *c, u3d_mode mode, int level, int64_t mid,
                         int64_t last)
{
    char name[32];
    u3d_layer_conv conv = {.bias = true, .init_gain = init_gain(c)};
    conv.attr.strict = c->precision == U3D_PRECISION_STRICT;
    for (int axis = 0; axis < 3; axis++) {
        conv.attr.kernel[axis] = c->kernel[level][axis];
        conv.attr.stride[axis] = 1;
        conv.attr.pad[axis] = c->padding == U3D_PAD_SAME ? (c->kernel[level][axis] - 1) / 2 : 0;
    }
    for (int64_t i = 1; i <= c->convs; i++) {
        conv.channels_out = (int32_t)(i == c->convs ? last : mid);
        (void)snprintf(name, sizeof name, "conv%lld", (long long)i);
        x = u3d_layer_conv3d(g, name, x, &conv);
        (void)snprintf(name, sizeof name, "norm%lld", (long long)i);
        if (c->norm != U3D_NORM_NONE) x = add_norm(g, name, x, c, mode);
        (void)snprintf(name, sizeof name, "relu%lld", (long long)i);
        x = u3d_relu(g, name, x, c->activation == U3D_ACT_LEAKY ? (float)c->leaky_slope : 0.0F);
    }
    return x;
}

static u3d_conv_attr pool_attr(const u3d_config *c, int level)
{
    u3d_conv_attr attr;
    memset(&attr, 0, sizeof attr);
    for (int axis = 0; axis < 3; axis++) attr.kernel[axis] = attr.stride[axis] = c->pool[level][axis];
    return attr;
}

static u3d_val add_up(u3d_graph *g, u3d_val x, const u3d_config *c, int level)
{
    int below = c->doubling == U3D_DOUBLE_AT_START ? level : level + 1;
    u3d_layer_conv up = {
        .attr = pool_attr(c, level), .channels_out = (int32_t)level_width(c, below), .bias = false};
    up.attr.strict = c->precision == U3D_PRECISION_STRICT;
    up.init_gain = 1.0F;
    return u3d_layer_upconv3d(g, "up", x, &up);
}

static u3d_val add_head(u3d_graph *g, u3d_val x, const u3d_config *c)
{
    u3d_layer_conv head = {
        .attr = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}}, .bias = true, .init_gain = 1.0F};
    head.attr.strict = c->precision == U3D_PRECISION_STRICT;
    head.channels_out = (int32_t)c->labels;
    return u3d_layer_conv3d(g, "head", x, &head);
}

/* Number of decoder levels with a head, counted from the finest. nnU-Net v2 (nnUNetTrainer._build_loss) gives
 * the output of the coarsest decoder level the weight 0, so that level has no head here unless
 * deep_supervision=all. */
static int n_heads(const u3d_config *c, u3d_mode mode)
{
    if (mode != U3D_MODE_TRAIN || c->deep_supervision == U3D_DEEP_OFF) return 1;
    int n = (int)c->levels - (c->deep_supervision == U3D_DEEP_ALL ? 1 : 2);
    return n > 1 ? n : 1;
}

bool u3d_unet3d_only_trained(const char *param)
{
    int level, used = 0;
    return sscanf(param, "dec%d.head.%n", &level, &used) == 1 && used > 0;
}

/* Encoder, decoder and heads; fills logits[0 .. n_heads - 1], finest level first. */
static void add_unet(u3d_graph *g, u3d_val x, const u3d_config *c, u3d_mode mode, u3d_val *logits)
{
    u3d_val skip[U3D_MAX_LEVELS];
    int levels = (int)c->levels;
    bool early = c->doubling == U3D_DOUBLE_AT_START;
    for (int level = 0; level < levels; level++) { /* down: enc0 ... */
        u3d_scope_push(g, "enc%d", level);
        if (level > 0) x = u3d_maxpool3d(g, "pool", x, pool_attr(c, level - 1));
        x = skip[level] = add_block(g, x, c, mode, level, early ? level_width(c, level) : width(c, level),
                                    level_width(c, level));
        u3d_scope_pop(g);
    }
    for (int level = levels - 2; level >= 0; level--) { /* up: ... dec0 */
        u3d_scope_push(g, "dec%d", level);
        x = u3d_crop_concat(g, "concat", add_up(g, x, c, level), skip[level]);
        x = add_block(g, x, c, mode, level, level_width(c, level), level_width(c, level));
        if (level > 0 && level < n_heads(c, mode)) logits[level] = add_head(g, x, c);
        u3d_scope_pop(g);
    }
    logits[0] = add_head(g, x, c);
}

/* ---- loss ---- */

/* The loss of one head against labels of the head's size. */
static u3d_val add_loss(u3d_graph *g, const u3d_config *c, u3d_val logits, u3d_val label, u3d_val weight,
                        bool skip_background)
{
    u3d_loss_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.ignore_label = U3D_UNLABELED;
    attr.skip_background = skip_background;
    attr.smooth = 1e-5F; /* nnU-Net's */
    u3d_val xent = U3D_NONE, dice = U3D_NONE;
    if (c->loss != U3D_LOSS_DICE) xent = u3d_softmax_xent(g, "xent", logits, label, weight, attr);
    if (c->loss != U3D_LOSS_CE) dice = u3d_dice(g, "dice", logits, label, weight, attr);
    if (c->loss == U3D_LOSS_CE_DICE) return u3d_add(g, "sum", xent, dice);
    return c->loss == U3D_LOSS_CE ? xent : dice;
}

/* The labels at the resolution of decoder level `level`. */
static u3d_val add_coarse_label(u3d_graph *g, const u3d_config *c, u3d_val label, int level)
{
    u3d_subsample_attr attr = {.stride = {1, 1, 1}, .ignore_label = U3D_UNLABELED};
    for (int finer = 0; finer < level; finer++)
        for (int axis = 0; axis < 3; axis++) attr.stride[axis] *= c->pool[finer][axis];
    return u3d_subsample(g, "label", label, attr);
}

/* Sum over the heads of 2^-level times their loss against `label`, with these weights scaled to a sum of 1
 * (as in nnU-Net v2, nnUNetTrainer._build_loss). The scopes are named `name`, `name`1, ... */
static u3d_val add_losses(u3d_graph *g, const u3d_config *c, const u3d_val *logits, bool skip_background,
                          const u3d_unet3d *net, u3d_val label, const char *name)
{
    int n = n_heads(c, U3D_MODE_TRAIN);
    u3d_scope_push(g, "%s", name);
    u3d_val total = add_loss(g, c, logits[0], label, net->class_weight, skip_background);
    double weight = 1.0 / (2.0 - ldexp(1.0, 1 - n));
    if (n > 1) total = u3d_scale(g, "weighted", total, (float)weight);
    u3d_scope_pop(g);
    for (int level = 1; level < n; level++) {
        u3d_scope_push(g, "%s%d", name, level);
        u3d_val coarse = add_coarse_label(g, c, label, level);
        u3d_val loss = add_loss(g, c, logits[level], coarse, net->class_weight, skip_background);
        loss = u3d_scale(g, "weighted", loss, (float)ldexp(weight, -level));
        total = u3d_add(g, "total", total, loss);
        u3d_scope_pop(g);
    }
    return total;
}

/* The mean of the loss on what was labelled and of that on everything, in which pseudo-labels fill the gaps.
 * So a stroke keeps half of the say (pseudo_weight=1), however few voxels it has. */
static u3d_val add_pseudo(u3d_graph *g, const u3d_config *c, const u3d_val *logits, bool skip_background,
                          u3d_unet3d *net)
{
    const double share = c->pseudo_weight / (1.0 + c->pseudo_weight);
    net->pseudo = u3d_input(g, "pseudo", u3d_graph_value(g, net->label)->type);
    u3d_val more = add_losses(g, c, logits, skip_background, net, net->pseudo, "pseudo_loss");
    u3d_scope_push(g, "joint_loss");
    net->loss = u3d_scale(g, "labelled", net->loss, (float)(1.0 - share));
    more = u3d_scale(g, "pseudo", more, (float)share);
    net->loss = u3d_add(g, "total", net->loss, more);
    u3d_scope_pop(g);
    return net->loss;
}

static u3d_status finish_train(const u3d_config *c, int64_t batch, const u3d_val *logits,
                               bool skip_background, u3d_unet3d *net)
{
    u3d_graph *g = net->graph;
    net->label = u3d_input(g, "label",
                           u3d_type_of(U3D_U8, 4, (int64_t[]){batch, net->out[0], net->out[1], net->out[2]}));
    net->class_weight = u3d_input(g, "class_weight", u3d_type_f32(1, &c->labels));
    net->loss = add_losses(g, c, logits, skip_background, net, net->label, "loss");
    if (c->pseudo_labels == U3D_SWITCH_ON) net->loss = add_pseudo(g, c, logits, skip_background, net);
    U3D_TRY(u3d_graph_finish(g)); /* reports the first failure of the layers above before differentiation */
    u3d_graph_output(g, net->loss, "loss");
    return u3d_graph_backward(g, net->loss);
}

u3d_status u3d_unet3d_build(const u3d_config *c, const u3d_backend *b, u3d_mode mode, int64_t batch,
                            const int64_t in[3], bool skip_background, u3d_unet3d *out)
{
    u3d_unet3d net;
    memset(&net, 0, sizeof net);
    memset(out, 0, sizeof *out);
    net.label = net.pseudo = net.class_weight = net.loss = net.probability = U3D_NONE;
    if (c->levels < 1 || c->levels > U3D_MAX_LEVELS || c->labels < 1 || c->channels < 1)
        return u3d_fail(U3D_E_ARG,
                        "build the network: levels (%lld), labels (%lld) and channels (%lld) must be known",
                        (long long)c->levels, (long long)c->labels, (long long)c->channels);
    memcpy(net.in, in, sizeof net.in);
    U3D_TRY(u3d_unet3d_output_size(c, in, net.out));

    u3d_status status = u3d_graph_new(&net.graph);
    if (status != U3D_OK) return status;
    net.image = u3d_input(net.graph, "image", u3d_type_map(batch, in, c->channels));
    u3d_val logits[U3D_MAX_LEVELS];
    add_unet(net.graph, net.image, c, mode, logits);
    net.logits = logits[0];
    net.n_heads = n_heads(c, mode);
    if (mode == U3D_MODE_TRAIN) {
        U3D_GO(finish_train(c, batch, logits, skip_background, &net));
    } else {
        net.probability = u3d_softmax(net.graph, "softmax", net.logits);
        U3D_GO(u3d_graph_finish(net.graph));
        u3d_graph_output(net.graph, net.probability, "probability");
    }
    U3D_GO(u3d_graph_finish(net.graph));
    if (b && c->fuse != U3D_SWITCH_OFF) U3D_GO(u3d_graph_fuse(net.graph, b));
done:
    if (status != U3D_OK)
        u3d_unet3d_done(&net);
    else
        *out = net;
    return status;
}

void u3d_unet3d_done(u3d_unet3d *net)
{
    u3d_graph_free(net->graph);
    memset(net, 0, sizeof *net);
}
