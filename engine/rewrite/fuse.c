/* Fusion: drafts, skip gradients and joins. Lazy maps are in fuse_lazy.c.
 *
 * Each step looks for a group of nodes, drafts what they would become, and asks the backend about every
 * draft. The group is changed only if the backend accepts all drafts, so that the graph is correct after any
 * number of steps. Readers of a value come after its writer in the list; nothing here moves a node before the
 * writer of a value that it reads. */
#include "engine/rewrite/fuse.h"

#include <stdio.h>
#include <string.h>

#include "engine/rewrite/fuse_impl.h"
#include "engine/base/mem.h"

/* ---- searching the graph ---- */

bool fuse_is_temp(const u3d_graph *g, u3d_val v)
{
    return g->values[v].role == U3D_ROLE_TEMP;
}

int fuse_input_of(const u3d_node *n, u3d_val v, int from)
{
    for (int i = from; i < n->n_in; i++)
        if (n->in[i] == v) return i;
    return U3D_NONE;
}

int fuse_output_of(const u3d_node *n, u3d_val v)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] == v) return i;
    return U3D_NONE;
}

int32_t fuse_reader(const u3d_graph *g, u3d_val v, int32_t from)
{
    for (int32_t node = from; node < g->n_nodes; node++)
        if (fuse_input_of(&g->nodes[node], v, 0) != U3D_NONE) return node;
    return U3D_NONE;
}

int32_t fuse_only_reader(const u3d_graph *g, u3d_val v)
{
    int32_t node = fuse_reader(g, v, 0);
    return node != U3D_NONE && fuse_reader(g, v, node + 1) == U3D_NONE ? node : U3D_NONE;
}

/* ---- drafts ---- */

void fuse_begin(fusion *f)
{
    f->n_drafts = f->n_made = 0;
}

static u3d_node *fuse_draft_add(fusion *f, fuse_kind kind, int32_t at, const u3d_node *n)
{
    U3D_ASSERT(f->n_drafts < f->cap_drafts, "%d drafts", (int)f->n_drafts);
    fuse_draft *d = &f->drafts[f->n_drafts++];
    d->kind = kind;
    d->at = at;
    memcpy(&d->node, n, sizeof *n); /* also copies padding bytes, so that equal attributes stay equal bytes */
    return &d->node;
}

u3d_node *fuse_change(fusion *f, int32_t at)
{
    for (int32_t i = 0; i < f->n_drafts; i++)
        if (f->drafts[i].kind == FUSE_CHANGE && f->drafts[i].at == at) return &f->drafts[i].node;
    return fuse_draft_add(f, FUSE_CHANGE, at, &f->g->nodes[at]);
}

void fuse_drop(fusion *f, int32_t at)
{
    fuse_draft_add(f, FUSE_DROP, at, &f->g->nodes[at]);
}

u3d_node *fuse_insert(fusion *f, int32_t behind, int32_t at)
{
    return fuse_draft_add(f, FUSE_INSERT, behind, &f->g->nodes[at]);
}

bool fuse_name(const char *base, const char *suffix, char out[U3D_NAME_CAP])
{
    int n = snprintf(out, U3D_NAME_CAP, "%s.%s", base, suffix);
    return n > 0 && n < U3D_NAME_CAP;
}

u3d_val fuse_make(fusion *f, const char *base, const char *suffix, u3d_type t)
{
    U3D_ASSERT(f->n_made < FUSE_MAX_MADE, "%d values", (int)f->n_made);
    fuse_made *m = &f->made[f->n_made];
    if (!fuse_name(base, suffix, m->name) || u3d_graph_find(f->g, m->name) != U3D_NONE) return U3D_NONE;
    m->type = t;
    return f->g->n_values + f->n_made++;
}

static const u3d_type *fuse_type(const fusion *f, u3d_val v)
{
    return v < f->g->n_values ? &f->g->values[v].type : &f->made[v - f->g->n_values].type;
}

