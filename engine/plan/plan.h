/* A plan says, for one graph on one backend, which implementation each node uses, where each value and
 * workspace is stored, and how much memory that needs at the peak. Nothing is allocated on the device here;
 * u3d_arena (engine/run/exec.h) does that. */
#ifndef U3D_ENGINE_PLAN_H
#define U3D_ENGINE_PLAN_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"

enum { U3D_MAX_CHUNKS = 16 };

typedef struct u3d_plan_opts {
    uint64_t memory_cap; /* bytes for temporaries; 0: only the memory of the device is a limit */
    bool least_work;     /* every op gets the smallest workspace with which it can run         */
    bool no_reuse;       /* every value has a place of its own (for debugging)                 */
    bool guard;          /* red zones between values, checked after each op (as with U3D_CHECK) */
} u3d_plan_opts;

typedef struct u3d_plan u3d_plan;

typedef struct u3d_plan_node { /* one row of the report */
    const char *name, *op;
    char impl[32];
    uint64_t work_bytes, off, bytes; /* off, bytes: of out[0] in the arena; off UINT64_MAX: elsewhere */
    double flops;
    u3d_type type; /* of out[0] */
} u3d_plan_node;

/* `o` may be NULL. The graph must outlive the plan. U3D_E_UNSUPPORTED if the backend refuses a node; the
 * message gives node, op, shapes and reason. U3D_E_NOMEM if the memory does not suffice; the message says how
 * much is needed and lists the five largest values alive at the peak, or names a value that is larger than
 * the largest buffer. */
u3d_status u3d_plan_new(u3d_backend *b, const u3d_graph *g, const u3d_plan_opts *o, u3d_plan **out);
void u3d_plan_free(u3d_plan *p);
uint64_t u3d_plan_peak_bytes(const u3d_plan *p); /* size of the arena; parameters are not included */
const u3d_graph *u3d_plan_graph(const u3d_plan *p);
void u3d_plan_node_get(const u3d_plan *p, int node, u3d_plan_node *out);
/* Writes a table for people: all nodes, the peak, and the largest values at the peak. */
u3d_status u3d_plan_report(const u3d_plan *p, FILE *f);

#endif
