/* The skip connection: crops the skip map about its centre and appends its channels to those of the upsampled
 * map.
 *
 *   up [N, d, h, w, CU], skip [N, D, H, W, CS]  ->  y [N, d, h, w, CU + CS]
 *   y[n,z,y,x] = up[n,z,y,x], skip[n, z + (D-d)/2, y + (H-h)/2, x + (W-w)/2]
 *
 * Backward gives dup, dskip or both. Each output row is written by one thread. Forward divides rows of y
 * among the threads. Backward divides rows of dskip if it must also write the zeros around the crop,
 * otherwise rows of dy, and then does not touch dskip outside the crop. Bound by memory. */
#include "backends/cpu/kernels/cpu_slice.h"
#include "backends/cpu/kernels/cpu_vec.h"

typedef struct crop {
    int64_t up[3], skip[3], off[3]; /* z, y, x: sizes, and where the crop begins */
    int64_t n, cu, cs;
} crop;

static crop crop_of(int64_t n, const int64_t *up, int64_t cu, const int64_t *skip, int64_t cs)
{
    crop k = {.n = n, .cu = cu, .cs = cs};
    for (int a = 0; a < 3; a++) {
        k.up[a] = up[a];
        k.skip[a] = skip[a];
        k.off[a] = (k.skip[a] - k.up[a]) / 2;
    }
    return k;
}

/* For runs of a few to some hundred floats, which are too short for a call of memcpy to pay off. */
static inline void copy_run(float *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + CPU_VL <= n; i += CPU_VL) cpu_store(dst + i, cpu_load(src + i));
    for (; i < n; i++) dst[i] = src[i];
}

static inline void add_run(float *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + CPU_VL <= n; i += CPU_VL) cpu_store(dst + i, cpu_load(dst + i) + cpu_load(src + i));
    for (; i < n; i++) dst[i] += src[i];
}

static inline void put_run(float *dst, const float *src, int64_t n, bool add)
{
    if (add)
        add_run(dst, src, n);
    else
        copy_run(dst, src, n);
}

/* Converts a row number to (n, z, y), for a map with `size` voxels. */
static void split_row(int64_t row, const int64_t size[3], int64_t *n, int64_t *z, int64_t *y)
{
    *y = row % size[1];
    *z = row / size[1] % size[0];
    *n = row / size[1] / size[0];
}

/* Offset in skip of the first float that belongs to row (n, z, y) of the crop. */
static int64_t skip_at(const crop *k, int64_t n, int64_t z, int64_t y)
{
    int64_t row = (n * k->skip[0] + z + k->off[0]) * k->skip[1] + y + k->off[1];
    return (row * k->skip[2] + k->off[2]) * k->cs;
}

static void run_crop_concat(const cpu_call *c)
{
    const int64_t *up_dim = c->desc->in[0].dim, *skip_dim = c->desc->in[1].dim;
    const crop k = crop_of(up_dim[0], up_dim + 1, up_dim[4], skip_dim + 1, skip_dim[4]);
    const float *up = c->in[0], *skip = c->in[1];
    float *out = c->out[0];
    int64_t w = k.up[2], cy = k.cu + k.cs, rows = k.n * k.up[0] * k.up[1];
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * w * cy > CPU_SLICE_ELEMS)
    for (int64_t row = 0; row < rows; row++) {
        int64_t n, z, y;
        split_row(row, k.up, &n, &z, &y);
        const float *from_up = up + row * w * k.cu, *from_skip = skip + skip_at(&k, n, z, y);
        float *to = out + row * w * cy;
        for (int64_t x = 0; x < w; x++) {
            copy_run(to + x * cy, from_up + x * k.cu, k.cu);
            copy_run(to + x * cy + k.cu, from_skip + x * k.cs, k.cs);
        }
    }
}

static void zero_run(float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++) dst[i] = 0;
}

typedef struct parts { /* what backward reads and writes; an output that is not wanted is NULL */
    const float *dy;
    float *dup, *dskip;
    bool add_up, add_skip;
} parts;

static parts parts_of(const cpu_call *c)
{
    const uint32_t add = c->desc->accumulate;
    parts p = {.dy = c->in[0]};
    switch (c->desc->attr.crop.part) {
    case U3D_CROP_BOTH:
        p.dup = c->out[0];
        p.dskip = c->out[1];
        p.add_up = add & 1;
        p.add_skip = add & 2;
        break;
    case U3D_CROP_UP:
        p.dup = c->out[0];
        p.add_up = add & 1;
        break;
    case U3D_CROP_SKIP:
        p.dskip = c->out[0];
        p.add_skip = add & 1;
        break;
    }
    return p;
}

/* Copies or adds row (n, z, y) of the crop back to where its two parts came from. */
static void split_crop_row(const crop *k, const parts *p, int64_t n, int64_t z, int64_t y)
{
    const int64_t w = k->up[2], cy = k->cu + k->cs, at = ((n * k->up[0] + z) * k->up[1] + y) * w;
    const float *dy = p->dy + at * cy;
    if (p->dup)
        for (int64_t x = 0; x < w; x++) put_run(p->dup + (at + x) * k->cu, dy + x * cy, k->cu, p->add_up);
    if (!p->dskip) return;
    float *to = p->dskip + skip_at(k, n, z, y);
    for (int64_t x = 0; x < w; x++) put_run(to + x * k->cs, dy + x * cy + k->cu, k->cs, p->add_skip);
}

/* Writes row (n, z, y) of skip from end to end, including the zeros outside the crop. */
static void write_skip_row(const crop *k, const parts *p, int64_t n, int64_t z, int64_t y)
{
    const int64_t line = k->skip[2] * k->cs, left = k->off[2] * k->cs, right = left + k->up[2] * k->cs;
    const int64_t cz = z - k->off[0], cy = y - k->off[1];
    float *to = p->dskip + ((n * k->skip[0] + z) * k->skip[1] + y) * line;
    if (cz < 0 || cz >= k->up[0] || cy < 0 || cy >= k->up[1]) {
        zero_run(to, line);
        return;
    }
    zero_run(to, left);
    split_crop_row(k, p, n, cz, cy);
    zero_run(to + right, line - right);
}

static void run_crop_concat_back(const cpu_call *c)
{
    const int64_t *dy = c->desc->in[0].dim;
    const u3d_crop_attr *a = &c->desc->attr.crop;
    const crop k = crop_of(dy[0], dy + 1, a->up_channels, a->skip_size, dy[4] - a->up_channels);
    const parts p = parts_of(c);
    const bool whole = p.dskip && !p.add_skip;
    const int64_t *size = whole ? k.skip : k.up;
    const int64_t rows = k.n * size[0] * size[1];
#pragma omp parallel for num_threads(c->threads)                                                             \
    schedule(static) if (rows * size[2] * dy[4] > CPU_SLICE_ELEMS)
    for (int64_t row = 0; row < rows; row++) {
        int64_t n, z, y;
        split_row(row, size, &n, &z, &y);
        if (whole)
            write_skip_row(&k, &p, n, z, y);
        else
            split_crop_row(&k, &p, n, z, y);
    }
}

const cpu_entry CPU_NAME(cpu_CROP_CONCAT)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_crop_concat}, {0}};
const cpu_entry CPU_NAME(cpu_CROP_CONCAT_BACK)[] = {{.name = "plain", .run = run_crop_concat_back}, {0}};
