/* Private to engine/run: the inside of an execution. arena.c, exec.c and exec_check.c share it. */
#ifndef U3D_ENGINE_EXEC_IMPL_H
#define U3D_ENGINE_EXEC_IMPL_H

#include "engine/run/exec.h"
#include "engine/plan/plan_impl.h"

struct u3d_arena {
    u3d_backend *backend;
    uint64_t bytes[U3D_MAX_CHUNKS];
    u3d_buffer *buf[U3D_MAX_CHUNKS];
    const u3d_exec *owner; /* the exec whose values are in the arena: the last one that was fed or run */
};

/* A prepared kernel, which all nodes with the same description and workspace size share. */
typedef struct exec_kernel {
    u3d_op_desc desc;
    uint64_t work_bytes;
    u3d_kernel *kernel;
} exec_kernel;

/* A value that is stored in u3d_params. Its span is looked up before each run, because
 * u3d_params_swap_average moves it. */
typedef struct exec_bound {
    u3d_val value;
    u3d_block block;
    int param;
} exec_bound;

struct u3d_exec {
    const u3d_plan *plan;
    u3d_backend *backend;
    u3d_params *params;
    u3d_arena *arena;
    exec_kernel *kernels;
    exec_bound *bound;
    int n_kernels, n_bound;
    int32_t *kernel_of; /* per node: index into kernels                                                */
    u3d_span *spans;    /* per value: where it is                                                      */
    bool *fed;          /* per value: true for an input that was fed since the last run                */
    bool complete;      /* the last run succeeded and nothing was fed since: outputs are valid         */
    int at;             /* 2 * node before a node, 2 * node + 1 after it; -1 if no run is in progress  */
    u3d_hook hook;
    void *user;
    bool check_nan;
    uint8_t *stage; /* host copy of the bytes that a check looks at; NULL without checks */
};

/* Reads U3D_CHECK and allocates `stage`, as large as the checks need it. */
u3d_status exec_check_setup(u3d_exec *x);

/* Red zones. The zone of a value or workspace is written before its owner is first written, and compared
 * after every node. */
u3d_status exec_guard_value(u3d_exec *x, u3d_val v);
u3d_status exec_guard_before(u3d_exec *x, int node);
u3d_status exec_guard_after(u3d_exec *x, int node);

/* U3D_E_NUMERIC if an f32 output of the node holds NaN or infinity. */
u3d_status exec_check_numbers(u3d_exec *x, int node);

#endif
