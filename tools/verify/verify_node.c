/* Compares each node of a graph with the oracle during the run.
 *
 * The oracle gets the inputs that the backend itself computed. Errors therefore do not add up from node to
 * node, each node is held to the tolerance of its own op, and the first node that fails is the one that
 * computes wrongly.
 *
 * Two kinds of deviation are not errors. After a norm, the sum of a gradient over all voxels cancels to
 * almost zero, so its error is measured relative to the size of a sum that does not cancel. And if a value
 * lies on a jump within rounding (two equal maxima in a window, the kink of an activation), either side is
 * correct. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tests/ref/ref.h"
#include "tests/ref/ref_map.h"
#include "tests/support/support_trial.h"
#include "tools/verify/verify.h"

static u3d_status fetch(u3d_exec *x, u3d_val v, u3d_tensor **out)
{
    const u3d_value *value = u3d_graph_value(u3d_plan_graph(u3d_exec_plan(x)), v);
    U3D_TRY(u3d_tensor_new(value->name, value->type, out));
    return u3d_exec_fetch(x, v, *out);
}

static u3d_status fetch_wide(u3d_exec *x, u3d_val v, double **out)
{
    u3d_tensor *t = NULL;
    u3d_status status = fetch(x, v, &t);
    *out = status == U3D_OK ? u3d_test_widen(&t->type, t->data) : NULL;
    u3d_tensor_free(t);
    return status == U3D_OK && !*out ? U3D_E_NOMEM : status;
}

void verify_node_done(verify_node *n)
{
    for (int i = 0; i < U3D_MAX_IN; i++) u3d_free(n->in[i]);
    for (int i = 0; i < U3D_MAX_OUT; i++) u3d_free(n->want[i]);
    memset(n->in, 0, sizeof n->in);
    memset(n->want, 0, sizeof n->want);
}

/* ---- before the node ---- */

static u3d_status node_before(verify_node *n, u3d_exec *x, const u3d_node *node)
{
    const u3d_graph *g = u3d_plan_graph(u3d_exec_plan(x));
    const uint32_t read = node->accumulate | u3d_op_info_get(node->op)->updates;
    for (int i = 0; i < node->n_in; i++) U3D_TRY(fetch_wide(x, node->in[i], &n->in[i]));
    for (int i = 0; i < node->n_out; i++) {
        const u3d_value *v = u3d_graph_value(g, node->out[i]);
        if ((read >> i & 1U) || v->role == U3D_ROLE_STATE) {
            U3D_TRY(fetch_wide(x, node->out[i], &n->want[i]));
            continue;
        }
        n->want[i] = u3d_new((size_t)u3d_type_elems(&v->type), sizeof(double));
        if (!n->want[i]) return U3D_E_NOMEM;
    }
    return U3D_OK;
}

/* ---- deviations that are not errors ---- */

/* For an output that sums a gradient over all voxels: the size of such a sum if its terms did not cancel. 0
 * for all other outputs. */
static double least_size(const u3d_op_desc *d, double *const *in, int i)
{
    const bool dw = d->op == U3D_OP_CONV3D_DW || d->op == U3D_OP_UPCONV3D_DW;
    const bool sum = (dw && i == 1) || (d->op == U3D_OP_NORM_BACK && i > 0);
    if (!sum) return 0;
    const u3d_type *dy = &d->in[dw ? 1 : 0];
    const int64_t n = u3d_type_elems(dy);
    return sqrt((double)(n / dy->dim[4])) * u3d_test_rms(in[dw ? 1 : 0], n);
}

/* Replaces an index of the oracle by that of the device if both point to the same maximum within rounding. */
static u3d_status accept_ties(const u3d_op_desc *d, double *const *in, const uint8_t *got, double *want)
{
    u3d_type t;
    const int32_t *k = d->attr.conv.kernel;
    const u3d_type *y = &d->out[1];
    double *map = u3d_ref_map(d, (const double *const *)in, &t);
    const double rounding = 4 * (double)FLT_EPSILON * u3d_test_rms(map, u3d_type_elems(&t));
    for (int64_t e = 0; e < u3d_type_elems(y); e++) {
        if (got[e] == (uint8_t)want[e] || got[e] >= k[0] * k[1] * k[2]) continue;
        const int index[2] = {got[e], (int)want[e]};
        double value[2];
        for (int i = 0; i < 2; i++) {
            const int64_t c = e % y->dim[4], x = e / y->dim[4] % y->dim[3], r = e / (y->dim[4] * y->dim[3]);
            value[i] = map[u3d_ref_at(
                &t, r / (y->dim[2] * y->dim[1]), r / y->dim[2] % y->dim[1] * k[0] + index[i] / (k[2] * k[1]),
                r % y->dim[2] * k[1] + index[i] / k[2] % k[1], x * k[2] + index[i] % k[2], c)];
        }
        if (fabs(value[0] - value[1]) <= rounding) want[e] = got[e];
    }
    free(map);
    return U3D_OK;
}

/* For norm_back with an activation: moves inputs whose normalised value is 0 within rounding to the other
 * side of the kink if the dx of the device shows that the device had them there. Returns how many were
 * moved. */
