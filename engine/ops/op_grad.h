/* What a gradient rule may see of the layer graph: values, nodes, and the calls with which it appends nodes
 * of the backward pass. engine/graph implements these functions, so that this room need not include it: the
 * graph knows the ops, but the ops do not know how the graph works. */
#ifndef U3D_ENGINE_OP_GRAD_H
#define U3D_ENGINE_OP_GRAD_H

#include "engine/ops/op.h"

typedef int32_t u3d_val; /* index of a value in its graph */
enum { U3D_NONE = -1 };

typedef enum u3d_role {
    U3D_ROLE_INPUT, /* fed by the caller before each run                               */
    U3D_ROLE_PARAM, /* trainable; stored in u3d_params                                 */
    U3D_ROLE_GRAD,  /* gradient of a parameter; stored in u3d_params                   */
    U3D_ROLE_STATE, /* kept between runs but not trained (running statistics)          */
    U3D_ROLE_TEMP,  /* placed by the planner; may share memory with other values       */
    U3D_ROLE_OUTPUT /* placed by the planner; kept to the end of the run, then fetched */
} u3d_role;

typedef enum u3d_init {
    U3D_INIT_ZERO,
    U3D_INIT_ONE,
    U3D_INIT_HE_NORMAL,
    U3D_INIT_RUNNING /* [2, C]: the first row (mean) is 0, the second (variance) is 1 */
} u3d_init;

typedef struct u3d_value {
    char name[U3D_NAME_CAP]; /* "enc2.conv1.weight", "enc2.conv1.out"                  */
    u3d_type type;
    u3d_role role;
    int32_t producer;  /* first node that writes it, or U3D_NONE                       */
    int32_t n_uses;    /* number of nodes that read it                                 */
    u3d_val grad;      /* its gradient, or U3D_NONE                                    */
    u3d_val grad_of;   /* role GRAD: the parameter; otherwise U3D_NONE                 */
    u3d_init init;     /* for roles PARAM and STATE                                    */
    float init_gain;   /* HE_NORMAL: sd = init_gain * sqrt(2 / fan_in)                 */
    int64_t fan_in;
    bool decay;        /* subject to weight decay: weights are, biases and norms not   */
} u3d_value;

struct u3d_node {
    char name[U3D_NAME_CAP]; /* "enc2.conv1", "enc2.conv1.dx"                          */
    u3d_op op;
    u3d_attr attr;
    int32_t n_in, n_out;
    u3d_val in[U3D_MAX_IN], out[U3D_MAX_OUT];
    uint32_t accumulate;
    bool backward;           /* part of the backward pass                              */
};

const u3d_value *u3d_graph_value(const u3d_graph *g, u3d_val v);

/* Whether v needs a gradient, because a parameter has an influence on it. False for U3D_NONE. */
bool u3d_grad_wanted(const u3d_graph *g, u3d_val v);
/* Appends a node `op`, named after `n` and `suffix`, whose outputs are contributions to the gradients of
 * of[0..n_out). If of[i] is U3D_NONE or needs no gradient, output i goes into a value that nothing reads. If
 * of[i] has a gradient already, the contribution is added to it: by the op itself if it can accumulate,
 * otherwise through a temporary and a copy node that adds. If no of[i] needs a gradient, nothing is
 * appended. */
u3d_status u3d_grad_append(u3d_graph *g, const u3d_node *n, const char *suffix, u3d_op op,
                           const u3d_attr *attr, const u3d_val *in, int n_in, const u3d_val *of, int n_out);

#endif
