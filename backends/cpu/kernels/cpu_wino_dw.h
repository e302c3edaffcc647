/* Gradients of a convolution's weights and bias by Winograd's minimal filtering. */
#ifndef U3D_CPU_WINO_DW_H
#define U3D_CPU_WINO_DW_H

#include "backends/cpu/kernels/cpu_wino.h"

typedef struct cpu_wino_dw {
    cpu_map map;     /* the input                                                  */
    const float *dy; /* [N, size, co]                                              */
    int64_t size[3], pad[3], co;
    int m[3];  /* outputs per tile                                                 */
    float *dw; /* [taps, channels of the map, co]                                  */
    bool accumulate;
    float *db; /* [co]; NULL: not wanted                                           */
    bool accumulate_db;
} cpu_wino_dw;

uint64_t CPU_NAME(cpu_wino_dw_work)(const cpu_wino_dw *c, int threads);
void CPU_NAME(cpu_wino_dw_run)(const cpu_wino_dw *c, void *work, int threads);

#endif
