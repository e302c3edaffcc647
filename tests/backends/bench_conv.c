/* Speed of the CPU's convolutions: bench_conv [ISA [THREADS [REPEATS [NET [IMPL [LAYER [DIRECTION]]]]]]]
 *
 * Measures every layer of the paper's network (NET "paper", the default, with its tile of 132 x 132 x 116) or
 * of a small network with same padding (NET "small") in the three directions. Prints the time, GFLOP/s and
 * percentage of the FMA peak of each layer, and at the end the sums of each direction. IMPL ("" for none)
 * forces an implementation on the layers that it accepts. LAYER ("-" for all) and DIRECTION (forward, dx, dw)
 * select what is measured.
 *
 * The best of REPEATS runs counts; inputs are not zero. There are two ways to measure:
 *   one thread     processor time, compared with the best peak of many tries; other work on the machine has
 *                  little influence
 *   more threads   wall time, compared with the peak measured just before the layer; needs an idle machine
 *
 * This is not a test: it can only fail if memory is short. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "backends/cpu/cpu_impl.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"

typedef struct layer {
    const char *name;
    int64_t batch, ci, co, out[3]; /* out: x, y, z of the output */
    int32_t kernel, pad;
    bool up, first; /* first: no gradient to the input is needed */
} layer;

static const layer paper[] = {{"e0a", 1, 3, 32, {130, 130, 114}, 3, 0, false, true},
                              {"e0b", 1, 32, 64, {128, 128, 112}, 3, 0, false, false},
                              {"e1a", 1, 64, 64, {62, 62, 54}, 3, 0, false, false},
                              {"e1b", 1, 64, 128, {60, 60, 52}, 3, 0, false, false},
                              {"e2a", 1, 128, 128, {28, 28, 24}, 3, 0, false, false},
                              {"e2b", 1, 128, 256, {26, 26, 22}, 3, 0, false, false},
                              {"e3a", 1, 256, 256, {11, 11, 9}, 3, 0, false, false},
                              {"e3b", 1, 256, 512, {9, 9, 7}, 3, 0, false, false},
                              {"up2", 1, 512, 512, {18, 18, 14}, 2, 0, true, false},
                              {"d2a", 1, 768, 256, {16, 16, 12}, 3, 0, false, false},
                              {"d2b", 1, 256, 256, {14, 14, 10}, 3, 0, false, false},
                              {"up1", 1, 256, 256, {28, 28, 20}, 2, 0, true, false},
                              {"d1a", 1, 384, 128, {26, 26, 18}, 3, 0, false, false},
                              {"d1b", 1, 128, 128, {24, 24, 16}, 3, 0, false, false},
                              {"up0", 1, 128, 128, {48, 48, 32}, 2, 0, true, false},
                              {"d0a", 1, 192, 64, {46, 46, 30}, 3, 0, false, false},
                              {"d0b", 1, 64, 64, {44, 44, 28}, 3, 0, false, false},
                              {"head", 1, 64, 3, {44, 44, 28}, 1, 0, false, false},
                              {NULL, 0, 0, 0, {0}, 0, 0, false, false}};

static const layer small[] = {{"e0a", 2, 1, 16, {40, 56, 40}, 3, 1, false, true},
                              {"e0b", 2, 16, 16, {40, 56, 40}, 3, 1, false, false},
                              {"e1a", 2, 16, 32, {20, 28, 20}, 3, 1, false, false},
                              {"e1b", 2, 32, 32, {20, 28, 20}, 3, 1, false, false},
                              {"e2a", 2, 32, 64, {10, 14, 10}, 3, 1, false, false},
                              {"e2b", 2, 64, 64, {10, 14, 10}, 3, 1, false, false},
                              {"up1", 2, 64, 32, {20, 28, 20}, 2, 0, true, false},
                              {"d1a", 2, 64, 32, {20, 28, 20}, 3, 1, false, false},
                              {"up0", 2, 32, 16, {40, 56, 40}, 2, 0, true, false},
                              {"d0a", 2, 32, 16, {40, 56, 40}, 3, 1, false, false},
                              {"head", 2, 16, 3, {40, 56, 40}, 1, 0, false, false},
                              {NULL, 0, 0, 0, {0}, 0, 0, false, false}};

