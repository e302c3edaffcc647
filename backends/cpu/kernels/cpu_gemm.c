/* Small matrix products for Winograd (cpu_gemm in cpu_wino.h): one micro-kernel, which keeps the sums of some
 * rows by one or two vectors of columns in registers while it loops over the depth. */
#include "backends/cpu/kernels/cpu_wino.h"

enum { AHEAD = 1024 }; /* prefetch distance in b, in floats */

/* A tile of n rows by nv vectors; n, nv, transposed and add are constants in every call. */
CPU_INLINE void tile(int n, const cpu_gemm *g, const float *a, const float *b, float *c, int nv,
                     bool transposed, bool add)
{
    cpu_vec acc[CPU_TILE_ROWS][2];
    const int64_t row = transposed ? 1 : g->a_row, step = transposed ? g->a_row : 1;
    const int64_t b_row = transposed ? g->b_row : nv * CPU_VL, c_row = g->c_row;

#pragma GCC unroll 16
    for (int i = 0; i < n; i++) {
        acc[i][0] = acc[i][1] = (cpu_vec){0};
        __builtin_prefetch(c + i * c_row, 1, 3); /* needed after the loop over the depth */
        if (nv == 2) __builtin_prefetch(c + i * c_row + CPU_VL, 1, 3);
    }
    for (int64_t k = 0; k < g->depth; k++, a += step, b += b_row) {
        if (!transposed) { /* weights come from the last-level cache */
            __builtin_prefetch(b + AHEAD, 0, 2);
            if (nv == 2) __builtin_prefetch(b + AHEAD + CPU_VL, 0, 2);
        }
        const cpu_vec b0 = cpu_load(b), b1 = nv == 2 ? cpu_load(b + CPU_VL) : b0;
#pragma GCC unroll 16
        for (int i = 0; i < n; i++) {
            const cpu_vec v = cpu_set1(a[i * row]);
            acc[i][0] += v * b0;
            if (nv == 2) acc[i][1] += v * b1;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) {
        float *to = c + i * c_row;
        cpu_store(to, add ? cpu_load(to) + acc[i][0] : acc[i][0]);
        if (nv == 2) cpu_store(to + CPU_VL, add ? cpu_load(to + CPU_VL) + acc[i][1] : acc[i][1]);
    }
}

CPU_INLINE void rows_switch(const cpu_gemm *g, const float *a, const float *b, float *c, int64_t n, int nv,
                            bool transposed, bool add)
{
    CPU_SWITCH_ROWS(n, tile, g, a, b, c, nv, transposed, add);
}

/* One panel, in groups of rows of almost equal size, so that none is too small to fill the pipeline. */
CPU_INLINE void panel(const cpu_gemm *g, const float *b, float *c, int nv, bool transposed, bool add)
{
    const int64_t groups = cpu_ceil_div(g->rows, CPU_TILE_ROWS);
    for (int64_t i = 0; i < groups; i++) {
        const int64_t r0 = g->rows * i / groups, r1 = g->rows * (i + 1) / groups;
        rows_switch(g, g->a + (transposed ? r0 : r0 * g->a_row), b, c + r0 * g->c_row, r1 - r0, nv,
                    transposed, add);
    }
}

typedef void panel_fn(const cpu_gemm *g, const float *b, float *c);

#define PANEL_FN(name, nv, transposed, add)                                                                  \
    static void name(const cpu_gemm *g, const float *b, float *c)                                            \
    {                                                                                                        \
        panel(g, b, c, nv, transposed, add);                                                                 \
    }
PANEL_FN(narrow, 1, false, false)
PANEL_FN(narrow_sum, 1, true, false)
PANEL_FN(narrow_add, 1, true, true)
PANEL_FN(wide, 2, false, false)
PANEL_FN(wide_sum, 2, true, false)
PANEL_FN(wide_add, 2, true, true)

void CPU_NAME(cpu_gemm_run)(const cpu_gemm *g)
{
    static panel_fn *const table[2][3] = {{narrow, narrow_sum, narrow_add}, {wide, wide_sum, wide_add}};
    const int way = !g->transposed ? 0 : g->add ? 2 : 1;
    for (int64_t j = 0; j < g->cols; j += CPU_PANEL) {
        const float *b = g->transposed ? g->b + j : g->b + j / CPU_PANEL * g->b_panel;
        table[g->cols - j >= CPU_PANEL][way](g, b, g->c + j);
    }
}
