/* Max pooling with windows that tile the map (kernel == stride, no padding), and its gradient.
 *
 *   y[n,oz,oy,ox,c]     = max over kz,ky,kx of x[n, oz*KD+kz, oy*KH+ky, ox*KW+kx, c]
 *   index[n,oz,oy,ox,c] = (kz*KH + ky)*KW + kx of the first maximum, u8
 *
 * Vectorised over channels, a group of them at a time in registers or first-level cache; the map is read
 * once. Backward visits windows too, and whole rows of dx, so the voxels that no window covers (sizes that
 * the kernel does not divide) are part of the last row of windows and get zero. */
#include "backends/cpu/kernels/cpu_slice.h"

enum { GROUP = 64 }; /* channels at a time: best and index of a group are 512 bytes */

typedef struct pool {
    int64_t n, in[3], out[3], k[3], c; /* z, y, x */
} pool;

static pool pool_of(const u3d_op_desc *d, const u3d_type *big, const u3d_type *small)
{
    pool p = {.n = big->dim[0], .c = big->dim[4]};
    for (int a = 0; a < 3; a++) {
        p.in[a] = big->dim[1 + a];
        p.out[a] = small->dim[1 + a];
        p.k[a] = d->attr.conv.kernel[a];
    }
    return p;
}

static inline void pool_first(const float *x, float *best, int32_t *index, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        best[i] = x[i];
        index[i] = 0;
    }
}

static inline void pool_next(const float *x, int32_t at, float *best, int32_t *index, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        bool more = x[i] > best[i];
        best[i] = more ? x[i] : best[i];
        index[i] = more ? at : index[i];
    }
}

/* `n` channels of one window; x is its first voxel. */
static inline void pool_window(const pool *p, const float *x, float *y, uint8_t *index, int64_t n)
{
    float best[GROUP];
    int32_t first[GROUP];
    int32_t at = 0;
    for (int64_t kz = 0; kz < p->k[0]; kz++)
        for (int64_t ky = 0; ky < p->k[1]; ky++)
            for (int64_t kx = 0; kx < p->k[2]; kx++, at++) {
                const float *v = x + ((kz * p->in[1] + ky) * p->in[2] + kx) * p->c;
                if (at == 0)
                    pool_first(v, best, first, n);
                else
                    pool_next(v, at, best, first, n);
            }
    for (int64_t i = 0; i < n; i++) y[i] = best[i];
    for (int64_t i = 0; i < n; i++) index[i] = (uint8_t)first[i];
}

static void pool_row(const pool *p, const float *x, float *y, uint8_t *index)
{
    for (int64_t ox = 0; ox < p->out[2]; ox++)
        for (int64_t c = 0; c < p->c; c += GROUP) {
            const float *from = x + ox * p->k[2] * p->c + c;
            int64_t to = ox * p->c + c;
            pool_window(p, from, y + to, index + to, cpu_min(GROUP, p->c - c));
        }
}

/* Row of windows (n, oz, oy) -> its first row of voxels (n, oz*KD, oy*KH). */
static int64_t first_row(const pool *p, int64_t row)
{
    int64_t oy = row % p->out[1], oz = row / p->out[1] % p->out[0], n = row / p->out[1] / p->out[0];
    return (n * p->in[0] + oz * p->k[0]) * p->in[1] + oy * p->k[1];
}

static void run_maxpool3d(const cpu_call *c)
{
    const pool p = pool_of(c->desc, &c->desc->in[0], &c->desc->out[0]);
    const float *x = c->in[0];
    float *y = c->out[0];
    uint8_t *index = c->out[1];
    int64_t rows = p.n * p.out[0] * p.out[1], line = p.out[2] * p.c;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * line > CPU_SLICE_ELEMS / 8)
    for (int64_t row = 0; row < rows; row++) {
        const float *from = x + first_row(&p, row) * p.in[2] * p.c;
        pool_row(&p, from, y + row * line, index + row * line);
    }
}

static inline void spread(const float *dy, const uint8_t *index, int32_t at, float *dx, int64_t n, bool add)
{
    if (add)
        for (int64_t i = 0; i < n; i++) dx[i] += index[i] == at ? dy[i] : 0;
    else
        for (int64_t i = 0; i < n; i++) dx[i] = index[i] == at ? dy[i] : 0;
}

/* One row (n, z, y) of dx; `at` is the index of the first voxel that its windows have in it. */
static void spread_row(const pool *p, const float *dy, const uint8_t *index, int32_t at, float *dx, bool add)
{
    for (int64_t ox = 0; ox < p->out[2]; ox++)
        for (int32_t kx = 0; kx < p->k[2]; kx++, dx += p->c)
            spread(dy + ox * p->c, index + ox * p->c, at + kx, dx, p->c, add);
}

static void run_maxpool3d_dx(const cpu_call *c)
{
    const pool p = pool_of(c->desc, &c->desc->out[0], &c->desc->in[0]);
    const float *dy = c->in[0];
    const uint8_t *index = c->in[1];
    float *dx = c->out[0];
    bool add = c->desc->accumulate & 1;
    int64_t rows = p.n * p.out[0] * p.out[1], line = p.out[2] * p.c, dx_line = p.in[2] * p.c;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * line > CPU_SLICE_ELEMS / 8)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t kz = 0; kz < p.k[0]; kz++)
            for (int64_t ky = 0; ky < p.k[1]; ky++) {
                float *to = dx + (first_row(&p, row) + kz * p.in[1] + ky) * dx_line;
                int64_t at = (kz * p.k[1] + ky) * p.k[2];
                spread_row(&p, dy + row * line, index + row * line, (int32_t)at, to, add);
            }
}

static const char *refuse_maxpool3d(const u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    if ((int64_t)k[0] * k[1] * k[2] > 256)
        return "a window of more than 256 voxels does not fit into a u8 index";
    return cpu_refuse_accumulate(d);
}

const cpu_entry CPU_NAME(cpu_MAXPOOL3D)[] = {{"plain", refuse_maxpool3d, NULL, run_maxpool3d}, {0}};
const cpu_entry CPU_NAME(cpu_MAXPOOL3D_DX)[] = {{"plain", NULL, NULL, run_maxpool3d_dx}, {0}};
