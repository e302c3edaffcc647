/* Options as values: numbers, sizes in memory, times, the backend. Errors name the option. */
#include "tools/cli/args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends.h"
#include "engine/base/env.h"
#include "engine/base/thread.h"
#include "io/path.h"

u3d_status args_int(const char *option, const char *text, int64_t lo, int64_t hi, int64_t *out)
{
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < lo || v > hi)
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a whole number from %lld to %lld", option, text,
                        (long long)lo, (long long)hi);
    *out = v;
    return U3D_OK;
}

u3d_status args_real(const char *option, const char *text, double lo, double hi, double *out)
{
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end || !(v >= lo && v <= hi))
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a number from %g to %g", option, text, lo, hi);
    *out = v;
    return U3D_OK;
}

u3d_status args_bytes(const char *option, const char *text, uint64_t *out)
{
    char *end;
    const double v = strtod(text, &end);
    const char *unit = strchr("kMGT", *end);
    const double scale = *end && unit ? pow(1000, (double)(unit - "kMGT" + 1)) : 1;
    const char *tail = *end && unit ? end + 1 : end;
    if (*tail == 'B') tail++;
    if (end == text || *tail || !(v > 0) || v * scale > 1e18)
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a size such as 8G, 1.5G or 500M", option, text);
    *out = (uint64_t)(v * scale);
    return U3D_OK;
}

u3d_status args_seconds(const char *option, const char *text, double *out)
{
    double total = 0;
    const char *p = text;
    while (*p) {
        char *end;
        const double v = strtod(p, &end);
        const double unit = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;
        if (end == p || !(v >= 0) || unit == 0) {
            total = 0;
            break;
        }
        total += v * unit;
        p = end + 1;
    }
    if (!(total > 0) || total > 1e8)
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a time such as 90s, 30m or 1h30m", option, text);
    *out = total;
    return U3D_OK;
}

u3d_status args_need(const char *command_name, const char *option, const char *value)
{
    if (value) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "u3d %s: %s is missing; see `u3d %s --help`", command_name, option,
                    command_name);
}

u3d_status args_open_backend(const args *a, u3d_backend **out)
{
    *out = NULL;
    int64_t threads = 0;
    if (a->threads) U3D_TRY(args_int("--threads", a->threads, 1, 1024, &threads));
    const u3d_backend_opts o = {.device = a->device, .threads = (int32_t)threads};
    return u3d_backend_open(a->backend ? a->backend : "auto", &o, out);
}

u3d_status args_threads(const args *a, int *threads)
{
    int64_t wanted = u3d_thread_count();
    const char *variable = u3d_env_get(U3D_ENV_THREADS);
    if (a->threads)
        U3D_TRY(args_int("--threads", a->threads, 1, 1024, &wanted));
    else if (variable)
        U3D_TRY(args_int(u3d_env_describe(U3D_ENV_THREADS)->name, variable, 1, 1024, &wanted));
    *threads = (int)wanted;
    return U3D_OK;
}

u3d_status args_memory(const args *a, uint64_t *bytes)
{
    *bytes = 0;
    return a->memory ? args_bytes("--memory", a->memory, bytes) : U3D_OK;
}

int args_set_count(const args *a)
{
    int n = 0;
    while (a->set && a->set[n]) n++;
    return n;
}

u3d_status args_free_output(const args *a, const char *path)
{
    U3D_TRY(u3d_path_check_name(path));
    if (!u3d_path_exists(path) || a->force) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "%s exists already; choose another name or give --force to overwrite it",
                    path);
}
