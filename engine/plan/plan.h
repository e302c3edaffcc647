/* Graph + backend -> implementation, offset and workspace of every node; the peak.
 * Nothing is allocated on the device here: u3d_arena does that. */
#ifndef U3D_ENGINE_PLAN_H
#define U3D_ENGINE_PLAN_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"

enum { U3D_MAX_CHUNKS = 16 };

typedef struct u3d_plan_opts {
    uint64_t memory_cap; /* bytes for temporaries; 0: no limit but the device's           */
    bool least_work;     /* the smallest workspace that each op can do with, not the best */
    bool no_reuse;       /* every value its own place (debugging)                         */
    bool guard;          /* red zones between values, checked after each op (U3D_CHECK)   */
} u3d_plan_opts;

typedef struct u3d_plan u3d_plan;

typedef struct u3d_plan_node { /* one row of the report */
    const char *name, *op;
    char impl[32];
    uint64_t work_bytes, off, bytes; /* offset and size of out[0] in the arena; off is UINT64_MAX elsewhere */
    double flops;
    u3d_type type;                   /* of out[0] */
} u3d_plan_node;

/* U3D_E_UNSUPPORTED names node, op, shape and reason; U3D_E_NOMEM lists the five largest
 * values alive at the peak and says how much is needed. The graph must outlive the plan. */
u3d_status u3d_plan_new(u3d_backend *b, const u3d_graph *g, const u3d_plan_opts *o, u3d_plan **out);
void u3d_plan_free(u3d_plan *p);
uint64_t u3d_plan_peak_bytes(const u3d_plan *p); /* of the arena; parameters are apart */
const u3d_graph *u3d_plan_graph(const u3d_plan *p);
void u3d_plan_node_get(const u3d_plan *p, int node, u3d_plan_node *out);
u3d_status u3d_plan_report(const u3d_plan *p, FILE *f); /* table for people: all nodes, the peak and its owners */

#endif