static int64_t move_over_kink(const u3d_op_desc *d, double *const *in, const float *dx, const double *want)
{
    const int64_t channels = d->in[1].dim[4], n = u3d_type_elems(&d->in[1]), sets = d->in[4].dim[0];
    int64_t n_moved = 0;
    for (int64_t e = 0; e < n; e++) {
        const int64_t c = e % channels, set = e / (n / sets);
        const double *table = in[4] + set * 2 * channels, *stats = in[3] + set * 2 * channels;
        const double scaled = table[c] * in[1][e], at = scaled + table[channels + c];
        if (fabs(at) > 4 * (double)FLT_EPSILON * (fabs(scaled) + fabs(table[channels + c])) || scaled == 0)
            continue;
        const double jump = in[2][c] * stats[channels + c] * in[0][e] * (1 - (double)d->attr.norm.slope);
        if (fabs((double)dx[e] - want[e]) < 0.5 * fabs(jump)) continue;
        in[1][e] -= (2 * at + (at > 0 ? DBL_EPSILON : -DBL_EPSILON) * fabs(scaled)) / table[c];
        n_moved++;
    }
    return n_moved;
}

/* ---- after the node ---- */

static void output_judge(verify_node *n, const u3d_op_desc *d, const char *impl, const char *name, int i,
                         const void *got)
{
    const u3d_type *t = &d->out[i];
    const int64_t elems = u3d_type_elems(t);
    const double tol = u3d_op_tol(d, impl);
    const u3d_test_diff diff = t->dtype == U3D_U8
                                   ? u3d_test_compare_u8(got, n->want[i], elems)
                                   : u3d_test_compare_sized(got, n->want[i], elems, least_size(d, n->in, i));
    const double excess = u3d_op_excess(&diff, tol), worst = diff.worst / U3D_WORST;
    char text[256];
    verify_count(&n->row, name, excess, diff.rms > worst ? diff.rms : worst, tol);
    if (excess <= 1) return;
    verify_wrong(&n->row, "node %s (%s, %s): out[%d] %s (limits %.0e, %.0e)", name,
                 u3d_op_info_get(d->op)->name, impl, i,
                 u3d_test_diff_text(&diff, t, u3d_op_axes(d, i), text, sizeof text), tol, U3D_WORST * tol);
}

/* Computes the oracle's outputs. If the device had inputs on the other side of a kink, they are computed
 * again with these inputs moved. */
static u3d_status oracle_run(verify_node *n, const u3d_op_desc *d, u3d_tensor *const *got)
{
    const double *const *in = (const double *const *)n->in;
    const bool kink = d->op == U3D_OP_NORM_BACK && d->attr.norm.act;
    double *again[U3D_MAX_OUT] = {NULL};
    u3d_status status = U3D_OK;
    for (int i = 0; kink && i < d->n_out; i++) { /* keeps the previous contents for the second run */
        const size_t bytes = (size_t)u3d_type_elems(&d->out[i]) * sizeof(double);
        again[i] = u3d_new_uninit(bytes, 1);
        if (!again[i]) U3D_GO(U3D_E_NOMEM);
        memcpy(again[i], n->want[i], bytes);
    }
    u3d_ref_run(d, in, n->want);
    if (kink && move_over_kink(d, n->in, u3d_tensor_f32(got[0]), n->want[0]) > 0) {
        for (int i = 0; i < d->n_out; i++)
            memcpy(n->want[i], again[i], (size_t)u3d_type_elems(&d->out[i]) * sizeof(double));
        u3d_ref_run(d, in, n->want);
    }
    if (d->op == U3D_OP_MAXPOOL3D) U3D_GO(accept_ties(d, n->in, u3d_tensor_u8(got[1]), n->want[1]));
done:
    for (int i = 0; i < U3D_MAX_OUT; i++) u3d_free(again[i]);
    return status;
}

static u3d_status node_after(verify_node *n, u3d_exec *x, int index, const u3d_node *node)
{
    u3d_status status = U3D_OK;
    u3d_tensor *got[U3D_MAX_OUT] = {NULL};
    u3d_plan_node planned;
    u3d_op_desc d;
    u3d_graph_desc(u3d_plan_graph(u3d_exec_plan(x)), index, &d);
    u3d_plan_node_get(u3d_exec_plan(x), index, &planned);
    for (int i = 0; i < node->n_out; i++) {
        U3D_GO(fetch(x, node->out[i], &got[i]));
        if (node->out[i] == n->keep)
            memcpy(n->kept->data, got[i]->data, (size_t)u3d_type_bytes(&n->kept->type));
    }
    U3D_GO(oracle_run(n, &d, got));
    for (int i = 0; i < node->n_out; i++) output_judge(n, &d, planned.impl, node->name, i, got[i]->data);
done:
    for (int i = 0; i < U3D_MAX_OUT; i++) u3d_tensor_free(got[i]);
    return status;
}

u3d_status verify_node_hook(void *user, u3d_exec *x, int node, bool done)
{
    verify_node *n = user;
    const u3d_node *at = u3d_graph_node(u3d_plan_graph(u3d_exec_plan(x)), node);
    if (!done) {
        U3D_TRY(verify_stopped(n->v));
        return node_before(n, x, at);
    }
    const u3d_status status = node_after(n, x, node, at);
    verify_node_done(n);
    return status;
}
