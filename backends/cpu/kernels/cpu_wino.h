/* What the Winograd convolutions share: tiles, planes and products.
 *
 * The output is cut into tiles of m[0] x m[1] x m[2] voxels (z, y, x; each 4, 2 or 1), for which
 * a[0] x a[1] x a[2] inputs are read. Some neighbouring tiles along x form a strip. All strips have the same
 * length; the last one of a row may overhang the map. A chunk is some strips whose transformed data stay in a
 * cache. Each chunk goes through three phases:
 *
 * - load: reads voxels, transforms them along z and y and writes planes [a0 * a1][strip][column][channel].
 *   Along x, a column is still a voxel, so that neighbouring tiles share columns. Padding, crop, join and
 *   activation are applied here; later phases do not see them.
 * - product: for each plane, transforms a few tiles along x, multiplies them by a[2] matrices of weights, and
 *   transforms the results back along x.
 * - store: transforms back along z and y while writing; voxels outside the map are dropped.
 *
 * The weight gradient loads x and dy, sums products over all tiles, and transforms the sums once at the end.
 * Every element has one owner and one order of summation for any number of threads. */
#ifndef U3D_CPU_WINO_H
#define U3D_CPU_WINO_H

#include "backends/cpu/kernels/cpu_conv_impl.h"
#include "backends/cpu/kernels/cpu_map.h"
#include "backends/cpu/kernels/cpu_wino_axis.h"

enum {
    CPU_WINO_PLANES = CPU_WINO_A * CPU_WINO_A, /* most planes                                       */
    CPU_PANEL = 2 * CPU_VL,                    /* channels that the micro-kernel computes at a time */
    CPU_WINO_BLOCK = 56                        /* most tiles that are multiplied at a time          */
};

/* Tiles over a map of `size` voxels per sample. */
typedef struct cpu_wino {
    int m[3], a[3];
    int64_t n, size[3], tiles[3], planes; /* planes: a[0] * a[1]                         */
    int64_t length, per_row, strips;      /* tiles per strip; strips per row; all strips */
} cpu_wino;

/* Transformed data of one chunk: [plane][strip][col][c], where planes are `step` floats apart. */
typedef struct cpu_planes {
    float *data;
    int64_t cols, c, step;
} cpu_planes;

/* Channels that a part of c channels takes in planes: c rounded up to whole vectors. A map takes the sum over
 * its parts. */
static inline int64_t cpu_wino_channels(int64_t c)
{
    return cpu_ceil_div(c, CPU_VL) * CPU_VL;
}

static inline int64_t cpu_wino_map_channels(const cpu_map *m)
{
    int64_t sum = 0;
    for (int i = 0; i < m->n_parts; i++) sum += cpu_wino_channels(m->part[i].c);
    return sum;
}

static inline cpu_wino cpu_wino_of(int64_t n, const int64_t size[3], const int m[3])
{
    cpu_wino w = {.n = n, .planes = (int64_t)cpu_wino_inputs(m[0]) * cpu_wino_inputs(m[1])};
    for (int i = 0; i < 3; i++) {
        w.m[i] = m[i];
        w.a[i] = cpu_wino_inputs(m[i]);
        w.size[i] = size[i];
        w.tiles[i] = cpu_ceil_div(size[i], m[i]);
    }
    return w;
}

/* Cuts rows into strips of at most `most` tiles, as equal in length as possible. */
static inline void cpu_wino_cut(cpu_wino *w, int64_t most)
{
    w->per_row = cpu_ceil_div(w->tiles[2], cpu_max(1, most));
    w->length = cpu_ceil_div(w->tiles[2], w->per_row);
    w->strips = w->n * w->tiles[0] * w->tiles[1] * w->per_row;
}

typedef struct cpu_strip { /* sample and first output voxel of a strip */
    int64_t n, z, y, x;
} cpu_strip;

static inline cpu_strip cpu_wino_strip(const cpu_wino *w, int64_t strip)
{
    const int64_t row = strip / w->per_row;
    return (cpu_strip){.n = row / w->tiles[1] / w->tiles[0],
                       .z = row / w->tiles[1] % w->tiles[0] * w->m[0],
                       .y = row % w->tiles[1] * w->m[1],
                       .x = strip % w->per_row * w->length * w->m[2]};
}

