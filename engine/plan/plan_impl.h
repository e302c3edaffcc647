/* Private to engine/: the inside of a plan. plan.c, plan_report.c, engine/run and engine/rewrite share it. */
#ifndef U3D_ENGINE_PLAN_IMPL_H
#define U3D_ENGINE_PLAN_IMPL_H

#include "engine/plan/place.h"
#include "engine/plan/plan.h"

/* When a value is needed and where it is. Parameters, their gradients and states are in u3d_params and have
 * no life here. */
typedef struct plan_value {
    int32_t life;        /* index into lives; -1: not in the arena                             */
    int32_t first, last; /* the nodes that first write it (0 for an input) and last use it     */
    bool overwritten;    /* node `last` writes its output in place, over this value            */
} plan_value;

typedef struct plan_node {
    u3d_need need;
    uint64_t work_bytes;
    int32_t work_life; /* index into lives; -1: no workspace */
} plan_node;

/* What a life holds: a value, or the workspace of a node. If values are written in place one over the other,
 * they share one life, which the first of them owns. */
typedef struct plan_owner {
    u3d_val value; /* U3D_NONE: workspace of `node` */
    int32_t node;
    uint64_t bytes; /* without rounding and red zone */
} plan_owner;

struct u3d_plan {
    u3d_backend *backend;
    const u3d_graph *graph;
    u3d_plan_opts opts;
    uint64_t align, chunk_cap;
    uint64_t guard_bytes; /* red zone after every life; 0: no red zones */
    uint64_t limit;       /* on the peak; 0: no limit                   */
    int n_values, n_nodes, n_value_lives, n_lives, n_chunks;
    plan_value *values;
    plan_node *nodes;
    u3d_life *lives; /* of values, then of workspaces; `bytes` is rounded up and includes the red zone */
    plan_owner *owners;
    uint64_t chunk_bytes[U3D_MAX_CHUNKS];
};

/* The node at which the most bytes are alive; *bytes is their number. 0 and 0 for an empty plan. */
int32_t plan_peak_node(const u3d_plan *p, uint64_t *bytes);

/* Stores the indices of up to `cap` lives that are alive at `node` in `out`, the largest first. Returns how
 * many it has stored. */
int plan_largest(const u3d_plan *p, int32_t node, int32_t *out, int cap);

/* Writes text such as "enc0.conv1.out" or "workspace of enc0.conv1" into buf; returns buf. */
const char *plan_owner_text(const u3d_plan *p, int32_t life, char *buf, size_t cap);

/* Returns U3D_E_NOMEM; the message gives the bytes needed, the limit, and the five largest values at the
 * peak. */
u3d_status plan_fail_memory(const u3d_plan *p, uint64_t needed);

#endif
