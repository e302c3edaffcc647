/* --net auto: a network that suits the data, the memory and the time, by nnU-Net's rules as far as they carry
 * over to a CPU (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z; nnunetv2, get_pool_and_conv_props). The
 * settings that do not depend on data, memory and time are the preset "auto" (net/config/config_preset.c).
 *
 *   slices   if voxels are more than PLANAR times as long along one axis as along both others, the network
 *            convolves and pools only within slices
 *   patch    the size of the median volume, at most MAX_VOXELS_* voxels, rounded up to a length that the
 *            poolings divide. If labels are sparse, the edges are SPARSE_SHARE of the volume's, and fewer
 *            patches are centred on foreground (SPARSE_FOREGROUND_SHARE). A network of slices gets a single,
 *            whole slice.
 *   levels   an axis is pooled while at least MIN_EDGE voxels remain along it. An axis whose voxels are at
 *            least twice as long as the shortest waits, with a kernel of 1, until the others have caught up.
 *   width    the widest of WIDTHS with which WANTED_ITERATIONS of one patch fit into the time
 *   batch    2 if WANTED_ITERATIONS still fit with it, otherwise 1
 *   time     a smaller patch if even the narrowest network makes fewer than LEAST_ITERATIONS
 *   memory   the patch, and then the width, shrinks until the plan fits
 *
 * Keys that the user set keep their values, and the other keys are fitted around them. */
#include "net/model/autoplan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/run/optim.h"
#include "engine/plan/plan.h"
#include "net/model/unet3d.h"

/* ---- everything to tune ---- */

static const int64_t MAX_VOXELS_CPU = 64 * 64 * 64, MAX_VOXELS_GPU = 128 * 128 * 128; /* of a patch */
enum { MIN_EDGE = 4, MAX_POOLS = 5 };
static const int64_t WIDTHS[] = {32, 24, 16};
/* Measured on 32 training cases of hippocampus that were set apart, at equal time: mean Dice was 0.884
 * with base 16 after 8564 iterations and 0.882 with base 32 after 2813; it was 0.879 both after 4379
 * iterations of two patches and after 4321 of one. */
static const double WANTED_ITERATIONS = 5000;
/* If fewer iterations than this fit, the narrowest network gets better with smaller patches and more
 * updates. */
static const double LEAST_ITERATIONS = 1200;
/* Edges of the patch as a share of the volume's edges if labels are sparse. In a patch that shows the whole
 * volume a same-padded network can tell where the annotated slices are, and learns nothing away from them. */
static const double SPARSE_SHARE = 0.6;
/* Share of the patches that are centred on foreground if labels are sparse. Annotated slices go through the
 * structures, so labelled background away from the structures is rare already. Measured on 32 training cases
 * of hippocampus that were set apart, with one slice per orientation, four minutes of one core and one seed:
 * mean Dice 0.850 and HD95 2.7 mm with a share of 0.33 (0.854 and 2.7 mm with 0.1), but 0.839 and 6.0 mm with
 * the 0.67 that is used for dense labels. */
static const double SPARSE_FOREGROUND_SHARE = 0.33;
/* Thick slices say little about each other, a network that looks along them does three times the work, and
 * several of them in a patch are worth less than as many more iterations with one. Measured on 14 cardiac
 * volumes of 1.5x1.5x8 mm, ten minutes of one core, mean Dice on six volumes of other patients:
 * net/RESULTS.md. */
static const double PLANAR = 3;
static const int64_t PLANAR_MAX_WIDTH = 128;          /* channels */
static const double PLANAR_WANTED_ITERATIONS = 10000; /* one slice per patch is little */
static const int64_t LEAST_VOXELS = 32 * 32 * 32; /* the time never makes a patch smaller than about this */
static const double TIME_WITHOUT_LIMIT_S = 3600;

/* ---- reasons, for people ---- */

typedef struct reasons {
    char *text;
    u3d_status status;
} reasons;

