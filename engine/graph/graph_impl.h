/* Inside of the layer graph: shared by graph.c (storage, append), graph_build.c (layers) and autodiff.c. */
#ifndef U3D_ENGINE_GRAPH_IMPL_H
#define U3D_ENGINE_GRAPH_IMPL_H

#include "engine/graph/graph.h"

enum { U3D_MAX_SCOPES = 8, U3D_GRAPH_TEXT_CAP = 1024 };

struct u3d_graph {
    u3d_value *values;
    u3d_node *nodes;
    int32_t n_values, cap_values, n_nodes, cap_nodes;

    char scope[U3D_NAME_CAP];          /* open scopes, joined by dots          */
    int32_t scope_end[U3D_MAX_SCOPES]; /* length of `scope` before each push   */
    int32_t n_scopes;

    u3d_status status; /* first failure, with its message      */
    char text[U3D_GRAPH_TEXT_CAP];

    bool *needs_grad; /* [n_needs_grad] values that depend on a parameter; NULL before backward */
    int32_t n_needs_grad;
    bool in_backward;
};

/* Record this thread's last failure as the graph's, unless it has one; returns the graph's. */
u3d_status u3d_graph_fail(u3d_graph *g, u3d_status status);

/* scope.name into `out`, or the sticky failure "too long". */
u3d_status u3d_graph_join(u3d_graph *g, const char *name, char out[U3D_NAME_CAP]);

/* base + "." + suffix into `out`. */
u3d_status u3d_graph_suffix(u3d_graph *g, const char *base, const char *suffix, char out[U3D_NAME_CAP]);

/* A value by its full name: legal type and new name required. U3D_NONE after a failure. */
u3d_val u3d_graph_add_value(u3d_graph *g, const char *name, u3d_type t, u3d_role role);

/* u3d_graph_append with a full name. */
int32_t u3d_graph_append_full(u3d_graph *g, const char *name, u3d_op op, const u3d_attr *attr,
                              const u3d_val *in, int n_in, int n_out, const u3d_val *into,
                              uint32_t accumulate);

/* Puts a copy of `n` before node `at`, unchecked. Producers of values are to be counted anew. */
u3d_status u3d_graph_insert(u3d_graph *g, int32_t at, const u3d_node *n);

#endif
