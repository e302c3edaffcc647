/* What a gradient rule may see of the layer graph: its values and nodes, and the two calls that append a node
 * of the backward pass. The graph implements them (engine/graph), so that ops need not know how it works. */
#ifndef U3D_ENGINE_OP_GRAD_H
#define U3D_ENGINE_OP_GRAD_H

#include "engine/ops/op.h"

typedef int32_t u3d_val; /* index of a value in its graph */
enum { U3D_NONE = -1 };

typedef enum u3d_role {
    U3D_ROLE_INPUT, /* fed by the caller before each run                    */
    U3D_ROLE_PARAM, /* trainable, lives in u3d_params                       */
    U3D_ROLE_GRAD,  /* gradient of a parameter, lives in u3d_params         */
    U3D_ROLE_STATE, /* kept between runs, not trained (running statistics)  */
    U3D_ROLE_TEMP,  /* placed by the planner, may share memory              */
    U3D_ROLE_OUTPUT /* placed by the planner, kept until the next run       */
} u3d_role;

typedef enum u3d_init {
    U3D_INIT_ZERO,
    U3D_INIT_ONE,
    U3D_INIT_HE_NORMAL,
    U3D_INIT_RUNNING /* [2, C]: first row (mean) 0, second row (variance) 1 */
} u3d_init;

typedef struct u3d_value {
    char name[U3D_NAME_CAP]; /* "enc2.conv1.weight", "enc2.conv1.out"                  */
    u3d_type type;
    u3d_role role;
    int32_t producer;  /* node index or U3D_NONE                                       */
    int32_t n_uses;    /* nodes that read it                                           */
    u3d_val grad;      /* gradient value or U3D_NONE                                   */
    u3d_val grad_of;   /* role GRAD: the parameter; else U3D_NONE                      */
    u3d_init init;     /* role PARAM and STATE                                         */
    float init_gain;   /* HE_NORMAL: sd = init_gain * sqrt(2 / fan_in)                 */
    int64_t fan_in;
    bool decay;        /* weight decay applies: weights yes, biases and norms no       */
} u3d_value;

struct u3d_node {
    char name[U3D_NAME_CAP]; /* "enc2.conv1", "enc2.conv1.dx"                          */
    u3d_op op;
    u3d_attr attr;
    int32_t n_in, n_out;
    u3d_val in[U3D_MAX_IN], out[U3D_MAX_OUT];
    uint32_t accumulate;
    bool backward;           /* appended by u3d_graph_backward                         */
};

const u3d_value *u3d_graph_value(const u3d_graph *g, u3d_val v);

/* Where a contribution to d(loss)/dv goes, as the next op's output: sets *into to the gradient
 * value to write (U3D_NONE: make one) and returns whether to accumulate. `wanted` false: v needs no gradient. */
bool u3d_grad_wanted(const u3d_graph *g, u3d_val v);
/* Append a gradient node for `n` whose outputs are the gradients of `of[0..n_out)`; outputs whose `of` is
 * U3D_NONE or not wanted are made and dropped. Accumulates where a gradient exists already, through a
 * temporary and an add where the op cannot. */
u3d_status u3d_grad_append(u3d_graph *g, const u3d_node *n, const char *suffix, u3d_op op, const u3d_attr *attr,
                           const u3d_val *in, int n_in, const u3d_val *of, int n_out);

#endif
