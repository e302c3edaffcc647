/* The RUN folder of a training run, station 12 of training:
 *
 *   config.json             settings, labels, data source, seed, iterations, for `train --resume`
 *                           and for people
 *   checkpoint.safetensors  everything needed to continue: values, moments, averages (prefixes "", "m/",
 *                           "v/", "average/"), pseudo-labels ("pseudo/", "pseudo_next/" and the number of the
 *                           case), the model's metadata, and "u3d.training" (step, total, seed, cases,
 *                           times)
 *   model.safetensors       the averaged weights, written at the end
 *   log.csv                 one line per iteration
 *
 * config.json and the .safetensors files are complete or absent at any time (io/path.h). train_folder.c locks
 * the folder. */
#include "net/train/train_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"

static const struct {
    u3d_block block;
    const char *prefix;
} BLOCKS[] = {
    {U3D_BLOCK_VALUE, ""}, {U3D_BLOCK_M, "m/"}, {U3D_BLOCK_V, "v/"}, {U3D_BLOCK_AVERAGE, "average/"}};
enum { N_BLOCKS = sizeof BLOCKS / sizeof BLOCKS[0] };

/* ---- state as JSON ---- */

static u3d_status json_failed(void)
{
    return u3d_fail(U3D_E_NOMEM, "out of memory while describing the state of training");
}

/* Adds the ids of the cases in the order in which training numbers them, because the patches depend on that
 * order. */
static bool add_cases(cJSON *json, const u3d_training *t)
{
    cJSON *list = cJSON_AddArrayToObject(json, "cases");
    for (int i = 0; list && i < t->n_which; i++)
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(t->o->data->cases[t->which[i]].id))) return false;
    return list && cJSON_AddNumberToObject(json, "held_out", (double)t->state.held_volumes);
}

static u3d_status state_to_json(const u3d_training *t, char **printed)
{
    const u3d_training_state *s = &t->state;
    char seed[24]; /* as text: JSON numbers hold only 53 bits */
    (void)snprintf(seed, sizeof seed, "%" PRIu64, s->seed);
    cJSON *json = cJSON_CreateObject();
    bool ok = json && cJSON_AddNumberToObject(json, "iteration", (double)s->iteration) &&
              cJSON_AddNumberToObject(json, "total", (double)s->total) &&
              cJSON_AddStringToObject(json, "seed", seed) &&
              cJSON_AddNumberToObject(json, "elapsed_s", u3d_training_elapsed(t)) &&
              cJSON_AddNumberToObject(json, "budget_s", s->budget_s) &&
              cJSON_AddNumberToObject(json, "validate_every", (double)s->validate_every) &&
              cJSON_AddNumberToObject(json, "held_slices", s->held_slices) &&
              cJSON_AddNumberToObject(json, "pseudo_done", (double)s->pseudo_done) &&
              cJSON_AddNumberToObject(json, "pseudo_made", (double)s->pseudo_made) &&
              cJSON_AddNumberToObject(json, "pseudo_next", (double)s->pseudo_next) &&
              cJSON_AddNumberToObject(json, "pseudo_from", (double)s->pseudo_from) &&
              cJSON_AddBoolToObject(json, "pseudo_pending", s->pseudo_pending) &&
              cJSON_AddNumberToObject(json, "n_choose", (double)s->n_choose) &&
              cJSON_AddItemToObject(json, "loss", u3d_json_number(s->loss)) &&
              cJSON_AddItemToObject(json, "val_dice", u3d_json_number(s->val_dice)) &&
              cJSON_AddItemToObject(json, "val_iou", u3d_json_number(s->val_iou)) && add_cases(json, t) &&
              (!t->content || cJSON_AddItemReferenceToObject(json, "content", t->content));
    *printed = ok ? u3d_json_text(json) : NULL;
    cJSON_Delete(json);
    return *printed ? U3D_OK : json_failed();
}

/* Reads a number, or NaN for null. Returns false if the member is neither. */
static bool get_number(const cJSON *json, const char *key, double *value)
{
    const cJSON *item = u3d_json_member(json, key);
    if (!cJSON_IsNumber(item) && !cJSON_IsNull(item)) return false;
    *value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    return true;
}

