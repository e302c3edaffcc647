/* Makes a plan: from a graph and a backend to an implementation for every node and a place for every value.
 *
 *   1. Ask the backend about every node.                                        plan_query_node
 *   2. Find when each value is first written and last used.                     plan_times
 *   3. Give each value a life. An output that may be written over its input     plan_make_lives
 *      joins the life of that input.
 *   4. Give each workspace a life of one node, and place all lives.             plan_fit
 *
 * Step 4 first gives each node the workspace with which it is fastest. If that exceeds the memory limit, it
 * gives less to the nodes where too many bytes are alive, and in the last attempt the minimum to all nodes,
 * before it refuses. */
#include "engine/plan/plan.h"

#include <string.h>

#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/plan/plan_impl.h"

/* 2^31 - 1 floats, because GEMM libraries pass offsets to their kernels as 32-bit integers. */
#define PLAN_CHUNK_CAP (((uint64_t)1 << 31) * 4 - 4)

enum { GUARD_BYTES = 64, TEXT_CAP = 512, N_ATTEMPTS = 8 };

static bool plan_wants_guard(const u3d_plan_opts *o)
{
    const char *check = u3d_env_get(U3D_ENV_CHECK);
    return o->guard || (check && (strstr(check, "guard") || strstr(check, "all")));
}

static uint64_t plan_round_up(uint64_t bytes, uint64_t align)
{
    return (bytes + align - 1) / align * align;
}

/* Bytes that a life occupies: rounded up to the device's alignment, and the red zone after it. */
static uint64_t plan_footprint(const u3d_plan *p, uint64_t bytes)
{
    return plan_round_up(bytes, p->align) + p->guard_bytes;
}

static bool plan_in_arena(u3d_role role)
{
    return role == U3D_ROLE_INPUT || role == U3D_ROLE_TEMP || role == U3D_ROLE_OUTPUT;
}

/* ---- 1. the answers of the backend ---- */

static u3d_status plan_query_node(u3d_plan *p, int node)
{
    u3d_op_desc d;
    u3d_graph_desc(p->graph, node, &d);
    const char *name = u3d_graph_node(p->graph, node)->name;
    u3d_need *need = &p->nodes[node].need;
    char text[TEXT_CAP];
    u3d_status status = u3d_backend_query(p->backend, &d, need);
    if (status != U3D_OK)
        return u3d_wrap(status, "plan node %d '%s', %s", node, name, u3d_op_desc_text(&d, text, sizeof text));
    return U3D_OK;
}

/* ---- 2. times ---- */

static void plan_touch(plan_value *v, int32_t node)
{
    if (v->first < 0) v->first = node;
    v->last = node;
}

static u3d_status plan_times(u3d_plan *p)
{
    for (u3d_val v = 0; v < p->n_values; v++) {
        bool fed = u3d_graph_value(p->graph, v)->role == U3D_ROLE_INPUT;
        p->values[v] = (plan_value){.life = -1, .first = fed ? 0 : -1, .last = fed ? 0 : -1};
    }
    for (int32_t node = 0; node < p->n_nodes; node++) {
        const u3d_node *n = u3d_graph_node(p->graph, node);
        for (int i = 0; i < n->n_in; i++) {
            plan_value *v = &p->values[n->in[i]];
            const u3d_value *info = u3d_graph_value(p->graph, n->in[i]);
            if (v->first < 0 && plan_in_arena(info->role))
                return u3d_fail(U3D_E_ARG, "plan node %d '%s': it reads '%s', which no earlier node writes",
                                node, n->name, info->name);
            plan_touch(v, node);
        }
        for (int i = 0; i < n->n_out; i++) plan_touch(&p->values[n->out[i]], node);
    }
    for (u3d_val v = 0; v < p->n_values; v++)
        if (u3d_graph_value(p->graph, v)->role == U3D_ROLE_OUTPUT) p->values[v].last = p->n_nodes - 1;
    return U3D_OK;
}

/* ---- 3. lives of values ---- */

static int32_t plan_add_life(u3d_plan *p, plan_owner owner, int32_t first, int32_t last)
{
    if (p->opts.no_reuse) {
        first = 0;
        last = p->n_nodes - 1;
    }
    p->lives[p->n_lives] = (u3d_life){.first = first, .last = last, .bytes = plan_footprint(p, owner.bytes)};
    p->owners[p->n_lives] = owner;
    return p->n_lives++;
}

