/* Recomputation of maps of the forward pass if memory is short.
 *
 * Whether recomputing a map helps is found by planning: the second run is put into the graph, the graph
 * is planned again, and if the peak is not lower, the change is undone. This also accounts for the inputs of
 * the node, which must be kept until it runs again. */
#include "engine/rewrite/recompute.h"

#include <stdio.h>
#include <string.h>

#include "engine/rewrite/fuse_impl.h"
#include "engine/base/mem.h"
#include "engine/plan/plan_impl.h"

static const double LEAST_SHARE = 0.01; /* of the bytes at the peak; smaller maps save too little */

typedef struct rerun {
    int32_t node;        /* of the forward pass                                            */
    int32_t at;          /* the first node of the backward pass that reads its results     */
    double bytes, flops; /* size of its results, and arithmetic to compute them again      */
} rerun;

typedef struct snapshot {
    u3d_node *nodes;
    int32_t n_nodes, n_values;
} snapshot;

typedef struct recompute {
    u3d_graph *g;
    u3d_backend *backend;
    u3d_plan *plan; /* of g as it is now */
    bool *tried;    /* per node of the forward pass; insertions come later, so these indices stay valid */
} recompute;

/* ---- planning ---- */

static u3d_status recompute_plan(const recompute *r, u3d_plan **out)
{
    const u3d_plan_opts tight = {.memory_cap = UINT64_MAX, .least_work = true};
    return u3d_plan_new(r->backend, r->g, &tight, out);
}

/* ---- candidates ---- */

static int32_t first_backward_reader(const u3d_graph *g, u3d_val v)
{
    int32_t node = fuse_reader(g, v, 0);
    while (node != U3D_NONE && !g->nodes[node].backward) node = fuse_reader(g, v, node + 1);
    return node;
}

static int32_t last_reader_before(const u3d_graph *g, u3d_val v, int32_t end)
{
    int32_t last = U3D_NONE;
    for (int32_t node = fuse_reader(g, v, 0); node != U3D_NONE && node < end;
         node = fuse_reader(g, v, node + 1))
        last = node;
    return last;
}

/* Whether a node may run twice: it must write only temporaries, and read nothing that changes during a
 * run. */
static bool rerun_is_pure(const u3d_graph *g, const u3d_node *n)
{
    if (n->backward || n->n_out == 0 || n->accumulate) return false;
    for (int i = 0; i < n->n_out; i++)
        if (!fuse_is_temp(g, n->out[i])) return false;
    for (int i = 0; i < n->n_in; i++)
        if (g->values[n->in[i]].role == U3D_ROLE_STATE) return false;
    return true;
}

/* Whether the results of a node are kept past node `peak`, where the most bytes are alive, only because
 * the backward pass reads them later. */
static bool rerun_find(const u3d_graph *g, int32_t node, int32_t peak, rerun *out)
{
    const u3d_node *n = &g->nodes[node];
    if (!rerun_is_pure(g, n)) return false;
    *out = (rerun){.node = node, .at = g->n_nodes};
    for (int i = 0; i < n->n_out; i++) {
        int32_t reader = first_backward_reader(g, n->out[i]);
        if (reader != U3D_NONE && reader < out->at) out->at = reader;
        out->bytes += (double)u3d_type_bytes(&g->values[n->out[i]].type);
    }
    if (out->at == g->n_nodes || peak >= out->at || node >= peak) return false;
    for (int i = 0; i < n->n_out; i++)
        if (last_reader_before(g, n->out[i], out->at) >= peak) return false;
    u3d_op_desc d;
    u3d_graph_desc(g, node, &d);
    const u3d_op_info *info = u3d_op_info_get(n->op);
    out->flops = info->flops ? info->flops(&d) : 0;
    return true;
}

/* Chooses the candidate with the least arithmetic per byte; false if there is none left. */
static bool rerun_choose(const recompute *r, rerun *best)
{
    uint64_t alive;
    int32_t peak = plan_peak_node(r->plan, &alive);
    bool found = false;
    for (int32_t node = 0; node < peak && !r->g->nodes[node].backward; node++) {
        rerun candidate;
        if (r->tried[node] || !rerun_find(r->g, node, peak, &candidate)) continue;
        if (candidate.bytes < LEAST_SHARE * (double)alive) continue;
        if (!found || candidate.flops * best->bytes < best->flops * candidate.bytes) *best = candidate;
        found = true;
    }
    return found;
}

/* ---- changing the graph, and undoing it ---- */

static u3d_status snapshot_take(const u3d_graph *g, snapshot *s)
{
    *s = (snapshot){.n_nodes = g->n_nodes, .n_values = g->n_values};
    s->nodes = u3d_new((size_t)g->n_nodes, sizeof *s->nodes);
    if (!s->nodes) return U3D_E_NOMEM;
    memcpy(s->nodes, g->nodes, (size_t)g->n_nodes * sizeof *s->nodes);
    return U3D_OK;
}

