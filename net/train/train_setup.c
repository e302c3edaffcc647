/* Makes everything that training needs, each thing after what it depends on:
 *
 *   RUN folder locked -> choice of cases -> cases read -> settings complete -> augmentation -> graphs ->
 *   memory plan -> device memory and optimizer -> feeder -> time budget checked ->
 *   the run begins, because nothing is left that could be refused: an earlier run is moved away ->
 *   config.json -> log.csv -> pace
 *
 * The settings come from the defaults, the preset, --set, then labels and channels from the data, then
 * u3d_autoplan for --net auto. A resumed run takes all settings from its checkpoint, a fold of a
 * cross-validation from the plan that all folds share. */
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
#include "net/model/footprint.h"
#include "net/sample/sample.h"

/* Least time that is assumed for reading a volume. The measured time can be too short for later readings,
 * because the files may have been in the system's cache. */
static const double LEAST_VOLUME_S = 0.05;

/* With less time, --net auto relies on the backend's estimate of its speed. An iteration that takes more than
 * MEASURING_SHARE of the time is made only once. */
static const double LEAST_TIME_TO_MEASURE_S = 30, MEASURING_SHARE = 0.01;

/* class_weights=auto keeps weights within this factor of 1, because a very rare class with a larger weight
 * would drown the others in noise. */
static const double MAX_CLASS_WEIGHT = 10.0;

/* ---- cases and settings ---- */

/* Whether settings and label table are known already: from the checkpoint, or from a plan. */
static bool is_planned(const u3d_training *t)
{
    return t->resumed || t->o->plan;
}

/* Keeps the facts about the data in the model, and the spacing that spacing=auto led to. A run that is
 * resumed or planned finds numbers in place of `auto` and keeps the stored reason for them. */
static void keep_facts(u3d_training *t)
{
    char why[sizeof t->model.facts.spacing_why];
    const u3d_resampling *r = u3d_cases_resampling(t->cases);
    memcpy(why, t->model.facts.spacing_why, sizeof why);
    t->model.facts = *u3d_cases_facts(t->cases);
    if (is_planned(t)) memcpy(t->model.facts.spacing_why, why, sizeof why);
    if (r->on) u3d_spacing_text(r->spacing, t->model.config.spacing, sizeof t->model.config.spacing);
}

/* `deadline`: when reading is given up, as in u3d_cases_opts. */
static u3d_status open_cases(u3d_training *t, double deadline)
{
    u3d_cases_opts co = {.unlabeled_given = t->o->unlabeled_given,
                         .unlabeled = t->o->unlabeled,
                         .background_given = t->o->background_given,
                         .background = t->o->background,
                         .dense = t->o->dense,
                         .resample_labels = t->o->resample_labels,
                         .slices_only = u3d_config_slices_only(&t->model.config),
                         .plane = u3d_config_across(&t->model.config) >= 0,
                         .across = u3d_config_across(&t->model.config),
                         .deadline = deadline,
                         .failed = &t->failed_case,
                         .labels = is_planned(t) ? &t->model.labels : NULL,
                         .stats = is_planned(t) ? &t->model.intensity : NULL,
                         .memory_cap = u3d_training_memory_cap(t) / 2,
                         .memory_limit = u3d_training_memory_cap(t)};
    u3d_resampling_of(&t->model.config, &co.resampling);
    U3D_TRY(u3d_cases_probe(t->o->data, t->which, t->n_which));
    const double begin = u3d_clock();
    U3D_TRY(u3d_cases_open(t->o->data, t->which, t->n_which, t->model.config.intensity, &co, &t->cases));
    t->volume_s = fmax((u3d_clock() - begin) / t->n_which, LEAST_VOLUME_S);
    const u3d_labels *labels = u3d_cases_labels(t->cases);
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
    return U3D_OK;
}

static bool is_set(const u3d_train_opts *o, const char *key)
{
    return u3d_config_sets(o->set, o->n_set, key);
}

