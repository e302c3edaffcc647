/* Runs the nodes of a graph in order with the oracle's loops. */
#include "tests/support/support_eval.h"

#include <math.h>

#include "engine/base/mem.h"
#include "tests/ref/ref.h"

u3d_status u3d_test_eval_new(u3d_test_eval *e, const u3d_graph *g)
{
    e->g = g;
    e->value = u3d_new((size_t)u3d_graph_n_values(g), sizeof *e->value);
    for (u3d_val v = 0; e->value && v < u3d_graph_n_values(g); v++) {
        int64_t n = u3d_type_elems(&u3d_graph_value(g, v)->type);
        e->value[v] = u3d_new((size_t)n, sizeof(double));
        if (!e->value[v]) {
            u3d_test_eval_done(e);
            return U3D_E_NOMEM;
        }
        for (int64_t i = 0; i < n; i++) e->value[v][i] = NAN;
    }
    return e->value ? U3D_OK : U3D_E_NOMEM;
}

void u3d_test_eval_run(u3d_test_eval *e, bool backward_too)
{
    for (int i = 0; i < u3d_graph_n_nodes(e->g); i++) {
        const u3d_node *node = u3d_graph_node(e->g, i);
        if (node->backward && !backward_too) continue;
        u3d_op_desc d;
        u3d_graph_desc(e->g, i, &d);
        const double *in[U3D_MAX_IN] = {NULL};
        double *out[U3D_MAX_OUT] = {NULL};
        for (int k = 0; k < node->n_in; k++) in[k] = e->value[node->in[k]];
        for (int k = 0; k < node->n_out; k++) out[k] = e->value[node->out[k]];
        u3d_ref_run(&d, in, out);
    }
}

void u3d_test_eval_done(u3d_test_eval *e)
{
    for (u3d_val v = 0; e->value && v < u3d_graph_n_values(e->g); v++) u3d_free(e->value[v]);
    u3d_free(e->value);
    e->value = NULL;
}