static bool get_count(const cJSON *json, const char *key, double low, int64_t *value)
{
    double number;
    if (!get_number(json, key, &number) || !(number >= low && number <= 9007199254740992.0))
        return false; /* 2^53 */
    *value = (int64_t)number;
    return true;
}

static u3d_status state_from_json(const cJSON *json, const char *where, u3d_training_state *s)
{
    const cJSON *seed = u3d_json_member(json, "seed");
    /* Checkpoints of version 0.1 do not say it: slices of a single volume were always held out. */
    if (!get_number(json, "held_slices", &s->held_slices)) s->held_slices = 0.1;
    if (!get_count(json, "pseudo_done", 0, &s->pseudo_done)) s->pseudo_done = 0;
    if (!get_count(json, "pseudo_made", 0, &s->pseudo_made)) s->pseudo_made = 0;
    if (!get_count(json, "pseudo_next", 0, &s->pseudo_next)) s->pseudo_next = 0;
    if (!get_count(json, "pseudo_from", 0, &s->pseudo_from)) s->pseudo_from = 0;
    if (!get_count(json, "n_choose", -1, &s->n_choose)) s->n_choose = -1;
    s->pseudo_pending = cJSON_IsTrue(u3d_json_member(json, "pseudo_pending"));
    bool ok = get_count(json, "iteration", 0, &s->iteration) && get_count(json, "total", 0, &s->total) &&
              cJSON_IsString(seed) && get_number(json, "elapsed_s", &s->elapsed_s) && s->elapsed_s >= 0 &&
              get_number(json, "budget_s", &s->budget_s) &&
              get_count(json, "validate_every", -9007199254740992.0, &s->validate_every) &&
              get_count(json, "held_out", 0, &s->held_volumes) && get_number(json, "loss", &s->loss) &&
              get_number(json, "val_dice", &s->val_dice) && get_number(json, "val_iou", &s->val_iou) &&
              (s->total == 0 || s->iteration <= s->total);
    if (!ok)
        return u3d_fail(U3D_E_FORMAT, "%s: the metadata u3d.training is damaged or was not written by u3d", where);
    s->seed = strtoull(seed->valuestring, NULL, 10);
    return U3D_OK;
}

static u3d_status resumed_json(const u3d_training *t, cJSON **json)
{
    const char *text = u3d_checkpoint_get(t->resumed, "u3d.training");
    if (!text)
        return u3d_fail(U3D_E_FORMAT,
                        "resume %s: %s has no metadata u3d.training; it is not a checkpoint of u3d train",
                        t->o->out, U3D_RUN_CHECKPOINT);
    return u3d_json_parse(text, U3D_RUN_CHECKPOINT, json);
}

/* ---- opening ---- */

static u3d_status load_resumed(u3d_training *t)
{
    u3d_status status = U3D_OK;
    cJSON *json = NULL;
    char *path = NULL;
    U3D_GO(u3d_run_path(t, U3D_RUN_CHECKPOINT, &path));
    if (!u3d_path_exists(path)) {
        status = u3d_fail(U3D_E_IO, "resume %s: %s does not exist; start the run without --resume", t->o->out,
                          U3D_RUN_CHECKPOINT);
        goto done;
    }
    U3D_GO(u3d_checkpoint_load(path, &t->resumed));
    U3D_GO(u3d_model_from_checkpoint(t->resumed, path, &t->model));
    U3D_GO(resumed_json(t, &json));
    U3D_GO(state_from_json(json, path, &t->state));
    if (t->o->iterations > 0 && t->o->iterations != t->state.total)
        status = u3d_fail(
            U3D_E_ARG, "resume %s: the run was started for %lld iterations; a resumed run keeps that number",
            t->o->out, (long long)t->state.total);
    U3D_INFO("train", "continuing after iteration %lld of %lld", (long long)t->state.iteration,
             (long long)t->state.total);
done:
    cJSON_Delete(json);
    u3d_free(path);
    return status;
}

u3d_status u3d_run_open(u3d_training *t)
{
    U3D_TRY(u3d_run_lock(t));
    return t->o->resume ? load_resumed(t) : U3D_OK;
}

