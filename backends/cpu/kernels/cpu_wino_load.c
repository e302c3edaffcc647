/* The load phase of the Winograd convolutions, from voxels to planes that are transformed along z and y; and
 * the transforms along x between planes and products. */
#include "backends/cpu/kernels/cpu_wino.h"

enum {
    AHEAD = 3 * CPU_VL, /* prefetch distance of stores along x, in floats          */
    READ_AHEAD = 128    /* prefetch distance of voxels, which may come from memory */
};

/* The inputs of a strip in one part of the map. */
typedef struct window {
    const float *line[CPU_WINO_PLANES]; /* voxel x = 0 of each (z, y); NULL outside the map: zeros */
    const float *scale, *shift;         /* of lazy parts, otherwise NULL                           */
    float slope;
    float *sum; /* only for gradients: sums over the strip so far, per channel                     */
    bool whole; /* no line is NULL                                                                 */
} window;

static cpu_vec load_part(const float *p, int64_t lanes)
{
    float v[CPU_VL] = {0};
    memcpy(v, p, (size_t)lanes * sizeof(float));
    return cpu_load(v);
}

/* Loads the vector at channel c of the voxel at `off` in line i. If `careful`, the line may be NULL and the
 * vector may have fewer than CPU_VL lanes. */
CPU_INLINE cpu_vec fetch(const window *v, int i, int64_t off, int64_t c, int64_t lanes, cpu_vec scale,
                         cpu_vec shift, bool lazy, bool careful)
{
    if (careful && !v->line[i]) return (cpu_vec){0};
    const float *p = v->line[i] + off + c;
    __builtin_prefetch(p + READ_AHEAD);
    const cpu_vec x = careful && lanes < CPU_VL ? load_part(p, lanes) : cpu_load(p);
    return lazy ? cpu_act(x * scale + shift, v->slope) : x;
}

/* Transforms along z and keeps results z0 <= z < z1 for all y. If `grad`, the transform is A, of gradients of
 * outputs, and the values read are added to *sum in the call with z0 = 0; otherwise it is B^T, of inputs. */
CPU_INLINE void z_transform(int mz, int my, bool grad, const window *v, int64_t off, int64_t c, int64_t lanes,
                            bool lazy, bool careful, int z0, int z1, cpu_vec *tmp, cpu_vec *sum)
{
    const int nz = grad ? mz : cpu_wino_inputs(mz), ny = grad ? my : cpu_wino_inputs(my);
    cpu_vec scale = {0}, shift = {0};
    if (lazy) {
        scale = careful && lanes < CPU_VL ? load_part(v->scale + c, lanes) : cpu_load(v->scale + c);
        shift = careful && lanes < CPU_VL ? load_part(v->shift + c, lanes) : cpu_load(v->shift + c);
    }
#pragma GCC unroll 6
    for (int y = 0; y < ny; y++) {
        cpu_vec d[CPU_WINO_A], o[CPU_WINO_A];
#pragma GCC unroll 6
        for (int z = 0; z < nz; z++) d[z] = fetch(v, z * ny + y, off, c, lanes, scale, shift, lazy, careful);
        for (int z = 0; grad && z0 == 0 && z < nz; z++) *sum += d[z];
        (grad ? cpu_wino_a : cpu_wino_bt)(mz, d, o);
#pragma GCC unroll 6
        for (int z = z0; z < z1; z++) tmp[(z - z0) * CPU_WINO_A + y] = o[z];
    }
}

CPU_INLINE void y_transform(int my, bool grad, int planes, const cpu_vec *tmp, float *to, int64_t step)
{
    const int a = cpu_wino_inputs(my);
#pragma GCC unroll 6
    for (int z = 0; z < planes; z++) {
        cpu_vec o[CPU_WINO_A];
        (grad ? cpu_wino_a : cpu_wino_bt)(my, tmp + z * CPU_WINO_A, o);
#pragma GCC unroll 6
        for (int y = 0; y < a; y++, to += step) cpu_store(to, o[y]);
    }
}

/* How many results along z are computed at a time. With AVX-512 and mz = 4, all six need more registers than
 * there are; three at a time stay in registers, at the price of reading the voxels twice. */
CPU_INLINE int z_part(int mz, bool careful)
{
    return CPU_VL == 16 && mz == 4 && !careful ? 3 : cpu_wino_inputs(mz);
}

