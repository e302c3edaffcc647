/* Makes everything that training needs, each thing after what it depends on:
 *
 *   RUN folder -> choice of cases -> cases read -> settings complete -> augmentation -> graphs ->
 *   memory plan -> config.json -> device memory and optimizer -> log.csv -> feeder -> pace
 *
 * The settings come from the defaults, the preset, --set, then labels and channels from the data, then
 * u3d_autoplan for --net auto. A resumed run takes all settings from its checkpoint. */
#include "net/train/train_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/rng.h"
#include "io/path.h"
#include "net/model/autoplan.h"
#include "net/sample/sample.h"

/* HOLD_SHARE of the training volumes is set aside for validation, at least 1 and at most U3D_MAX_HELD. With
 * fewer than MIN_TO_HOLD volumes, all are trained on, because then another training volume is worth more than
 * a validation curve. Training does not need validation, because it selects no weights by it. */
static const double HOLD_SHARE = 0.1;
enum { MIN_TO_HOLD = 5 };

/* Least time that is assumed for reading a volume. The measured time can be too short for later readings,
 * because the files may have been in the system's cache. */
static const double LEAST_VOLUME_S = 0.05;

/* class_weights=auto keeps weights within this factor of 1, because a very rare class with a larger weight
 * would drown the others in noise. */
static const double MAX_CLASS_WEIGHT = 10.0;

/* ---- choice of cases ---- */

static bool is_in(const int *list, int n, int value)
{
    for (int i = 0; i < n; i++)
        if (list[i] == value) return true;
    return false;
}

/* Draws n_held of the training cases with the seed and moves them to the end. The order is otherwise kept. */
static void choose_held(u3d_training *t)
{
    int n = t->n_which, held[U3D_MAX_HELD], used = 0;
    u3d_rng rng = u3d_rng_at(t->state.seed, U3D_RNG_SPLIT, 0);
    while (used < t->n_held) {
        int pick = t->o->train[u3d_rng_below(&rng, n)];
        if (!is_in(held, used, pick)) held[used++] = pick;
    }
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (!is_in(held, used, t->o->train[i])) t->which[kept++] = t->o->train[i];
    for (int i = 0; i < n; i++)
        if (is_in(held, used, t->o->train[i])) t->which[kept++] = t->o->train[i];
}

static u3d_status choose_cases(u3d_training *t)
{
    int n = t->n_which = t->o->n_train;
    if (n < 1)
        return u3d_fail(U3D_E_ARG,
                        "training: no training cases; the split leaves none, or the data set is empty");
    t->which = u3d_new((size_t)n, sizeof *t->which);
    if (!t->which) return U3D_E_NOMEM;
    if (t->state.validate_every >= 0 && n >= MIN_TO_HOLD) {
        long held = lround(HOLD_SHARE * n);
        t->n_held = held < 1 ? 1 : held > U3D_MAX_HELD ? U3D_MAX_HELD : (int)held;
    }
    choose_held(t);
    return t->resumed ? u3d_run_check_cases(t) : U3D_OK;
}

/* ---- cases and settings ---- */

/* Reads the painted labels of each held-out case that is resampled, on the grid of the file. Predictions are
 * compared with these labels, not with resampled ones. */
static u3d_status keep_own_labels(u3d_training *t)
{
    int first = u3d_cases_count(t->cases);
    t->held_own = u3d_new((size_t)t->n_held, sizeof(u3d_volume *));
    if (!t->held_own) return U3D_E_NOMEM;
    for (int i = 0; i < t->n_held; i++)
        if (u3d_cases_is_resampled(t->cases, first + i))
            U3D_TRY(u3d_cases_read_own(t->cases, first + i, &t->held_own[i]));
    return U3D_OK;
}

static u3d_status hold_out(u3d_training *t)
{
    char text[256];
    if (t->n_held > 0) {
        u3d_cases_hold_last(t->cases, t->n_held);
        U3D_TRY(keep_own_labels(t));
        U3D_INFO("train", "%d of %d training volumes are set aside for validation", t->n_held, t->n_which);
        return U3D_OK;
    }
    if (t->state.validate_every < 0) return U3D_OK;
    if (t->n_which > 1) {
        U3D_INFO("train",
                 "no validation: %d volumes are too few (at least %d are needed to set one aside), "
                 "so all are used for training",
                 t->n_which, MIN_TO_HOLD);
        return U3D_OK;
    }
    u3d_status status = u3d_cases_hold_slices(t->cases, HOLD_SHARE, &t->held_slices, text, sizeof text);
    if (status == U3D_E_UNSUPPORTED) {
        U3D_INFO("train", "no validation: %s", u3d_error_text());
        return U3D_OK;
    }
    if (status == U3D_OK) U3D_INFO("train", "validation on annotated slices that are set aside: %s", text);
    return status;
}

