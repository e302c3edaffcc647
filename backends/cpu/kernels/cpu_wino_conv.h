/* Convolution by Winograd's minimal filtering: forward, or the gradient of the input. */
#ifndef U3D_CPU_WINO_CONV_H
#define U3D_CPU_WINO_CONV_H

#include "backends/cpu/kernels/cpu_wino.h"

typedef struct cpu_wino_conv {
    cpu_map map;     /* the input                                                        */
    int64_t size[3]; /* of the output                                                    */
    int64_t pad[3], co;
    int m[3];           /* outputs per tile                                              */
    cpu_conv_weights w; /* step[3] is along the map's channels, step[4] along the output's */
    const float *bias;  /* [co] or NULL                                                  */
    float *y;
    bool accumulate;
    bool gather;    /* the moments of y are wanted */
    float *moments; /* [S, 2, co]                  */
    bool per_instance;
} cpu_wino_conv;

uint64_t CPU_NAME(cpu_wino_conv_work)(const cpu_wino_conv *c, int threads);
void CPU_NAME(cpu_wino_conv_run)(const cpu_wino_conv *c, void *work, int threads);

#endif
