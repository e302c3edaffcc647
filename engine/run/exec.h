/* Execution of a plan: feed the inputs, run all nodes, fetch outputs. An exec holds the prepared kernels of
 * one plan; its values are in an arena, and its parameters in a u3d_params. */
#ifndef U3D_ENGINE_EXEC_H
#define U3D_ENGINE_EXEC_H

#include "engine/run/params.h"
#include "engine/plan/plan.h"
#include "engine/base/tensor.h"

/* Device memory for temporaries, large enough for each of `plans`. Executions whose runs never overlap in
 * time (training and validation) can share it. Free it only after all execs that use it. */
typedef struct u3d_arena u3d_arena;
u3d_status u3d_arena_new(u3d_backend *b, u3d_plan *const *plans, int n_plans, u3d_arena **out);
void u3d_arena_free(u3d_arena *a);
uint64_t u3d_arena_bytes(const u3d_arena *a);

typedef struct u3d_exec u3d_exec;

/* If a hook is set, it is called before (done = false) and after (done = true) each node. A status other than
 * U3D_OK stops the run. Used for verification and profiling. */
typedef u3d_status (*u3d_hook)(void *user, u3d_exec *x, int node, bool done);

/* Prepares every distinct op once. Parameters are matched by name and type. U3D_E_SHAPE if some are missing
 * or differ; the message lists them. `params` may be NULL for a graph without parameters. */
u3d_status u3d_exec_new(u3d_plan *p, u3d_params *params, u3d_arena *arena, u3d_exec **out);
void u3d_exec_free(u3d_exec *x);
/* Copies a host tensor into an input. Every input that is read must be fed before each run. */
u3d_status u3d_exec_feed(u3d_exec *x, u3d_val v, const u3d_tensor *host);
u3d_status u3d_exec_run(u3d_exec *x);
/* Copies a value to the host: a parameter, gradient or state at any time; an output after a complete run,
 * until something is fed; an input from feeding to its last use; any other value only from a hook,
 * while it is in use. U3D_E_ARG if the value is not in memory. */
u3d_status u3d_exec_fetch(u3d_exec *x, u3d_val v, u3d_tensor *host);
/* Copies a value of at most U3D_POST_BYTES, such as a loss, without waiting: the value as it is now goes into
 * `slot` of the backend, from which u3d_backend_collect gets it. What is fed or run after this call does not
 * change it. */
u3d_status u3d_exec_post(u3d_exec *x, u3d_val v, int slot);
void u3d_exec_set_hook(u3d_exec *x, u3d_hook hook, void *user);
const u3d_plan *u3d_exec_plan(const u3d_exec *x);

#endif
