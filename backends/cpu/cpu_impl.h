/* Internals of the CPU backend.
 *
 * Every file in kernels/ is compiled once per instruction set, each time with other compiler flags. The
 * source is plain C with compiler vector types (cpu_vec.h). CPU_NAME(x) gives the names of each copy their
 * suffix (x__avx2, ...).
 *
 * Each op has an ordered list of implementations, of which the last one, "plain", is the most general. The
 * first one that accepts a description runs, unless a later one that also accepts it has a lower estimated
 * cost. This choice depends only on the description and the instruction set, never on the number of threads
 * or on a clock.
 *
 * Results are deterministic: work is split into slices whose number and borders do not depend on the number
 * of threads; every output element has one owner; partial sums are added in slice order. */
#ifndef U3D_CPU_IMPL_H
#define U3D_CPU_IMPL_H

#include "engine/plan/backend.h"

#define CPU_PASTE_(a, b) a##__##b
#define CPU_PASTE(a, b)  CPU_PASTE_(a, b)
#ifdef CPU_ISA /* defined by CMake for kernels/: portable, avx2, avx512 */
#define CPU_NAME(x) CPU_PASTE(x, CPU_ISA)
#endif

typedef struct cpu_entry cpu_entry;

/* One call of an implementation. */
typedef struct cpu_call {
    const u3d_op_desc *desc;
    const void *in[U3D_MAX_IN];
    void *out[U3D_MAX_OUT];
    void *work; /* 64-byte aligned, work_bytes long, contents undefined */
    uint64_t work_bytes;
    int threads;
} cpu_call;

struct cpu_entry {
    const char *name; /* "direct", "plain", ...; NULL ends a list */
    /* Returns NULL if the implementation accepts this description, otherwise the reason in a few words. If
     * the pointer is NULL, every description is accepted. */
    const char *(*refuses)(const u3d_op_desc *d);
    /* Gives the bytes of workspace that are needed and the bytes above which more is useless. If the pointer
     * is NULL, no workspace is needed. The bytes may depend on `threads`, but the results must not. */
    void (*work)(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best);
    void (*run)(const cpu_call *c);
    /* Returns the estimated cycles of one core, computed only from the description and the instruction set
     * with constants that were measured. The pointer is NULL if there is no estimate. An entry replaces an
     * earlier one that also accepts the description only if both have a cost and its own is lower. */
    double (*cost)(const u3d_op_desc *d);
};

/* An instruction set: its name ("scalar" for the portable copy on x86-64, "avx2", "avx512", "neon"), whether
 * the CPU and the operating system support it, and its implementations of every op. */
typedef struct cpu_isa {
    const char *name;
    double train_flops; /* of one core, for u3d_caps; avx2 and avx512 measured on Zen 4, others guessed */
    bool (*usable)(void);
    const cpu_entry *const *list; /* [U3D_OP_COUNT] */
    double (*peak_flops)(int threads);
    double (*peak_bytes)(int threads, float *a, const float *b, const float *c, int64_t n);
} cpu_isa;

const cpu_isa *cpu_isa_at(int i); /* best first; NULL past the end */

/* Finds the instruction set called `name`, or the best usable one if `name` is NULL. Fails with U3D_E_ARG if
 * this machine cannot run it; the message lists the usable ones. */
u3d_status cpu_isa_pick(const char *name, const cpu_isa **out);

#endif