enum { DIRECTIONS = 3 };
static const char *const direction_name[DIRECTIONS] = {"forward", "dx", "dw"};

typedef struct sum {
    double flop, seconds, peak_seconds; /* peak_seconds: the time that the work takes at the FMA peak */
} sum;

static void describe(const layer *l, int direction, u3d_op_desc *d)
{
    int64_t in[3], out[3];
    const int32_t stride = l->up ? l->kernel : 1;

    memset(d, 0, sizeof *d);
    for (int a = 0; a < 3; a++) {
        out[a] = l->out[2 - a];
        in[a] = l->up ? out[a] / l->kernel : out[a] + l->kernel - 1 - 2 * l->pad;
        d->attr.conv.kernel[a] = l->kernel;
        d->attr.conv.stride[a] = stride;
        d->attr.conv.pad[a] = l->pad;
    }
    const u3d_type x = u3d_type_map(l->batch, in, l->ci), y = u3d_type_map(l->batch, out, l->co);
    const u3d_type w = u3d_type_f32(5, (const int64_t[]){l->kernel, l->kernel, l->kernel, l->ci, l->co});
    const u3d_type bias = u3d_type_f32(1, &l->co);
    d->op = (u3d_op)((l->up ? U3D_OP_UPCONV3D : U3D_OP_CONV3D) + direction);
    d->n_in = direction == 0 ? 3 : 2;
    d->n_out = direction == 2 ? 2 : 1;
    d->in[0] = direction == 1 ? y : x;
    d->in[1] = direction == 2 ? y : w;
    d->in[2] = bias;
    d->out[0] = direction == 0 ? y : direction == 1 ? x : w;
    d->out[1] = bias;
}