/* One column: all vectors of one part. mz, my, grad, lazy and careful are constants in every call. */
CPU_INLINE void column(int mz, int my, bool grad, const window *v, int64_t off, int64_t channels, bool lazy,
                       bool careful, float *to, int64_t step)
{
    const int az = cpu_wino_inputs(mz), ay = cpu_wino_inputs(my), part = z_part(mz, careful);
    cpu_vec tmp[CPU_WINO_PLANES];
    for (int64_t c = 0; c < channels; c += CPU_VL) {
        cpu_vec sum = grad ? cpu_load(v->sum + c) : (cpu_vec){0};
#pragma GCC unroll 2
        for (int z = 0; z < az; z += part) {
            z_transform(mz, my, grad, v, off, c, channels - c, lazy, careful, z, z + part, tmp, &sum);
            y_transform(my, grad, part, tmp, to + c + z * ay * step, step);
        }
        if (grad) cpu_store(v->sum + c, sum);
    }
}

typedef void column_fn(const window *v, int64_t off, int64_t channels, float *to, int64_t step);

#define COLUMN(mz, my)                                                                                       \
    static void column_##mz##my(const window *v, int64_t off, int64_t channels, float *to, int64_t step)     \
    {                                                                                                        \
        const bool careful = !v->whole || channels % CPU_VL != 0;                                            \
        if (v->scale && careful)                                                                             \
            column(mz, my, false, v, off, channels, true, true, to, step);                                   \
        else if (v->scale)                                                                                   \
            column(mz, my, false, v, off, channels, true, false, to, step);                                  \
        else if (careful)                                                                                    \
            column(mz, my, false, v, off, channels, false, true, to, step);                                  \
        else                                                                                                 \
            column(mz, my, false, v, off, channels, false, false, to, step);                                 \
    }                                                                                                        \
    static void column_grad_##mz##my(const window *v, int64_t off, int64_t channels, float *to,              \
                                     int64_t step)                                                           \
    {                                                                                                        \
        if (v->whole && channels % CPU_VL == 0)                                                              \
            column(mz, my, true, v, off, channels, false, false, to, step);                                  \
        else                                                                                                 \
            column(mz, my, true, v, off, channels, false, true, to, step);                                   \
    }
CPU_WINO_ZY(COLUMN)

static column_fn *const columns[3][3] = CPU_WINO_ZY_TABLE(column);
static column_fn *const grad_columns[3][3] = CPU_WINO_ZY_TABLE(column_grad);

/* Voxel x = 0 of input line i of a strip; NULL if the line is outside the map. */
static const float *line_of(const cpu_wino *w, const cpu_map *map, const cpu_part *part, const int64_t pad[3],
                            cpu_strip s, int64_t i)
{
    const int64_t z = s.z - pad[0] + i / w->a[1], y = s.y - pad[1] + i % w->a[1];
    if (z < 0 || z >= map->size[0] || y < 0 || y >= map->size[1]) return NULL;
    const int64_t line = (s.n * part->size[0] + z + part->crop[0]) * part->size[1] + y + part->crop[1];
    return part->x + (line * part->size[2] + part->crop[2]) * part->c;
}

static window window_of(const cpu_wino *w, const cpu_map *map, const cpu_part *part, const int64_t pad[3],
                        cpu_strip s)
{
    window v = {.slope = map->slope, .whole = true};
    for (int64_t i = 0; i < w->planes; i++) {
        v.line[i] = line_of(w, map, part, pad, s, i);
        v.whole = v.whole && v.line[i];
    }
    if (part->table) {
        v.scale = part->table + s.n * part->table_step;
        v.shift = v.scale + part->c;
    }
    return v;
}

static void zero_column(const cpu_wino *w, int64_t channels, float *to, int64_t step)
{
    for (int64_t i = 0; i < w->planes; i++) memset(to + i * step, 0, (size_t)channels * sizeof(float));
}

void CPU_NAME(cpu_wino_load)(const cpu_wino *w, const cpu_map *map, const int64_t pad[3], int64_t strip,
                             int64_t at, const cpu_planes *p)
{
    column_fn *const run = columns[w->m[0] / 2][w->m[1] / 2];
    const cpu_strip s = cpu_wino_strip(w, strip);
    const int64_t x0 = s.x - pad[2];
    int64_t c0 = 0;
    for (int i = 0; i < map->n_parts; i++) {
        const cpu_part *part = &map->part[i];
        const window v = window_of(w, map, part, pad, s);
        float *to = p->data + at * p->cols * p->c + c0;
        for (int64_t x = x0; x < x0 + p->cols; x++, to += p->c) {
            if (x >= 0 && x < map->size[2])
                run(&v, x * part->c, part->c, to, p->step);
            else
                zero_column(w, cpu_wino_channels(part->c), to, p->step);
        }
        c0 += cpu_wino_channels(part->c);
    }
}

