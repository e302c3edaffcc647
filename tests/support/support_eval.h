/* A graph run by the oracle (ref/), in double precision. */
#ifndef U3D_TESTS_SUPPORT_EVAL_H
#define U3D_TESTS_SUPPORT_EVAL_H

#include "engine/graph/graph.h"

typedef struct u3d_test_eval {
    const u3d_graph *g;
    double **value; /* one array per value of the graph; inputs, parameters and states are the caller's to set */
} u3d_test_eval;

/* Every value starts as NaN: nothing may be read before it is written. U3D_E_NOMEM. */
u3d_status u3d_test_eval_new(u3d_test_eval *e, const u3d_graph *g);
void u3d_test_eval_run(u3d_test_eval *e, bool backward_too);
void u3d_test_eval_done(u3d_test_eval *e);

#endif
