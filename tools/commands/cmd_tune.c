/* u3d tune: measures which settings are fastest on a device, and stores them for all later runs. */
#include "engine/plan/backend.h"

#include "tools/cli/result.h"
#include "tools/commands/commands.h"

enum { DEFAULT_S = 180 };

typedef struct tune {
    const args *a;
    cJSON *lines; /* with --json: what has been measured; otherwise lines are shown at once, because each
                     takes seconds */
    bool ok;
} tune;

static bool say(void *user, const char *line)
{
    tune *t = user;
    if (t->a->json) {
        t->ok = t->ok && cJSON_AddItemToArray(t->lines, cJSON_CreateString(line));
    } else {
        printf("%s\n", line);
        fflush(stdout);
    }
    return !*t->a->stop;
}

u3d_status cmd_tune(const args *a)
{
    u3d_backend *b;
    double seconds = DEFAULT_S;
    cJSON *json = cJSON_CreateObject();
    tune t = {.a = a, .lines = cJSON_AddArrayToObject(json, "measured"), .ok = true};
    u3d_status status = U3D_OK;
    if (a->time) U3D_GO(args_seconds("--time", a->time, &seconds));
    U3D_GO(args_open_backend(a, &b));
    status = u3d_backend_tune(b, seconds, say, &t);
    u3d_backend_close(b);
    if (status == U3D_OK && a->json) return result_json(json, t.lines && t.ok);
done:
    cJSON_Delete(json);
    return status;
}