u3d_status u3d_run_check_cases(const u3d_training *t)
{
    cJSON *json;
    U3D_TRY(resumed_json(t, &json));
    const cJSON *list = u3d_json_member(json, "cases");
    const char *what = t->o->split ? "the data or the split" : "the data";
    /* The only case of a pair may have got another name, because its contents are compared. */
    const bool named = !u3d_training_is_pair(t);
    u3d_status status = U3D_OK;
    if (cJSON_GetArraySize(list) != t->n_which)
        status =
            u3d_fail(U3D_E_ARG, "resume %s: the run was started with %d training cases, found %d; %s changed",
                     t->o->out, cJSON_GetArraySize(list), t->n_which, what);
    for (int i = 0; status == U3D_OK && named && i < t->n_which; i++) {
        const cJSON *id = cJSON_GetArrayItem(list, i);
        const char *now = t->o->data->cases[t->which[i]].id;
        if (!cJSON_IsString(id) || strcmp(id->valuestring, now) != 0)
            status = u3d_fail(U3D_E_ARG, "resume %s: training case %d was '%s', found '%s'; %s changed",
                              t->o->out, i, cJSON_IsString(id) ? id->valuestring : "?", now, what);
    }
    cJSON_Delete(json);
    return status;
}

u3d_status u3d_run_check_contents(const u3d_training *t)
{
    cJSON *json;
    U3D_TRY(resumed_json(t, &json));
    const u3d_status status = u3d_training_check_contents(t, u3d_json_member(json, "content"));
    cJSON_Delete(json);
    return status;
}

u3d_status u3d_run_open_log(u3d_training *t)
{
    char *path, *columns = u3d_strdup("iteration,seconds,loss,lr,grad_norm");
    for (int k = t->model.labels.background ? 1 : 0; columns && k < t->model.labels.n; k++) {
        int value = t->model.labels.value[k];
        char *longer = u3d_format("%s,dice_%d,iou_%d", columns, value, value);
        u3d_free(columns);
        columns = longer;
    }
    if (!columns) return U3D_E_NOMEM;
    u3d_status status = u3d_run_path(t, U3D_RUN_LOG, &path);
    if (status == U3D_OK) status = u3d_csvlog_open(path, columns, t->state.iteration, &t->log);
    u3d_free(path);
    u3d_free(columns);
    return status;
}

static u3d_status source_json(const u3d_training *t, cJSON **source)
{
    return t->o->command_json ? u3d_json_parse(t->o->command_json, "data source", source) : U3D_OK;
}

/* The entries of config.json that a resumed run keeps as they are: name of the preset, time budget, seed; and
 * where the data come from. */
static u3d_status config_of_new_run(const u3d_training *t, cJSON **out)
{
    u3d_status status = U3D_OK;
    cJSON *source = NULL, *json = cJSON_CreateObject();
    char seed[24];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, t->state.seed);
    U3D_GO(source_json(t, &source));
    bool ok = json && cJSON_AddStringToObject(json, "net", t->o->net ? t->o->net : "auto") &&
              cJSON_AddNumberToObject(json, "time_s", t->state.budget_s) &&
              cJSON_AddStringToObject(json, "seed", seed);
    if (!ok) {
        status = json_failed();
        goto done;
    }
    if (source) cJSON_AddItemToObject(json, "source", source);
    source = NULL;
done:
    cJSON_Delete(source);
    if (status != U3D_OK) cJSON_Delete(json);
    *out = status == U3D_OK ? json : NULL;
    return status;
}