/* Keeps the facts about the data in the model, and the spacing that spacing=auto led to. A resumed run finds
 * numbers in place of `auto` and keeps the stored reason for them. */
static void keep_facts(u3d_training *t)
{
    char why[sizeof t->model.facts.spacing_why];
    const u3d_resampling *r = u3d_cases_resampling(t->cases);
    memcpy(why, t->model.facts.spacing_why, sizeof why);
    t->model.facts = *u3d_cases_facts(t->cases);
    if (t->resumed) memcpy(t->model.facts.spacing_why, why, sizeof why);
    if (r->on) u3d_spacing_text(r->spacing, t->model.config.spacing, sizeof t->model.config.spacing);
}

static u3d_status open_cases(u3d_training *t)
{
    u3d_cases_opts co = {.unlabeled_given = t->o->unlabeled_given,
                         .unlabeled = t->o->unlabeled,
                         .dense = t->o->dense,
                         .resample_labels = t->o->resample_labels,
                         .slices_only = u3d_config_across(&t->model.config) >= 0,
                         .across = u3d_config_across(&t->model.config),
                         .memory_cap = u3d_training_memory_cap(t) / 2,
                         .memory_limit = u3d_training_memory_cap(t)};
    if (t->resumed) co.intensity = &t->model.intensity;
    u3d_resampling_of(&t->model.config, &co.resampling);
    const double begin = u3d_clock();
    U3D_TRY(u3d_cases_open(t->o->data, t->which, t->n_which, t->model.config.intensity, &co, &t->cases));
    t->volume_s = fmax((u3d_clock() - begin) / t->n_which, LEAST_VOLUME_S);
    const u3d_labels *labels = u3d_cases_labels(t->cases);
    if (t->resumed &&
        (labels->n != t->model.labels.n ||
         memcmp(labels->value, t->model.labels.value, (size_t)labels->n * sizeof labels->value[0]) != 0))
        return u3d_fail(
            U3D_E_ARG, "resume %s: the data now has %d labels, the run was started with %d; the data changed",
            t->o->out, labels->n, t->model.labels.n);
    if (t->resumed && memcmp(u3d_cases_facts(t->cases)->orientation, t->model.facts.orientation,
                             sizeof t->model.facts.orientation) != 0)
        return u3d_fail(
            U3D_E_ARG,
            "resume %s: the axes of the volumes are oriented differently now, because the data changed or "
            "an earlier version of u3d used axes as stored; start a new run",
            t->o->out);
    t->model.labels = *labels;
    keep_facts(t);
    t->model.intensity = *u3d_cases_intensity(t->cases);
    return hold_out(t);
}

static bool is_set(const u3d_train_opts *o, const char *key)
{
    return u3d_config_sets(o->set, o->n_set, key);
}

/* Sets labels and channels to those of the data. The numbers in a preset are only examples, but a number that
 * the user set must agree with the data. */
static u3d_status fit_to_data(u3d_training *t)
{
    u3d_config *c = &t->model.config;
    int64_t labels = t->model.labels.n, channels = t->model.facts.channels;
    if ((t->resumed || is_set(t->o, "labels")) && c->labels != labels && c->labels != 0)
        return u3d_fail(U3D_E_ARG, "training: labels=%lld was set, but the data has %lld",
                        (long long)c->labels, (long long)labels);
    if ((t->resumed || is_set(t->o, "channels")) && c->channels != channels && c->channels != 0)
        return u3d_fail(U3D_E_ARG, "training: channels=%lld was set, but the images have %lld",
                        (long long)c->channels, (long long)channels);
    if (c->postprocess == U3D_POST_LARGEST && !t->model.labels.background)
        return u3d_fail(
            U3D_E_ARG,
            "postprocess=largest: no label is 0, so there is no background to replace removed components");
    c->labels = labels;
    c->channels = channels;
    return U3D_OK;
}

static const char *net_name(const u3d_train_opts *o)
{
    return o->net ? o->net : "auto";
}

static u3d_status preset_settings(u3d_training *t)
{
    u3d_config_default(&t->model.config);
    U3D_TRY(u3d_config_preset(&t->model.config, net_name(t->o)));
    for (int i = 0; i < t->o->n_set; i++) U3D_TRY(u3d_config_set(&t->model.config, t->o->set[i]));
    return U3D_OK;
}

static u3d_status autoplan(u3d_training *t)
{
    const u3d_train_opts *o = t->o;
    char *why = NULL;
    uint64_t cap = u3d_training_memory_cap(t), volumes = u3d_training_volumes_bytes(t);
    U3D_TRY(u3d_autoplan(&t->model.config, &t->model.facts, t->model.labels.n, o->set, o->n_set,
                         cap > volumes ? cap - volumes : 1, o->time_s, t->backend, &why));
    for (char *line = why, *end; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        U3D_INFO("autoplan", "%.*s", (int)(end - line), line);
        if (*end) end++;
    }
    u3d_free(why);
    return U3D_OK;
}