/* Columns of a strip's inputs and outputs. */
static inline int64_t cpu_wino_in_cols(const cpu_wino *w)
{
    return w->length * w->m[2] + w->a[2] - w->m[2];
}
static inline int64_t cpu_wino_out_cols(const cpu_wino *w)
{
    return w->length * w->m[2];
}

/* Columns of a strip's outputs that lie inside the map; the last strip of a row may overhang it. */
static inline int64_t cpu_wino_inside(const cpu_wino *w, cpu_strip s)
{
    return cpu_min(cpu_wino_out_cols(w), w->size[2] - s.x);
}

/* Floats from one plane of some strips to the next. This is never a multiple of 4 KB, so that the planes of
 * one voxel do not compete for the same cache sets. */
static inline int64_t cpu_wino_plane_step(int64_t strips, int64_t cols, int64_t c)
{
    enum { SETS = 1024, LINES = 5 * 16 }; /* floats in 4 KB; five cache lines */
    return cpu_ceil_div(strips * cols * c, SETS) * SETS + LINES;
}

static inline cpu_planes cpu_wino_planes(float *data, int64_t strips, int64_t cols, int64_t c)
{
    return (cpu_planes){data, cols, c, cpu_wino_plane_step(strips, cols, c)};
}

/* Load phase: loads the inputs of a strip to place `at` of the planes. A tile's first input voxel is `pad`
 * voxels before its first output voxel. */
void CPU_NAME(cpu_wino_load)(const cpu_wino *w, const cpu_map *map, const int64_t pad[3], int64_t strip,
                             int64_t at, const cpu_planes *p);

/* Loads gradients of outputs instead, dense [N, size, c], which are transformed by A along z and y.
 * sum[0..p->c) becomes their sum over the strip's voxels. */
void CPU_NAME(cpu_wino_load_grad)(const cpu_wino *w, const float *dy, int64_t c, int64_t strip, int64_t at,
                                  const cpu_planes *p, float *sum);

/* Prefetches part i, 0 <= i < w->planes, of the voxels that loading `strip` will read. */
void CPU_NAME(cpu_wino_prefetch)(const cpu_wino *w, const cpu_map *map, const int64_t pad[3], int64_t strip,
                                 int64_t i);

/* Transforms along x, for tiles [t0, t1) of one plane (tiles are numbered through the strips of the chunk).
 * _in and _grad write channels [c0, c1) of inputs and of gradients to to[j][t - t0][c], where products j are
 * `step` floats apart. _out reads products in that layout and writes outputs to the planes. */
void CPU_NAME(cpu_wino_x_in)(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t0, int64_t t1,
                             int64_t c0, int64_t c1, float *to, int64_t step);
void CPU_NAME(cpu_wino_x_grad)(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t0, int64_t t1,
                               int64_t c0, int64_t c1, float *to, int64_t step);
void CPU_NAME(cpu_wino_x_out)(const cpu_wino *w, const float *from, int64_t step, const cpu_planes *p,
                              int64_t plane, int64_t t0, int64_t t1);

/* Where the store phase writes: channels [co0, co1) of y, dense [N, size, co]. */
typedef struct cpu_wino_out {
    float *y;
    int64_t co, co0, co1;
    const float *bias; /* [co rounded up to whole vectors] */
    /* [3][co rounded up]: the strip's first voxel, and sums and squares of differences from it; NULL: not
     * wanted */
    float *part;
    bool add, stream; /* add to what y holds; store past the caches */
} cpu_wino_out;

/* Store phase: writes the strip at place `at` of the planes, which hold channels [co0, co1). */
void CPU_NAME(cpu_wino_store)(const cpu_wino *w, const cpu_wino_out *o, int64_t strip, int64_t at,
                              const cpu_planes *p);

/* c[i][j] = sum over k < depth of a[i][k] * b[k][j], for i < rows and j < cols, where cols is a multiple of
 * CPU_VL. b is packed as [panel of CPU_PANEL columns][k][lane]; panels are b_panel floats apart, and the last
 * one may be one vector wide. If `transposed`, a is [k][i] and b is [k][j] with b_row floats between rows;
 * only then may `add` be set, which adds the sums to c. */
typedef struct cpu_gemm {
    const float *a, *b;
    float *c;
    int64_t rows, cols, depth;
    int64_t a_row, b_row, b_panel, c_row; /* floats between rows; between panels */
    bool transposed, add;
} cpu_gemm;
void CPU_NAME(cpu_gemm_run)(const cpu_gemm *g);

#endif
