/* The layer graph: two growing arrays, values and nodes, and the function that appends a node.
 *
 * Every builder ends in u3d_graph_append_full. The inputs must exist, the op's shape rule must accept them,
 * and each output is a new value or an existing one that this node may write (the first writer uses =, later
 * ones +=). The first failure is kept with its message; later calls do nothing. Pointers to values and nodes
 * are valid only until the next append. */
#include "engine/graph/graph.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/graph/graph_impl.h"
#include "engine/base/mem.h"

u3d_status u3d_graph_new(u3d_graph **out)
{
    *out = u3d_new(1, sizeof **out);
    return *out ? U3D_OK : U3D_E_NOMEM;
}

void u3d_graph_free(u3d_graph *g)
{
    if (!g) return;
    u3d_free(g->values);
    u3d_free(g->nodes);
    u3d_free(g->needs_grad);
    u3d_free(g);
}

/* ---- failures, names, scopes ---- */

u3d_status u3d_graph_fail(u3d_graph *g, u3d_status status)
{
    if (g->status == U3D_OK) {
        g->status = status;
        snprintf(g->text, sizeof g->text, "%s", u3d_error_text());
    }
    return g->status;
}

u3d_status u3d_graph_finish(u3d_graph *g)
{
    if (g->status == U3D_OK && g->n_scopes > 0) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG, "graph: scope '%s' is still open", g->scope));
    }
    return g->status == U3D_OK ? U3D_OK : u3d_fail(g->status, "%s", g->text);
}

u3d_status u3d_graph_suffix(u3d_graph *g, const char *base, const char *suffix, char out[U3D_NAME_CAP])
{
    int n = snprintf(out, U3D_NAME_CAP, "%s%s%s", base, *base && *suffix ? "." : "", suffix);
    if (n > 0 && n < U3D_NAME_CAP) return U3D_OK;
    return u3d_graph_fail(g, u3d_fail(U3D_E_ARG, "graph: name '%s.%s' has %d bytes, expected 1 to %d", base,
                                      suffix, n, U3D_NAME_CAP - 1));
}

u3d_status u3d_graph_join(u3d_graph *g, const char *name, char out[U3D_NAME_CAP])
{
    return u3d_graph_suffix(g, g->scope, name, out);
}

void u3d_scope_push(u3d_graph *g, const char *fmt, ...)
{
    if (g->status != U3D_OK) return;
    char part[U3D_NAME_CAP], joined[U3D_NAME_CAP];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(part, sizeof part, fmt, args);
    va_end(args);
    if (n < 1 || n >= U3D_NAME_CAP || g->n_scopes == U3D_MAX_SCOPES) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG,
                                   "graph: scope '%s' of %d bytes, level %" PRId32
                                   "; expected 1 to %d bytes and at most %d levels",
                                   part, n, g->n_scopes + 1, U3D_NAME_CAP - 1, (int)U3D_MAX_SCOPES));
        return;
    }
    if (u3d_graph_join(g, part, joined) != U3D_OK) return;
    g->scope_end[g->n_scopes++] = (int32_t)strlen(g->scope);
    memcpy(g->scope, joined, sizeof joined);
}

void u3d_scope_pop(u3d_graph *g)
{
    if (g->status != U3D_OK) return;
    if (g->n_scopes == 0) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG, "graph: a scope is closed, but none is open"));
        return;
    }
    g->scope[g->scope_end[--g->n_scopes]] = '\0';
}

/* ---- values ---- */

/* Makes room for one more element. An array that is full is doubled. */
static u3d_status graph_grow(void **array, int32_t n, int32_t *cap, size_t size)
{
    if (n < *cap) return U3D_OK;
    if (*cap > INT32_MAX / 2)
        return u3d_fail(U3D_E_NOMEM, "graph: no more than %" PRId32 " values or nodes are possible", *cap);
    int32_t wanted = *cap ? 2 * *cap : 64;
    void *grown = u3d_resize(*array, (size_t)n, (size_t)wanted, size);
    if (!grown) return U3D_E_NOMEM;
    *array = grown;
    *cap = wanted;
    return U3D_OK;
}

