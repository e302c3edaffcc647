/* Inside of the CPU backend.
 *
 * Every file in kernels/ is compiled once per instruction set with its own flags: one source, written in
 * plain C and compiler vector types (cpu_vec.h). CPU_NAME(x) gives each copy its suffix (x__avx2, ...).
 * An op has an ordered list of implementations, a plain one that accepts everything last. Which one runs, the
 * first that accepts or the one with the least estimated cost, depends on the description and the instruction
 * set alone, never on the number of threads or a clock.
 *
 * Determinism: work is split into slices whose number and borders do not depend on the number of threads;
 * every output element has one owner; partial sums are added in slice order. */
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
    /* NULL where it takes this description, else the reason in a few words. A NULL function takes everything.
     */
    const char *(*refuses)(const u3d_op_desc *d);
    /* Bytes of workspace; a NULL function needs none. May depend on threads; results may not. */
    void (*work)(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best);
    void (*run)(const cpu_call *c);
    /* Estimated cycles of one core, from description and instruction set alone; constants come from
     * measurements. NULL: none. Of the entries that accept, the first is taken, or a later one with a smaller
     * cost than all before. */
    double (*cost)(const u3d_op_desc *d);
};

/* An instruction set: its name ("scalar" for the portable copy, "avx2", "avx512", "neon"), whether CPU and
 * operating system allow it, and its implementations per op. */
typedef struct cpu_isa {
    const char *name;
    double train_flops; /* of one core, for u3d_caps: avx2 and avx512 measured on Zen 4, the others guesses */
    bool (*usable)(void);
    const cpu_entry *const *list; /* [U3D_OP_COUNT] */
    double (*peak_flops)(int threads);
    double (*peak_bytes)(int threads, float *a, const float *b, const float *c, int64_t n);
} cpu_isa;

const cpu_isa *cpu_isa_at(int i); /* best first; NULL past the end */
u3d_status cpu_isa_pick(const char *name,
                        const cpu_isa **out); /* NULL: best usable; U3D_E_ARG names the usable ones */

#endif
