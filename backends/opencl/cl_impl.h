/* Inside of the OpenCL backend.
 *
 * An op has an ordered list of implementations (cl_list.c), as on the CPU; the first that accepts runs, or
 * the one that is named. An implementation turns a description into a *job*: the steps (kernels, matrix
 * products) that a run enqueues, in order, on one in-order queue. All decisions are made while the job is
 * prepared; a run only binds the operands' places and enqueues.
 *
 * Kernels live in kernels/<file>.cl, OpenCL C 1.2, embedded at build time. Sizes are arguments; defines are
 * for structure alone (kernel extents, fused forms, tile sizes, a bias or none), so that few programs are
 * compiled. What keeps one source right on every device: barriers only at the top level of loops with uniform
 * trip counts, never after an early return; no warp-synchronous code; __local at kernel scope, 32 KB at most;
 * work-groups of at most 256 with reqd_work_group_size, global sizes padded; no float atomics: sums are split
 * in a fixed way and added in a fixed order, so that equal inputs give equal bits. */
#ifndef U3D_BACKENDS_OPENCL_CL_IMPL_H
#define U3D_BACKENDS_OPENCL_CL_IMPL_H

#include "backends/opencl/cl_api.h"
#include "engine/plan/backend.h"

typedef struct cl_job cl_job;

/* One device, as found: shared by listing, opening and the ops' rules. */
typedef struct cl_device {
    cl_platform_id platform;
    cl_device_id id;
    char name[96], platform_name[64], vendor[64], driver[64], version[64];
    uint64_t mem_bytes, max_alloc_bytes, local_bytes;
    uint64_t max_group; /* work-items in a work-group            */
    uint32_t align;     /* bytes; sub-buffers and offsets        */
    uint32_t compute_units;
    bool gpu, nvidia;
    const char *unusable; /* NULL, or why u3d cannot run on it     */
    cl_command_queue
        queue; /* of the open backend, for questions about CLBlast's needs; NULL while only listed */
} cl_device;

typedef struct cl_entry {
    const char *name; /* "plain", "implicit", "clblast", ... */
    /* NULL where it takes the description, else the reason in a few words. No function: takes everything. */
    const char *(*refuses)(const cl_device *dev, const u3d_op_desc *d);
    /* Bytes of workspace; no function: none. */
    void (*work)(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best);
    /* Adds the steps; a failure sticks to the job. */
    void (*prepare)(cl_job *j);
} cl_entry;

/* Per op its implementations, best first, ending with NULL. */
extern const cl_entry *const *const cl_list[U3D_OP_COUNT];

/* ---- jobs (cl_job.c) ---- */

struct cl_job {
    const u3d_op_desc *desc; /* impl names the entry */
    const cl_device *dev;
    uint64_t work_bytes;       /* at least what work() asked for as the minimum, at most the best */
    u3d_status status;         /* of all calls below: the first failure; later calls do nothing   */
    struct u3d_kernel *kernel; /* where the steps go, private to cl_job.c */
};

/* Where an operand lies: byte `off` behind the beginning of input or output `index`, or of the workspace. */
typedef struct cl_place {
    enum { CL_PLACE_IN, CL_PLACE_OUT, CL_PLACE_WORK } kind;
    int index;
    uint64_t off;
} cl_place;

static inline cl_place cl_in(int i)
{
    return (cl_place){CL_PLACE_IN, i, 0};
}
static inline cl_place cl_out(int i)
{
    return (cl_place){CL_PLACE_OUT, i, 0};
}
static inline cl_place cl_work(uint64_t off)
{
    return (cl_place){CL_PLACE_WORK, 0, off};
}

/* Defines of a program: " -D A=1 -D B". */
typedef struct cl_defines {
    char text[768];
} cl_defines;

void cl_define(cl_defines *d, const char *name, int64_t value);

/* Work-items: `global` is rounded up to a multiple of `local`, axis 0 fastest; unused axes 1. */
typedef struct cl_range {
    uint64_t global[3];
    uint32_t local[3];
} cl_range;

/* n work-items in groups of `local` ... */
cl_range cl_range_1d(uint64_t n, uint32_t local);

/* Begins a kernel step: function `name` of kernels/<file>.cl compiled with `defines` (NULL: none). The
 * arguments follow, in the order of the kernel's parameters. */
void cl_job_kernel(cl_job *j, const char *file, const char *name, const cl_defines *defines, cl_range range);
/* A buffer and the element at which the operand begins, two parameters: see IN and OUT in common.clh.
 * Elements are bytes for a u8 operand, floats for all others and the workspace. */
void cl_job_arg(cl_job *j, cl_place place);
void cl_job_int(cl_job *j, int64_t value); /* int; U3D_E_UNSUPPORTED beyond 2^31 - 1 */
void cl_job_float(cl_job *j, float value);
/* Three ints, z y x: a size, or the kernel, strides or padding of windows. */
void cl_job_size(cl_job *j, const int64_t size[3]);
void cl_job_window(cl_job *j, const int32_t extent[3]);

/* Row-major c = alpha * op(a) op(b) + beta * c by CLBlast; leading dimensions in elements. */
typedef struct cl_gemm {
    bool trans_a, trans_b;
    int64_t m, n, k;
    cl_place a, b, c;
    int64_t lda, ldb, ldc;
    float beta;
    cl_place temp; /* in the workspace: cl_gemm_temp_bytes(m, n, k, ...) */
} cl_gemm;

void cl_job_gemm(cl_job *j, const cl_gemm *g);

/* ---- shared by the ops ---- */

/* out = 0 or accumulate: bit i of the description. */
static inline bool cl_adds(const u3d_op_desc *d, int i)
{
    return d->accumulate >> i & 1U;
}

static inline uint64_t cl_round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline int64_t cl_ceil_div(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit;
}

static inline int64_t cl_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Bytes of floats in the workspace, up to where the next operand may begin: a multiple of 128. */
static inline uint64_t cl_floats_bytes(int64_t n)
{
    return cl_round_up((uint64_t)n * sizeof(float), 128);
}

static inline int64_t cl_channels(const u3d_type *map)
{
    return map->dim[4];
}

static inline int64_t cl_voxels(const u3d_type *map)
{
    return map->dim[0] * map->dim[1] * map->dim[2] * map->dim[3];
}

/* Voxels of a window. */
static inline int64_t cl_taps(const int32_t kernel[3])
{
    return (int64_t)kernel[0] * kernel[1] * kernel[2];
}

/* Floats per piece: 4 where n is a multiple of it, else 1. */
static inline int64_t cl_vec_of(int64_t n)
{
    return n % 4 == 0 ? 4 : 1;
}

#endif
