/* Convenience functions on top of u3d_graph_append: inputs, parameters, layers with their parameters, and ops
 * without parameters.
 *
 * A layer creates its parameters, whose names begin with its own, and appends one node. Attributes are copied
 * into a zeroed union, so that unused bytes are 0. Source of the initial values: He et al., "Delving deep
 * into rectifiers", 2015, arXiv:1502.01852. */
#include "engine/graph/graph.h"

#include <inttypes.h>
#include <string.h>

#include "engine/graph/graph_impl.h"

static u3d_val build_value(u3d_graph *g, const char *name, u3d_type t, u3d_role role)
{
    char full[U3D_NAME_CAP];
    if (g->status != U3D_OK || u3d_graph_join(g, name, full) != U3D_OK) return U3D_NONE;
    return u3d_graph_add_value(g, full, t, role);
}

u3d_val u3d_input(u3d_graph *g, const char *name, u3d_type t)
{
    return build_value(g, name, t, U3D_ROLE_INPUT);
}

u3d_val u3d_param(u3d_graph *g, const char *name, u3d_type t, u3d_init init, float init_gain, int64_t fan_in,
                  bool decay)
{
    if (g->status == U3D_OK && t.dtype != U3D_F32) {
        u3d_graph_fail(
            g, u3d_fail(U3D_E_SHAPE, "parameter '%s' is %s, expected f32", name, u3d_dtype_name(t.dtype)));
    }
    if (g->status == U3D_OK && init == U3D_INIT_HE_NORMAL && fan_in < 1) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG, "parameter '%s': fan_in is %" PRId64 ", expected at least 1",
                                   name, fan_in));
    }
    u3d_val v = build_value(g, name, t, U3D_ROLE_PARAM);
    if (v == U3D_NONE) return v;
    g->values[v].init = init;
    g->values[v].init_gain = init_gain;
    g->values[v].fan_in = fan_in;
    g->values[v].decay = decay;
    return v;
}

u3d_val u3d_state(u3d_graph *g, const char *name, u3d_type t, u3d_init init)
{
    u3d_val v = build_value(g, name, t, U3D_ROLE_STATE);
    if (v != U3D_NONE) g->values[v].init = init;
    return v;
}

/* ---- layers ---- */

/* The number of channels of the feature map x, the input of layer `name`; 0 after a failure. */
static int64_t build_channels(u3d_graph *g, const char *name, u3d_val x)
{
    char text[160];
    if (g->status != U3D_OK) return 0;
    if (x < 0 || x >= g->n_values) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG, "layer '%s': input is value %" PRId32 " of %" PRId32, name, x,
                                   g->n_values));
        return 0;
    }
    const u3d_type *t = &g->values[x].type;
    if (t->dtype == U3D_F32 && t->rank == 5) return t->dim[4];
    u3d_graph_fail(g, u3d_fail(U3D_E_SHAPE, "layer '%s': input is %s, expected f32 [N, D, H, W, C]", name,
                               u3d_type_text(t, text, sizeof text)));
    return 0;
}

/* Adds the parameter name.suffix. */
static u3d_val build_param(u3d_graph *g, const char *name, const char *suffix, u3d_type t, u3d_init init,
                           float gain, int64_t fan_in, bool decay)
{
    char part[U3D_NAME_CAP];
    if (g->status != U3D_OK || u3d_graph_suffix(g, name, suffix, part) != U3D_OK) return U3D_NONE;
    return u3d_param(g, part, t, init, gain, fan_in, decay);
}

/* Appends a node and returns its first output. */
static u3d_val build_node(u3d_graph *g, const char *name, u3d_op op, const u3d_attr *attr, const u3d_val *in,
                          int n_in, int n_out, const u3d_val *into)
{
    int32_t node = u3d_graph_append(g, name, op, attr, in, n_in, n_out, into, 0);
    return node == U3D_NONE ? U3D_NONE : g->nodes[node].out[0];
}

/* `taps` is the number of kernel positions that one output element sums over; fan-in is taps times input
 * channels. */
static u3d_val build_conv(u3d_graph *g, const char *name, u3d_op op, u3d_val x, const u3d_layer_conv *l,
                          int64_t taps)
{
    const int32_t *k = l->attr.kernel;
    int64_t ci = build_channels(g, name, x), co = l->channels_out, fan_in;
    if (g->status != U3D_OK) return U3D_NONE;
    if (taps < 1 || co < 1 || __builtin_mul_overflow(taps, ci, &fan_in)) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG,
                                   "layer '%s': kernel %" PRId32 "x%" PRId32 "x%" PRId32
                                   " (z, y, x) and %" PRId64 " output channels; each must be at least 1",
                                   name, k[0], k[1], k[2], co));
        return U3D_NONE;
    }
    u3d_type t = u3d_type_f32(5, (const int64_t[]){k[0], k[1], k[2], ci, co});
    u3d_val in[3] = {x};
    in[1] = build_param(g, name, "weight", t, U3D_INIT_HE_NORMAL, l->init_gain, fan_in, true);
    if (l->bias) in[2] = build_param(g, name, "bias", u3d_type_f32(1, &co), U3D_INIT_ZERO, 0.0F, 0, false);
    u3d_attr attr = {0};
    attr.conv = l->attr;
    return build_node(g, name, op, &attr, in, l->bias ? 3 : 2, 1, NULL);
}

