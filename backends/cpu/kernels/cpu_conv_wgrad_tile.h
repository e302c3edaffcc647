/* The micro-kernel of the weight gradients that read both maps in place (cpu_conv_wgrad_few.c and
 * cpu_conv_wgrad_blocks.c), and the sum over slices at their end. */
#ifndef U3D_CPU_CONV_WGRAD_TILE_H
#define U3D_CPU_CONV_WGRAD_TILE_H

#include "backends/cpu/kernels/cpu_conv_impl.h"

enum {
    CPU_TILE_P = CPU_TILE_ROWS,
    CPU_TILE_PANEL = 2 * CPU_VL
};

typedef struct cpu_tile {
    const float *a, *b;      /* data of the first position                  */
    int64_t rows, positions; /* positions per row                           */
    int64_t a_step, b_step;  /* floats from one position to the next        */
    int64_t a_row, b_row;    /* floats from one row to the next             */
    float *sum;              /* [np][sum_step]                              */
    int64_t sum_step;
} cpu_tile;

/* sum[np][nv vectors] += sum over positions of a[np] * b[nv vectors]; every call has constant np and nv. */
__attribute__((always_inline)) static inline void cpu_tile_body(int np, const cpu_tile *t, int nv)
{
    cpu_vec acc[CPU_TILE_P][2];
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) acc[p][0] = acc[p][1] = (cpu_vec){0};

    for (int64_t r = 0; r < t->rows; r++) {
        const float *a = t->a + r * t->a_row, *b = t->b + r * t->b_row;
        for (int64_t k = 0; k < t->positions; k++, a += t->a_step, b += t->b_step) {
            const cpu_vec b0 = cpu_load(b), b1 = nv == 2 ? cpu_load(b + CPU_VL) : b0;
#pragma GCC unroll 16
            for (int p = 0; p < np; p++) {
                const cpu_vec av = cpu_set1(a[p]);
                acc[p][0] += av * b0;
                if (nv == 2) acc[p][1] += av * b1;
            }
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < np; p++) {
        float *s = t->sum + p * t->sum_step;
        cpu_store(s, cpu_load(s) + acc[p][0]);
        if (nv == 2) cpu_store(s + CPU_VL, cpu_load(s + CPU_VL) + acc[p][1]);
    }
}

__attribute__((always_inline)) static inline void cpu_tile_switch(const cpu_tile *t, int64_t np, int nv)
{
    CPU_SWITCH_ROWS(np, cpu_tile_body, t, nv);
}

/* np is at most CPU_TILE_P. `lanes` lanes of b are left: the tile uses two vectors of them if there are that
 * many, otherwise one. */
static inline void cpu_tile_run(const cpu_tile *t, int64_t np, int64_t lanes)
{
    if (lanes >= CPU_TILE_PANEL)
        cpu_tile_switch(t, np, 2);
    else
        cpu_tile_switch(t, np, 1);
}

/* Replaces the first of `slices` arrays of n floats, `step` floats apart, by their sum, added in order. */
static inline void cpu_add_slices(float *first, int64_t n, int64_t slices, int64_t step)
{
    for (int64_t s = 1; s < slices; s++)
        for (int64_t i = 0; i < n; i++) first[i] += first[s * step + i];
}

#endif
