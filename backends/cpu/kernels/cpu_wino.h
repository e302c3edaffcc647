/* What the Winograd convolutions share: tiles, planes and products.
 *
 * A map is cut into tiles of m[0] x m[1] x m[2] outputs (z, y, x; each 4, 2 or 1). Tiles along x form a row;
 * a chunk is some rows whose transformed data stay in the last-level cache. Three phases per chunk, each a
 * loop over independent items whose number and borders follow from the shape alone:
 *
 *   load      z and y are transformed while reading: planes [a0 * a1][row][column][channel]. Columns along x
 *             stay voxels, so that neighbouring tiles share them; padding, crop, join and activation vanish here
 *   product   per plane: the x transform of a few tiles, a[2] matrix products, and back along x, all in
 *             second-level cache
 *   store     z and y are transformed back while writing; tiles may hang over, voxels outside are dropped
 *
 * The weight gradient has load (x and dy), product (sums over all tiles) and one final transform. Every element
 * has one owner and one order of sums, whatever the number of threads. */
#ifndef U3D_CPU_WINO_H
#define U3D_CPU_WINO_H

#include "backends/cpu/kernels/cpu_conv_impl.h"
#include "backends/cpu/kernels/cpu_map.h"
#include "backends/cpu/kernels/cpu_wino_axis.h"

enum {
    CPU_WINO_PLANES = CPU_WINO_A * CPU_WINO_A, /* most planes */
    CPU_PANEL = 2 * CPU_VL,                    /* channels that a micro-kernel makes at once */
    CPU_WINO_BLOCK = 56                        /* tiles whose products are made at once      */
};

/* Tiles over a map of `size` voxels per sample. */
typedef struct cpu_wino {
    int m[3], a[3];
    int64_t n, size[3], tiles[3];
    int64_t rows, planes; /* rows of tiles; a[0] * a[1] */
} cpu_wino;

/* Transformed data of one chunk, [plane][row][col][c], planes `step` floats apart. */
typedef struct cpu_planes {
    float *data;
    int64_t cols, c, step;
} cpu_planes;

/* Channels of a map in planes: every part rounded up to whole vectors. */
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
    cpu_wino w = {.n = n};
    for (int i = 0; i < 3; i++) {
        w.m[i] = m[i];
        w.a[i] = cpu_wino_inputs(m[i]);
        w.size[i] = size[i];
        w.tiles[i] = cpu_ceil_div(size[i], m[i]);
    }
    w.rows = n * w.tiles[0] * w.tiles[1];
    w.planes = (int64_t)w.a[0] * w.a[1];
    return w;
}

/* Sample, z and y of the first voxel of a row of tiles. */
static inline void cpu_wino_row(const cpu_wino *w, int64_t row, int64_t *n, int64_t *z, int64_t *y)
{
    *y = row % w->tiles[1] * w->m[1];
    *z = row / w->tiles[1] % w->tiles[0] * w->m[0];
    *n = row / w->tiles[1] / w->tiles[0];
}

/* Floats between planes: never a multiple of 4 KB, so that the planes of one voxel do not share cache sets. */
static inline int64_t cpu_wino_plane_step(int64_t rows, int64_t cols, int64_t c)
{
    enum { SETS = 1024, LINES = 5 * 16 }; /* floats in 4 KB; five cache lines */
    return cpu_ceil_div(rows * cols * c, SETS) * SETS + LINES;
}

static inline cpu_planes cpu_wino_planes(float *data, int64_t rows, int64_t cols, int64_t c)
{
    return (cpu_planes){data, cols, c, cpu_wino_plane_step(rows, cols, c)};
}

/* Load phase, one item: columns [col0, col1) of tile row `row` into row `at` of the planes. The tiles' first
 * input voxel stands `pad` voxels before their first output. */
void CPU_NAME(cpu_wino_load)(const cpu_wino *w, const cpu_map *map, const int64_t pad[3], int64_t row,
                             int64_t at, int64_t col0, int64_t col1, const cpu_planes *p);

/* The same for gradients of outputs, dense [N, size, c]: A along z and y. */
void CPU_NAME(cpu_wino_load_grad)(const cpu_wino *w, const float *dy, int64_t c, int64_t row, int64_t at,
                                  int64_t col0, int64_t col1, const cpu_planes *p);

/* Along x, tiles [t0, t1) of a chunk, counted along its rows, of one plane: to[j][t - t0][c], products `step` apart. */
void CPU_NAME(cpu_wino_x_in)(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t0, int64_t t1,
                             int64_t c0, int64_t c1, float *to, int64_t step);
void CPU_NAME(cpu_wino_x_grad)(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t0, int64_t t1,
                               int64_t c0, int64_t c1, float *to, int64_t step);
void CPU_NAME(cpu_wino_x_out)(const cpu_wino *w, const float *from, int64_t step, const cpu_planes *p,
                              int64_t plane, int64_t t0, int64_t t1);

/* c[i][j] = sum over k of a[i][k] * b[k][j], i < rows, j < cols: any rows, cols a multiple of CPU_VL.
 * b is packed: [panel of CPU_PANEL columns][k][lane], panels b_panel apart, the last maybe one vector wide.
 * transposed: a is [k][i], b is [k][j] with b_row floats between rows, and c is added to where `add` says so. */
typedef struct cpu_gemm {
    const float *a, *b;
    float *c;
    int64_t rows, cols, depth;
    int64_t a_row, b_row, b_panel, c_row; /* floats between rows; between panels */
    bool transposed, add;
} cpu_gemm;
void CPU_NAME(cpu_gemm_run)(const cpu_gemm *g);

#endif
