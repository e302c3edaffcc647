/* Stations 6 to 8 of training, station 4 of prediction; before: host tensors; after: all nodes have run in
 * order, and outputs can be copied to the host.
 *
 * u3d_exec_new prepares everything: the kernels, the place of every value, and the parameters, matched by
 * name. A run then only collects spans and calls the backend; feed, run and fetch allocate no memory.
 *
 * While nodes run, values share memory in the arena, and other executions may use the same arena. Therefore
 * an input that was fed counts for one run only, and outputs are valid until something is fed. A request for
 * any other value is an error here, because it would return wrong numbers. */
#include "engine/run/exec.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/run/exec_impl.h"
#include "engine/base/mem.h"

enum { TYPE_CAP = 80, LIST_CAP = 600 };

/* ---- preparing ---- */

/* Finds the kernel for a node, and prepares it if no earlier node has the same description. */
static u3d_status exec_prepare(u3d_exec *x, int node)
{
    u3d_op_desc d;
    u3d_graph_desc(x->plan->graph, node, &d);
    uint64_t work_bytes = x->plan->nodes[node].work_bytes;
    int k = 0;
    while (k < x->n_kernels &&
           (x->kernels[k].work_bytes != work_bytes || memcmp(&x->kernels[k].desc, &d, sizeof d) != 0))
        k++;
    if (k == x->n_kernels) {
        u3d_status status = u3d_backend_prepare(x->backend, &d, work_bytes, &x->kernels[k].kernel);
        if (status != U3D_OK)
            return u3d_wrap(status, "prepare node %d '%s'", node, u3d_graph_node(x->plan->graph, node)->name);
        x->kernels[k].desc = d;
        x->kernels[k].work_bytes = work_bytes;
        x->n_kernels++;
    }
    x->kernel_of[node] = k;
    return U3D_OK;
}

/* Binds a parameter, gradient or state of the graph to its place in u3d_params. Returns NULL, or what is
 * wrong. */
static const char *exec_bind(u3d_exec *x, u3d_val v)
{
    const u3d_graph *g = x->plan->graph;
    const u3d_value *value = u3d_graph_value(g, v);
    bool grad = value->role == U3D_ROLE_GRAD;
    const u3d_value *named = grad ? u3d_graph_value(g, value->grad_of) : value;
    int param = x->params ? u3d_params_find(x->params, named->name) : -1;
    if (param < 0) return "missing";
    const u3d_param_info *info = u3d_params_info(x->params, param);
    if (info->state != (value->role == U3D_ROLE_STATE))
        return info->state ? "stored as a state" : "stored as a parameter";
    if (!u3d_type_equal(&info->type, &value->type)) return "of a different shape in the parameters";
    u3d_block block = grad ? U3D_BLOCK_GRAD : U3D_BLOCK_VALUE;
    if (!u3d_params_has(x->params, block)) return "stored without a gradient block";
    x->bound[x->n_bound++] = (exec_bound){.value = v, .block = block, .param = param};
    return NULL;
}

/* Binds all parameters, gradients and states of the graph. On failure, the message lists those that cannot be
 * bound, or as many of them as there is room for. */
static u3d_status exec_bind_all(u3d_exec *x)
{
    char list[LIST_CAP] = "", text[TYPE_CAP];
    size_t used = 0;
    int bad = 0, unlisted = 0;
    for (u3d_val v = 0; v < x->plan->n_values; v++) {
        const u3d_value *value = u3d_graph_value(x->plan->graph, v);
        if (value->role != U3D_ROLE_PARAM && value->role != U3D_ROLE_GRAD && value->role != U3D_ROLE_STATE)
            continue;
        const char *wrong = exec_bind(x, v);
        if (!wrong) continue;
        int len = snprintf(list + used, sizeof list - used, "%s'%s' %s is %s", bad++ ? "; " : "", value->name,
                           u3d_type_text(&value->type, text, sizeof text), wrong);
        if (len < 0 || (size_t)len >= sizeof list - used) {
            list[used] = '\0';
            unlisted++;
        } else {
            used += (size_t)len;
        }
    }
    if (bad == 0) return U3D_OK;
    char more[32] = "";
    if (unlisted) snprintf(more, sizeof more, "; and %d more", unlisted);
    return u3d_fail(U3D_E_SHAPE, "the graph does not match the parameters: %s%s", list, more);
}

static u3d_span exec_life_span(const u3d_exec *x, int32_t life)
{
    const u3d_life *l = &x->plan->lives[life];
    return (u3d_span){x->arena->buf[l->chunk], l->off};
}

static u3d_status exec_check_arena(const u3d_plan *p, const u3d_arena *a)
{
    if (a->backend != p->backend)
        return u3d_fail(U3D_E_ARG, "execution: the arena and the plan belong to different devices");
    for (int c = 0; c < p->n_chunks; c++)
        if (a->bytes[c] < p->chunk_bytes[c])
            return u3d_fail(U3D_E_ARG,
                            "execution: chunk %d of the arena has %llu bytes, the plan needs %llu; "
                            "create the arena with all plans that use it",
                            c, (unsigned long long)a->bytes[c], (unsigned long long)p->chunk_bytes[c]);
    return U3D_OK;
}

