/* Writes lazy and joined maps as dense arrays, row of voxels by row of voxels. Bound by memory.
 *
 * Scale and shift belong to channels. If a lazy map has few channels and is the only part, its rows keep
 * their layout; then its table is repeated for several voxels ("columns"), so that the inner loop runs over
 * several voxels at once. */
#include "backends/cpu/kernels/cpu_map.h"
#include "backends/cpu/kernels/cpu_slice.h"
#include "backends/cpu/kernels/cpu_vec.h"

enum { FEW = 64, WIDE = 1024 /* floats: at most 63 channels by 16 voxels */ };

typedef struct columns { /* scale and shift of `width` neighbouring floats; they repeat along a row */
    const float *scale, *shift;
    int64_t width;
    float wide[2][WIDE];
} columns;

static void set_columns(const cpu_part *p, int64_t n, bool flat, columns *k)
{
    k->scale = p->table + n * p->table_step;
    k->shift = k->scale + p->c;
    k->width = p->c;
    if (!flat || p->c >= FEW) return;
    k->width = p->c * cpu_min(WIDE / p->c, 16);
    for (int64_t j = 0; j < k->width; j++) {
        k->wide[0][j] = k->scale[j % p->c];
        k->wide[1][j] = k->shift[j % p->c];
    }
    k->scale = k->wide[0];
    k->shift = k->wide[1];
}

static inline void act_run(const float *x, float *y, int64_t n, const columns *k, float slope)
{
    const float *scale = k->scale, *shift = k->shift;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) y[j] = cpu_map_act(x[j], scale[j], shift[j], slope);
}

/* For runs that are too short for a call of memcpy to pay off. */
static inline void copy_run(const float *x, float *y, int64_t n)
{
    int64_t j = 0;
    for (; j + CPU_VL <= n; j += CPU_VL) cpu_store(y + j, cpu_load(x + j));
    for (; j < n; j++) y[j] = x[j];
}

/* Writes one row of voxels of one part; in y the voxels are `step` floats apart. */
static void write_row(const cpu_part *p, const columns *k, float slope, const float *x, float *y,
                      int64_t voxels, int64_t step)
{
    const int64_t floats = voxels * p->c;
    if (!p->table) {
        for (int64_t v = 0; v < voxels; v++) copy_run(x + v * p->c, y + v * step, p->c);
    } else if (step == p->c) {
        for (int64_t j = 0; j < floats; j += k->width)
            act_run(x + j, y + j, cpu_min(k->width, floats - j), k, slope);
    } else {
        for (int64_t v = 0; v < voxels; v++) act_run(x + v * p->c, y + v * step, p->c, k, slope);
    }
}

/* Writes one part of rows [begin, end) of the map; y points to the part's channels in row 0. */
static void write_part(const cpu_map *m, const cpu_part *p, cpu_range rows, float *y)
{
    columns k;
    int64_t columns_of = -1; /* the sample whose tables `k` holds */

    for (int64_t row = rows.begin; row < rows.end; row++) {
        const int64_t iy = row % m->size[1], iz = row / m->size[1] % m->size[0];
        const int64_t n = row / m->size[1] / m->size[0];
        const int64_t from = ((n * p->size[0] + iz + p->crop[0]) * p->size[1] + iy + p->crop[1]) * p->size[2];
        if (p->table && columns_of != n) set_columns(p, n, p->c == m->c, &k);
        columns_of = n;
        write_row(p, &k, m->slope, p->x + (from + p->crop[2]) * p->c, y + row * m->size[2] * m->c, m->size[2],
                  m->c);
    }
}

const float *CPU_NAME(cpu_map_dense)(const cpu_map *m, void *to, int threads)
{
    if (cpu_map_is_plain(m)) return m->part[0].x;

    const int64_t rows = m->n * m->size[0] * m->size[1], row_floats = m->size[2] * m->c;
    const int64_t slices = cpu_slices(rows, cpu_max(1, CPU_SLICE_ELEMS / row_floats));
#pragma omp parallel for num_threads(threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        float *y = to;
        for (int i = 0; i < m->n_parts; y += m->part[i++].c)
            write_part(m, &m->part[i], cpu_slice(rows, slices, s, 1), y);
    }
    return to;
}
