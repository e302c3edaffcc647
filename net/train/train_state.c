/* What follows directly from the state and the options of a run: elapsed time, memory limit, number of
 * workers, options of the feeder, volumes that post-processing looks at, optimizer. This file is the lowest
 * of net/train/: it calls none of the others. */
#include <math.h>
#include <stdio.h>

#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "net/sample/sample.h"
#include "net/train/train_impl.h"
#include "net/volume/tiling.h"

/* Number of threads that prepare batches: GPU_WORKERS with a GPU, and 1 plus one per UNITS_PER_WORKER
 * compute units on a CPU, at most MAX_WORKERS. Preparing a patch with every augmentation takes a tenth of the
 * time of training on it on the same cores, and on a CPU both compete for the cores. */
enum { UNITS_PER_WORKER = 8, MAX_WORKERS = 4, GPU_WORKERS = 4, BATCHES_AHEAD = 2 };

double u3d_training_elapsed(const u3d_training *t)
{
    return t->state.elapsed_s + u3d_clock() - t->o->started;
}

const char *u3d_train_time_to_give(double spent_s, char buf[32])
{
    const double wanted = 2 * spent_s + 30;
    if (wanted < 100)
        (void)snprintf(buf, 32, "%.0fs", ceil(wanted));
    else
        (void)snprintf(buf, 32, "%.0fm", ceil(wanted / 60));
    return buf;
}

uint64_t u3d_training_memory_cap(const u3d_training *t)
{
    if (t->o->memory_cap > 0) return t->o->memory_cap;
    return u3d_mem_machine() / 10 * 9;
}

/* The same for any number of workers, because what batches learn from must not depend on it. */
const int64_t u3d_training_most_ahead = (MAX_WORKERS > GPU_WORKERS ? MAX_WORKERS : GPU_WORKERS) + BATCHES_AHEAD;

int u3d_training_workers(const u3d_training *t)
{
    u3d_caps caps;
    u3d_backend_caps(t->backend, &caps);
    int workers = caps.gpu ? GPU_WORKERS : 1 + caps.compute_units / UNITS_PER_WORKER;
    return workers < MAX_WORKERS ? workers : MAX_WORKERS;
}

u3d_feeder_opts u3d_training_feeder_opts(const u3d_training *t)
{
    const u3d_config *c = &t->model.config;
    int workers = u3d_training_workers(t);
    return (u3d_feeder_opts){.patch = u3d_sample_patch_opts(c, t->cases, t->net.in, t->net.out),
                             .augment = t->augment,
                             .batch = c->batch,
                             .seed = t->state.seed,
                             .first = t->state.iteration,
                             .workers = workers,
                             .depth = workers + BATCHES_AHEAD};
}

int64_t u3d_training_tiles(const u3d_training *t, const int64_t size[3], double step)
{
    u3d_tile *tiles;
    int n;
    bool valid = t->model.config.padding == U3D_PAD_VALID;
    if (u3d_tiling_make(size, t->infer.in, t->infer.out, valid, step, &tiles, &n) != U3D_OK) return 0;
    u3d_free(tiles);
    return n;
}

int u3d_training_n_choose(const u3d_training *t)
{
    if (t->model.config.postprocess != U3D_POST_AUTO || !t->model.labels.background) return 0;
    if (t->n_held >= U3D_MIN_TO_CHOOSE) return t->n_held;
    if (!t->model.facts.sparse || t->held_slices) return 0;
    return u3d_cases_count(t->cases) < U3D_MAX_HELD ? u3d_cases_count(t->cases) : U3D_MAX_HELD;
}

int u3d_training_chosen(const u3d_training *t, int j)
{
    const int n = u3d_cases_count(t->cases);
    return t->n_held >= U3D_MIN_TO_CHOOSE ? n + j : (int)((int64_t)j * n / u3d_training_n_choose(t));
}

/* ---- optimizer ---- */

u3d_optim_opts u3d_train_optim_opts(const u3d_config *c, int64_t total)
{
    u3d_optim_opts o = {.kind = c->optimizer,
                        .schedule = c->schedule,
                        .lr = c->lr,
                        .momentum = c->momentum,
                        .beta1 = c->momentum,
                        .beta2 = c->beta2,
                        .eps = 1e-8,
                        .weight_decay = c->weight_decay,
                        .nesterov = c->nesterov,
                        .clip_norm = c->clip_norm,
                        .warmup_steps = c->warmup,
                        .total_steps = total,
                        .step_size = c->step_size,
                        .step_gamma = c->step_gamma,
                        .average = c->average};
    if (total > 0 && o.warmup_steps > total / 10) o.warmup_steps = total / 10;
    if (total == 0) { /* The total is not known yet, so the learning rate must not depend on it. */
        o.schedule = U3D_LR_CONSTANT;
        o.total_steps = INT64_MAX;
    }
    return o;
}

uint32_t u3d_train_blocks(const u3d_config *c)
{
    u3d_optim_opts o = u3d_train_optim_opts(c, 1);
    return u3d_optim_blocks(&o) | 1U << U3D_BLOCK_VALUE | 1U << U3D_BLOCK_GRAD;
}

u3d_status u3d_training_set_schedule(u3d_training *t)
{
    u3d_optim_opts o = u3d_train_optim_opts(&t->model.config, t->state.total);
    int64_t steps = t->optim ? u3d_optim_steps(t->optim) : t->state.iteration;
    u3d_optim_free(t->optim);
    t->optim = NULL;
    U3D_TRY(u3d_optim_new(t->params, &o, &t->optim));
    u3d_optim_set_steps(t->optim, steps);
    if (t->state.total > 0)
        t->progress = u3d_progress_begin("training", t->state.iteration, t->state.total, t->o->bar);
    return U3D_OK;
}
