/* The table of all ops' implementations; like every file here, it is compiled once per instruction set. */
#include "backends/cpu/cpu_impl.h"

#define LIST(id, text) extern const cpu_entry CPU_NAME(cpu_##id)[];
U3D_OP_LIST(LIST)
#undef LIST

extern const cpu_entry *const CPU_NAME(cpu_list)[U3D_OP_COUNT];

#define LIST(id, text) [U3D_OP_##id] = CPU_NAME(cpu_##id),
const cpu_entry *const CPU_NAME(cpu_list)[U3D_OP_COUNT] = {U3D_OP_LIST(LIST)};