/* The data may have been moved since the run began. */
static u3d_status config_of_resumed_run(const u3d_training *t, const char *path, cJSON **json)
{
    cJSON *source = NULL;
    U3D_TRY(source_json(t, &source));
    const u3d_status status = u3d_json_read(path, json);
    if (status != U3D_OK || !source) {
        cJSON_Delete(source);
        return status;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(*json, "source");
    return cJSON_AddItemToObject(*json, "source", source) ? U3D_OK : json_failed();
}

u3d_status u3d_run_write_config(const u3d_training *t)
{
    u3d_status status = U3D_OK;
    cJSON *settings = NULL, *labels = NULL, *json = NULL;
    char *path;
    U3D_TRY(u3d_run_path(t, U3D_RUN_CONFIG, &path));
    if (u3d_path_exists(path))
        U3D_GO(config_of_resumed_run(t, path, &json)); /* an earlier run was moved away */
    else
        U3D_GO(config_of_new_run(t, &json));
    U3D_GO(u3d_config_to_json(&t->model.config, &settings));
    U3D_GO(u3d_labels_to_json(&t->model.labels, &labels));
    cJSON_DeleteItemFromObjectCaseSensitive(json, "iterations");
    cJSON_DeleteItemFromObjectCaseSensitive(json, "settings");
    cJSON_DeleteItemFromObjectCaseSensitive(json, "labels");
    cJSON_DeleteItemFromObjectCaseSensitive(json, "spacing_why");
    const char *why = t->model.facts.spacing_why;
    if ((why[0] && !cJSON_AddStringToObject(json, "spacing_why", why)) ||
        !cJSON_AddNumberToObject(json, "iterations", (double)t->state.total) ||
        !cJSON_AddItemToObject(json, "labels", labels)) {
        status = json_failed();
        goto done;
    }
    labels = NULL;
    if (!cJSON_AddItemToObject(json, "settings", settings)) {
        status = json_failed();
        goto done;
    }
    settings = NULL;
    U3D_GO(u3d_json_write(path, json));
done:
    cJSON_Delete(settings);
    cJSON_Delete(labels);
    cJSON_Delete(json);
    u3d_free(path);
    return status;
}

/* ---- checkpoint and model ---- */

static u3d_status fill_checkpoint(u3d_training *t, u3d_checkpoint *c)
{
    char *state;
    for (int i = 0; i < N_BLOCKS; i++)
        if (u3d_params_has(t->params, BLOCKS[i].block))
            U3D_TRY(u3d_params_to_checkpoint(t->params, BLOCKS[i].block, BLOCKS[i].prefix, c));
    U3D_TRY(u3d_training_pseudo_save(t, c));
    U3D_TRY(u3d_model_describe(&t->model, c));
    U3D_TRY(state_to_json(t, &state));
    u3d_status status = u3d_checkpoint_set(c, "u3d.training", state);
    u3d_free(state);
    return status;
}

u3d_status u3d_run_checkpoint(u3d_training *t)
{
    u3d_status status = U3D_OK;
    u3d_checkpoint *c = NULL;
    char *path = NULL;
    double begin = u3d_clock();
    U3D_GO(u3d_checkpoint_new(&c));
    U3D_GO(fill_checkpoint(t, c));
    U3D_GO(u3d_run_path(t, U3D_RUN_CHECKPOINT, &path));
    U3D_GO(u3d_checkpoint_save(path, c));
    const double end = u3d_clock();
    u3d_pace_saved(&t->pace, end - begin, end);
    U3D_DEBUG("train", "checkpoint after iteration %lld took %.2f s", (long long)t->state.iteration,
              t->pace.save_s);
done:
    u3d_checkpoint_free(c);
    u3d_free(path);
    return status;
}

u3d_status u3d_run_restore(u3d_training *t)
{
    for (int i = 0; i < N_BLOCKS; i++)
        if (u3d_params_has(t->params, BLOCKS[i].block))
            U3D_TRY(u3d_params_from_checkpoint(t->resumed, BLOCKS[i].block, BLOCKS[i].prefix, t->params,
                                               U3D_RUN_CHECKPOINT));
    U3D_TRY(u3d_training_pseudo_restore(t));
    u3d_checkpoint_free(t->resumed);
    t->resumed = NULL;
    return U3D_OK;
}

u3d_status u3d_run_write_model(u3d_training *t, char fingerprint[24])
{
    u3d_model *written = NULL;
    char *path;
    U3D_TRY(u3d_run_path(t, U3D_RUN_MODEL, &path));
    u3d_params_swap_average(t->params);
    u3d_status status = u3d_model_save(path, &t->model, t->params);
    u3d_params_swap_average(t->params);
    if (status == U3D_OK) status = u3d_model_load(path, &written); /* also verifies the checksum */
    if (status == U3D_OK) {
        memcpy(fingerprint, written->fingerprint, sizeof written->fingerprint);
        memcpy(t->model.fingerprint, written->fingerprint, sizeof written->fingerprint);
        U3D_INFO("train", "wrote %s", path);
    }
    u3d_model_free(written);
    u3d_free(path);
    return status;
}