static void snapshot_restore(u3d_graph *g, const snapshot *s)
{
    memcpy(g->nodes, s->nodes, (size_t)s->n_nodes * sizeof *s->nodes);
    g->n_nodes = s->n_nodes;
    g->n_values = s->n_values;
    fuse_sweep(g);
}

/* Lets all nodes from `from` on read `other` instead of v. */
static void redirect(u3d_graph *g, u3d_val v, u3d_val other, int32_t from)
{
    for (int32_t node = from; node < g->n_nodes; node++)
        for (int i = 0; i < g->nodes[node].n_in; i++)
            if (g->nodes[node].in[i] == v) g->nodes[node].in[i] = other;
}

/* Names for the results of the second run; false if one is too long or exists already. */
static bool rerun_names(const u3d_graph *g, const u3d_node *n, char out[U3D_MAX_OUT][U3D_NAME_CAP])
{
    for (int i = 0; i < n->n_out; i++)
        if (!fuse_name(g->values[n->out[i]].name, "again", out[i]) || u3d_graph_find(g, out[i]) != U3D_NONE)
            return false;
    return true;
}

/* Inserts the second run; does nothing if there is no name for it or its results. */
static u3d_status rerun_apply(u3d_graph *g, const rerun *r)
{
    char names[U3D_MAX_OUT][U3D_NAME_CAP];
    u3d_node again;
    memcpy(&again, &g->nodes[r->node], sizeof again); /* also copies padding bytes, as in fuse.c */
    if (!rerun_names(g, &again, names) || !fuse_name(g->nodes[r->node].name, "again", again.name))
        return U3D_OK;
    again.backward = true;
    for (int i = 0; i < again.n_out; i++) {
        u3d_val v = again.out[i];
        again.out[i] = u3d_graph_add_value(g, names[i], g->values[v].type, U3D_ROLE_TEMP);
        if (again.out[i] == U3D_NONE) return g->status;
        redirect(g, v, again.out[i], r->at);
    }
    U3D_TRY(u3d_graph_insert(g, r->at, &again));
    fuse_sweep(g);
    return U3D_OK;
}

/* ---- the whole pass ---- */

static void remember(u3d_recomputed *out, const u3d_graph *g, const rerun *r)
{
    size_t used = strlen(out->names);
    snprintf(out->names + used, sizeof out->names - used, "%s%s", out->n ? ", " : "", g->nodes[r->node].name);
    out->n++;
    out->flops += r->flops;
}

/* Applies a candidate and keeps it if the peak is lower with it; otherwise undoes it. */
static u3d_status rerun_try(recompute *r, const rerun *candidate, u3d_recomputed *out)
{
    snapshot before;
    u3d_plan *plan = NULL;
    u3d_status status;
    U3D_TRY(snapshot_take(r->g, &before));
    U3D_GO(rerun_apply(r->g, candidate));
    U3D_GO(recompute_plan(r, &plan));
    if (u3d_plan_peak_bytes(plan) < u3d_plan_peak_bytes(r->plan)) {
        u3d_plan *worse = r->plan;
        r->plan = plan;
        plan = worse;
        remember(out, r->g, candidate);
    } else {
        snapshot_restore(r->g, &before);
    }
done:
    u3d_plan_free(plan);
    u3d_free(before.nodes);
    return status;
}

static u3d_status recompute_all(recompute *r, uint64_t cap, u3d_recomputed *out)
{
    rerun candidate;
    U3D_TRY(recompute_plan(r, &r->plan));
    out->peak_without = out->peak = u3d_plan_peak_bytes(r->plan);
    if (out->peak <= cap) return U3D_OK;
    r->tried = u3d_new((size_t)u3d_graph_n_nodes(r->g), sizeof *r->tried);
    if (!r->tried) return U3D_E_NOMEM;
    while (out->peak > cap && rerun_choose(r, &candidate)) {
        r->tried[candidate.node] = true;
        U3D_TRY(rerun_try(r, &candidate, out));
        out->peak = u3d_plan_peak_bytes(r->plan);
    }
    return U3D_OK;
}

u3d_status u3d_graph_recompute(u3d_graph *g, u3d_backend *b, uint64_t memory_cap, u3d_recomputed *out)
{
    recompute r = {.g = g, .backend = b};
    memset(out, 0, sizeof *out);
    U3D_TRY(u3d_graph_finish(g));
    if (memory_cap == 0) return U3D_OK;
    u3d_status status = recompute_all(&r, memory_cap, out);
    u3d_plan_free(r.plan);
    u3d_free(r.tried);
    return status;
}
