/* Reverse-mode differentiation, station 9 of training: visits the nodes from last to first, and lets the
 * gradient rule of each op (engine/ops) append the nodes that compute the gradients of its inputs.
 *
 * The gradient of a value with several readers is a sum. The reader that is visited first writes it with =
 * and later ones add with +=, so that nothing needs zeroing. An op that cannot add (u3d_op_info.accumulates)
 * writes into a temporary, which a copy node then adds. Readers of a value come after its producer in the
 * list and are therefore visited before it, so that the gradient of a node's output is complete when the
 * node's rule runs. */
#include <inttypes.h>
#include <string.h>

#include "engine/graph/graph_impl.h"
#include "engine/base/mem.h"

bool u3d_grad_wanted(const u3d_graph *g, u3d_val v)
{
    return v >= 0 && v < g->n_needs_grad && g->needs_grad[v];
}

/* Marks the values that depend on a parameter. Gradients flow only through out[0] of a node; the other
 * outputs are indices, statistics and sums, which the gradient rules take into account themselves. */
static u3d_status autodiff_mark(u3d_graph *g)
{
    g->needs_grad = u3d_new((size_t)g->n_values, sizeof *g->needs_grad);
    if (!g->needs_grad) return U3D_E_NOMEM;
    g->n_needs_grad = g->n_values;
    for (u3d_val v = 0; v < g->n_values; v++) g->needs_grad[v] = g->values[v].role == U3D_ROLE_PARAM;
    for (int i = 0; i < g->n_nodes; i++) {
        const u3d_node *n = &g->nodes[i];
        for (int j = 0; j < n->n_in; j++) {
            if (g->needs_grad[n->in[j]]) g->needs_grad[n->out[0]] = true;
        }
    }
    return U3D_OK;
}

/* Adds the value that will hold d(loss)/dv. */
static u3d_val autodiff_make_grad(u3d_graph *g, u3d_val v)
{
    char name[U3D_NAME_CAP];
    if (u3d_graph_suffix(g, g->values[v].name, "grad", name) != U3D_OK) return U3D_NONE;
    bool trained = g->values[v].role == U3D_ROLE_PARAM;
    u3d_val grad = u3d_graph_add_value(g, name, g->values[v].type, trained ? U3D_ROLE_GRAD : U3D_ROLE_TEMP);
    if (grad == U3D_NONE) return grad;
    if (trained) g->values[grad].grad_of = v;
    g->values[v].grad = grad;
    return grad;
}

/* Where the outputs of one gradient node go. */
typedef struct grad_targets {
    u3d_val into[U3D_MAX_OUT]; /* the value to write; U3D_NONE: a new temporary                     */
    u3d_val add[U3D_MAX_OUT];  /* the gradient to which the temporary is added; U3D_NONE: not added */
    uint32_t accumulate;
} grad_targets;

static u3d_status grad_choose_targets(u3d_graph *g, u3d_op op, const u3d_val *of, int n_out, grad_targets *t)
{
    *t = (grad_targets){0};
    for (int i = 0; i < n_out; i++) {
        t->into[i] = t->add[i] = U3D_NONE;
        if (!u3d_grad_wanted(g, of[i])) continue;
        u3d_val grad = g->values[of[i]].grad;
        bool twice = false; /* true if an earlier output of this node goes there; outputs must not overlap */
        for (int j = 0; j < i; j++) twice = twice || of[j] == of[i];
        if (grad == U3D_NONE) {
            t->into[i] = autodiff_make_grad(g, of[i]);
            if (t->into[i] == U3D_NONE) return g->status;
        } else if (!twice && u3d_op_info_get(op)->accumulates >> i & 1U) {
            t->into[i] = grad;
            t->accumulate |= 1U << i;
        } else {
            t->add[i] = grad;
        }
    }
    return U3D_OK;
}

