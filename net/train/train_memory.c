/* Plans the peak memory of a run before training starts.
 *
 *   program     code, libraries, threads and their stacks
 *   parameters  values, gradients, moments, average (device)
 *   arena       activations and workspaces: the larger of training and inference (device)
 *   feeder      batches that are prepared ahead
 *   cases       volumes kept in memory, volumes that are being read and resampled, and pseudo-labels
 *   passing     the larger of a checkpoint (copies of values, moments, average, pseudo-labels) and a validation (one
 *               tile, the planes that are being stitched, the predicted classes)
 *   opening     the first reading of the largest case, plus the volumes kept in memory
 *   trial       measuring the speed, plus those volumes
 *
 * The host's peak is `program` plus the largest of `opening` and `trial`, which come first, and the sum of the
 * other parts. The memory of a GPU is counted and limited separately: it holds parameters, arena and staging
 * buffers for inputs. */
#include "net/train/train_impl.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/footprint.h"

/* Memory of training in addition to that of the program: threads that prepare batches, the log, buffers of
 * file readers. Measured with a tiny network. */
static const uint64_t TRAINING_BYTES = 15000000;

typedef struct footprint { /* bytes */
    uint64_t program, params, arena, feeder, cases, opening, trial, checkpoint, validation;
    uint64_t staging; /* on a device with its own memory; otherwise 0 */
} footprint;

static uint64_t largest_param(const u3d_graph *g)
{
    uint64_t largest = 0;
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++) {
        const u3d_value *value = u3d_graph_value(g, v);
        uint64_t bytes = u3d_type_bytes(&value->type);
        if (value->role == U3D_ROLE_PARAM && bytes > largest) largest = bytes;
    }
    return largest;
}

/* Bytes of the predicted classes of case i and, if it was resampled, of resampling back to its own grid. */
static uint64_t own_grid_bytes(const u3d_training *t, int i)
{
    const int64_t *size = u3d_cases_own_size(t->cases, i);
    const uint64_t voxels = (uint64_t)(size[0] * size[1] * size[2]);
    u3d_planes_back_opts bo = {.labels = (int32_t)t->model.config.labels};
    if (!u3d_cases_is_resampled(t->cases, i)) return voxels;
    memcpy(bo.from, u3d_cases_size(t->cases, i), sizeof bo.from);
    memcpy(bo.to, size, sizeof bo.to);
    return voxels + u3d_planes_back_bytes(&bo);
}

static uint64_t validation_bytes(const u3d_training *t)
{
    const u3d_config *c = &t->model.config;
    u3d_type in = u3d_type_map(1, t->infer.in, c->channels), out = u3d_type_map(1, t->infer.out, c->labels);
    uint64_t most = 0;
    const bool too = c->pseudo_labels == U3D_SWITCH_ON || u3d_training_n_choose(t) > t->n_held;
    int n = u3d_cases_count(t->cases),
        first = t->n_held > 0 && !too ? n : 0; /* too: training cases as well */
    int last = t->held_slices ? n : n + t->n_held;
    for (int i = first; i < last; i++) {
        const int64_t *size = u3d_cases_size(t->cases, i);
        u3d_stitch_opts so = {.labels = (int32_t)c->labels};
        memcpy(so.volume, size, sizeof so.volume);
        memcpy(so.net_out, t->infer.out, sizeof so.net_out);
        uint64_t bytes = u3d_stitch_bytes(&so) + own_grid_bytes(t, i);
        if (u3d_training_n_choose(t) > 0) bytes += (uint64_t)(size[0] * size[1] * size[2]); /* a copy */
        if (bytes > most) most = bytes;
    }
    return most + u3d_type_bytes(&in) + u3d_type_bytes(&out);
}