static u3d_status exec_alloc(u3d_exec *x)
{
    size_t n_values = (size_t)x->plan->n_values, n_nodes = (size_t)x->plan->n_nodes;
    x->kernels = u3d_new(n_nodes, sizeof *x->kernels);
    x->kernel_of = x->kernels ? u3d_new(n_nodes, sizeof *x->kernel_of) : NULL;
    x->bound = x->kernel_of ? u3d_new(n_values, sizeof *x->bound) : NULL;
    x->spans = x->bound ? u3d_new(n_values, sizeof *x->spans) : NULL;
    x->fed = x->spans ? u3d_new(n_values, sizeof *x->fed) : NULL;
    return x->fed ? U3D_OK : U3D_E_NOMEM;
}

u3d_status u3d_exec_new(u3d_plan *p, u3d_params *params, u3d_arena *arena, u3d_exec **out)
{
    *out = NULL;
    U3D_TRY(exec_check_arena(p, arena));
    u3d_status status;
    u3d_exec *x = u3d_new(1, sizeof *x);
    if (!x) return U3D_E_NOMEM;
    x->plan = p;
    x->backend = p->backend;
    x->params = params;
    x->arena = arena;
    x->at = -1;
    U3D_GO(exec_alloc(x));
    U3D_GO(exec_bind_all(x));
    for (u3d_val v = 0; v < p->n_values; v++)
        if (p->values[v].life >= 0) x->spans[v] = exec_life_span(x, p->values[v].life);
    for (int node = 0; node < p->n_nodes; node++) U3D_GO(exec_prepare(x, node));
    U3D_GO(exec_check_setup(x));
    *out = x;
    x = NULL;

done:
    u3d_exec_free(x);
    return status;
}

void u3d_exec_free(u3d_exec *x)
{
    if (!x) return;
    if (x->arena->owner == x) x->arena->owner = NULL;
    for (int k = 0; k < x->n_kernels; k++) u3d_backend_discard(x->backend, x->kernels[k].kernel);
    u3d_free(x->stage);
    u3d_free(x->fed);
    u3d_free(x->spans);
    u3d_free(x->bound);
    u3d_free(x->kernel_of);
    u3d_free(x->kernels);
    u3d_free(x);
}

void u3d_exec_set_hook(u3d_exec *x, u3d_hook hook, void *user)
{
    x->hook = hook;
    x->user = user;
}

const u3d_plan *u3d_exec_plan(const u3d_exec *x)
{
    return x->plan;
}

/* ---- feed ---- */

/* Makes this execution the owner of the arena, which from now on holds its values. */
static void exec_take_arena(u3d_exec *x)
{
    x->complete = false;
    if (x->arena->owner == x) return;
    memset(x->fed, 0, (size_t)x->plan->n_values * sizeof *x->fed);
    x->arena->owner = x;
}

static u3d_status exec_check_tensor(const u3d_exec *x, const char *verb, u3d_val v, const u3d_tensor *host)
{
    U3D_ASSERT(v >= 0 && v < x->plan->n_values, "value %d of %d", v, x->plan->n_values);
    const u3d_value *value = u3d_graph_value(x->plan->graph, v);
    char have[TYPE_CAP], want[TYPE_CAP];
    if (u3d_type_equal(&value->type, &host->type)) return U3D_OK;
    return u3d_fail(U3D_E_SHAPE, "%s '%s': the host tensor '%s' is %s, the graph has %s", verb, value->name,
                    host->name, u3d_type_text(&host->type, have, sizeof have),
                    u3d_type_text(&value->type, want, sizeof want));
}

u3d_status u3d_exec_feed(u3d_exec *x, u3d_val v, const u3d_tensor *host)
{
    U3D_TRY(exec_check_tensor(x, "feed", v, host));
    const u3d_value *value = u3d_graph_value(x->plan->graph, v);
    if (value->role != U3D_ROLE_INPUT)
        return u3d_fail(U3D_E_ARG, "feed '%s': it is not an input; only inputs can be fed",
                        value->name);
    exec_take_arena(x);
    U3D_TRY(exec_guard_value(x, v));
    U3D_TRY(u3d_backend_upload(x->backend, x->spans[v], host->data, u3d_type_bytes(&value->type)));
    x->fed[v] = true;
    return U3D_OK;
}

/* ---- run ---- */

static u3d_status exec_begin(u3d_exec *x)
{
    exec_take_arena(x);
    for (u3d_val v = 0; v < x->plan->n_values; v++) {
        const u3d_value *value = u3d_graph_value(x->plan->graph, v);
        if (value->role == U3D_ROLE_INPUT && value->n_uses > 0 && !x->fed[v])
            return u3d_fail(U3D_E_ARG,
                            "run: input '%s' was not fed since the last run; "
                            "feed every input before each run",
                            value->name);
    }
    for (int i = 0; i < x->n_bound; i++) {
        const exec_bound *b = &x->bound[i];
        x->spans[b->value] = u3d_params_at(x->params, b->block, b->param);
    }
    return U3D_OK;
}

