/* Environment variables. They are read only through these functions (tests/check_layers.cmake checks this).
 * `u3d devices --env` prints the table in env.c. */
#ifndef U3D_ENGINE_ENV_H
#define U3D_ENGINE_ENV_H

#include <stdbool.h>
#include <stddef.h>

typedef enum u3d_env {
    U3D_ENV_LOG,        /* U3D_LOG         log levels, e.g. "warn,plan:debug"          */
    U3D_ENV_THREADS,    /* U3D_THREADS     default for --threads                       */
    U3D_ENV_CPU_ISA,    /* U3D_CPU_ISA     scalar, avx2, avx512, neon                  */
    U3D_ENV_CL_DEVICE,  /* U3D_CL_DEVICE   OpenCL: default for --device                */
    U3D_ENV_CL_CACHE,   /* U3D_CL_CACHE    OpenCL: folder of compiled kernels, or off  */
    U3D_ENV_CL_OPTIONS, /* U3D_CL_OPTIONS  OpenCL: further compiler options            */
    U3D_ENV_CL_KERNELS, /* U3D_CL_KERNELS  OpenCL: folder of replacement kernel files  */
    U3D_ENV_CL_LIBRARY, /* U3D_CL_LIBRARY  OpenCL: loader to open                      */
    U3D_ENV_SYNC,       /* U3D_SYNC        wait after each op                          */
    U3D_ENV_CHECK,      /* U3D_CHECK       nan, guard, all                             */
    U3D_ENV_IMPL,       /* U3D_IMPL        e.g. "conv3d=direct,conv3d_dw=plain"        */
    U3D_ENV_SEED,       /* U3D_SEED        tests: seed of a run that is to be repeated */
    U3D_ENV_FAIL_ALLOC, /* U3D_FAIL_ALLOC  tests: make the n-th allocation fail        */
    U3D_ENV_KEEP,       /* U3D_KEEP        tests: keep temporary files                 */
    U3D_ENV_SPIN,       /* U3D_SPIN        if set, GOMP_SPINCOUNT is not changed       */
    U3D_ENV_COUNT
} u3d_env;

typedef struct u3d_env_row {
    const char *name, *help;
} u3d_env_row;

/* The value of a variable; NULL if it is unset or empty. */
const char *u3d_env_get(u3d_env which);
const u3d_env_row *u3d_env_describe(u3d_env which);

/* Writes the folder of the user's caches into buf: $XDG_CACHE_HOME/u3d, otherwise $HOME/.cache/u3d. Returns
 * false if neither variable is set or buf is too small. */
bool u3d_env_cache_dir(char *buf, size_t cap);

#endif
