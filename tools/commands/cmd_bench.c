/* u3d bench: measures the peak of the machine, then one inference tile and one training iteration of a
 * network. With --scaling, both passes are measured again for other numbers of threads and other input sizes.
 *
 * Each pass is timed --repeat times; the best and the median time are reported. GFLOP/s count the arithmetic
 * of a direct convolution, no matter which implementation runs. */
#include <string.h>

#include "engine/base/mem.h"
#include "net/model/unet3d.h"
#include "tools/bench/bench.h"
#include "tools/commands/commands.h"

enum { SIZES = 4, SMALL_EDGE = 64 };

/* Measures both passes with one number of threads and one input size. `f` is scratch space for one pass. */
static u3d_status step_run(const args *a, const u3d_config *c, int32_t threads, figures *f, bench_step *s)
{
    *s = (bench_step){.threads = threads};
    memcpy(s->in, c->patch, sizeof s->in);
    U3D_TRY(bench_pass(a, PASS_INFER, c, threads, f));
    s->infer_s = f->best;
    s->infer_gflop = f->gflop;
    s->infer_bytes = f->peak_bytes;
    U3D_TRY(bench_pass(a, PASS_TRAIN, c, threads, f));
    s->train_s = f->best;
    s->train_gflop = f->gflop;
    s->train_bytes = f->peak_bytes;
    return U3D_OK;
}

static bench_step step_known(const bench_results *r)
{
    bench_step s = {.threads = r->peak->threads,
                    .infer_s = r->infer->best,
                    .train_s = r->train->best,
                    .infer_gflop = r->infer->gflop,
                    .train_gflop = r->train->gflop,
                    .infer_bytes = r->infer->peak_bytes,
                    .train_bytes = r->train->peak_bytes};
    memcpy(s.in, r->peak->config.patch, sizeof s.in);
    return s;
}

/* Measures with 1, 2, 4 ... threads, and adds the results for all threads, which are known already. */
static u3d_status scale_threads(const args *a, figures *f, bench_results *r)
{
    const int32_t all = r->peak->threads;
    for (int32_t n = 1; n < all && r->n_threads < BENCH_MAX_STEPS - 1; n *= 2)
        U3D_TRY(step_run(a, &r->peak->config, n, f, &r->threads[r->n_threads++]));
    r->threads[r->n_threads++] = step_known(r);
    return U3D_OK;
}

/* Measures at smaller input sizes, and adds the results for the full input. The sizes are even steps per
 * axis, from 64 voxels (or half of an axis with at most 64) up to the input, each rounded up to a legal
 * size. */
static u3d_status scale_sizes(const args *a, figures *f, bench_results *r)
{
    u3d_config c = r->peak->config;
    const int64_t *to = r->peak->config.patch;
    for (int64_t i = 0; i < SIZES - 1; i++) {
        int64_t want[3], in[3];
        for (int axis = 0; axis < 3; axis++) {
            const int64_t from = to[axis] > SMALL_EDGE ? SMALL_EDGE : (to[axis] + 1) / 2;
            want[axis] = from + (to[axis] - from) * i / (SIZES - 1);
        }
        u3d_unet3d_legal_size(&c, want, in);
        const int64_t *before = r->n_sizes > 0 ? r->sizes[r->n_sizes - 1].in : NULL;
        if (memcmp(in, to, sizeof in) == 0 || (before && memcmp(in, before, sizeof in) == 0)) continue;
        memcpy(c.patch, in, sizeof in);
        U3D_TRY(step_run(a, &c, 0, f, &r->sizes[r->n_sizes++]));
    }
    r->sizes[r->n_sizes++] = step_known(r);
    return U3D_OK;
}

static u3d_status measure(const args *a, figures *f, bench_results *r)
{
    figures *peak = &f[PASS_PEAK], *infer = &f[PASS_INFER], *train = &f[PASS_TRAIN], *spare = train + 1;
    *r = (bench_results){.peak = peak, .infer = infer, .train = train};
    U3D_TRY(bench_pass(a, PASS_PEAK, NULL, 0, peak));
    U3D_TRY(bench_pass(a, PASS_INFER, &peak->config, 0, infer));
    U3D_TRY(bench_pass(a, PASS_TRAIN, &peak->config, 0, train));
    if (!a->scaling) return U3D_OK;
    U3D_TRY(scale_threads(a, spare, r));
    return scale_sizes(a, spare, r);
}

u3d_status cmd_bench(const args *a)
{
    u3d_status status = U3D_E_NOMEM;
    bench_results *r = u3d_new(1, sizeof *r);
    figures *f = r ? u3d_new(PASS_TRAIN + 2, sizeof *f) : NULL;
    if (f) status = measure(a, f, r);
    if (status == U3D_OK && a->json)
        status = bench_print_json(a, r);
    else if (status == U3D_OK)
        bench_print(a, r);
    u3d_free(f);
    u3d_free(r);
    return status;
}
