/* u3d tune: measures which settings are fastest on a device, and stores them for all later runs. */
#include "engine/plan/backend.h"

#include "tools/cli/args.h"
#include "tools/commands/commands.h"

enum { DEFAULT_S = 180 };

static bool say(void *user, const char *line)
{
    const args *a = user;
    printf("%s\n", line);
    fflush(stdout); /* each line takes seconds to measure, so it is shown at once */
    return !*a->stop;
}

u3d_status cmd_tune(const args *a)
{
    u3d_backend *b;
    double seconds = DEFAULT_S;
    args own = *a;
    if (a->time) U3D_TRY(args_seconds("--time", a->time, &seconds));
    U3D_TRY(args_open_backend(a, &b));
    u3d_status status = u3d_backend_tune(b, seconds, say, &own);
    u3d_backend_close(b);
    return status;
}
