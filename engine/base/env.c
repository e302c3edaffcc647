/* Environment variables: the table of their names and meanings, and the only file that calls getenv.
 * `u3d devices --env` prints the rows in this order. */
#include "engine/base/env.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/status.h"

static const u3d_env_row env_rows[U3D_ENV_COUNT] = {
    [U3D_ENV_LOG] = {"U3D_LOG",
                     "log level: error, warn, info, debug or trace; also per channel, e.g. warn,plan:debug"},
    [U3D_ENV_THREADS] = {"U3D_THREADS", "default for --threads"},
    [U3D_ENV_CPU_ISA] = {"U3D_CPU_ISA", "force an instruction set: scalar, avx2, avx512 or neon"},
    [U3D_ENV_CL_DEVICE] = {"U3D_CL_DEVICE",
                           "OpenCL: default for --device, a number or part of a device name"},
    [U3D_ENV_CL_CACHE] = {"U3D_CL_CACHE",
                          "OpenCL: folder for compiled kernels (default: ~/.cache/u3d; on PoCL its own cache), or off"},
    [U3D_ENV_CL_OPTIONS] = {"U3D_CL_OPTIONS", "OpenCL: further options for the kernel compiler"},
    [U3D_ENV_CL_KERNELS] = {"U3D_CL_KERNELS",
                            "OpenCL: folder whose kernel files replace built-in ones of the same name"},
    [U3D_ENV_CL_LIBRARY] = {"U3D_CL_LIBRARY", "OpenCL: loader library to open instead of libOpenCL.so.1"},
    [U3D_ENV_SYNC] = {"U3D_SYNC", "1: wait after each op, so that an error names the op that failed"},
    [U3D_ENV_CHECK] = {"U3D_CHECK",
                       "nan: stop at the first NaN or infinity; guard: check red zones between values; all: both"},
    [U3D_ENV_IMPL] = {"U3D_IMPL", "force implementations of ops, e.g. conv3d=direct,conv3d_dw=plain"},
    [U3D_ENV_SEED] = {"U3D_SEED", "tests: repeat a run with the seed that it printed"},
    [U3D_ENV_FAIL_ALLOC] = {"U3D_FAIL_ALLOC", "tests: make the n-th allocation fail"},
    [U3D_ENV_KEEP] = {"U3D_KEEP", "tests: set to 1 to keep temporary files"},
    [U3D_ENV_SPIN] = {"U3D_SPIN",
                      "1: do not set GOMP_SPINCOUNT=1000, which makes waiting OpenMP threads spin only briefly"},
};

const u3d_env_row *u3d_env_describe(u3d_env which)
{
    U3D_ASSERT((unsigned)which < U3D_ENV_COUNT, "environment variable %d of %d", (int)which,
               (int)U3D_ENV_COUNT);
    return &env_rows[which];
}

const char *u3d_env_get(u3d_env which)
{
    const char *value = getenv(u3d_env_describe(which)->name);
    return value && *value ? value : NULL;
}

bool u3d_env_cache_dir(char *buf, size_t cap)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int len = -1;
    if (cache && *cache)
        len = snprintf(buf, cap, "%s/u3d", cache);
    else if (home && *home)
        len = snprintf(buf, cap, "%s/.cache/u3d", home);
    return len > 0 && (size_t)len < cap;
}
