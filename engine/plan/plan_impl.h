/* Inside of a plan: shared by plan.c, plan_report.c and the execution. */
#ifndef U3D_ENGINE_PLAN_IMPL_H
#define U3D_ENGINE_PLAN_IMPL_H

#include "engine/plan/place.h"
#include "engine/plan/plan.h"

/* A value's time and place. Parameters, gradients and states live in u3d_params and have no life. */
typedef struct plan_value {
    int32_t life;        /* index into lives, -1: not in the arena                             */
    int32_t first, last; /* nodes that first write (an input: 0) and last touch it             */
    bool overwritten;    /* the node `last` writes its output in place, over this value        */
} plan_value;

typedef struct plan_node {
    u3d_need need;
    uint64_t work_bytes;
    int32_t work_life; /* -1: no workspace */
} plan_node;

/* What a life holds: a value (the first of a chain of values in place), or a node's workspace. */
typedef struct plan_owner {
    u3d_val value; /* U3D_NONE: workspace of `node` */
    int32_t node;
    uint64_t bytes; /* without rounding and guard */
} plan_owner;

struct u3d_plan {
    u3d_backend *backend;
    const u3d_graph *graph;
    u3d_plan_opts opts;
    uint64_t align, chunk_cap;
    uint64_t guard_bytes; /* red zone behind every life; 0: none */
    uint64_t limit;       /* on the peak; 0: none                */
    int n_values, n_nodes, n_value_lives, n_lives, n_chunks;
    plan_value *values;
    plan_node *nodes;
    u3d_life *lives; /* values first, then workspaces; bytes are rounded up and include the guard */
    plan_owner *owners;
    uint64_t chunk_bytes[U3D_MAX_CHUNKS];
};

/* The node at which most bytes are alive, and how many (0 and 0 for an empty plan). */
int32_t plan_peak_node(const u3d_plan *p, uint64_t *bytes);

/* The lives alive at `node`, largest first: indices into out[cap]; returns how many were stored. */
int plan_largest(const u3d_plan *p, int32_t node, int32_t *out, int cap);

/* "enc0.conv1.out" or "workspace of enc0.conv1"; returns buf. */
const char *plan_owner_text(const u3d_plan *p, int32_t life, char *buf, size_t cap);

/* U3D_E_NOMEM with needed, limit and the five largest values at the peak. */
u3d_status plan_fail_memory(const u3d_plan *p, uint64_t needed);

#endif