static u3d_status complete_settings(u3d_training *t)
{
    u3d_config *c = &t->model.config;
    U3D_TRY(fit_to_data(t));
    if (!t->resumed && strcmp(net_name(t->o), "auto") == 0) U3D_TRY(autoplan(t));
    if (!t->resumed) {
        if (t->o->iterations > 0) c->iterations = t->o->iterations;
        t->state.total = t->state.budget_s > 0 ? 0 : c->iterations;
    }
    return u3d_config_check(c);
}

/* ---- class weights ---- */

/* class_weights=auto: the inverse frequency of each class among the labelled voxels that are trained on,
 * scaled to a mean of 1, then limited to 1/MAX_CLASS_WEIGHT .. MAX_CLASS_WEIGHT. A class without a voxel gets
 * 1, which has no effect. */
static void weights_from_frequencies(const u3d_training *t, float *w)
{
    int n = t->model.labels.n, present = 0;
    double sum = 0.0, inverse[U3D_MAX_LABELS];
    for (int k = 0; k < n; k++) {
        int64_t voxels = 0;
        for (int i = 0; i < u3d_cases_count(t->cases); i++) voxels += u3d_cases_voxels(t->cases, i, k);
        inverse[k] = voxels > 0 ? 1.0 / (double)voxels : 0.0;
        sum += inverse[k];
        present += voxels > 0;
    }
    for (int k = 0; k < n; k++) {
        double weight = inverse[k] > 0.0 ? inverse[k] * present / sum : 1.0;
        w[k] = (float)fmin(fmax(weight, 1.0 / MAX_CLASS_WEIGHT), MAX_CLASS_WEIGHT);
    }
}

/* class_weights=1,2.5,2: one number per label. */
static u3d_status weights_from_list(const u3d_training *t, float *w)
{
    const char *text = t->model.config.class_weights;
    char *end = NULL;
    int n = 0;
    for (const char *at = text;; at = end + 1) {
        double value = strtod(at, &end);
        if (end == at || !isfinite(value) || value < 0.0 || n == t->model.labels.n || (*end && *end != ','))
            break;
        w[n++] = (float)value;
        if (*end == '\0' && n == t->model.labels.n) return U3D_OK;
        if (*end == '\0') break;
    }
    return u3d_fail(U3D_E_ARG,
                    "class_weights=%s: expected none, auto, or %d numbers >= 0 (one per label)", text,
                    t->model.labels.n);
}

static u3d_status make_class_weights(u3d_training *t)
{
    int64_t n = t->model.labels.n;
    U3D_TRY(u3d_tensor_new("class_weight", u3d_type_f32(1, &n), &t->class_weight));
    float *w = u3d_tensor_f32(t->class_weight);
    const char *text = t->model.config.class_weights;
    for (int64_t k = 0; k < n; k++) w[k] = 1.0F;
    if (strcmp(text, "auto") == 0)
        weights_from_frequencies(t, w);
    else if (text[0] && strcmp(text, "none") != 0)
        U3D_TRY(weights_from_list(t, w));
    return U3D_OK;
}

/* ---- device ---- */

static void log_heads(const u3d_training *t)
{
    if (t->net.n_heads > 1)
        U3D_INFO(
            "train",
            "deep supervision: losses at %d decoder levels, each with half the weight of the next finer one",
            t->net.n_heads);
    else if (is_set(t->o, "deep_supervision"))
        U3D_INFO("train",
                 "deep supervision: no effect with %lld levels (on needs 4 or more, all needs 3 or more)",
                 (long long)t->model.config.levels);
}

static u3d_status make_graphs(u3d_training *t)
{
    const u3d_config *c = &t->model.config;
    bool skip = t->model.labels.background;
    U3D_TRY(u3d_unet3d_build(c, t->backend, U3D_MODE_TRAIN, c->batch, c->patch, skip, &t->net));
    if (c->deep_supervision != U3D_DEEP_OFF) log_heads(t);
    return u3d_unet3d_build(c, t->backend, U3D_MODE_INFER, 1, c->patch, skip, &t->infer);
}

static u3d_status make_device_state(u3d_training *t)
{
    u3d_predict_opts po = {.step = 0.5, .quiet = true, .stop = t->o->stop};
    U3D_TRY(u3d_params_new(t->backend, t->net.graph, u3d_train_blocks(&t->model.config), t->state.seed,
                           &t->params));
    U3D_TRY(u3d_arena_new(t->backend, (u3d_plan *[]){t->plan, t->infer_plan}, 2, &t->arena));
    U3D_TRY(u3d_exec_new(t->plan, t->params, t->arena, &t->exec));
    U3D_TRY(u3d_exec_new(t->infer_plan, t->params, t->arena, &t->infer_exec));
    U3D_TRY(u3d_predictor_borrow(t->infer_exec, &t->infer, &t->model, &po, &t->predictor));
    if (t->resumed) U3D_TRY(u3d_run_restore(t));
    return u3d_training_set_schedule(t);
}