static void plan_add_value(u3d_plan *p, u3d_val v)
{
    plan_value *value = &p->values[v];
    plan_owner owner = {
        .value = v, .node = U3D_NONE, .bytes = u3d_type_bytes(&u3d_graph_value(p->graph, v)->type)};
    value->life = plan_add_life(p, owner, value->first, value->last);
}

/* Whether out[0] of this node may be written over in[0]: the op must allow it, in[0] must be a temporary that
 * no later node uses, and out[0] must be first written here. */
static bool plan_in_place(const u3d_plan *p, int32_t node)
{
    const u3d_node *n = u3d_graph_node(p->graph, node);
    if (p->opts.no_reuse || !u3d_op_info_get(n->op)->in_place || n->n_in < 1 || n->n_out < 1) return false;
    const u3d_value *in = u3d_graph_value(p->graph, n->in[0]), *out = u3d_graph_value(p->graph, n->out[0]);
    if (in->role != U3D_ROLE_TEMP || (out->role != U3D_ROLE_TEMP && out->role != U3D_ROLE_OUTPUT))
        return false;
    for (int i = 1; i < n->n_in; i++)
        if (n->in[i] == n->in[0]) return false;
    return p->values[n->in[0]].last == node && p->values[n->out[0]].first == node && !(n->accumulate & 1u) &&
           u3d_type_bytes(&in->type) == u3d_type_bytes(&out->type);
}

/* Lets out[0] join the life of in[0]. */
static void plan_join(u3d_plan *p, const u3d_node *n)
{
    plan_value *in = &p->values[n->in[0]], *out = &p->values[n->out[0]];
    in->overwritten = true;
    out->life = in->life;
    p->lives[in->life].last = out->last;
}

static void plan_make_lives(u3d_plan *p)
{
    for (u3d_val v = 0; v < p->n_values; v++)
        if (u3d_graph_value(p->graph, v)->role == U3D_ROLE_INPUT) plan_add_value(p, v);
    for (int32_t node = 0; node < p->n_nodes; node++) {
        const u3d_node *n = u3d_graph_node(p->graph, node);
        bool in_place = plan_in_place(p, node);
        if (in_place) plan_join(p, n);
        for (int i = in_place ? 1 : 0; i < n->n_out; i++)
            if (p->values[n->out[i]].life < 0 && plan_in_arena(u3d_graph_value(p->graph, n->out[i])->role))
                plan_add_value(p, n->out[i]);
    }
    p->n_value_lives = p->n_lives;
}

/* ---- 4. workspaces and places ---- */

/* Bytes of workspace that `node` can have if the bytes alive there, workspace included, are to stay below
 * `target`. */
static uint64_t plan_room(const u3d_plan *p, int32_t node, uint64_t target)
{
    uint64_t alive = p->guard_bytes;
    for (int i = 0; i < p->n_value_lives; i++)
        if (p->lives[i].first <= node && node <= p->lives[i].last) alive += p->lives[i].bytes;
    return alive < target ? (target - alive) / p->align * p->align : 0;
}

static void plan_make_workspaces(u3d_plan *p, uint64_t target)
{
    p->n_lives = p->n_value_lives;
    for (int32_t node = 0; node < p->n_nodes; node++) {
        plan_node *n = &p->nodes[node];
        uint64_t room = plan_room(p, node, target);
        n->work_bytes = room < n->need.work_best ? room : n->need.work_best;
        if (n->work_bytes < n->need.work_min) n->work_bytes = n->need.work_min;
        n->work_life = -1;
        plan_owner owner = {.value = U3D_NONE, .node = node, .bytes = n->work_bytes};
        if (n->work_bytes > 0) n->work_life = plan_add_life(p, owner, node, node);
    }
}

/* The first life that is too large for any chunk; -1 if there is none. */
static int32_t plan_too_large(const u3d_plan *p)
{
    for (int32_t i = 0; i < p->n_lives; i++)
        if (p->lives[i].bytes > p->chunk_cap) return i;
    return -1;
}

/* The limit that the bytes alive at each node should stay below in an attempt: none in the first; then the
 * memory limit, and less and less of it in later attempts to leave room for gaps; in the last attempt 0, with
 * which every workspace gets its minimum. With least_work it is 0 in all attempts. */
