/* A network on a backend, ready to run: graph, plan, parameters, arena and execution. */
#ifndef U3D_TESTS_SUPPORT_MACHINE_H
#define U3D_TESTS_SUPPORT_MACHINE_H

#include "engine/run/exec.h"
#include "net/model/unet3d.h"

typedef struct u3d_test_machine {
    u3d_unet3d net; /* built by the caller */
    u3d_plan *plan;
    u3d_params *params;
    u3d_arena *arena;
    u3d_exec *exec;
} u3d_test_machine;

/* Makes everything except m->net, which the caller has built. `blocks` says which blocks of parameters are
 * allocated (bits 1 << U3D_BLOCK_...); the weights are drawn from `seed`. */
void u3d_test_machine_open(u3d_backend *b, const u3d_plan_opts *o, uint32_t blocks, uint64_t seed,
                           u3d_test_machine *m);
/* Runs the network once with random inputs, which are the same for every graph with the same inputs; labels
 * are below 3. */
void u3d_test_machine_run(u3d_test_machine *m);
void u3d_test_machine_close(u3d_test_machine *m); /* frees everything, including the net */

#endif
