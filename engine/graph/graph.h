/* The layer graph: values and nodes, identified by index, in an order in which they can be executed.
 *
 * The graph remembers the first failure of a builder call. Later calls return U3D_NONE and do nothing, so
 * that the code of a model needs no checks: u3d_graph_finish reports the failure at the end. A name is made
 * of the open scopes and the given name, joined by dots ("enc0" and "conv1" give "enc0.conv1"). All memory
 * belongs to the graph. Training and inference use two graphs that are built by the same function and matched
 * by parameter name; there is no mode flag at run time. */
#ifndef U3D_ENGINE_GRAPH_H
#define U3D_ENGINE_GRAPH_H

#include <stdio.h>

#include "engine/ops/op_grad.h"

u3d_status u3d_graph_new(u3d_graph **out);
void u3d_graph_free(u3d_graph *g);

u3d_val u3d_input(u3d_graph *g, const char *name, u3d_type t);
u3d_val u3d_param(u3d_graph *g, const char *name, u3d_type t, u3d_init init, float init_gain, int64_t fan_in,
                  bool decay);
u3d_val u3d_state(u3d_graph *g, const char *name, u3d_type t, u3d_init init);

/* Layers. Each creates its parameters below the current scope and `name`, and appends one node. */
typedef struct u3d_layer_conv {
    u3d_conv_attr attr;
    int32_t channels_out;
    bool bias;
    float init_gain;
} u3d_layer_conv;

/* Parameters: name.weight and, with l->bias, name.bias. */
u3d_val u3d_layer_conv3d(u3d_graph *g, const char *name, u3d_val x, const u3d_layer_conv *l);
u3d_val u3d_layer_upconv3d(u3d_graph *g, const char *name, u3d_val x, const u3d_layer_conv *l);
/* Parameters: name.weight (the gain) and name.bias; with keep_running or use_running also the state
 * name.running [2, C]. */
u3d_val u3d_layer_norm(u3d_graph *g, const char *name, u3d_val x, u3d_norm_attr a);

/* Ops without parameters. */
u3d_val u3d_maxpool3d(u3d_graph *g, const char *name, u3d_val x, u3d_conv_attr a);
u3d_val u3d_relu(u3d_graph *g, const char *name, u3d_val x, float slope);
u3d_val u3d_crop_concat(u3d_graph *g, const char *name, u3d_val up, u3d_val skip);
u3d_val u3d_add(u3d_graph *g, const char *name, u3d_val a, u3d_val b);
u3d_val u3d_scale(u3d_graph *g, const char *name, u3d_val x, float factor);
u3d_val u3d_subsample(u3d_graph *g, const char *name, u3d_val labels, u3d_subsample_attr a);
u3d_val u3d_softmax(u3d_graph *g, const char *name, u3d_val logits);
u3d_val u3d_softmax_xent(u3d_graph *g, const char *name, u3d_val logits, u3d_val labels, u3d_val class_weight,
                         u3d_loss_attr a);
u3d_val u3d_dice(u3d_graph *g, const char *name, u3d_val logits, u3d_val labels, u3d_val class_weight,
                 u3d_loss_attr a);

/* Appends any node; for layers and tests. Output i is a new value of role TEMP whose type the op's shape rule
 * infers, or the existing value into[i] if that is not U3D_NONE (gradients, states). `into` may be NULL.
 * Returns the index of the node; U3D_NONE after a failure. */
int32_t u3d_graph_append(u3d_graph *g, const char *name, u3d_op op, const u3d_attr *attr, const u3d_val *in,
                         int n_in, int n_out, const u3d_val *into, uint32_t accumulate);

void u3d_scope_push(u3d_graph *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void u3d_scope_pop(u3d_graph *g);
/* Renames v and gives it the role OUTPUT, so that it can be fetched. */
void u3d_graph_output(u3d_graph *g, u3d_val v, const char *name);

/* Reverse-mode differentiation: appends the nodes that compute the gradients of all parameters. In each run
 * the first contribution to a gradient is written with = and later ones are added with +=, so nothing has to
 * be zeroed before. Values that depend on no parameter (the image) get no gradient. U3D_E_UNSUPPORTED if an
 * op on the way has no gradient rule; the message names it. */
u3d_status u3d_graph_backward(u3d_graph *g, u3d_val scalar_loss);
/* Returns the first failure with its message, or U3D_OK; a scope that is still open is a failure. */
u3d_status u3d_graph_finish(u3d_graph *g);

int u3d_graph_n_values(const u3d_graph *g);
int u3d_graph_n_nodes(const u3d_graph *g);
const u3d_node *u3d_graph_node(const u3d_graph *g, int i);
u3d_val u3d_graph_find(const u3d_graph *g, const char *name); /* by full name; U3D_NONE if there is none */
void u3d_graph_desc(const u3d_graph *g, int node, u3d_op_desc *out);
int64_t u3d_graph_param_count(const u3d_graph *g); /* number of trainable scalars */
double u3d_graph_flops(const u3d_graph *g, bool backward_too);
u3d_status u3d_graph_write_dot(const u3d_graph *g, FILE *f); /* Graphviz */

#endif