/* Pseudo-labels are background, so there must be one. */
static void settle_pseudo_labels(u3d_training *t)
{
    u3d_config *c = &t->model.config;
    if (c->pseudo_labels == U3D_SWITCH_ON && !t->model.labels.background) {
        U3D_WARN("train",
                 "pseudo_labels=on has no effect, because no label is the background (see --background)");
        c->pseudo_labels = U3D_SWITCH_OFF;
    }
    if (c->pseudo_labels != U3D_SWITCH_AUTO) return;
    u3d_config_settle_pseudo(c, t->model.facts.sparse, t->model.labels.background);
    if (c->pseudo_labels == U3D_SWITCH_ON)
        U3D_INFO("train",
                 "pseudo-labels: on, because labels are sparse; after %.0f %% of the run, what prediction and "
                 "annotation agree to be background becomes a label",
                 100 * c->pseudo_start);
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
            "postprocess=largest: no label is the background, which would replace removed components; if one "
            "is, say which one with --background V");
    c->labels = labels;
    c->channels = channels;
    settle_pseudo_labels(t);
    return U3D_OK;
}

static const char *net_name(const u3d_train_opts *o)
{
    return o->net ? o->net : "auto";
}

static u3d_status preset_settings(u3d_training *t)
{
    if (t->o->plan) return u3d_training_take_plan(t);
    u3d_config_default(&t->model.config);
    U3D_TRY(u3d_config_preset(&t->model.config, net_name(t->o)));
    for (int i = 0; i < t->o->n_set; i++) U3D_TRY(u3d_config_set(&t->model.config, t->o->set[i]));
    return U3D_OK;
}

/* Measures the speed of the network that is planned; 0 if that is not possible or decides nothing. */
static u3d_status measure_speed(u3d_training *t, uint64_t cap, double *flops)
{
    const u3d_train_opts *o = t->o;
    u3d_caps caps;
    *flops = 0;
    if (o->time_s < LEAST_TIME_TO_MEASURE_S || (is_set(o, "base") && is_set(o, "patch"))) return U3D_OK;
    u3d_backend_caps(t->backend, &caps);
    if (!caps.host_memory) cap = u3d_footprint_cap(t->backend, o->memory_cap);
    u3d_status status = u3d_config_check(&t->model.config);
    if (status == U3D_OK)
        status = u3d_training_speed(&t->model.config, t->backend, cap, MEASURING_SHARE * o->time_s, flops,
                                    &t->trial_bytes);
    if (status == U3D_E_CANCELLED || status == U3D_E_DEVICE) return status;
    if (status == U3D_OK)
        U3D_INFO("autoplan", "speed: %.0f GFLOP/s, measured with base %lld", *flops / 1e9,
                 (long long)t->model.config.base);
    else
        U3D_INFO("autoplan", "speed: not measured; %s", u3d_error_text());
    return U3D_OK;
}

/* Plans, measures the speed of that network, and plans again with it. */
static u3d_status plan_by_speed(u3d_training *t, uint64_t cap, char **why)
{
    const u3d_train_opts *o = t->o;
    const u3d_config before = t->model.config;
    double flops;
    U3D_TRY(u3d_autoplan(&t->model.config, &t->model.facts, t->model.labels.n, o->set, o->n_set, cap,
                         o->time_s, 0, t->backend, why));
    U3D_TRY(measure_speed(t, cap, &flops));
    if (flops <= 0) return U3D_OK;
    t->model.config = before;
    u3d_free(*why);
    return u3d_autoplan(&t->model.config, &t->model.facts, t->model.labels.n, o->set, o->n_set, cap,
                        o->time_s, flops, t->backend, why);
}

static u3d_status autoplan(u3d_training *t)
{
    char *why = NULL;
    const uint64_t cap = u3d_training_memory_cap(t), volumes = u3d_training_volumes_bytes(t);
    const u3d_status status = plan_by_speed(t, cap > volumes ? cap - volumes : 1, &why);
    for (char *line = why, *end; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        U3D_INFO("autoplan", "%.*s", (int)(end - line), line);
        if (*end) end++;
    }
    u3d_free(why);
    return status;
}

