/* The one place that reads environment variables. The table in env.c is what
 * `u3d devices --env` prints. */
#ifndef U3D_ENGINE_ENV_H
#define U3D_ENGINE_ENV_H

#include <stdbool.h>
#include <stddef.h>

typedef enum u3d_env {
    U3D_ENV_LOG,        /* U3D_LOG         levels, e.g. "warn,plan:debug"              */
    U3D_ENV_THREADS,    /* U3D_THREADS     default for --threads                       */
    U3D_ENV_CPU_ISA,    /* U3D_CPU_ISA     scalar, avx2, avx512, neon                  */
    U3D_ENV_CL_DEVICE,  /* U3D_CL_DEVICE   default for --device of OpenCL              */
    U3D_ENV_CL_CACHE,   /* U3D_CL_CACHE    folder of compiled kernels; off             */
    U3D_ENV_CL_OPTIONS, /* U3D_CL_OPTIONS  further compiler options                    */
    U3D_ENV_CL_KERNELS, /* U3D_CL_KERNELS  folder of kernel files to use instead       */
    U3D_ENV_CL_LIBRARY, /* U3D_CL_LIBRARY  which loader                                */
    U3D_ENV_SYNC,       /* U3D_SYNC        finish after each op                        */
    U3D_ENV_CHECK,      /* U3D_CHECK       nan, guard, all                             */
    U3D_ENV_IMPL,       /* U3D_IMPL        "conv3d=direct,conv3d_dw=plain"             */
    U3D_ENV_SEED,       /* U3D_SEED        tests: replay a printed seed                */
    U3D_ENV_FAIL_ALLOC, /* U3D_FAIL_ALLOC  tests: fail the n-th allocation             */
    U3D_ENV_KEEP,       /* U3D_KEEP        tests: keep temporary files                 */
    U3D_ENV_SPIN,       /* U3D_SPIN        set: OpenMP's waiting is left alone         */
    U3D_ENV_COUNT
} u3d_env;

typedef struct u3d_env_row {
    const char *name, *help;
} u3d_env_row;

/* Value of a variable, NULL where unset or empty. */
const char *u3d_env_get(u3d_env which);
const u3d_env_row *u3d_env_describe(u3d_env which);

/* Where a user's caches live: $XDG_CACHE_HOME/u3d or ~/.cache/u3d; false where neither variable is set. */
bool u3d_env_cache_dir(char *buf, size_t cap);

#endif