static uint64_t plan_target(const u3d_plan *p, int attempt)
{
    if (p->opts.least_work) return 0;
    if (attempt == 0) return UINT64_MAX;
    return p->limit / (N_ATTEMPTS - 2) * (uint64_t)(N_ATTEMPTS - 1 - attempt);
}

static u3d_status plan_fit(u3d_plan *p)
{
    uint64_t peak = 0;
    for (int attempt = 0; attempt < N_ATTEMPTS; attempt++) {
        plan_make_workspaces(p, plan_target(p, attempt));
        if (plan_too_large(p) >= 0) continue;
        u3d_status status = u3d_place(p->lives, p->n_lives, p->align, p->chunk_cap, p->chunk_bytes,
                                      U3D_MAX_CHUNKS, &p->n_chunks);
        if (status != U3D_OK) return u3d_wrap(status, "plan memory for %d nodes", p->n_nodes);
        peak = u3d_plan_peak_bytes(p);
        if (!p->limit || peak <= p->limit) return U3D_OK;
    }
    int32_t large = plan_too_large(p);
    if (large < 0) return plan_fail_memory(p, peak);
    char text[TEXT_CAP];
    return u3d_fail(
        U3D_E_NOMEM,
        "plan: %s needs %.3g GB but the device's largest buffer is %.3g GB; use a smaller patch or batch",
        plan_owner_text(p, large, text, sizeof text), (double)p->lives[large].bytes * 1e-9,
        (double)p->chunk_cap * 1e-9);
}

/* ---- the plan ---- */

static void plan_set_limits(u3d_plan *p)
{
    u3d_caps caps;
    u3d_backend_caps(p->backend, &caps);
    p->align = caps.align ? caps.align : 1;
    p->limit = p->opts.memory_cap ? p->opts.memory_cap : caps.mem_bytes;
    p->chunk_cap = PLAN_CHUNK_CAP / p->align * p->align;
    if (caps.max_alloc_bytes && caps.max_alloc_bytes < p->chunk_cap)
        p->chunk_cap = caps.max_alloc_bytes / p->align * p->align;
    p->guard_bytes = plan_wants_guard(&p->opts) ? plan_round_up(GUARD_BYTES, p->align) : 0;
}

static u3d_status plan_alloc(u3d_plan *p)
{
    size_t n_values = (size_t)p->n_values, n_nodes = (size_t)p->n_nodes;
    p->values = u3d_new(n_values, sizeof *p->values);
    p->nodes = p->values ? u3d_new(n_nodes, sizeof *p->nodes) : NULL;
    p->lives = p->nodes ? u3d_new(n_values + n_nodes, sizeof *p->lives) : NULL;
    p->owners = p->lives ? u3d_new(n_values + n_nodes, sizeof *p->owners) : NULL;
    return p->owners ? U3D_OK : U3D_E_NOMEM;
}

u3d_status u3d_plan_new(u3d_backend *b, const u3d_graph *g, const u3d_plan_opts *o, u3d_plan **out)
{
    *out = NULL;
    u3d_status status;
    u3d_plan *p = u3d_new(1, sizeof *p);
    if (!p) return U3D_E_NOMEM;
    p->backend = b;
    p->graph = g;
    if (o) p->opts = *o;
    p->n_values = u3d_graph_n_values(g);
    p->n_nodes = u3d_graph_n_nodes(g);
    plan_set_limits(p);

    U3D_GO(plan_alloc(p));
    for (int node = 0; node < p->n_nodes; node++) U3D_GO(plan_query_node(p, node));
    U3D_GO(plan_times(p));
    plan_make_lives(p);
    U3D_GO(plan_fit(p));
    U3D_DEBUG("plan", "peak %.3g GB, %d nodes, %d places in %d chunks", (double)u3d_plan_peak_bytes(p) * 1e-9,
              p->n_nodes, p->n_lives, p->n_chunks);
    *out = p;
    p = NULL;

done:
    u3d_plan_free(p);
    return status;
}

void u3d_plan_free(u3d_plan *p)
{
    if (!p) return;
    u3d_free(p->owners);
    u3d_free(p->lives);
    u3d_free(p->nodes);
    u3d_free(p->values);
    u3d_free(p);
}

uint64_t u3d_plan_peak_bytes(const u3d_plan *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < p->n_chunks; i++) sum += p->chunk_bytes[i];
    return sum;
}

const u3d_graph *u3d_plan_graph(const u3d_plan *p)
{
    return p->graph;
}
