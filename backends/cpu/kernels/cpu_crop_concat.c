/* The skip connection: crop the skip map about its centre and append its channels to the upsampled ones.
 *
 *   up [N, d, h, w, CU], skip [N, D, H, W, CS]  ->  y [N, d, h, w, CU + CS]
 *   y[n,z,y,x] = up[n,z,y,x], skip[n, z + (D-d)/2, y + (H-h)/2, x + (W-w)/2]
 *
 * Forward takes rows of y, backward rows of dskip, so that each output row has one owner. Bound by memory. */
#include "backends/cpu/kernels/cpu_slice.h"
#include "backends/cpu/kernels/cpu_vec.h"

typedef struct crop {
    int64_t up[3], skip[3], off[3]; /* z, y, x: sizes, and where the crop begins */
    int64_t n, cu, cs;
} crop;

static crop crop_of(const u3d_type *up, const u3d_type *skip)
{
    crop k = {.n = up->dim[0], .cu = up->dim[4], .cs = skip->dim[4]};
    for (int a = 0; a < 3; a++) {
        k.up[a] = up->dim[1 + a];
        k.skip[a] = skip->dim[1 + a];
        k.off[a] = (k.skip[a] - k.up[a]) / 2;
    }
    return k;
}

/* Runs of a few to some hundred floats: too short for memcpy to be worth a call each. */
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

/* Row number -> (n, z, y) of a map with `size` voxels. */
static void split_row(int64_t row, const int64_t size[3], int64_t *n, int64_t *z, int64_t *y)
{
    *y = row % size[1];
    *z = row / size[1] % size[0];
    *n = row / size[1] / size[0];
}

/* First float of skip's row that belongs to the crop's row (n, z, y). */
static int64_t skip_at(const crop *k, int64_t n, int64_t z, int64_t y)
{
    int64_t row = (n * k->skip[0] + z + k->off[0]) * k->skip[1] + y + k->off[1];
    return (row * k->skip[2] + k->off[2]) * k->cs;
}

static void run_crop_concat(const cpu_call *c)
{
    const crop k = crop_of(&c->desc->in[0], &c->desc->in[1]);
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

/* One row of the crop back to where its two parts came from. */
static void split_crop_row(const crop *k, const float *dy, float *dup, float *dskip, uint32_t accumulate)
{
    int64_t cy = k->cu + k->cs;
    for (int64_t x = 0; x < k->up[2]; x++) {
        put_run(dup + x * k->cu, dy + x * cy, k->cu, accumulate & 1);
        put_run(dskip + x * k->cs, dy + x * cy + k->cu, k->cs, accumulate & 2);
    }
}

static void run_crop_concat_back(const cpu_call *c)
{
    const crop k = crop_of(&c->desc->out[0], &c->desc->out[1]);
    const float *dy = c->in[0];
    float *dup = c->out[0], *dskip = c->out[1];
    uint32_t accumulate = c->desc->accumulate;
    int64_t w = k.up[2], line = k.skip[2] * k.cs, rows = k.n * k.skip[0] * k.skip[1];
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * line > CPU_SLICE_ELEMS)
    for (int64_t row = 0; row < rows; row++) {
        int64_t n, z, y;
        split_row(row, k.skip, &n, &z, &y);
        z -= k.off[0];
        y -= k.off[1];
        bool inside = z >= 0 && z < k.up[0] && y >= 0 && y < k.up[1];
        float *to = dskip + row * line;
        int64_t left = inside ? k.off[2] * k.cs : line, right = inside ? left + w * k.cs : line;
        if (!(accumulate & 2)) {
            zero_run(to, left);
            zero_run(to + right, line - right);
        }
        if (!inside) continue;
        int64_t crop_row = (n * k.up[0] + z) * k.up[1] + y;
        split_crop_row(&k, dy + crop_row * w * (k.cu + k.cs), dup + crop_row * w * k.cu, to + left,
                       accumulate);
    }
}

const cpu_entry CPU_NAME(cpu_CROP_CONCAT)[] = {{"plain", cpu_refuse_accumulate, NULL, run_crop_concat}, {0}};
const cpu_entry CPU_NAME(cpu_CROP_CONCAT_BACK)[] = {{"plain", NULL, NULL, run_crop_concat_back}, {0}};