static u3d_status graph_check_value(u3d_graph *g, const char *name, const u3d_type *t)
{
    int64_t elements;
    uint64_t bytes;
    if (u3d_graph_find(g, name) != U3D_NONE)
        return u3d_fail(U3D_E_ARG, "graph: there are two values '%s'; names must differ", name);
    if (u3d_type_count(t, &elements, &bytes) != U3D_OK) return u3d_wrap(U3D_E_SHAPE, "value '%s'", name);
    void *values = g->values;
    U3D_TRY(graph_grow(&values, g->n_values, &g->cap_values, sizeof *g->values));
    g->values = values;
    return U3D_OK;
}

u3d_val u3d_graph_add_value(u3d_graph *g, const char *name, u3d_type t, u3d_role role)
{
    if (g->status != U3D_OK) return U3D_NONE;
    if (u3d_graph_fail(g, graph_check_value(g, name, &t)) != U3D_OK) return U3D_NONE;
    u3d_value *v = &g->values[g->n_values];
    *v = (u3d_value){.type = t, .role = role, .producer = U3D_NONE, .grad = U3D_NONE, .grad_of = U3D_NONE};
    snprintf(v->name, sizeof v->name, "%s", name);
    return g->n_values++;
}

void u3d_graph_output(u3d_graph *g, u3d_val v, const char *name)
{
    char full[U3D_NAME_CAP];
    if (g->status != U3D_OK) return;
    if (v < 0 || v >= g->n_values ||
        (g->values[v].role != U3D_ROLE_TEMP && g->values[v].role != U3D_ROLE_OUTPUT)) {
        u3d_graph_fail(
            g,
            u3d_fail(U3D_E_ARG, "graph: output '%s' is value %" PRId32 ", which no node computes", name, v));
        return;
    }
    if (u3d_graph_join(g, name, full) != U3D_OK) return;
    u3d_val other = u3d_graph_find(g, full);
    if (other != U3D_NONE && other != v) {
        u3d_graph_fail(g, u3d_fail(U3D_E_ARG, "graph: there are two values '%s'; names must differ", full));
        return;
    }
    memcpy(g->values[v].name, full, sizeof full);
    g->values[v].role = U3D_ROLE_OUTPUT;
}

/* ---- nodes ---- */

static u3d_status graph_check_input(const u3d_graph *g, const u3d_op_info *info, int i, u3d_val v)
{
    if (v >= 0 && v < g->n_values) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "%s: input %d is value %" PRId32 ", expected one of the graph's %" PRId32,
                    info->name, i, v, g->n_values);
}

/* Checks that output i may be written into the existing value v. */
static u3d_status graph_check_into(const u3d_graph *g, const u3d_op_desc *d, int i, u3d_val v)
{
    const u3d_op_info *info = u3d_op_info_get(d->op);
    char found[160], expected[160];
    if (v < 0 || v >= g->n_values) {
        return u3d_fail(U3D_E_ARG, "%s: output %d goes into value %" PRId32 " of %" PRId32, info->name, i, v,
                        g->n_values);
    }
    const u3d_value *value = &g->values[v];
    if (!u3d_type_equal(&value->type, &d->out[i])) {
        return u3d_fail(U3D_E_SHAPE, "%s: output %d is %s, but '%s' is %s", info->name, i,
                        u3d_type_text(&d->out[i], found, sizeof found), value->name,
                        u3d_type_text(&value->type, expected, sizeof expected));
    }
    /* A state has a value before the first node runs, so it may be written with = or +=. */
    bool kept = value->role == U3D_ROLE_STATE;
    if (info->updates >> i & 1U) {
        if (kept || value->role == U3D_ROLE_PARAM) return U3D_OK;
        return u3d_fail(U3D_E_ARG, "%s: output %d updates '%s', which is neither state nor parameter",
                        info->name, i, value->name);
    }
    if (value->role == U3D_ROLE_INPUT || value->role == U3D_ROLE_PARAM) {
        return u3d_fail(U3D_E_ARG, "%s: output %d goes into '%s', which is fed or trained", info->name, i,
                        value->name);
    }
    bool adds = (d->accumulate >> i & 1U) != 0;
    if (!kept && adds != (value->producer != U3D_NONE)) {
        return u3d_fail(U3D_E_ARG, "%s: output %d %s '%s', which %s", info->name, i,
                        adds ? "adds to" : "replaces", value->name,
                        adds ? "nothing has written" : "is written already");
    }
    return U3D_OK;
}

