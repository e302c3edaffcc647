/* Lazy maps: y = relu(norm(z)) is not written if all its readers can apply relu and norm while they load z.
 *
 *   before                                    after
 *   conv       -> z                           conv       -> z, (moments)
 *   norm     z -> u, stats, (running)         moments  z -> moments              not if conv computes them
 *   relu     u -> y                           norm_table moments -> table, stats, (running)
 *   conv, maxpool3d, ... of y                 the same of (z, table)
 *   conv3d_dw, upconv3d_dw of y               the same of (z, table)
 *   relu_back dy, y -> du                     -
 *   norm_back du, z, gain, stats              norm_back (act) dy, z, gain, stats, table
 *
 * norm_table takes the place of relu in the list, and moments that of norm, so that the nodes are still in an
 * executable order. If norm uses running statistics (called "given" below), the table is made from those, and
 * no moments are computed. */
#include <string.h>

#include "engine/rewrite/fuse_impl.h"

typedef struct lazy_map {
    int32_t norm, relu;     /* indices of the two nodes                      */
    u3d_val z, y;           /* the map that is stored, and y = relu(norm(z)) */
    u3d_val stats;          /* U3D_NONE with given statistics                */
    u3d_val table, moments; /* new values                                    */
    float slope;
} lazy_map;

/* ---- finding lazy maps ---- */

/* Whether this relu reads a norm whose output nothing else reads, and whose statistics nothing reads before
 * the relu. */
static bool lazy_find(const u3d_graph *g, int32_t relu, lazy_map *m)
{
    const u3d_node *r = &g->nodes[relu];
    if (r->op != U3D_OP_RELU || r->n_out == 0) return false;
    u3d_val u = r->in[0], y = r->out[0];
    int32_t norm = g->values[u].producer;
    if (norm == U3D_NONE || g->nodes[norm].op != U3D_OP_NORM) return false;
    if (!fuse_is_temp(g, u) || !fuse_is_temp(g, y) || fuse_only_reader(g, u) != relu) return false;
    const u3d_node *n = &g->nodes[norm];
    bool given = n->attr.norm.use_running;
    *m = (lazy_map){.norm = norm,
                    .relu = relu,
                    .z = n->in[0],
                    .y = y,
                    .stats = given ? U3D_NONE : n->out[1],
                    .table = U3D_NONE,
                    .moments = U3D_NONE,
                    .slope = r->attr.relu.slope};
    int32_t reader = given ? U3D_NONE : fuse_reader(g, m->stats, norm);
    return reader == U3D_NONE || reader > relu;
}

/* ---- readers ---- */

/* Which part of its map input i of a node is: 0 (x or up) or 1 (skip). U3D_NONE if the input cannot become
 * lazy, or is lazy already. */
static int lazy_part(const u3d_node *n, int i)
{
    const u3d_conv_attr *a = &n->attr.conv;
    switch ((int)n->op) {
    case U3D_OP_CONV3D:
    case U3D_OP_CONV3D_DW:
    case U3D_OP_MAXPOOL3D:
    case U3D_OP_UPCONV3D:
    case U3D_OP_UPCONV3D_DW: break;
    default: return U3D_NONE;
    }
    if (i == 0) return a->lazy[0] ? U3D_NONE : 0;
    bool is_skip = a->joined && i == n->n_in - (int)a->lazy[0] - (int)a->lazy[1] - 1;
    return is_skip && !a->lazy[1] ? 1 : U3D_NONE;
}

/* Makes input i of the draft lazy. Among the inputs, the table of part 0 comes before that of part 1. */
static bool lazy_input(const lazy_map *m, u3d_node *n, int i)
{
    u3d_conv_attr *a = &n->attr.conv;
    int part = lazy_part(n, i);
    if (part == U3D_NONE || n->n_in == U3D_MAX_IN) return false;
    if (a->lazy[1 - part] && a->slope != m->slope) return false;
    int at = n->n_in - (part == 0 && a->lazy[1]);
    memmove(n->in + at + 1, n->in + at, (size_t)(n->n_in - at) * sizeof *n->in);
    n->in[at] = m->table;
    n->in[i] = m->z;
    n->n_in++;
    a->lazy[part] = true;
    a->slope = m->slope;
    return true;
}

/* Drops the relu_back at node `at`, and lets the norm_back that reads its result do its work. */
static bool lazy_back(fusion *f, const lazy_map *m, int32_t at)
{
    const u3d_graph *g = f->g;
    const u3d_node *r = &g->nodes[at];
    u3d_val dy = r->in[0], du = r->out[0];
    if (dy == m->y || r->attr.relu.slope != m->slope || r->accumulate || !fuse_is_temp(g, du)) return false;
    int32_t back = fuse_only_reader(g, du);
    if (back == U3D_NONE || g->nodes[back].op != U3D_OP_NORM_BACK || g->nodes[back].attr.norm.act)
        return false;
    const u3d_node *b = &g->nodes[back];
    if (b->in[0] != du || b->in[1] != m->z || b->in[3] != m->stats) return false;
    for (int32_t node = at + 1; node < g->n_nodes; node++)
        if (fuse_output_of(&g->nodes[node], du) != U3D_NONE)
            return false; /* another node also writes du, so it is not only the gradient of relu */
    fuse_drop(f, at);
    u3d_node *draft = fuse_change(f, back);
    draft->attr.norm.act = true;
    draft->attr.norm.slope = m->slope;
    draft->in[0] = dy;
    draft->in[draft->n_in++] = m->table;
    return true;
}

