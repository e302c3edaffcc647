/* Private to engine/: the inside of the layer graph. graph.c (storage, append), graph_build.c (layers),
 * autodiff.c and the passes in engine/rewrite share it. */
#ifndef U3D_ENGINE_GRAPH_IMPL_H
#define U3D_ENGINE_GRAPH_IMPL_H

#include "engine/graph/graph.h"

enum { U3D_MAX_SCOPES = 8, U3D_GRAPH_TEXT_CAP = 1024 };

struct u3d_graph {
    u3d_value *values;
    u3d_node *nodes;
    int32_t n_values, cap_values, n_nodes, cap_nodes;

    char scope[U3D_NAME_CAP];          /* names of the open scopes, joined by dots */
    int32_t scope_end[U3D_MAX_SCOPES]; /* length of `scope` before each push       */
    int32_t n_scopes;

    u3d_status status; /* the first failure, with its message */
    char text[U3D_GRAPH_TEXT_CAP];

    bool *needs_grad; /* [n_needs_grad] whether a value depends on a parameter; NULL before backward */
    int32_t n_needs_grad;
    bool in_backward; /* whether nodes that are appended now belong to the backward pass           */
};

/* Records `status` and this thread's last message as the graph's failure, unless the graph has one already.
 * Returns the graph's status. */
u3d_status u3d_graph_fail(u3d_graph *g, u3d_status status);

/* Writes scope.name into `out`. If it is too long, this becomes the graph's failure. */
u3d_status u3d_graph_join(u3d_graph *g, const char *name, char out[U3D_NAME_CAP]);

/* Writes base.suffix into `out` in the same way, without the dot if one of the two is empty. */
u3d_status u3d_graph_suffix(u3d_graph *g, const char *base, const char *suffix, char out[U3D_NAME_CAP]);

/* Adds a value with a full name. Its type must be legal and its name new. Returns U3D_NONE after a
 * failure. */
u3d_val u3d_graph_add_value(u3d_graph *g, const char *name, u3d_type t, u3d_role role);

/* Does the same as u3d_graph_append, but gets a full name. */
int32_t u3d_graph_append_full(u3d_graph *g, const char *name, u3d_op op, const u3d_attr *attr,
                              const u3d_val *in, int n_in, int n_out, const u3d_val *into,
                              uint32_t accumulate);

/* Inserts a copy of `n` before node `at` without checks. The caller must then set the producers and uses of
 * all values again (fuse_sweep). */
u3d_status u3d_graph_insert(u3d_graph *g, int32_t at, const u3d_node *n);

#endif