/* Completes the description of a new node: copies the types of its inputs, infers its outputs, and checks
 * those that are existing values. */
static u3d_status graph_describe(const u3d_graph *g, u3d_op_desc *d, const u3d_attr *attr, const u3d_val *in,
                                 const u3d_val *into)
{
    const u3d_op_info *info = u3d_op_info_get(d->op);
    if (d->n_in < 0 || d->n_in > U3D_MAX_IN || d->n_out < 1 || d->n_out > U3D_MAX_OUT) {
        return u3d_fail(U3D_E_ARG,
                        "%s: %" PRId32 " inputs and %" PRId32 " outputs, expected at most %d and 1 to %d",
                        info->name, d->n_in, d->n_out, (int)U3D_MAX_IN, (int)U3D_MAX_OUT);
    }
    for (int i = 0; i < d->n_in; i++) {
        U3D_TRY(graph_check_input(g, info, i, in[i]));
        d->in[i] = g->values[in[i]].type;
    }
    if (attr) d->attr = *attr;
    U3D_TRY(info->infer(d));
    for (int i = 0; i < d->n_out; i++) {
        if (into && into[i] != U3D_NONE) {
            U3D_TRY(graph_check_into(g, d, i, into[i]));
        } else if ((d->accumulate | info->updates) >> i & 1U) {
            return u3d_fail(U3D_E_ARG,
                            "%s: output %d is added to or updated, so it must be an existing value",
                            info->name, i);
        }
    }
    return U3D_OK;
}

/* Adds a new value for output i, named "name.out", "name.out1", ... */
static u3d_val graph_new_output(u3d_graph *g, const char *node_name, int i, u3d_type t)
{
    char suffix[16] = "out", full[U3D_NAME_CAP];
    if (i > 0) snprintf(suffix, sizeof suffix, "out%d", i);
    if (u3d_graph_suffix(g, node_name, suffix, full) != U3D_OK) return U3D_NONE;
    return u3d_graph_add_value(g, full, t, U3D_ROLE_TEMP);
}

static bool graph_seen_before(const u3d_val *list, int i)
{
    for (int j = 0; j < i; j++) {
        if (list[j] == list[i]) return true;
    }
    return false;
}

int32_t u3d_graph_append_full(u3d_graph *g, const char *name, u3d_op op, const u3d_attr *attr,
                              const u3d_val *in, int n_in, int n_out, const u3d_val *into,
                              uint32_t accumulate)
{
    if (g->status != U3D_OK) return U3D_NONE;
    u3d_op_desc d;
    memset(&d, 0, sizeof d);
    d.op = op;
    d.n_in = n_in;
    d.n_out = n_out;
    d.accumulate = accumulate;
    u3d_status status = graph_describe(g, &d, attr, in, into);
    if (status != U3D_OK) {
        u3d_graph_fail(g, u3d_wrap(status, "node '%s'", name));
        return U3D_NONE;
    }
    void *nodes = g->nodes;
    status = graph_grow(&nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes);
    if (u3d_graph_fail(g, status) != U3D_OK) return U3D_NONE;
    g->nodes = nodes;

    u3d_node n = {.op = op,
                  .attr = d.attr,
                  .n_in = n_in,
                  .n_out = n_out,
                  .accumulate = accumulate,
                  .backward = g->in_backward};
    snprintf(n.name, sizeof n.name, "%s", name);
    for (int i = 0; i < n_out; i++) {
        n.out[i] = into && into[i] != U3D_NONE ? into[i] : graph_new_output(g, name, i, d.out[i]);
        if (g->status != U3D_OK) return U3D_NONE;
        u3d_value *v = &g->values[n.out[i]];
        if (v->producer == U3D_NONE && v->role != U3D_ROLE_STATE && v->role != U3D_ROLE_PARAM)
            v->producer = g->n_nodes;
    }
    for (int i = 0; i < n_in; i++) {
        n.in[i] = in[i];
        if (!graph_seen_before(in, i)) g->values[in[i]].n_uses++;
    }
    g->nodes[g->n_nodes] = n;
    return g->n_nodes++;
}