uint64_t u3d_training_volumes_bytes(const u3d_training *t)
{
    uint64_t bytes = u3d_cases_resident_bytes(t->cases) +
                     (uint64_t)(u3d_training_workers(t) + 1) * u3d_cases_loading_bytes(t->cases);
    for (int i = 0; t->held_own && i < t->n_held; i++)
        if (t->held_own[i]) bytes += (uint64_t)u3d_volume_voxels(t->held_own[i]);
    return bytes + u3d_training_pseudo_bytes(t);
}

static footprint footprint_of(const u3d_training *t, uint64_t arena)
{
    const u3d_graph *g = t->net.graph;
    uint32_t blocks = u3d_train_blocks(&t->model.config);
    u3d_feeder_opts fo = u3d_training_feeder_opts(t);
    u3d_caps caps;
    u3d_backend_caps(t->backend, &caps);
    return (footprint){.program = u3d_footprint_program(t->backend) + TRAINING_BYTES,
                       .params = u3d_footprint_params(t->backend, g, blocks),
                       .arena = arena,
                       .feeder = u3d_feeder_bytes(&fo, (int32_t)t->model.config.channels),
                       .cases = u3d_training_volumes_bytes(t),
                       .opening = u3d_cases_resident_bytes(t->cases) + u3d_cases_opening_bytes(t->cases),
                       .trial = t->trial_bytes + u3d_cases_resident_bytes(t->cases),
                       .checkpoint = u3d_params_planned_bytes(g, blocks & ~(1U << U3D_BLOCK_GRAD)) +
                                     largest_param(g) + u3d_training_pseudo_bytes(t),
                       .validation = validation_bytes(t),
                       .staging = caps.host_memory ? 0 : u3d_footprint_tensors(t->backend, g)};
}

static uint64_t host_bytes(const footprint *f, bool device_apart)
{
    uint64_t passing = f->checkpoint > f->validation ? f->checkpoint : f->validation;
    uint64_t training = f->feeder + f->cases + passing + (device_apart ? 0 : f->params + f->arena);
    uint64_t before = f->opening;
    if (!device_apart && f->trial > before) before = f->trial;
    return f->program + (training > before ? training : before);
}

/* ---- what would fit ---- */

/* Bytes of temporaries for a patch and a batch. Nodes are recomputed in the backward pass until the bytes are
 * within `available` or cannot be reduced further. Returns 0 if the network cannot be planned. */
static uint64_t temporaries(const u3d_training *t, const int64_t patch[3], int64_t batch, uint64_t available)
{
    u3d_unet3d net;
    u3d_recomputed again = {0};
    if (u3d_unet3d_build(&t->model.config, t->backend, U3D_MODE_TRAIN, batch, patch,
                         t->model.labels.background, &net) != U3D_OK)
        return 0;
    if (u3d_graph_recompute(net.graph, t->backend, available > 0 ? available : 1, &again) != U3D_OK)
        again.peak = 0;
    u3d_unet3d_done(&net);
    return again.peak;
}

/* Describes the first choice that fits: first the batch is halved down to 1, then the patch shrinks step by
 * step. */
static void describe_fit(const u3d_training *t, uint64_t available, char *text, size_t cap)
{
    int64_t patch[3], want[3];
    memcpy(patch, t->net.in, sizeof patch);
    (void)snprintf(text, cap, "allow more with --memory or choose a smaller --set base");
    for (int64_t batch = t->model.config.batch;;) {
        uint64_t bytes = temporaries(t, patch, batch, available);
        if (bytes > 0 && bytes <= available) {
            (void)snprintf(text, cap, "--set patch=%lldx%lldx%lld --set batch=%lld would fit",
                           (long long)patch[2], (long long)patch[1], (long long)patch[0], (long long)batch);
            return;
        }
        if (batch > 1) {
            batch /= 2;
            continue;
        }
        int64_t before[3];
        memcpy(before, patch, sizeof before);
        for (int axis = 0; axis < 3; axis++) want[axis] = patch[axis] * 3 / 4;
        u3d_unet3d_legal_size(&t->model.config, want, patch);
        if (memcmp(before, patch, sizeof before) == 0) return; /* the smallest patch of this network */
    }
}

