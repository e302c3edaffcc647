/* Which instruction sets this build contains and which of them this machine can run.
 *
 * kernels/ is compiled once per row of the table below. A row is usable if the processor has the instructions
 * and the operating system saves the registers (__builtin_cpu_supports checks both). The portable copy uses
 * what every processor of the architecture has: SSE2 on x86-64, where the copy is called "scalar" for want of
 * a better word, and NEON on ARM64. */
#include "backends/cpu/cpu_impl.h"

#include <stdio.h>
#include <string.h>

/* COPY declares what one copy of kernels/ exports; ROW is its row in the table. */
#define COPY(isa)                                                                                            \
    extern const cpu_entry *const cpu_list__##isa[U3D_OP_COUNT];                                             \
    double cpu_peak_flops__##isa(int threads);                                                               \
    double cpu_peak_bytes__##isa(int threads, float *a, const float *b, const float *c, int64_t n);
#define ROW(name, train_flops, usable, isa)                                                                  \
    {                                                                                                        \
        name, train_flops, usable, cpu_list__##isa, cpu_peak_flops__##isa, cpu_peak_bytes__##isa             \
    }

COPY(portable)

static bool always(void)
{
    return true;
}

#ifdef CPU_X86
COPY(avx2)
COPY(avx512)

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* Checks for the AVX-512 subsets for which CMakeLists.txt compiles. Intel's servers have all of them since
 * Skylake, AMD's processors since Zen 4. */
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && has_avx2();
}
#endif

static const cpu_isa isas[] = {
#ifdef CPU_X86
    ROW("avx512", 200e9, has_avx512, avx512),
    ROW("avx2", 180e9, has_avx2, avx2),
#endif
#ifdef __aarch64__
    ROW("neon", 40e9, always, portable),
#else
    ROW("scalar", 20e9, always, portable),
#endif
};

const cpu_isa *cpu_isa_at(int i)
{
    return i >= 0 && (size_t)i < sizeof isas / sizeof isas[0] ? &isas[i] : NULL;
}

u3d_status cpu_isa_pick(const char *name, const cpu_isa **out)
{
    *out = NULL;
    char usable[64] = "";
    const cpu_isa *isa;
    for (int i = 0; (isa = cpu_isa_at(i)) != NULL; i++) {
        if (!isa->usable()) continue;
        if (!name || strcmp(name, isa->name) == 0) {
            *out = isa;
            return U3D_OK;
        }
        size_t used = strlen(usable);
        snprintf(usable + used, sizeof usable - used, "%s%s", used ? ", " : "", isa->name);
    }
    return u3d_fail(U3D_E_ARG, "U3D_CPU_ISA=%s: this build or machine does not support it; usable here: %s",
                    name, usable);
}