void CPU_NAME(cpu_wino_prefetch)(const cpu_wino *w, const cpu_map *map, const int64_t pad[3], int64_t strip,
                                 int64_t i)
{
    const cpu_strip s = cpu_wino_strip(w, strip);
    const int64_t x0 = cpu_max(0, s.x - pad[2]);
    const int64_t x1 = cpu_min(map->size[2], s.x - pad[2] + cpu_wino_in_cols(w));
    for (int k = 0; k < map->n_parts; k++) {
        const cpu_part *part = &map->part[k];
        const float *line = line_of(w, map, part, pad, s, i);
        if (!line) continue;
        for (const float *at = line + x0 * part->c; at < line + x1 * part->c; at += 16)
            __builtin_prefetch(at, 0, 2);
    }
}

/* ---- gradients of outputs ---- */

void CPU_NAME(cpu_wino_load_grad)(const cpu_wino *w, const float *dy, int64_t c, int64_t strip, int64_t at,
                                  const cpu_planes *p, float *sum)
{
    column_fn *const run = grad_columns[w->m[0] / 2][w->m[1] / 2];
    const cpu_strip s = cpu_wino_strip(w, strip);
    window v = {.whole = true, .sum = sum};
    memset(sum, 0, (size_t)p->c * sizeof(float));
    for (int i = 0; i < w->m[0] * w->m[1]; i++) {
        const int64_t z = s.z + i / w->m[1], y = s.y + i % w->m[1];
        const bool inside = z < w->size[0] && y < w->size[1];
        v.whole = v.whole && inside;
        if (inside) v.line[i] = dy + ((s.n * w->size[0] + z) * w->size[1] + y) * w->size[2] * c;
    }
    float *to = p->data + at * p->cols * p->c;
    for (int64_t x = s.x; x < s.x + p->cols; x++, to += p->c) {
        if (x < w->size[2])
            run(&v, x * c, c, to, p->step);
        else
            zero_column(w, p->c, to, p->step);
    }
}

/* ---- along x ---- */

CPU_INLINE void x_forth(int m, bool grad, const float *from, int64_t col, int64_t c0, int64_t c1, float *to,
                        int64_t step)
{
    const int a = cpu_wino_inputs(m), n = grad ? m : a;
    for (int64_t c = c0; c < c1; c += CPU_VL, to += CPU_VL) {
        cpu_vec d[CPU_WINO_A], o[CPU_WINO_A];
        for (int i = 0; i < n; i++) d[i] = cpu_load(from + i * col + c);
        (grad ? cpu_wino_a : cpu_wino_bt)(m, d, o);
        for (int i = 0; i < a; i++) cpu_store_ahead(to + i * step, o[i], AHEAD);
    }
}

CPU_INLINE void x_out(int m, const float *from, int64_t step, int64_t channels, float *to, int64_t col)
{
    const int a = cpu_wino_inputs(m);
    for (int64_t c = 0; c < channels; c += CPU_VL) {
        cpu_vec p[CPU_WINO_A], o[4];
        for (int i = 0; i < a; i++) p[i] = cpu_load(from + i * step + c);
        cpu_wino_at(m, p, o);
        for (int i = 0; i < m; i++) cpu_store(to + i * col + c, o[i]);
    }
}

/* The first column of tile t of the chunk. */
static float *tile_at(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t)
{
    const int64_t strip = t / w->length, x = t % w->length * w->m[2];
    return p->data + plane * p->step + (strip * p->cols + x) * p->c;
}

CPU_INLINE void x_tiles(const cpu_wino *w, bool grad, const cpu_planes *p, int64_t plane, int64_t t0,
                        int64_t t1, int64_t c0, int64_t c1, float *to, int64_t step)
{
    for (int64_t t = t0; t < t1; t++, to += c1 - c0) {
        const float *from = tile_at(w, p, plane, t);
        if (w->m[2] == 4)
            x_forth(4, grad, from, p->c, c0, c1, to, step);
        else
            x_forth(2, grad, from, p->c, c0, c1, to, step);
    }
}

void CPU_NAME(cpu_wino_x_in)(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t0, int64_t t1,
                             int64_t c0, int64_t c1, float *to, int64_t step)
{
    x_tiles(w, false, p, plane, t0, t1, c0, c1, to, step);
}

void CPU_NAME(cpu_wino_x_grad)(const cpu_wino *w, const cpu_planes *p, int64_t plane, int64_t t0, int64_t t1,
                               int64_t c0, int64_t c1, float *to, int64_t step)
{
    x_tiles(w, true, p, plane, t0, t1, c0, c1, to, step);
}

void CPU_NAME(cpu_wino_x_out)(const cpu_wino *w, const float *from, int64_t step, const cpu_planes *p,
                              int64_t plane, int64_t t0, int64_t t1)
{
    for (int64_t t = t0; t < t1; t++, from += p->c) {
        float *to = tile_at(w, p, plane, t);
        if (w->m[2] == 4)
            x_out(4, from, step, p->c, to, p->c);
        else
            x_out(2, from, step, p->c, to, p->c);
    }
}