static void say(reasons *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(reasons *r, const char *fmt, ...)
{
    char line[400];
    va_list args;
    if (r->status != U3D_OK) return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    char *longer = u3d_format("%s%s\n", r->text ? r->text : "", line);
    u3d_free(r->text);
    r->text = longer;
    if (!longer) r->status = U3D_E_NOMEM;
}

typedef struct fixed_keys {
    const char *const *set; /* "key=value" */
    int n;
} fixed_keys;

static bool is_fixed(const fixed_keys *f, const char *key)
{
    return u3d_config_sets(f->set, f->n, key);
}

/* ---- patch and levels ---- */

/* The axis across the slices of thick-sliced volumes: its voxels are more than PLANAR times as long as those
 * along both other axes. -1: there is none. */
static int planar_axis(const u3d_config *c, const double spacing[3])
{
    if (u3d_config_across(c) >= 0) return -1; /* a 2D network has chosen its slices */
    for (int a = 0; a < 3; a++)
        if (spacing[a] > PLANAR * spacing[(a + 1) % 3] && spacing[a] > PLANAR * spacing[(a + 2) % 3])
            return a;
    return -1;
}

/* Chooses the axes to be pooled next, never `planar`. `size` and `spacing` are those of the patch at the
 * current level. Returns false if no axis is to be pooled. */
static bool next_pool(const int64_t size[3], const double spacing[3], int planar, bool pool[3])
{
    double finest = INFINITY;
    int n = 0;
    for (int a = 0; a < 3; a++) {
        pool[a] = size[a] >= 2 * MIN_EDGE && a != planar;
        if (pool[a]) finest = fmin(finest, spacing[a]);
    }
    for (int a = 0; a < 3; a++) {
        pool[a] = pool[a] && spacing[a] < 2.0 * finest;
        n += pool[a];
    }
    for (int a = 0; a < 3; a++) /* one axis alone is pooled only if 3 * MIN_EDGE voxels or more remain */
        if (n == 1 && pool[a] && size[a] < 3 * MIN_EDGE) n = 0;
    return n > 0;
}

/* Chooses kernels and poolings for a patch; an axis of one voxel keeps a kernel of 1. */
static void choose_levels(u3d_config *c, const int64_t patch[3], const double spacing[3], const fixed_keys *f)
{
    const int planar = planar_axis(c, spacing);
    bool keep_kernel = is_fixed(f, "kernel"), keep_pool = is_fixed(f, "pool"), pool[3];
    int64_t size[3], most = is_fixed(f, "levels") ? c->levels : MAX_POOLS + 1;
    double step[3];
    int32_t kernel[3] = {1, 1, 1};
    memcpy(size, patch, sizeof size);
    memcpy(step, spacing, sizeof step);
    int level = 0;
    for (;; level++) {
        double finest = INFINITY;
        for (int a = 0; a < 3; a++)
            if (patch[a] > 1 && a != planar) finest = fmin(finest, step[a]);
        for (int a = 0; a < 3; a++)
            if (patch[a] > 1 && a != planar && step[a] < 2.0 * finest) kernel[a] = 3;
        if (!keep_kernel) memcpy(c->kernel[level], kernel, sizeof kernel);
        if (level + 1 >= most) break;
        if (!next_pool(size, step, planar, pool)) {
            if (!is_fixed(f, "levels")) break;
            for (int a = 0; a < 3; a++) /* the user wants more levels: the patch is rounded up for them */
                pool[a] = patch[a] > 1 && a != planar;
        }
        for (int a = 0; a < 3; a++) {
            int32_t factor = keep_pool ? c->pool[level][a] : pool[a] ? 2 : 1;
            c->pool[level][a] = factor;
            size[a] = (size[a] + factor - 1) / factor;
            step[a] *= factor;
        }
    }
    c->levels = level + 1;
}

static int64_t voxels(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

/* A patch of about the volume's shape with at most `most` voxels. It is shortened step by step along the axis
 * that is the longest in world units. A network of slices gets one slice, whole if possible. */
static void bounded_patch(const u3d_config *c, const u3d_data_facts *facts, int64_t most, int64_t patch[3])
{
    const int planar = planar_axis(c, facts->spacing);
    const double share = facts->sparse && planar < 0 ? SPARSE_SHARE : 1.0;
    for (int a = 0; a < 3; a++) {
        patch[a] = (int64_t)llround(facts->size[a] * share);
        if (patch[a] < 1 || a == u3d_config_across(c)) patch[a] = 1;
    }
    if (planar >= 0) patch[planar] = 1;
    while (voxels(patch) > most) {
        int longest = 0;
        for (int a = 1; a < 3; a++)
            if ((double)patch[a] * facts->spacing[a] > (double)patch[longest] * facts->spacing[longest])
                longest = a;
        if (patch[longest] <= 2 * MIN_EDGE) break;
        patch[longest] -= patch[longest] > 32 ? 8 : 1;
    }
}

/* Patch and levels. If the user set the patch, only the levels are chosen. */
static void choose_patch(u3d_config *c, const u3d_data_facts *facts, int64_t most, const fixed_keys *f)
{
    int64_t want[3];
    if (is_fixed(f, "patch")) {
        memcpy(want, c->patch, sizeof want);
        choose_levels(c, want, facts->spacing, f);
        return;
    }
    bounded_patch(c, facts, most, want);
    choose_levels(c, want, facts->spacing, f);
    u3d_unet3d_legal_size(c, want, c->patch);
}

/* ---- width and memory ---- */

static u3d_status train_graph(const u3d_config *c, const u3d_backend *b, u3d_unet3d *net)
{
    return u3d_unet3d_build(c, b, U3D_MODE_TRAIN, c->batch, c->patch, true, net);
}

static u3d_status iteration_flops(const u3d_config *c, double *flops)
{
    u3d_unet3d net;
    U3D_TRY(train_graph(c, NULL, &net)); /* fusion does not change the count */
    *flops = u3d_graph_flops(net.graph, true);
    u3d_unet3d_done(&net);
    return U3D_OK;
}

/* How many training iterations fit into `seconds` on a device that makes `rate` FLOP/s. */
static u3d_status iterations_in(const u3d_config *c, double rate, double seconds, double *iterations)
{
    double flops;
    U3D_TRY(iteration_flops(c, &flops));
    *iterations = seconds * rate / flops;
    return U3D_OK;
}

static u3d_status choose_width(u3d_config *c, double rate, double seconds, double wanted, const fixed_keys *f)
{
    double iterations = 0.0;
    if (is_fixed(f, "base")) return U3D_OK;
    for (size_t i = 0; i < sizeof WIDTHS / sizeof WIDTHS[0] && iterations < wanted; i++) {
        c->base = WIDTHS[i];
        U3D_TRY(iterations_in(c, rate, seconds, &iterations));
    }
    return U3D_OK;
}

/* Chooses patch, width and batch so that enough iterations fit into the time. *most: largest number of voxels
 * of a patch, lowered if the time demands it. */
static u3d_status fit_time(u3d_config *c, const u3d_data_facts *facts, int64_t *most, double rate,
                           double time_s, const fixed_keys *f, reasons *why)
{
    const double seconds = time_s > 0.0 ? time_s : TIME_WITHOUT_LIMIT_S;
    const double wanted = planar_axis(c, facts->spacing) >= 0 ? PLANAR_WANTED_ITERATIONS : WANTED_ITERATIONS;
    double iterations;
    choose_patch(c, facts, *most, f);
    if (!is_fixed(f, "batch")) c->batch = 1;
    U3D_TRY(choose_width(c, rate, seconds, wanted, f));
    U3D_TRY(iterations_in(c, rate, seconds, &iterations));
    if (!is_fixed(f, "batch") && iterations >= 2 * wanted) {
        c->batch = 2;
        iterations /= 2;
    }
    while (!is_fixed(f, "patch") && iterations < LEAST_ITERATIONS && LEAST_VOXELS < *most) {
        *most = *most * 3 / 4;
        choose_patch(c, facts, *most, f);
        U3D_TRY(iterations_in(c, rate, seconds, &iterations));
    }
    say(why, "patch: %lldx%lldx%lld for a median volume of %.0fx%.0fx%.0f voxels of %.3gx%.3gx%.3g",
        (long long)c->patch[2], (long long)c->patch[1], (long long)c->patch[0], facts->size[2],
        facts->size[1], facts->size[0], facts->spacing[2], facts->spacing[1], facts->spacing[0]);
    say(why, "width: base %lld, batch %lld, about %.0f iterations in %.0f s%s", (long long)c->base,
        (long long)c->batch, iterations, seconds, time_s > 0.0 ? "" : " (no time limit was given)");
    return U3D_OK;
}

/* Bytes of activations with the smallest workspaces, and of the parameter blocks. */
static u3d_status needed_bytes(const u3d_config *c, u3d_backend *b, uint64_t *bytes)
{
    u3d_plan *plan = NULL;
    u3d_unet3d net;
    const u3d_plan_opts tight = {.least_work = true};
    U3D_TRY(train_graph(c, b, &net));
    u3d_status status = u3d_plan_new(b, net.graph, &tight, &plan);
    /* 9 blocks: values, gradients, two moments and average, and copies of all except the gradients while a
     * checkpoint is written */
    if (status == U3D_OK)
        *bytes = u3d_plan_peak_bytes(plan) + 9 * 4 * (uint64_t)u3d_graph_param_count(net.graph);
    u3d_plan_free(plan);
    u3d_unet3d_done(&net);
    return status;
}

/* Shrinks the patch, and then the width, until training fits into nine tenths of the memory. */
static u3d_status fit_memory(u3d_config *c, const u3d_data_facts *facts, int64_t most, uint64_t cap,
                             u3d_backend *b, const fixed_keys *f, reasons *why)
{
    uint64_t bytes;
    U3D_TRY(needed_bytes(c, b, &bytes));
    if (cap == 0 || bytes <= cap / 10 * 9) return U3D_OK;
    while (bytes > cap / 10 * 9) {
        if (!is_fixed(f, "patch") && most > 16 * 16 * 16) {
            most = most * 3 / 4;
            choose_patch(c, facts, most, f);
        } else if (!is_fixed(f, "base") && c->base > 8) {
            c->base -= 4;
        } else {
            return U3D_OK; /* training plans its memory again and reports how much is missing */
        }
        U3D_TRY(needed_bytes(c, b, &bytes));
    }
    say(why, "memory: patch %lldx%lldx%lld and base %lld, so that training fits into %.2f GB",
        (long long)c->patch[2], (long long)c->patch[1], (long long)c->patch[0], (long long)c->base,
        (double)cap / 1e9);
    return U3D_OK;
}

/* ---- all together ---- */

static void say_levels(const u3d_config *c, bool planar, reasons *why)
{
    int64_t edge[3];
    bool waits = false;
    memcpy(edge, c->patch, sizeof edge);
    for (int level = 0; level + 1 < c->levels; level++)
        for (int a = 0; a < 3; a++) {
            edge[a] /= c->pool[level][a];
            waits = waits || (c->pool[level][a] == 1 && c->patch[a] > 1 && level == 0);
        }
    say(why, "levels: %lld, down to %lldx%lldx%lld voxels%s", (long long)c->levels, (long long)edge[2],
        (long long)edge[1], (long long)edge[0],
        planar  ? "; slices are thick, so each is segmented on its own"
        : waits ? "; an axis that has coarse voxels, or few voxels, is not pooled at first"
                : "");
}

u3d_status u3d_autoplan(u3d_config *c, const u3d_data_facts *facts, int n_labels, const char *const *set,
                        int n_set, uint64_t memory_cap, double time_s, double flops, u3d_backend *b,
                        char **why)
{
    const fixed_keys f = {set, n_set};
    reasons r = {NULL, U3D_OK};
    u3d_caps caps;
    *why = NULL;
    u3d_backend_caps(b, &caps);
    int64_t most = caps.gpu ? MAX_VOXELS_GPU : MAX_VOXELS_CPU;
    if (!caps.host_memory && caps.mem_bytes > 0) memory_cap = caps.mem_bytes;

    u3d_status status;
    if (c->padding == U3D_PAD_VALID && !is_fixed(&f, "deep_supervision")) {
        c->deep_supervision = U3D_DEEP_OFF;
        say(&r, "deep supervision: off, because with valid convolutions the coarser levels have no labels");
    }
    if (facts->sparse && !is_fixed(&f, "foreground_share")) {
        c->foreground_share = SPARSE_FOREGROUND_SHARE;
        say(&r, "patches: %.0f %% of them centred on a foreground label, because labels are sparse",
            100 * SPARSE_FOREGROUND_SHARE);
    }
    if (planar_axis(c, facts->spacing) >= 0 && !is_fixed(&f, "max_width")) c->max_width = c->base > PLANAR_MAX_WIDTH ? c->base : PLANAR_MAX_WIDTH;
    c->labels = n_labels;
    c->channels = facts->channels;
    U3D_GO(fit_time(c, facts, &most, flops > 0 ? flops : caps.train_flops, time_s, &f, &r));
    U3D_GO(fit_memory(c, facts, most, memory_cap, b, &f, &r));
    say_levels(c, planar_axis(c, facts->spacing) >= 0, &r);
    status = r.status;
done:
    if (status == U3D_OK)
        *why = r.text;
    else
        u3d_free(r.text);
    return status;
}