static u3d_status too_much(const u3d_training *t, const footprint *f, uint64_t needed, uint64_t allowed,
                           const char *memory)
{
    char fit[128];
    uint64_t rest = needed - f->arena;
    describe_fit(t, allowed > rest ? allowed - rest : 0, fit, sizeof fit);
    return u3d_fail(
        U3D_E_NOMEM,
        "training needs %.2f GB of %s, but only %.2f GB are allowed (patch %lldx%lldx%lld, batch %lld); %s",
        (double)needed / 1e9, memory, (double)allowed / 1e9, (long long)t->net.in[2], (long long)t->net.in[1],
        (long long)t->net.in[0], (long long)t->model.config.batch, fit);
}

/* ---- the plan ---- */

static u3d_status plan_graphs(u3d_training *t, uint64_t arena_cap)
{
    u3d_recomputed again;
    U3D_TRY(u3d_net_plan(&t->net, t->backend, arena_cap, &t->plan, &again));
    return u3d_net_plan(&t->infer, t->backend, arena_cap, &t->infer_plan, &again);
}

static void log_footprint(const u3d_training *t, const footprint *f, bool device_apart)
{
    const int64_t *in = t->net.in, *out = t->net.out;
    U3D_INFO("train",
             "patch %lldx%lldx%lld -> %lldx%lldx%lld, batch %lld, %lld parameters, %.1f GFLOP per iteration",
             (long long)in[2], (long long)in[1], (long long)in[0], (long long)out[2], (long long)out[1],
             (long long)out[0], (long long)t->model.config.batch,
             (long long)u3d_graph_param_count(t->infer.graph), u3d_graph_flops(t->net.graph, true) / 1e9);
    U3D_INFO(
        "train",
        "peak %.2f GB planned: activations %.2f, parameters %.2f, volumes %.2f, batches %.2f, "
        "checkpoint or validation %.2f, program %.2f%s",
        (double)t->peak_planned / 1e9, (double)f->arena / 1e9, (double)f->params / 1e9,
        (double)f->cases / 1e9, (double)f->feeder / 1e9,
        (double)(f->checkpoint > f->validation ? f->checkpoint : f->validation) / 1e9,
        (double)f->program / 1e9,
        device_apart
            ? "; activations and parameters are in device memory; the driver needs more in addition"
            : "");
}

u3d_status u3d_training_plan(u3d_training *t)
{
    u3d_caps caps;
    u3d_backend_caps(t->backend, &caps);
    bool apart = !caps.host_memory;
    footprint f = footprint_of(t, 0);
    uint64_t cap = u3d_training_memory_cap(t);
    uint64_t allowed = u3d_footprint_cap(t->backend, apart ? t->o->memory_cap : cap);
    uint64_t rest = apart ? f.params + f.staging : host_bytes(&f, false);
    uint64_t arena_cap = allowed == 0 ? 0 : allowed > rest ? allowed - rest : 1;

    u3d_status status = plan_graphs(t, arena_cap);
    if (status == U3D_E_NOMEM) {
        f.arena = temporaries(t, t->net.in, t->model.config.batch, arena_cap);
        return too_much(t, &f, rest + f.arena, allowed, apart ? "device memory" : "memory");
    }
    if (status != U3D_OK) return status;
    uint64_t train = u3d_plan_peak_bytes(t->plan), infer = u3d_plan_peak_bytes(t->infer_plan);
    f.arena = train > infer ? train : infer;
    t->peak_planned = host_bytes(&f, apart);
    t->device_planned = apart ? rest + f.arena : 0;
    log_footprint(t, &f, apart);
    if (apart && cap > 0 && t->peak_planned > cap)
        return u3d_fail(U3D_E_NOMEM,
                        "training needs %.2f GB of host memory besides the device memory, but only %.2f GB are allowed",
                        (double)t->peak_planned / 1e9, (double)cap / 1e9);
    return U3D_OK;
}
