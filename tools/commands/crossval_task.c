/* Runs a command in a process of its own, as a user would call it. Its results on stdout are dropped; what it
 * says on stderr is shown. */
#include <stdio.h>

#include "engine/base/child.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "engine/base/stop.h"
#include "tools/commands/crossval_impl.h"

typedef struct task {
    u3d_status (*run)(const args *a);
    args a;
    struct {
        u3d_status status;
        char text[2000];
    } result;
} task;

static void task_work(void *context)
{
    task *t = context;
    t->a.started = u3d_clock();
    t->result.status = freopen("/dev/null", "w", stdout) ? t->run(&t->a) : U3D_E_IO;
    (void)snprintf(t->result.text, sizeof t->result.text, "%s", u3d_error_text());
}

u3d_status crossval_task(const char *what, u3d_status (*run)(const args *a), const args *a)
{
    int ended_by;
    task *t = u3d_new(1, sizeof *t);
    if (!t) return U3D_E_NOMEM;
    t->run = run;
    t->a = *a;
    u3d_status status;
    u3d_stop_hold(); /* the child writes a checkpoint first */
    const bool whole = u3d_child_run(task_work, t, &t->result, sizeof t->result, &ended_by);
    u3d_stop_release();
    if (!whole && u3d_stop_requested())
        status = u3d_fail(U3D_E_CANCELLED, "%s was interrupted", what);
    else if (!whole)
        status = u3d_fail(U3D_E_DEVICE, "%s ended without a result (signal %d)", what, ended_by);
    else
        status = t->result.status == U3D_OK ? U3D_OK : u3d_fail(t->result.status, "%s", t->result.text);
    u3d_free(t);
    return status;
}