bool fuse_takes(const fusion *f, u3d_node *n)
{
    u3d_op_desc d;
    u3d_need need;
    memset(&d, 0, sizeof d);
    d.op = n->op;
    memcpy(&d.attr, &n->attr, sizeof d.attr);
    d.n_in = n->n_in;
    d.n_out = n->n_out;
    d.accumulate = n->accumulate;
    for (int i = 0; i < n->n_in; i++) d.in[i] = *fuse_type(f, n->in[i]);
    if (u3d_op_info_get(n->op)->infer(&d) != U3D_OK) return false;
    for (int i = 0; i < n->n_out; i++)
        if (!u3d_type_equal(&d.out[i], fuse_type(f, n->out[i]))) return false;
    memcpy(&n->attr, &d.attr, sizeof n->attr);
    return u3d_backend_query(f->backend, &d, &need) == U3D_OK;
}

bool fuse_takes_all(fusion *f)
{
    for (int32_t i = 0; i < f->n_drafts; i++)
        if (f->drafts[i].kind != FUSE_DROP && !fuse_takes(f, &f->drafts[i].node)) return false;
    return true;
}

u3d_status fuse_apply(fusion *f)
{
    u3d_graph *g = f->g;
    for (int32_t i = 0; i < f->n_made; i++)
        if (u3d_graph_add_value(g, f->made[i].name, f->made[i].type, U3D_ROLE_TEMP) == U3D_NONE)
            return g->status;
    for (int32_t i = 0; i < f->n_drafts; i++) { /* insertions come last, because they move later nodes */
        const fuse_draft *d = &f->drafts[i];
        if (d->kind == FUSE_CHANGE) memcpy(&g->nodes[d->at], &d->node, sizeof d->node);
        if (d->kind == FUSE_DROP) g->nodes[d->at].n_in = g->nodes[d->at].n_out = 0;
    }
    for (int32_t i = 0; i < f->n_drafts; i++) {
        const fuse_draft *d = &f->drafts[i];
        if (d->kind == FUSE_INSERT) U3D_TRY(u3d_graph_insert(g, d->at + 1, &d->node));
    }
    return U3D_OK;
}

static bool fuse_seen_before(const u3d_node *n, int i)
{
    return fuse_input_of(n, n->in[i], 0) < i;
}

static void fuse_count(u3d_graph *g)
{
    for (u3d_val v = 0; v < g->n_values; v++) {
        g->values[v].n_uses = 0;
        g->values[v].producer = U3D_NONE;
    }
    for (int32_t node = 0; node < g->n_nodes; node++) {
        const u3d_node *n = &g->nodes[node];
        for (int i = 0; i < n->n_in; i++)
            if (!fuse_seen_before(n, i)) g->values[n->in[i]].n_uses++;
        for (int i = 0; i < n->n_out; i++) {
            u3d_value *v = &g->values[n->out[i]];
            bool kept = v->role == U3D_ROLE_STATE || v->role == U3D_ROLE_PARAM;
            if (v->producer == U3D_NONE && !kept) v->producer = node;
        }
    }
}

void fuse_sweep(u3d_graph *g)
{
    int32_t kept = 0;
    for (int32_t node = 0; node < g->n_nodes; node++) {
        if (g->nodes[node].n_out == 0) continue; /* every op has an output, so this node was dropped */
        if (kept != node) memcpy(&g->nodes[kept], &g->nodes[node], sizeof *g->nodes);
        kept++;
    }
    g->n_nodes = kept;
    fuse_count(g);
}

/* ---- skip gradients ---- */

/* Finds the first and the last node after `from` that add to v. False if there is none, or if another node
 * reads or writes v before the last. */
static bool skip_additions(const u3d_graph *g, int32_t from, u3d_val v, int32_t *first, int32_t *last)
{
    *first = *last = U3D_NONE;
    for (int32_t node = from + 1; node < g->n_nodes; node++) {
        int out = fuse_output_of(&g->nodes[node], v);
        if (out == U3D_NONE) continue;
        if (!(g->nodes[node].accumulate >> out & 1U)) return false;
        if (*first == U3D_NONE) *first = node;
        *last = node;
    }
    int32_t reader = fuse_reader(g, v, from + 1);
    return *first != U3D_NONE && (reader == U3D_NONE || reader > *last);
}

/* Splits a crop_concat_back in two: dup is still computed at its place, but dskip after the last node that
 * adds to it. The first of the nodes that add to dskip then writes it instead. */
