/* Environment variables: the one table of names and meanings, and the one getenv.
 * `u3d devices --env` prints the rows in this order. */
#include "engine/base/env.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/status.h"

static const u3d_env_row env_rows[U3D_ENV_COUNT] = {
    [U3D_ENV_LOG] = {"U3D_LOG",
                     "message levels: error, warn, info, debug or trace, also per channel: warn,plan:debug"},
    [U3D_ENV_THREADS] = {"U3D_THREADS", "default for --threads"},
    [U3D_ENV_CPU_ISA] = {"U3D_CPU_ISA", "force an instruction set: scalar, avx2, avx512 or neon"},
    [U3D_ENV_CL_DEVICE] = {"U3D_CL_DEVICE", "OpenCL: default for --device, a number or part of a name"},
    [U3D_ENV_CL_CACHE] = {"U3D_CL_CACHE", "OpenCL: folder of compiled kernels (~/.cache/u3d; PoCL's own); off: none"},
    [U3D_ENV_CL_OPTIONS] = {"U3D_CL_OPTIONS", "OpenCL: further options for the kernel compiler"},
    [U3D_ENV_CL_KERNELS] = {"U3D_CL_KERNELS", "OpenCL: folder whose kernel files replace the built-in ones of that name"},
    [U3D_ENV_CL_LIBRARY] = {"U3D_CL_LIBRARY", "OpenCL: the loader to open instead of libOpenCL.so.1"},
    [U3D_ENV_SYNC] = {"U3D_SYNC", "1: finish after each op, so that a failure names it"},
    [U3D_ENV_CHECK] = {"U3D_CHECK", "nan: stop at the first NaN; guard: red zones between values; all: both"},
    [U3D_ENV_IMPL] = {"U3D_IMPL", "force implementations: conv3d=direct,conv3d_dw=plain"},
    [U3D_ENV_SEED] = {"U3D_SEED", "tests: replay a printed seed"},
    [U3D_ENV_FAIL_ALLOC] = {"U3D_FAIL_ALLOC", "tests: fail the n-th allocation"},
    [U3D_ENV_KEEP] = {"U3D_KEEP", "tests: 1 keeps temporary files"},
    [U3D_ENV_SPIN] = {"U3D_SPIN", "1: leave alone how OpenMP's threads wait, instead of GOMP_SPINCOUNT=1000"},
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