static u3d_status complete_settings(u3d_training *t)
{
    u3d_config *c = &t->model.config;
    U3D_TRY(fit_to_data(t));
    if (!is_planned(t) && strcmp(net_name(t->o), "auto") == 0) U3D_TRY(autoplan(t));
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
                          .n_choose = u3d_training_n_choose(t),
                          .least_choose = t->model.facts.sparse ? 1 : U3D_MIN_TO_CHOOSE,
                          .n_held = t->n_held,
                          .n_report = t->o->n_report,
                          .report_tiles = u3d_training_report_tiles(t),
                          .volume_s = t->volume_s,
                          .checkpoint_s = t->o->checkpoint_s};
    if (t->model.config.pseudo_labels == U3D_SWITCH_ON) {
        task.beside_share = U3D_PSEUDO_SHARE;
        task.beside_from = t->model.config.pseudo_start;
    }
    for (int n = 0; n <= t->n_held; n++) task.validation_tiles[n] = u3d_training_validation_tiles(t, n);
    for (int n = 0; n <= task.n_choose; n++) task.choice_tiles[n] = u3d_training_choice_tiles(t, n);
    u3d_pace_begin(&t->pace, &task, t->state.iteration, t->state.total, u3d_clock());
    if (t->state.n_choose >= 0 && t->state.n_choose < t->pace.n_choose)
        t->pace.n_choose = (int)t->state.n_choose; /* as the interrupted run would have had it */
    if (t->state.total == 0) U3D_INFO("train", "measuring the time of an iteration ...");
}

/* ---- opening and closing ---- */

/* Refuses a time budget that is over before the first iteration. */
static u3d_status check_budget(const u3d_training *t)
{
    const double spent = u3d_training_elapsed(t), budget = t->state.budget_s;
    char needed[32];
    if (t->o->resume || budget <= 0 || spent < U3D_PACE_SHARE * budget) return U3D_OK;
    return u3d_fail(
        U3D_E_ARG,
        "training: reading and preparing the data took %.1f s, so --time %.3g s is over before the first "
        "iteration; give at least --time %s",
        spent, budget, u3d_train_time_to_give(spent, needed));
}

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
                                    .n_choose = -1,
                                    .validate_every = t->o->validate_every};
    return preset_settings(t);
}

u3d_status u3d_training_open_settings(u3d_training *t)
{
    U3D_TRY(open_fresh(t));
    U3D_TRY(u3d_training_choose_cases(t));
    U3D_TRY(open_cases(t, 0));
    U3D_TRY(u3d_training_hold_out(t));
    U3D_TRY(complete_settings(t));
    return make_augmentation(t);
}

u3d_status u3d_training_open(u3d_training *t)
{
    t->smooth_loss = NAN;
    if (!t->o->resume) U3D_TRY(open_fresh(t));
    U3D_TRY(u3d_run_open(t));
    const bool timed = !t->o->resume && t->state.budget_s > 0;
    U3D_TRY(u3d_training_choose_cases(t));
    if (t->o->resume) U3D_TRY(u3d_training_note_contents(t));
    if (t->o->resume) U3D_TRY(u3d_run_check_contents(t));
    U3D_TRY(open_cases(t, timed ? t->o->started + t->state.budget_s : 0));
    if (!t->content) U3D_TRY(u3d_training_note_contents(t)); /* now the files are in the system's cache */
    U3D_TRY(u3d_training_hold_out(t));
    U3D_TRY(complete_settings(t));
    U3D_TRY(make_augmentation(t));
    U3D_TRY(make_graphs(t));
    U3D_TRY(make_class_weights(t));
    U3D_TRY(u3d_training_plan(t));
    U3D_TRY(make_device_state(t));
    u3d_feeder_opts fo = u3d_training_feeder_opts(t);
    U3D_TRY(u3d_feeder_open(t->cases, &fo, &t->feeder));
    U3D_TRY(check_budget(t));
    U3D_TRY(u3d_run_begin(t));
    U3D_TRY(u3d_run_write_config(t));
    U3D_TRY(make_record(t));
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
    cJSON_Delete(t->content);
    u3d_checkpoint_free(t->resumed);
    u3d_free(t->which);
    u3d_free(t->row);
    u3d_run_unlock(t);
    u3d_free(t);
}
