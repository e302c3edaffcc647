/* Runs a graph with the oracle (tests/ref/), in double precision. */
#ifndef U3D_TESTS_SUPPORT_EVAL_H
#define U3D_TESTS_SUPPORT_EVAL_H

#include "engine/graph/graph.h"

typedef struct u3d_test_eval {
    const u3d_graph *g;
    double **value; /* one array per value of the graph; the caller sets inputs, parameters and states */
} u3d_test_eval;

/* Allocates all values and fills them with NaN, so that reading a value before it is written shows in the
 * results. U3D_E_NOMEM. */
u3d_status u3d_test_eval_new(u3d_test_eval *e, const u3d_graph *g);
/* Runs all nodes of the graph, or only the forward nodes. */
void u3d_test_eval_run(u3d_test_eval *e, bool backward_too);
void u3d_test_eval_done(u3d_test_eval *e);

#endif