static u3d_status skip_split(fusion *f, int32_t at)
{
    const u3d_node *n = &f->g->nodes[at];
    u3d_val dskip = n->out[1];
    int32_t first, last;
    if (n->accumulate >> 1 & 1U || !fuse_is_temp(f->g, dskip)) return U3D_OK;
    if (!skip_additions(f->g, at, dskip, &first, &last)) return U3D_OK;
    fuse_begin(f);
    u3d_node *up = fuse_change(f, at), *skip = fuse_insert(f, last, at), *writes = fuse_change(f, first);
    up->attr.crop.part = U3D_CROP_UP;
    up->n_out = 1;
    up->accumulate &= 1U;
    skip->attr.crop.part = U3D_CROP_SKIP;
    skip->n_out = 1;
    skip->out[0] = dskip;
    skip->accumulate = 1;
    writes->accumulate &= ~(1U << fuse_output_of(writes, dskip));
    if (!fuse_name(n->name, "skip", skip->name) || !fuse_takes_all(f)) return U3D_OK;
    return fuse_apply(f);
}

static u3d_status fuse_skip_gradients(fusion *f)
{
    for (int32_t node = 0; node < f->g->n_nodes; node++) {
        const u3d_node *n = &f->g->nodes[node];
        if (n->op == U3D_OP_CROP_CONCAT_BACK && n->attr.crop.part == U3D_CROP_BOTH)
            U3D_TRY(skip_split(f, node));
    }
    return U3D_OK;
}

/* ---- joins ---- */

/* Changes the draft of a reader of the joined map y so that it reads up and skip instead; false if it
 * cannot. */
static bool join_reader(fusion *f, int32_t at, u3d_val y, u3d_val up, u3d_val skip)
{
    const u3d_node *n = &f->g->nodes[at];
    if (n->op != U3D_OP_CONV3D && n->op != U3D_OP_CONV3D_DW) return false;
    if (n->in[0] != y || fuse_input_of(n, y, 1) != U3D_NONE) return false;
    if (n->attr.conv.joined || n->attr.conv.lazy[0] || n->n_in == U3D_MAX_IN) return false;
    u3d_node *draft = fuse_change(f, at);
    draft->attr.conv.joined = true;
    draft->in[0] = up;
    draft->in[draft->n_in++] = skip;
    return true;
}

static u3d_status join_try(fusion *f, int32_t at)
{
    const u3d_node *n = &f->g->nodes[at];
    u3d_val y = n->out[0], up = n->in[0], skip = n->in[1];
    if (!fuse_is_temp(f->g, y)) return U3D_OK;
    fuse_begin(f);
    fuse_drop(f, at);
    for (int32_t reader = fuse_reader(f->g, y, 0); reader != U3D_NONE;
         reader = fuse_reader(f->g, y, reader + 1))
        if (!join_reader(f, reader, y, up, skip)) return U3D_OK;
    return fuse_takes_all(f) ? fuse_apply(f) : U3D_OK;
}

static u3d_status fuse_joins(fusion *f)
{
    for (int32_t node = 0; node < f->g->n_nodes; node++)
        if (f->g->nodes[node].op == U3D_OP_CROP_CONCAT) U3D_TRY(join_try(f, node));
    return U3D_OK;
}

/* ---- the whole pass ---- */

static u3d_status fuse_all(fusion *f)
{
    U3D_TRY(fuse_skip_gradients(f));
    U3D_TRY(fuse_joins(f));
    fuse_sweep(f->g);
    U3D_TRY(fuse_lazy_maps(f));
    fuse_sweep(f->g);
    return U3D_OK;
}

u3d_status u3d_graph_fuse(u3d_graph *g, const u3d_backend *b)
{
    U3D_TRY(u3d_graph_finish(g));
    /* Room for every node to be changed; skip gradients insert at most one node per crop_concat_back. */
    fusion f = {.g = g, .backend = b, .cap_drafts = 2 * g->n_nodes + 1};
    f.drafts = u3d_new((size_t)f.cap_drafts, sizeof *f.drafts);
    if (!f.drafts) return u3d_graph_fail(g, U3D_E_NOMEM);
    u3d_status status = u3d_graph_fail(g, fuse_all(&f));
    u3d_free(f.drafts);
    return status;
}