u3d_status u3d_grad_append(u3d_graph *g, const u3d_node *n, const char *suffix, u3d_op op,
                           const u3d_attr *attr, const u3d_val *in, int n_in, const u3d_val *of, int n_out)
{
    grad_targets t;
    char name[U3D_NAME_CAP], add_name[U3D_NAME_CAP];
    bool wanted = false;
    U3D_TRY(g->status);
    U3D_ASSERT(n_out <= U3D_MAX_OUT, "%s has %d gradients", n->name, n_out);
    for (int i = 0; i < n_out; i++) wanted = wanted || u3d_grad_wanted(g, of[i]);
    if (!wanted) return U3D_OK;
    U3D_TRY(u3d_graph_suffix(g, n->name, suffix, name));
    U3D_TRY(grad_choose_targets(g, op, of, n_out, &t));
    int32_t node = u3d_graph_append_full(g, name, op, attr, in, n_in, n_out, t.into, t.accumulate);
    if (node == U3D_NONE) return g->status;
    for (int i = 0; i < n_out; i++) {
        if (t.add[i] == U3D_NONE) continue;
        u3d_val part = g->nodes[node].out[i];
        U3D_TRY(u3d_graph_suffix(g, name, (const char *const[]){"add", "add1", "add2", "add3"}[i], add_name));
        u3d_graph_append_full(g, add_name, U3D_OP_COPY, NULL, &part, 1, 1, &t.add[i], 1);
    }
    return g->status;
}

static u3d_status autodiff_check_loss(const u3d_graph *g, u3d_val loss)
{
    char text[160];
    u3d_type scalar = u3d_type_scalar();
    if (loss < 0 || loss >= g->n_values) {
        return u3d_fail(U3D_E_ARG, "backward: the loss is value %" PRId32 " of %" PRId32, loss, g->n_values);
    }
    if (!u3d_type_equal(&g->values[loss].type, &scalar)) {
        return u3d_fail(U3D_E_SHAPE, "backward: the loss '%s' is %s, expected f32 []", g->values[loss].name,
                        u3d_type_text(&g->values[loss].type, text, sizeof text));
    }
    if (g->needs_grad) return u3d_fail(U3D_E_ARG, "backward: the graph already has gradients");
    return U3D_OK;
}

/* Appends the node that writes d(loss)/d(loss) = 1. */
static u3d_status autodiff_seed(u3d_graph *g, u3d_val loss)
{
    char name[U3D_NAME_CAP];
    if (!u3d_grad_wanted(g, loss)) {
        return u3d_fail(U3D_E_ARG, "backward: the loss '%s' depends on no parameter", g->values[loss].name);
    }
    u3d_val grad = autodiff_make_grad(g, loss);
    U3D_TRY(g->status);
    U3D_TRY(u3d_graph_suffix(g, g->values[loss].name, "seed", name));
    u3d_attr one = {.fill = {.value = 1.0F}};
    u3d_graph_append_full(g, name, U3D_OP_FILL, &one, NULL, 0, 1, &grad, 0);
    return g->status;
}

static u3d_status autodiff_visit(u3d_graph *g, int i)
{
    u3d_node n = g->nodes[i]; /* a copy, because appending may move the array */
    if (!u3d_grad_wanted(g, n.out[0]) || g->values[n.out[0]].grad == U3D_NONE) return U3D_OK;
    const u3d_op_info *info = u3d_op_info_get(n.op);
    if (!info->grad)
        return u3d_fail(U3D_E_UNSUPPORTED, "backward: node '%s': op %s has no gradient", n.name, info->name);
    u3d_status status = info->grad(g, &n);
    return status == U3D_OK || status == g->status ? status : u3d_wrap(status, "backward: node '%s'", n.name);
}

/* Refuses parameters without a gradient: the optimizer would read memory that no node has written. */
static u3d_status autodiff_check_params(const u3d_graph *g)
{
    for (u3d_val v = 0; v < g->n_needs_grad; v++) {
        const u3d_value *p = &g->values[v];
        if (p->role != U3D_ROLE_PARAM || p->grad != U3D_NONE) continue;
        return u3d_fail(U3D_E_ARG,
                        "backward: the loss does not depend on parameter '%s'; leave the parameter out",
                        p->name);
    }
    return U3D_OK;
}

static u3d_status autodiff_run(u3d_graph *g, u3d_val loss)
{
    int n_forward = g->n_nodes;
    U3D_TRY(autodiff_check_loss(g, loss));
    U3D_TRY(autodiff_mark(g));
    U3D_TRY(autodiff_seed(g, loss));
    for (int i = n_forward - 1; i >= 0; i--) U3D_TRY(autodiff_visit(g, i));
    return autodiff_check_params(g);
}

u3d_status u3d_graph_backward(u3d_graph *g, u3d_val scalar_loss)
{
    if (g->status == U3D_OK) {
        g->in_backward = true;
        u3d_graph_fail(g, autodiff_run(g, scalar_loss));
        g->in_backward = false;
    }
    return g->status == U3D_OK ? U3D_OK : u3d_fail(g->status, "%s", g->text);
}