u3d_status u3d_graph_insert(u3d_graph *g, int32_t at, const u3d_node *n)
{
    void *nodes = g->nodes;
    U3D_TRY(graph_grow(&nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes));
    g->nodes = nodes;
    memmove(g->nodes + at + 1, g->nodes + at, (size_t)(g->n_nodes - at) * sizeof *g->nodes);
    memcpy(&g->nodes[at], n, sizeof *n);
    g->n_nodes++;
    return U3D_OK;
}

int32_t u3d_graph_append(u3d_graph *g, const char *name, u3d_op op, const u3d_attr *attr, const u3d_val *in,
                         int n_in, int n_out, const u3d_val *into, uint32_t accumulate)
{
    char full[U3D_NAME_CAP];
    if (g->status != U3D_OK || u3d_graph_join(g, name, full) != U3D_OK) return U3D_NONE;
    return u3d_graph_append_full(g, full, op, attr, in, n_in, n_out, into, accumulate);
}

/* ---- reading ---- */

int u3d_graph_n_values(const u3d_graph *g)
{
    return g->n_values;
}

int u3d_graph_n_nodes(const u3d_graph *g)
{
    return g->n_nodes;
}

const u3d_value *u3d_graph_value(const u3d_graph *g, u3d_val v)
{
    U3D_ASSERT(v >= 0 && v < g->n_values, "value %" PRId32 " of %" PRId32, v, g->n_values);
    return &g->values[v];
}

const u3d_node *u3d_graph_node(const u3d_graph *g, int i)
{
    U3D_ASSERT(i >= 0 && i < g->n_nodes, "node %d of %" PRId32, i, g->n_nodes);
    return &g->nodes[i];
}

u3d_val u3d_graph_find(const u3d_graph *g, const char *name)
{
    for (u3d_val v = 0; v < g->n_values; v++) {
        if (strcmp(g->values[v].name, name) == 0) return v;
    }
    return U3D_NONE;
}

void u3d_graph_desc(const u3d_graph *g, int node, u3d_op_desc *out)
{
    const u3d_node *n = u3d_graph_node(g, node);
    memset(out, 0, sizeof *out);
    out->op = n->op;
    memcpy(&out->attr, &n->attr, sizeof out->attr);
    out->n_in = n->n_in;
    out->n_out = n->n_out;
    for (int i = 0; i < n->n_in; i++) out->in[i] = g->values[n->in[i]].type;
    for (int i = 0; i < n->n_out; i++) out->out[i] = g->values[n->out[i]].type;
    out->accumulate = n->accumulate;
}

int64_t u3d_graph_param_count(const u3d_graph *g)
{
    int64_t count = 0;
    for (u3d_val v = 0; v < g->n_values; v++) {
        if (g->values[v].role == U3D_ROLE_PARAM) count += u3d_type_elems(&g->values[v].type);
    }
    return count;
}

double u3d_graph_flops(const u3d_graph *g, bool backward_too)
{
    double flops = 0.0;
    for (int i = 0; i < g->n_nodes; i++) {
        u3d_op_desc d;
        const u3d_op_info *info = u3d_op_info_get(g->nodes[i].op);
        if (!info->flops || (g->nodes[i].backward && !backward_too)) continue;
        u3d_graph_desc(g, i, &d);
        flops += info->flops(&d);
    }
    return flops;
}
