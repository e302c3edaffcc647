/* Convolution by Winograd, forward or input gradient. */
#ifndef U3D_CPU_WINO_CONV_H
#define U3D_CPU_WINO_CONV_H

#include "backends/cpu/kernels/cpu_wino.h"

typedef struct cpu_wino_conv {
    cpu_map map;     /* the input                                                       */
    int64_t size[3]; /* of the output                                                   */
    int64_t pad[3], co;
    int m[3];           /* outputs per tile                                             */
    cpu_conv_weights w; /* steps along the map's channels [3] and the output's [4]       */
    const float *bias;  /* [co] or NULL                                                  */
    float *y;
    bool accumulate;
    bool gather;    /* the moments of y    */
    float *moments; /* [S, 2, co]          */
    bool per_instance;
} cpu_wino_conv;

uint64_t CPU_NAME(cpu_wino_conv_work)(const cpu_wino_conv *c, int threads);
void CPU_NAME(cpu_wino_conv_run)(const cpu_wino_conv *c, void *work, int threads);

#endif
