/* Run a plan: feed, run, fetch. */
#ifndef U3D_ENGINE_EXEC_H
#define U3D_ENGINE_EXEC_H

#include "engine/run/params.h"
#include "engine/plan/plan.h"
#include "engine/base/tensor.h"

/* Device memory for temporaries, large enough for each of `plans`: executions that never
 * interleave (training and validation) share it. Lives until all execs are freed. */
typedef struct u3d_arena u3d_arena;
u3d_status u3d_arena_new(u3d_backend *b, u3d_plan *const *plans, int n_plans, u3d_arena **out);
void u3d_arena_free(u3d_arena *a);
uint64_t u3d_arena_bytes(const u3d_arena *a);

typedef struct u3d_exec u3d_exec;

/* Called before (done = false) and after each node when set. Return anything but
 * U3D_OK to stop the run. Used by NaN checks, verification and profiling. */
typedef u3d_status (*u3d_hook)(void *user, u3d_exec *x, int node, bool done);

/* Prepares every distinct op once. Parameters are matched by name and type; missing or
 * differing ones are an error that names them all. */
u3d_status u3d_exec_new(u3d_plan *p, u3d_params *params, u3d_arena *arena, u3d_exec **out);
void u3d_exec_free(u3d_exec *x);
u3d_status u3d_exec_feed(u3d_exec *x, u3d_val v, const u3d_tensor *host);
u3d_status u3d_exec_run(u3d_exec *x);
u3d_status u3d_exec_fetch(u3d_exec *x, u3d_val v, u3d_tensor *host);
/* Without waiting: the value as it is now goes to `slot` of the backend (u3d_backend_collect), whatever is fed or run
 * behind this call. At most U3D_POST_BYTES: losses. */
u3d_status u3d_exec_post(u3d_exec *x, u3d_val v, int slot);
void u3d_exec_set_hook(u3d_exec *x, u3d_hook hook, void *user);
const u3d_plan *u3d_exec_plan(const u3d_exec *x);

#endif
