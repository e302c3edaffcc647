/* The plan that the folds of a cross-validation share. If every fold chose for itself, a median spacing, a
 * patch or a class that only some folds have would differ, and u3d predict could not average their models.
 * nnU-Net plans once for all folds as well.
 *
 * A plan is a JSON object:
 *   "settings"     every setting, as in config.json
 *   "labels"       the label table
 *   "intensity"    how intensities are normalised
 *   "spacing_why"  says where the spacing comes from; may be missing
 *   "left_out"     ids of the cases without any labelled voxel */
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "net/train/train_impl.h"

static const char WHERE[] = "the plan of the cross-validation";

/* Adds an item that may be NULL and is owned by `json` afterwards. */
static bool add(cJSON *json, const char *name, cJSON *item)
{
    if (item && cJSON_AddItemToObject(json, name, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool add_left_out(cJSON *json, const u3d_training *t)
{
    cJSON *list = cJSON_AddArrayToObject(json, "left_out");
    for (int i = t->n_which; list && i < t->o->n_train; i++) /* hold_out has moved them to the end */
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(t->o->data->cases[t->which[i]].id))) return false;
    return list != NULL;
}

static u3d_status plan_to_json(const u3d_training *t, cJSON **out)
{
    cJSON *settings = NULL, *labels = NULL, *intensity = NULL, *json = cJSON_CreateObject();
    const char *why = t->model.facts.spacing_why;
    u3d_status status;
    *out = NULL;
    U3D_GO(u3d_config_to_json(&t->model.config, &settings));
    U3D_GO(u3d_labels_to_json(&t->model.labels, &labels));
    U3D_GO(u3d_intensity_to_json(&t->model.intensity, &intensity));
    bool ok = json != NULL;
    ok = add(json, "settings", settings) && ok, settings = NULL;
    ok = add(json, "labels", labels) && ok, labels = NULL;
    ok = add(json, "intensity", intensity) && ok, intensity = NULL;
    if (ok && why[0]) ok = cJSON_AddStringToObject(json, "spacing_why", why) != NULL;
    if (!ok || !add_left_out(json, t))
        U3D_GO(u3d_fail(U3D_E_NOMEM, "out of memory while planning the folds"));
    *out = json;
    json = NULL;
done:
    cJSON_Delete(settings);
    cJSON_Delete(labels);
    cJSON_Delete(intensity);
    cJSON_Delete(json);
    return status;
}

/* Plans from the cases in `o`. *failed receives the place of the case that cannot be read or used; -1: there
 * is none. */
static u3d_status plan_once(u3d_backend *b, const u3d_train_opts *o, cJSON **out, int *failed)
{
    u3d_training *t = u3d_new(1, sizeof *t);
    *failed = -1;
    if (!t) return U3D_E_NOMEM;
    t->backend = b;
    t->o = o;
    t->failed_case = -1;
    u3d_status status = u3d_training_open_settings(t);
    if (status == U3D_OK) status = plan_to_json(t, out);
    *failed = t->failed_case;
    u3d_training_close(t);
    return status;
}

/* Whether a case may be at fault, so that the others can be planned for without it. */
static bool is_of_case(u3d_status status)
{
    return status == U3D_E_IO || status == U3D_E_FORMAT || status == U3D_E_NOMEM;
}

/* Gives the cases whose headers can be read. */
static u3d_status readable(const u3d_train_opts *o, int *which, int *n)
{
    u3d_status status = U3D_OK;
    *n = 0;
    for (int i = 0; i < o->n_train; i++) {
        const u3d_status one = u3d_cases_probe(o->data, &o->train[i], 1);
        if (one == U3D_OK) which[(*n)++] = o->train[i];
        if (one != U3D_OK) status = one;
        if (one != U3D_OK && !is_of_case(one)) return one;
    }
    return *n > 0 || o->n_train == 0 ? U3D_OK : status;
}

u3d_status u3d_train_plan(u3d_backend *b, const u3d_train_opts *o, cJSON **out)
{
    u3d_train_opts all = *o;
    int failed = -1;
    all.validate_every = -1; /* the folds hold data out, if any */
    all.validate_slices = false;
    *out = NULL;
    int *which = u3d_new((size_t)o->n_train + 1, sizeof *which);
    if (!which) return U3D_E_NOMEM;
    u3d_status status = readable(o, which, &all.n_train);
    all.train = which;
    if (status == U3D_OK) status = plan_once(b, &all, out, &failed);
    while (is_of_case(status) && failed >= 0 && all.n_train > 1) {
        U3D_WARN("train", "planning without case '%s': %s", o->data->cases[which[failed]].id,
                 u3d_error_text());
        all.n_train--;
        memmove(which + failed, which + failed + 1, (size_t)(all.n_train - failed) * sizeof *which);
        status = plan_once(b, &all, out, &failed);
    }
    u3d_free(which);
    return status;
}

u3d_status u3d_training_take_plan(u3d_training *t)
{
    const cJSON *plan = t->o->plan;
    const char *why = cJSON_GetStringValue(u3d_json_member(plan, "spacing_why"));
    u3d_config_default(&t->model.config);
    U3D_TRY(u3d_config_from_json(&t->model.config, u3d_json_member(plan, "settings"), WHERE));
    U3D_TRY(u3d_labels_from_json(&t->model.labels, u3d_json_member(plan, "labels"), WHERE));
    (void)snprintf(t->model.facts.spacing_why, sizeof t->model.facts.spacing_why, "%s", why ? why : "");
    return u3d_intensity_from_json(&t->model.intensity, u3d_json_member(plan, "intensity"), WHERE);
}