static u3d_status exec_call_hook(u3d_exec *x, int node, bool done)
{
    x->at = 2 * node + done;
    return x->hook ? x->hook(x->user, x, node, done) : U3D_OK;
}

static u3d_status exec_run_node(u3d_exec *x, int node)
{
    const u3d_node *n = u3d_graph_node(x->plan->graph, node);
    const plan_node *planned = &x->plan->nodes[node];
    u3d_span in[U3D_MAX_IN], out[U3D_MAX_OUT], work = {0};
    for (int i = 0; i < n->n_in; i++) in[i] = x->spans[n->in[i]];
    for (int i = 0; i < n->n_out; i++) out[i] = x->spans[n->out[i]];
    if (planned->work_life >= 0) work = exec_life_span(x, planned->work_life);
    u3d_status status = u3d_backend_run(x->backend, x->kernels[x->kernel_of[node]].kernel, in, out, work);
    return status == U3D_OK ? U3D_OK : u3d_wrap(status, "node %d '%s'", node, n->name);
}

static u3d_status exec_run_all(u3d_exec *x)
{
    U3D_TRY(exec_begin(x));
    for (int node = 0; node < x->plan->n_nodes; node++) {
        U3D_TRY(exec_guard_before(x, node));
        U3D_TRY(exec_call_hook(x, node, false));
        U3D_TRY(exec_run_node(x, node));
        U3D_TRY(exec_guard_after(x, node));
        U3D_TRY(exec_check_numbers(x, node));
        U3D_TRY(exec_call_hook(x, node, true));
    }
    return U3D_OK;
}

u3d_status u3d_exec_run(u3d_exec *x)
{
    u3d_status status = exec_run_all(x);
    x->complete = status == U3D_OK;
    x->at = -1;
    memset(x->fed, 0, (size_t)x->plan->n_values * sizeof *x->fed);
    return status;
}

/* ---- fetch ---- */

/* Whether the memory of a value holds the value now. During a run (seen from a hook) this is so from its
 * first write to the node that last reads or overwrites it. Outside of a run only inputs that were fed and
 * outputs of a complete run are there, and with no_reuse all values of a complete run. */
static bool exec_holds(const u3d_exec *x, u3d_val v)
{
    const plan_value *value = &x->plan->values[v];
    u3d_role role = u3d_graph_value(x->plan->graph, v)->role;
    if (value->life < 0 || x->arena->owner != x) return false;
    if (x->at < 0) {
        if (role == U3D_ROLE_INPUT) return x->fed[v];
        return x->complete && (role == U3D_ROLE_OUTPUT || x->plan->opts.no_reuse);
    }
    int from = role == U3D_ROLE_INPUT ? 0 : 2 * value->first + 1;
    int to = x->plan->opts.no_reuse ? 2 * x->plan->n_nodes : 2 * value->last + !value->overwritten;
    return from <= x->at && x->at <= to;
}

static u3d_span exec_bound_span(const u3d_exec *x, u3d_val v)
{
    for (int i = 0; i < x->n_bound; i++)
        if (x->bound[i].value == v) return u3d_params_at(x->params, x->bound[i].block, x->bound[i].param);
    return (u3d_span){0};
}

/* Finds where the value is now, in u3d_params or in the arena. */
static u3d_status exec_locate(const u3d_exec *x, u3d_val v, u3d_span *out)
{
    *out = exec_bound_span(x, v);
    if (out->buf) return U3D_OK;
    if (!exec_holds(x, v))
        return u3d_fail(U3D_E_ARG,
                        "fetch '%s': its memory does not hold it now; "
                        "an output can be fetched after a complete run, until something is fed; "
                        "other values can be fetched only from a hook, while they are in use",
                        u3d_graph_value(x->plan->graph, v)->name);
    *out = x->spans[v];
    return U3D_OK;
}

u3d_status u3d_exec_fetch(u3d_exec *x, u3d_val v, u3d_tensor *host)
{
    u3d_span span;
    U3D_TRY(exec_check_tensor(x, "fetch", v, host));
    U3D_TRY(exec_locate(x, v, &span));
    return u3d_backend_download(x->backend, host->data, span, u3d_type_bytes(&host->type));
}

u3d_status u3d_exec_post(u3d_exec *x, u3d_val v, int slot)
{
    u3d_span span;
    U3D_TRY(exec_locate(x, v, &span));
    uint64_t bytes = u3d_type_bytes(&u3d_graph_value(x->plan->graph, v)->type);
    U3D_ASSERT(bytes <= U3D_POST_BYTES, "post of %llu bytes", (unsigned long long)bytes);
    return u3d_backend_post(x->backend, span, (uint32_t)bytes, slot);
}