u3d_val u3d_layer_conv3d(u3d_graph *g, const char *name, u3d_val x, const u3d_layer_conv *l)
{
    int64_t taps = 1;
    for (int axis = 0; axis < 3; axis++) {
        if (l->attr.kernel[axis] < 1 || __builtin_mul_overflow(taps, l->attr.kernel[axis], &taps)) taps = 0;
    }
    return build_conv(g, name, U3D_OP_CONV3D, x, l, taps);
}

/* The windows do not overlap, so one output element depends on a single voxel of x: taps is 1. */
u3d_val u3d_layer_upconv3d(u3d_graph *g, const char *name, u3d_val x, const u3d_layer_conv *l)
{
    return build_conv(g, name, U3D_OP_UPCONV3D, x, l, 1);
}

u3d_val u3d_layer_norm(u3d_graph *g, const char *name, u3d_val x, u3d_norm_attr a)
{
    int64_t c = build_channels(g, name, x);
    if (g->status != U3D_OK) return U3D_NONE;
    u3d_val in[4] = {x}, into[3] = {U3D_NONE, U3D_NONE, U3D_NONE};
    in[1] = build_param(g, name, "weight", u3d_type_f32(1, &c), U3D_INIT_ONE, 0.0F, 0, false);
    in[2] = build_param(g, name, "bias", u3d_type_f32(1, &c), U3D_INIT_ZERO, 0.0F, 0, false);
    if (a.keep_running || a.use_running) {
        char part[U3D_NAME_CAP];
        u3d_type t = u3d_type_f32(2, (const int64_t[]){2, c});
        if (u3d_graph_suffix(g, name, "running", part) != U3D_OK) return U3D_NONE;
        in[3] = into[2] = u3d_state(g, part, t, U3D_INIT_RUNNING);
    }
    u3d_attr attr = {0};
    attr.norm = a;
    if (a.use_running) return build_node(g, name, U3D_OP_NORM, &attr, in, 4, 1, NULL);
    return build_node(g, name, U3D_OP_NORM, &attr, in, 3, a.keep_running ? 3 : 2, into);
}

/* ---- ops without parameters ---- */

u3d_val u3d_maxpool3d(u3d_graph *g, const char *name, u3d_val x, u3d_conv_attr a)
{
    return build_node(g, name, U3D_OP_MAXPOOL3D, &(u3d_attr){.conv = a}, &x, 1, 2, NULL);
}

u3d_val u3d_relu(u3d_graph *g, const char *name, u3d_val x, float slope)
{
    return build_node(g, name, U3D_OP_RELU, &(u3d_attr){.relu = {.slope = slope}}, &x, 1, 1, NULL);
}

u3d_val u3d_crop_concat(u3d_graph *g, const char *name, u3d_val up, u3d_val skip)
{
    return build_node(g, name, U3D_OP_CROP_CONCAT, NULL, (const u3d_val[]){up, skip}, 2, 1, NULL);
}

u3d_val u3d_add(u3d_graph *g, const char *name, u3d_val a, u3d_val b)
{
    return build_node(g, name, U3D_OP_ADD, NULL, (const u3d_val[]){a, b}, 2, 1, NULL);
}

u3d_val u3d_scale(u3d_graph *g, const char *name, u3d_val x, float factor)
{
    return build_node(g, name, U3D_OP_SCALE, &(u3d_attr){.scale = {.factor = factor}}, &x, 1, 1, NULL);
}

u3d_val u3d_subsample(u3d_graph *g, const char *name, u3d_val labels, u3d_subsample_attr a)
{
    return build_node(g, name, U3D_OP_SUBSAMPLE, &(u3d_attr){.subsample = a}, &labels, 1, 1, NULL);
}

u3d_val u3d_softmax(u3d_graph *g, const char *name, u3d_val logits)
{
    return build_node(g, name, U3D_OP_SOFTMAX, NULL, &logits, 1, 1, NULL);
}

u3d_val u3d_softmax_xent(u3d_graph *g, const char *name, u3d_val logits, u3d_val labels, u3d_val class_weight,
                         u3d_loss_attr a)
{
    u3d_val in[] = {logits, labels, class_weight};
    return build_node(g, name, U3D_OP_SOFTMAX_XENT, &(u3d_attr){.loss = a}, in, 3, 2, NULL);
}

u3d_val u3d_dice(u3d_graph *g, const char *name, u3d_val logits, u3d_val labels, u3d_val class_weight,
                 u3d_loss_attr a)
{
    u3d_val in[] = {logits, labels, class_weight};
    return build_node(g, name, U3D_OP_DICE, &(u3d_attr){.loss = a}, in, 3, 2, NULL);
}