/* Memory with huge pages if the machine allows them, like the memory of a plan. */
static void *huge_new(uint64_t bytes)
{
    enum { HUGE_PAGE = 2 << 20 };
    void *p = aligned_alloc(HUGE_PAGE, (bytes + 64 + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (p) madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

/* Numbers of both signs that are neither zero nor denormal. */
static float *filled(const u3d_type *t)
{
    const int64_t n = u3d_type_elems(t);
    float *p = huge_new((uint64_t)n * sizeof *p);
    uint32_t state = 1;
    for (int64_t i = 0; p && i < n; i++) {
        state = state * 1664525U + 1013904223U;
        p[i] = (float)(int32_t)state / 2147483648.0F + 0.01F;
    }
    return p;
}

static double now(int threads)
{
    struct timespec t;

    if (threads > 1) return u3d_clock();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The FMA peak to compare with, in FLOP/s. */
static double peak_now(const cpu_isa *isa, int threads)
{
    enum { TRIES = 20 };
    static double best;

    if (threads > 1) return isa->peak_flops(threads);
    if (best > 0) return best;
    for (int i = 0; i < TRIES; i++) {
        const double peak = isa->peak_flops(1);
        if (peak > best) best = peak;
    }
    return best;
}

/* The implementation named `impl` if it accepts the op; otherwise the one that the backend would choose. */
static const cpu_entry *pick(const cpu_entry *list, const u3d_op_desc *d, const char *impl)
{
    const cpu_entry *first = NULL;
    for (const cpu_entry *e = list; e->name; e++) {
        if (e->refuses && e->refuses(d)) continue;
        if (!first || (e->cost && first->cost && e->cost(d) < first->cost(d))) first = e;
        if (impl && strcmp(impl, e->name) == 0) return e;
    }
    return first;
}

static int bench(const cpu_isa *isa, const layer *l, int direction, int threads, int repeats,
                 const char *impl, sum *total)
{
    u3d_op_desc d;
    describe(l, direction, &d);
    const cpu_entry *e = pick(isa->list[d.op], &d, impl);
    cpu_call c = {.desc = &d, .threads = threads};
    uint64_t best_work = 0;
    int rc = 1;

    if (e->work) e->work(&d, threads, &c.work_bytes, &best_work);
    c.work = huge_new(c.work_bytes);
    for (int i = 0; i < d.n_in; i++) c.in[i] = filled(&d.in[i]);
    for (int i = 0; i < d.n_out; i++) c.out[i] = filled(&d.out[i]);
    bool ready = c.work != NULL;
    for (int i = 0; i < d.n_in; i++) ready = ready && c.in[i];
    for (int i = 0; i < d.n_out; i++) ready = ready && c.out[i];
    if (ready) {
        const int64_t taps = (int64_t)l->kernel * l->kernel * l->kernel;
        const int64_t voxels =
            u3d_type_elems(&(u3d_type){.rank = 3, .dim = {l->out[0], l->out[1], l->out[2]}});
        const double flop = 2.0 * (double)(l->batch * voxels * l->ci * l->co * (l->up ? 1 : taps));
        const double peak = peak_now(isa, threads);
        double best = 1e30;
        for (int i = 0; i <= repeats; i++) { /* the first run warms up */
            const double start = now(threads);
            e->run(&c);
            const double seconds = now(threads) - start;
            if (i > 0 && seconds < best) best = seconds;
        }
        printf("%-5s %4ld -> %-4ld %-8s %-11s %9.2f ms %7.1f GFLOP/s %4.0f %% of %.0f, work %.1f MB\n",
               l->name, (long)l->ci, (long)l->co, direction_name[direction], e->name, best * 1e3,
               flop / best * 1e-9, 100.0 * flop / best / peak, peak * 1e-9, (double)c.work_bytes * 1e-6);
        total->flop += flop;
        total->seconds += best;
        total->peak_seconds += flop / peak;
        rc = 0;
    }
    for (int i = 0; i < d.n_in; i++) free((void *)c.in[i]);
    for (int i = 0; i < d.n_out; i++) free(c.out[i]);
    free(c.work);
    return rc;
}

int main(int argc, char **argv)
{
    const int threads = argc > 2 ? atoi(argv[2]) : 2, repeats = argc > 3 ? atoi(argv[3]) : 3;
    const layer *net = argc > 4 && strcmp(argv[4], "small") == 0 ? small : paper;
    const cpu_isa *isa;
    sum total[DIRECTIONS] = {{0}};

    if (cpu_isa_pick(argc > 1 ? argv[1] : NULL, &isa) != U3D_OK || threads < 1 || repeats < 1) {
        fprintf(stderr, "usage: bench_conv [ISA [THREADS [REPEATS [NET [IMPL [LAYER [DIRECTION]]]]]]]: %s\n",
                u3d_error_text());
        return 2;
    }
    for (int direction = 0; direction < DIRECTIONS; direction++)
        for (const layer *l = net; l->name; l++)
            if (!(l->first && direction == 1) &&
                !(argc > 6 && strcmp(argv[6], l->name) != 0 && strcmp(argv[6], "-") != 0) &&
                !(argc > 7 && strcmp(argv[7], direction_name[direction]) != 0) &&
                bench(isa, l, direction, threads, repeats, argc > 5 && *argv[5] ? argv[5] : NULL,
                      &total[direction]) != 0) {
                fprintf(stderr, "bench_conv: %s\n", u3d_error_text());
                return 5;
            }
    for (int i = 0; i < DIRECTIONS; i++)
        printf("%s, %d thread(s): %-8s %7.3f s, %6.1f GFLOP/s, %3.0f %% of peak\n", isa->name, threads,
               direction_name[i], total[i].seconds, total[i].flop / total[i].seconds * 1e-9,
               100.0 * total[i].peak_seconds / total[i].seconds);
    return 0;
}
