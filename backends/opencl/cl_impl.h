/* Private declarations of the OpenCL backend.
 *
 * As on the CPU, an op has an ordered list of implementations (cl_list.c). The first one that accepts the
 * description is used, unless the description names one. An implementation turns a description into a *job*:
 * the steps (kernels and matrix products) that a run enqueues, in order, on one in-order queue. The steps are
 * decided while the job is prepared; a run only binds the operands' places and enqueues.
 *
 * Kernels are in kernels/<file>.cl (OpenCL C 1.2) and are embedded at build time. Sizes are kernel arguments;
 * defines describe only structure (kernel extents, fused forms, tile sizes, whether there is a bias), so that
 * few programs are compiled. These rules keep one source correct on every device: barriers stand only at the
 * top level of loops with uniform trip counts and never after an early return; no code relies on warps;
 * __local arrays are declared at kernel scope and take at most 32 KB; work-groups have at most 256
 * work-items, kernels with barriers state their size with reqd_work_group_size, and global sizes are padded;
 * there are no float atomics. Sums are split in a fixed way and added in a fixed order, so that equal inputs
 * give equal bits. */
#ifndef U3D_BACKENDS_OPENCL_CL_IMPL_H
#define U3D_BACKENDS_OPENCL_CL_IMPL_H

#include "backends/opencl/cl_api.h"
#include "engine/plan/backend.h"

typedef struct cl_job cl_job;

/* One device and its properties, as listing, opening and the ops' rules need them. */
typedef struct cl_device {
    cl_platform_id platform;
    cl_device_id id;
    char name[96], platform_name[64], vendor[64], driver[64], version[64];
    uint64_t mem_bytes, max_alloc_bytes, local_bytes;
    uint64_t max_group; /* work-items in a work-group            */
    uint32_t align;     /* bytes; sub-buffers and offsets        */
    uint32_t compute_units;
    bool gpu, nvidia;
    const char *unusable;   /* NULL, or why u3d cannot run on it     */
    cl_command_queue queue; /* of the open backend, for asking CLBlast about its needs; NULL while listing */
} cl_device;

typedef struct cl_entry {
    const char *name; /* "plain", "implicit", "clblast", ... */
    /* Returns NULL if the entry accepts the description, otherwise the reason in a few words. An entry
     * without this function accepts everything. */
    const char *(*refuses)(const cl_device *dev, const u3d_op_desc *d);
    /* Sets the least and the best size of the workspace in bytes. An entry without this function needs
     * none. */
    void (*work)(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best);
    /* Adds the steps to the job; the first failure is kept in the job's status. */
    void (*prepare)(cl_job *j);
} cl_entry;

/* The implementations of each op, best first; each list ends with NULL. */
extern const cl_entry *const *const cl_list[U3D_OP_COUNT];

/* ---- jobs (cl_job.c) ---- */

struct cl_job {
    const u3d_op_desc *desc; /* desc->impl is the name of the entry */
    const cl_device *dev;
    uint64_t work_bytes;       /* between the minimum and the best size that work() gave          */
    u3d_status status;         /* the first failure of the calls below; later calls do nothing    */
    struct u3d_kernel *kernel; /* collects the steps; private to cl_job.c                         */
};

/* The place of an operand: `off` bytes after the beginning of input or output `index`, or of the
 * workspace. */
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

/* The defines of a program as compiler options: " -D A=1 -D B=2". */
typedef struct cl_defines {
    char text[768];
} cl_defines;

void cl_define(cl_defines *d, const char *name, int64_t value);

/* Numbers of work-items: `global` in all, rounded up to a multiple of `local`, the size of a work-group. Axis
 * 0 is the fastest; unused axes are 1. */
typedef struct cl_range {
    uint64_t global[3];
    uint32_t local[3];
} cl_range;

/* n work-items along axis 0, in work-groups of `local`. */
cl_range cl_range_1d(uint64_t n, uint32_t local);

/* Begins a kernel step: function `name` of kernels/<file>.cl, compiled with `defines` (NULL: none). The calls
 * below then add the arguments in the order of the kernel's parameters. */
void cl_job_kernel(cl_job *j, const char *file, const char *name, const cl_defines *defines, cl_range range);
/* Adds an operand, which is two kernel parameters: a buffer, and the element at which the operand begins (see
 * IN and OUT in common.clh). Elements are bytes for a u8 operand; for all others and for the workspace they
 * are floats. */
void cl_job_arg(cl_job *j, cl_place place);
void cl_job_int(cl_job *j, int64_t value); /* an int parameter; U3D_E_UNSUPPORTED if value does not fit */
void cl_job_float(cl_job *j, float value);
/* Add three int parameters in the order z, y, x: a size; or the kernel, strides or padding of windows. */
void cl_job_size(cl_job *j, const int64_t size[3]);
void cl_job_window(cl_job *j, const int32_t extent[3]);

/* A row-major product c = op(a) op(b) + beta * c by CLBlast. op(a) is [m, k], op(b) is [k, n], and c is [m,
 * n]; the leading dimensions are in elements. */
typedef struct cl_gemm {
    bool trans_a, trans_b;
    int64_t m, n, k;
    cl_place a, b, c;
    int64_t lda, ldb, ldc;
    float beta;
    cl_place temp; /* in the workspace: cl_gemm_temp_bytes() of memory for CLBlast */
} cl_gemm;

void cl_job_gemm(cl_job *j, const cl_gemm *g);

/* ---- shared by the ops ---- */

/* Whether the op adds to output i instead of replacing it (bit i of accumulate). */
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

/* Bytes of n floats in the workspace, rounded up to a multiple of 128 so that another operand may follow. */
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

/* The number of voxels in a window. */
static inline int64_t cl_taps(const int32_t kernel[3])
{
    return (int64_t)kernel[0] * kernel[1] * kernel[2];
}

/* Floats per piece: 4 if n is a multiple of 4, otherwise 1. */
static inline int64_t cl_vec_of(int64_t n)
{
    return n % 4 == 0 ? 4 : 1;
}

#endif
