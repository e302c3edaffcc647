/* What norm, moments and norm_back share: a map seen as wide rows.
 *
 * The voxels of a group (the batch, or one instance) are `voxels` * C contiguous floats. So that vectors are
 * full for any C, `rep` consecutive voxels count as one row of width = rep * C floats, a multiple of 16;
 * column j of a row belongs to channel j mod C. The rest is what does not fill a row at the end. It begins at
 * column 0, so parameters per column apply to it as well. Sums are made per column and folded into channels
 * at the end. */
#ifndef U3D_CPU_NORM_H
#define U3D_CPU_NORM_H

#include "backends/cpu/kernels/cpu_slice.h"

#include <omp.h>

enum {
    CPU_NORM_BLOCK_ELEMS = 8192, /* floats of a block: 32 kB, read twice, the second time from cache */
    CPU_NORM_BLOCK_ROWS = 32,    /* least rows of a block, so that its sums in double cost little */
    CPU_NORM_ROWS = 4,           /* rows per loop over columns, which share loads of the parameters */
    CPU_NORM_COLUMNS = 6         /* parameters per column */
};

typedef struct cpu_wide {
    int64_t groups, voxels, channels; /* voxels per group */
    int64_t rep, width, rows, rest;   /* per group; rest in floats */
    int64_t slices, block_rows;       /* slices per group */
} cpu_wide;

/* The largest power of two that divides c and is at most `top`. */
static inline int64_t cpu_pow2_in(int64_t c, int64_t top)
{
    int64_t p = 1;
    while (p < top && c % (2 * p) == 0) p *= 2;
    return p;
}

/* Rows have at least 64 columns, which makes four chains of additions even with AVX-512, but not many more,
 * so that the parameters stay in cache. */
static inline cpu_wide cpu_wide_of(const u3d_type *map, bool per_instance)
{
    cpu_wide w = {.channels = cpu_channels(map), .groups = per_instance ? map->dim[0] : 1};
    int64_t elems = u3d_type_elems(map) / w.groups;
    w.voxels = elems / w.channels;
    w.rep = 16 / cpu_pow2_in(w.channels, 16);
    while (w.rep * w.channels < 64) w.rep *= 2;
    w.width = w.rep * w.channels;
    w.rows = elems / w.width;
    w.rest = elems % w.width;
    w.block_rows = cpu_max(CPU_NORM_BLOCK_ROWS, CPU_NORM_BLOCK_ELEMS / w.width);
    w.slices = cpu_slices(w.rows, cpu_max(CPU_NORM_BLOCK_ROWS, CPU_SLICE_ELEMS / w.width));
    return w;
}

static inline cpu_range cpu_wide_slice(const cpu_wide *w, int64_t slice)
{
    return cpu_slice(w->rows, w->slices, slice, 1);
}

/* First float of a group. */
static inline int64_t cpu_wide_at(const cpu_wide *w, int64_t group)
{
    return group * w->voxels * w->channels;
}

/* The workspace, as consecutive arrays. */
typedef struct cpu_norm_work {
    double *part;   /* [groups][slices + 1][2][C]: sums of each slice, then of the rest            */
    float *columns; /* [groups][6][width]: parameters per column                                   */
    char *scratch;  /* [threads][width] of 2 doubles and 2 floats                                  */
    uint64_t scratch_bytes, bytes;
} cpu_norm_work;

static inline uint64_t cpu_round64(uint64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static inline cpu_norm_work cpu_norm_work_of(const cpu_wide *w, int threads, void *base)
{
    uint64_t groups = (uint64_t)w->groups, width = (uint64_t)w->width, channels = (uint64_t)w->channels;
    uint64_t part = cpu_round64(groups * (uint64_t)(w->slices + 1) * 2 * channels * sizeof(double));
    uint64_t columns = cpu_round64(groups * CPU_NORM_COLUMNS * width * sizeof(float));
    cpu_norm_work k = {.scratch_bytes = cpu_round64(width * (2 * sizeof(double) + 2 * sizeof(float)))};
    k.bytes = part + columns + (uint64_t)threads * k.scratch_bytes;
    if (base) {
        k.part = base;
        k.columns = (float *)((char *)base + part);
        k.scratch = (char *)base + part + columns;
    }
    return k;
}

static inline double *cpu_norm_part(const cpu_wide *w, const cpu_norm_work *k, int64_t group, int64_t slice)
{
    return k->part + (group * (w->slices + 1) + slice) * 2 * w->channels;
}

static inline float *cpu_norm_columns(const cpu_wide *w, const cpu_norm_work *k, int64_t group, int64_t which)
{
    return k->columns + (group * CPU_NORM_COLUMNS + which) * w->width;
}

/* The calling thread's two rows of doubles, which two rows of floats follow. Results do not depend on the
 * thread. */
static inline double *cpu_norm_scratch(const cpu_norm_work *k)
{
    return (double *)(void *)(k->scratch + (uint64_t)omp_get_thread_num() * k->scratch_bytes);
}

#endif
