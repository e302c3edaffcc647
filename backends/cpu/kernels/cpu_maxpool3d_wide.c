/* Max pooling and its gradient for channel counts that fill vectors. The maximum and its index stay in
 * registers while the loop goes through the voxels of a window, so that memory is read and written once. */
#include "backends/cpu/kernels/cpu_map.h"
#include "backends/cpu/kernels/cpu_maxpool3d.h"
#include "backends/cpu/kernels/cpu_vec.h"

enum { TAPS_MAX = 256 };

typedef struct taps { /* voxels of a window, x fastest: their offsets in floats from the first voxel */
    int32_t n;
    int64_t off[TAPS_MAX];
} taps;

static void taps_of(const cpu_pool *p, taps *t)
{
    t->n = 0;
    for (int64_t kz = 0; kz < p->k[0]; kz++)
        for (int64_t ky = 0; ky < p->k[1]; ky++)
            for (int64_t kx = 0; kx < p->k[2]; kx++)
                t->off[t->n++] = ((kz * p->in[1] + ky) * p->in[2] + kx) * p->c;
}

typedef struct act { /* turns stored floats of a lazy map into values, for one vector of channels */
    cpu_vec scale, shift, slope;
} act;

__attribute__((always_inline)) static inline cpu_vec value_of(cpu_vec x, const act *a, bool lazy)
{
    if (!lazy) return x;
    const cpu_vec v = a->scale * x + a->shift;
    return cpu_select(v > 0.0F, v, a->slope * v);
}

/* Pools one row of windows. n, the number of taps, is a constant for windows of 8 voxels; lazy always is. */
__attribute__((always_inline)) static inline void pool_body(const cpu_pool *p, const taps *t, int32_t n,
                                                            bool lazy, const float *table, float slope,
                                                            const float *x, float *y, uint8_t *index)
{
    act a = {.slope = cpu_set1(slope)};
    for (int64_t ox = 0; ox < p->out[2]; ox++, x += p->k[2] * p->c, y += p->c, index += p->c)
        for (int64_t c = 0; c < p->c; c += CPU_VL) {
            if (lazy) {
                a.scale = cpu_load(table + c);
                a.shift = cpu_load(table + p->c + c);
            }
            cpu_vec best = value_of(cpu_load(x + c), &a, lazy);
            cpu_ivec at = {0};
#pragma GCC unroll 8
            for (int32_t k = 1; k < n; k++) {
                const cpu_vec v = value_of(cpu_load(x + t->off[k] + c), &a, lazy);
                const cpu_ivec more = v > best;
                best = cpu_select(more, v, best);
                at = cpu_iselect(more, cpu_iset1(k), at);
            }
            cpu_store(y + c, best);
            cpu_istore_bytes(index + c, at);
        }
}

static void pool_row(const cpu_pool *p, const taps *t, const float *table, float slope, const float *x,
                     float *y, uint8_t *index)
{
    if (table && t->n == 8)
        pool_body(p, t, 8, true, table, slope, x, y, index);
    else if (table)
        pool_body(p, t, t->n, true, table, slope, x, y, index);
    else if (t->n == 8)
        pool_body(p, t, 8, false, NULL, 0, x, y, index);
    else
        pool_body(p, t, t->n, false, NULL, 0, x, y, index);
}

void CPU_NAME(cpu_maxpool3d_wide)(const cpu_call *c)
{
    const cpu_pool p = cpu_pool_of(c->desc);
    const cpu_map m = cpu_map_of(c->desc, c->in);
    const int64_t rows = cpu_pool_rows(&p), line = p.out[2] * p.c, per_sample = p.out[0] * p.out[1];
    float *y = c->out[0];
    uint8_t *index = c->out[1];
    taps t;
    taps_of(&p, &t);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (rows * line > CPU_SLICE_ELEMS / 8)
    for (int64_t row = 0; row < rows; row++) {
        const float *table = m.lazy ? m.part[0].table + row / per_sample * m.part[0].table_step : NULL;
        const float *x = m.part[0].x + cpu_pool_first_row(&p, row) * p.in[2] * p.c;
        pool_row(&p, &t, table, m.slope, x, y + row * line, index + row * line);
    }
}

typedef enum put { PUT, PUT_ADD, PUT_STREAM } put; /* =, +=, = past the caches */

/* Writes one row of voxels of dx, whose indices in their windows are k, k + 1, ... along x. `how` is a
 * constant in every call. */
__attribute__((always_inline)) static inline void
spread_body(const cpu_pool *p, int32_t k, put how, const float *dy, const uint8_t *index, float *dx)
{
    for (int64_t ox = 0; ox < p->out[2]; ox++, dy += p->c, index += p->c)
        for (int32_t kx = 0; kx < p->k[2]; kx++, dx += p->c)
            for (int64_t c = 0; c < p->c; c += CPU_VL) {
                const cpu_ivec here = cpu_iload_bytes(index + c) == k + kx;
                const cpu_vec g = cpu_select(here, cpu_load(dy + c), (cpu_vec){0});
                if (how == PUT_STREAM)
                    cpu_stream(dx + c, g);
                else
                    cpu_store(dx + c, how == PUT_ADD ? cpu_load(dx + c) + g : g);
            }
}

/* Writes the rows of voxels under one row of windows, one row after the other. Writing long runs of memory
 * gains more than reading dy again from cache costs. */
static void spread_row(const cpu_pool *p, put how, const float *dy, const uint8_t *index, float *dx)
{
    int32_t k = 0;
    for (int64_t kz = 0; kz < p->k[0]; kz++)
        for (int64_t ky = 0; ky < p->k[1]; ky++, k += (int32_t)p->k[2]) {
            float *to = dx + (kz * p->in[1] + ky) * p->in[2] * p->c;
            switch (how) {
            case PUT: spread_body(p, k, PUT, dy, index, to); break;
            case PUT_ADD: spread_body(p, k, PUT_ADD, dy, index, to); break;
            case PUT_STREAM: spread_body(p, k, PUT_STREAM, dy, index, to); break;
            }
        }
}

void CPU_NAME(cpu_maxpool3d_wide_dx)(const cpu_call *c)
{
    const cpu_pool p = cpu_pool_of(c->desc);
    const int64_t rows = cpu_pool_rows(&p), line = p.out[2] * p.c;
    const bool stream = cpu_stream_pays(u3d_type_bytes(&c->desc->out[0]));
    const put how = c->desc->accumulate & 1 ? PUT_ADD : stream ? PUT_STREAM : PUT;
    const float *dy = c->in[0];
    const uint8_t *index = c->in[1];
    float *dx = c->out[0];
#pragma omp parallel num_threads(c->threads) if (rows * line > CPU_SLICE_ELEMS / 8)
    {
#pragma omp for schedule(static) nowait
        for (int64_t row = 0; row < rows; row++)
            spread_row(&p, how, dy + row * line, index + row * line,
                       dx + cpu_pool_first_row(&p, row) * p.in[2] * p.c);
        cpu_stream_end();
    }
}

const char *CPU_NAME(cpu_maxpool3d_wide_refuses)(const u3d_op_desc *d)
{
    const char *reason = cpu_pool_refuses(d);
    if (reason) return reason;
    return d->in[0].dim[4] % CPU_VL != 0 ? "channels do not fill vectors" : NULL;
}