/* Changes the draft of node `at`, a reader of y, so that it reads z and the table instead; false if it
 * cannot. */
static bool lazy_reader(fusion *f, const lazy_map *m, int32_t at)
{
    if (f->g->nodes[at].op == U3D_OP_RELU_BACK) return lazy_back(f, m, at);
    u3d_node *draft = fuse_change(f, at);
    for (int i = fuse_input_of(draft, m->y, 0); i != U3D_NONE; i = fuse_input_of(draft, m->y, 0))
        if (!lazy_input(m, draft, i)) return false;
    return true;
}

/* ---- moments and table ---- */

/* Number of sets of scales and shifts in the table: 1, or the batch size. */
static int64_t lazy_sets(const u3d_graph *g, const lazy_map *m)
{
    return m->stats == U3D_NONE ? 1 : g->values[m->stats].type.dim[0];
}

static u3d_type lazy_table_type(const u3d_graph *g, const lazy_map *m)
{
    return u3d_type_f32(3, (const int64_t[]){lazy_sets(g, m), 2, g->values[m->z].type.dim[4]});
}

/* The convolution that computes z and could also compute its moments; U3D_NONE if there is none. */
static int32_t lazy_conv(const u3d_graph *g, const lazy_map *m)
{
    int32_t node = g->values[m->z].producer;
    bool is = node != U3D_NONE && g->nodes[node].op == U3D_OP_CONV3D && g->nodes[node].n_out == 1;
    return is ? node : U3D_NONE;
}

static bool lazy_make_values(fusion *f, lazy_map *m)
{
    const u3d_graph *g = f->g;
    u3d_type t = lazy_table_type(g, m);
    int32_t conv = lazy_conv(g, m);
    m->table = fuse_make(f, g->nodes[m->norm].name, "table", t);
    if (m->table == U3D_NONE || m->stats == U3D_NONE) return m->table != U3D_NONE;
    m->moments = fuse_make(f, g->nodes[conv != U3D_NONE ? conv : m->norm].name, "moments", t);
    return m->moments != U3D_NONE;
}

/* Changes the draft of the convolution so that it computes the moments while it stores z; false if the
 * backend does not accept this. */
static bool lazy_gather(fusion *f, const lazy_map *m)
{
    int32_t conv = lazy_conv(f->g, m);
    if (conv == U3D_NONE) return false;
    u3d_node trial;
    memcpy(&trial, &f->g->nodes[conv], sizeof trial);
    trial.attr.conv.moments = true;
    trial.attr.conv.per_instance = f->g->nodes[m->norm].attr.norm.per_instance;
    trial.out[trial.n_out++] = m->moments;
    if (!fuse_takes(f, &trial)) return false;
    memcpy(fuse_change(f, conv), &trial, sizeof trial);
    return true;
}

/* Makes the draft for the place of norm: a moments node, or none if no such node is needed. */
static bool lazy_moments(fusion *f, const lazy_map *m)
{
    if (m->stats == U3D_NONE || lazy_gather(f, m)) {
        fuse_drop(f, m->norm);
        return true;
    }
    u3d_node *n = fuse_change(f, m->norm);
    n->op = U3D_OP_MOMENTS;
    n->n_in = n->n_out = 1;
    n->out[0] = m->moments;
    return fuse_name(f->g->nodes[m->norm].name, "moments", n->name);
}

/* Makes the draft for the place of relu: a norm_table with the name of the norm. */
static void lazy_table(fusion *f, const lazy_map *m)
{
    const u3d_node *norm = &f->g->nodes[m->norm];
    const u3d_type *z = &f->g->values[m->z].type;
    u3d_node *n = fuse_change(f, m->relu);
    memcpy(n, norm, sizeof *n);
    n->op = U3D_OP_NORM_TABLE;
    n->in[0] = m->stats == U3D_NONE ? norm->in[3] : m->moments;
    n->n_in = 3;
    n->out[0] = m->table;
    n->attr.norm.voxels = u3d_type_elems(z) / (z->dim[4] * lazy_sets(f->g, m));
}

/* ---- the whole step ---- */

static u3d_status lazy_try(fusion *f, int32_t relu)
{
    lazy_map m;
    if (!lazy_find(f->g, relu, &m)) return U3D_OK;
    fuse_begin(f);
    int32_t reader = fuse_reader(f->g, m.y, 0);
    if (reader == U3D_NONE || !lazy_make_values(f, &m)) return U3D_OK;
    for (; reader != U3D_NONE; reader = fuse_reader(f->g, m.y, reader + 1))
        if (!lazy_reader(f, &m, reader)) return U3D_OK;
    lazy_table(f, &m);
    if (!lazy_moments(f, &m) || !fuse_takes_all(f)) return U3D_OK;
    return fuse_apply(f);
}

u3d_status fuse_lazy_maps(fusion *f)
{
    for (int32_t node = 0; node < f->g->n_nodes; node++) U3D_TRY(lazy_try(f, node));
    return U3D_OK;
}
