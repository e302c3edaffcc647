/* A network on a backend: graph, plan, parameters and execution, from making ready to giving back. */
#ifndef U3D_TESTS_SUPPORT_MACHINE_H
#define U3D_TESTS_SUPPORT_MACHINE_H

#include "engine/run/exec.h"
#include "net/model/unet3d.h"

typedef struct u3d_test_machine {
    u3d_unet3d net; /* made by the caller */
    u3d_plan *plan;
    u3d_params *params;
    u3d_arena *arena;
    u3d_exec *exec;
} u3d_test_machine;

/* Everything behind m->net; `blocks` of parameters, drawn from `seed`. */
void u3d_test_machine_open(u3d_backend *b, const u3d_plan_opts *o, uint32_t blocks, uint64_t seed,
                           u3d_test_machine *m);
/* One run with random inputs, the same for every graph with the same inputs; labels are below 3. */
void u3d_test_machine_run(u3d_test_machine *m);
void u3d_test_machine_close(u3d_test_machine *m); /* the net, too */

#endif
