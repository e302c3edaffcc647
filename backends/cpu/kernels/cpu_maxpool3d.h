/* What the two implementations of max pooling share: "wide" for channel counts that fill vectors
 * (cpu_maxpool3d_wide.c) and "plain" for all (cpu_maxpool3d.c). */
#ifndef U3D_CPU_MAXPOOL3D_H
#define U3D_CPU_MAXPOOL3D_H

#include "backends/cpu/kernels/cpu_slice.h"

typedef struct cpu_pool {
    int64_t n, in[3], out[3], k[3], c; /* z, y, x */
} cpu_pool;

static inline cpu_pool cpu_pool_of(const u3d_op_desc *d)
{
    const bool back = d->op == U3D_OP_MAXPOOL3D_DX;
    const u3d_type *big = back ? &d->out[0] : &d->in[0], *small = back ? &d->in[0] : &d->out[0];
    cpu_pool p = {.n = big->dim[0], .c = big->dim[4]};
    for (int a = 0; a < 3; a++) {
        p.in[a] = big->dim[1 + a];
        p.out[a] = small->dim[1 + a];
        p.k[a] = d->attr.conv.kernel[a];
    }
    return p;
}

/* The number of rows of windows, over n, oz and oy. */
static inline int64_t cpu_pool_rows(const cpu_pool *p)
{
    return p->n * p->out[0] * p->out[1];
}

/* The first row of voxels under a row of windows: that of (n, oz*KD, oy*KH). */
static inline int64_t cpu_pool_first_row(const cpu_pool *p, int64_t row)
{
    int64_t oy = row % p->out[1], oz = row / p->out[1] % p->out[0], n = row / p->out[1] / p->out[0];
    return (n * p->in[0] + oz * p->k[0]) * p->in[1] + oy * p->k[1];
}

static inline const char *cpu_pool_refuses(const u3d_op_desc *d)
{
    const int32_t *k = d->attr.conv.kernel;
    if ((int64_t)k[0] * k[1] * k[2] > 256)
        return "a window of more than 256 voxels, whose index does not fit into u8";
    return d->op == U3D_OP_MAXPOOL3D ? cpu_refuse_accumulate(d) : NULL;
}

const char *CPU_NAME(cpu_maxpool3d_wide_refuses)(const u3d_op_desc *d);
void CPU_NAME(cpu_maxpool3d_wide)(const cpu_call *c);
void CPU_NAME(cpu_maxpool3d_wide_dx)(const cpu_call *c);

#endif
