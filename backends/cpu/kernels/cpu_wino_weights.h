/* Weights in the transformed domain, where they are multiplied, and the gradients of weights made from sums
 * in that domain. */
#ifndef U3D_CPU_WINO_WEIGHTS_H
#define U3D_CPU_WINO_WEIGHTS_H

#include "backends/cpu/kernels/cpu_wino.h"

/* The tile sizes in use, along z, y, x: X(mz, my, mx). */
#define CPU_WINO_SHAPES(X)                                                                                   \
    X(4, 4, 4)                                                                                               \
    X(2, 2, 2)                                                                                               \
    X(1, 4, 4)                                                                                               \
    X(1, 2, 2)                                                                                               \
    X(1, 1, 4)                                                                                               \
    X(1, 1, 2) X(2, 4, 4) X(4, 2, 4) X(4, 4, 2) X(2, 2, 4) X(2, 4, 2) X(4, 2, 2) X(1, 2, 4) X(1, 4, 2)

/* Transformed weights of some output channels: [product][panel][depth][lane], with `step` floats from one
 * product to the next. */
typedef struct cpu_products {
    float *data;
    int64_t depth, cols, panel, step;
    int64_t floats; /* of the whole array */
} cpu_products;

cpu_products CPU_NAME(cpu_wino_products)(const cpu_wino *w, int64_t depth, int64_t cols, float *data);

/* Transforms output channels [co0, co1) of weights whose depth is the channels of `map`. All threads of a
 * parallel region call it together; it ends with a barrier. */
void CPU_NAME(cpu_wino_weights)(const cpu_wino *w, const cpu_conv_weights *from, const cpu_map *map,
                                int64_t co0, int64_t co1, const cpu_products *p);

/* Computes dw[tap][row][0..co) for all taps, or adds to it, from the sums of products that begin at `sums`
 * and are `step` floats apart. dw is [taps, ci, co]. */
void CPU_NAME(cpu_wino_gradients)(const cpu_wino *w, const float *sums, int64_t step, int64_t row, int64_t ci,
                                  int64_t co, float *dw, bool add);

#endif
