/* The Winograd implementations of the convolution ops: "winograd-f4" and "winograd-f2", named after the most
 * outputs that a tile has along an axis. conv serves conv3d and conv3d_dx; dw serves conv3d_dw. */
#ifndef U3D_CPU_WINO_OPS_H
#define U3D_CPU_WINO_OPS_H

#include "backends/cpu/cpu_impl.h"

#define CPU_WINO_ENTRY(op, f)                                                                                \
    {                                                                                                        \
        .name = "winograd-f" #f, .refuses = CPU_NAME(cpu_wino_refuses_f##f),                                 \
        .work = CPU_NAME(cpu_wino_##op##_work_f##f), .run = CPU_NAME(cpu_wino_##op##_f##f),                  \
        .cost = CPU_NAME(cpu_wino_##op##_cost_f##f)                                                          \
    }

#define CPU_WINO_DECLARE(op, f)                                                                              \
    void CPU_NAME(cpu_wino_##op##_work_f##f)(const u3d_op_desc *d, int threads, uint64_t *min,               \
                                             uint64_t *best);                                                \
    void CPU_NAME(cpu_wino_##op##_f##f)(const cpu_call *c);                                                  \
    double CPU_NAME(cpu_wino_##op##_cost_f##f)(const u3d_op_desc *d);

const char *CPU_NAME(cpu_wino_refuses_f4)(const u3d_op_desc *d);
const char *CPU_NAME(cpu_wino_refuses_f2)(const u3d_op_desc *d);
CPU_WINO_DECLARE(conv, 4)
CPU_WINO_DECLARE(conv, 2)
CPU_WINO_DECLARE(dw, 4)
CPU_WINO_DECLARE(dw, 2)

#endif