/* ---- augmentation ---- */

/* Plans the augmentation. The axes that mirror=auto led to are stored in the settings, because prediction
 * with mirrored copies needs them. */
static u3d_status make_augmentation(u3d_training *t)
{
    u3d_config *c = &t->model.config;
    int n = 0;
    U3D_TRY(u3d_augment_plan(c, t->cases, &t->augment));
    for (int axis = 2; axis >= 0; axis--)
        if (t->augment.mirror[axis]) c->mirror[n++] = "zyx"[axis];
    c->mirror[n] = '\0';
    if (n == 0) strcpy(c->mirror, "none");
    return U3D_OK;
}

/* ---- pace ---- */

static void begin_pace(u3d_training *t)
{
    const bool volumes = t->n_held > 0;
    u3d_pace_task task = {.began = t->o->started - t->state.elapsed_s,
                          .budget_s = t->state.budget_s,
                          .resumed = t->o->resume,
                          .batch = t->model.config.batch,
                          .validate_every = t->state.validate_every,
                          .validates = volumes || t->held_slices,
                          .chooses = u3d_training_chooses(t),
                          .n_held = t->n_held,
                          .n_report = t->o->n_report,
                          .report_tiles = u3d_training_report_tiles(t),
                          .volume_s = t->volume_s};
    for (int n = 0; n <= t->n_held; n++) {
        task.validation_tiles[n] = u3d_training_validation_tiles(t, n);
        task.choice_tiles[n] = u3d_training_choice_tiles(t, n);
    }
    u3d_pace_begin(&t->pace, &task, t->state.iteration, t->state.total, u3d_clock());
    if (t->state.total == 0) U3D_INFO("train", "measuring the time of an iteration ...");
}

/* ---- opening and closing ---- */

static u3d_status make_record(u3d_training *t)
{
    t->n_row = 5 + 2 * t->model.labels.n;
    t->row = u3d_new((size_t)t->n_row, sizeof *t->row);
    if (!t->row) return U3D_E_NOMEM;
    return u3d_run_open_log(t);
}

static u3d_status open_fresh(u3d_training *t)
{
    if (t->o->iterations > 0 && t->o->time_s > 0.0)
        return u3d_fail(U3D_E_ARG, "training: give either a number of iterations or a time, not both");
    t->state = (u3d_training_state){.seed = t->o->seed,
                                    .budget_s = t->o->time_s,
                                    .val_dice = NAN,
                                    .val_iou = NAN,
                                    .loss = NAN,
                                    .validate_every = t->o->validate_every};
    return preset_settings(t);
}

u3d_status u3d_training_open(u3d_training *t)
{
    t->lock = -1;
    t->smooth_loss = NAN;
    if (!t->o->resume) U3D_TRY(open_fresh(t));
    U3D_TRY(u3d_run_open(t));
    U3D_TRY(choose_cases(t));
    U3D_TRY(open_cases(t));
    U3D_TRY(complete_settings(t));
    U3D_TRY(make_augmentation(t));
    U3D_TRY(make_graphs(t));
    U3D_TRY(make_class_weights(t));
    U3D_TRY(u3d_training_plan(t));
    U3D_TRY(u3d_run_write_config(t));
    U3D_TRY(make_device_state(t));
    U3D_TRY(make_record(t));
    u3d_feeder_opts fo = u3d_training_feeder_opts(t);
    U3D_TRY(u3d_feeder_open(t->cases, &fo, &t->feeder));
    begin_pace(t);
    return U3D_OK;
}

void u3d_training_close(u3d_training *t)
{
    u3d_feeder_close(t->feeder);
    u3d_csvlog_close(t->log);
    u3d_optim_free(t->optim);
    u3d_predictor_free(t->predictor);
    u3d_exec_free(t->infer_exec);
    u3d_exec_free(t->exec);
    u3d_params_free(t->params);
    u3d_arena_free(t->arena);
    u3d_plan_free(t->infer_plan);
    u3d_plan_free(t->plan);
    u3d_unet3d_done(&t->infer);
    u3d_unet3d_done(&t->net);
    u3d_tensor_free(t->class_weight);
    u3d_volume_free(t->held_slices);
    for (int i = 0; t->held_own && i < t->n_held; i++) u3d_volume_free(t->held_own[i]);
    u3d_free(t->held_own);
    u3d_cases_free(t->cases);
    u3d_checkpoint_free(t->resumed);
    u3d_free(t->which);
    u3d_free(t->row);
    u3d_path_unlock(t->lock);
    u3d_free(t);
}
