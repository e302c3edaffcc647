/* u3d train: translates the options and calls u3d_train. The options that name the data are stored in
 * config.json of the run, under "source", so that --resume needs no other option than --out. Those that say
 * where the data are may be given again, if the data were moved. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/path.h"
#include "net/model/model.h"
#include "net/train/train.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/result.h"
#include "tools/commands/commands.h"

/* The options that are stored, with their names in config.json. Paths are stored as absolute paths. */
typedef struct source_field {
    const char *name;
    size_t offset;
    bool path;
    bool again; /* may be given once more with --resume: moved data, or what does not change the result */
} source_field;

static const source_field SOURCE[] = {{"data", offsetof(args, data), true, true},
                                      {"image", offsetof(args, image), true, true},
                                      {"label", offsetof(args, label), true, true},
                                      {"split", offsetof(args, split), true, true},
                                      {"fold", offsetof(args, fold), false, false},
                                      {"unlabeled", offsetof(args, unlabeled), false, false},
                                      {"background", offsetof(args, background), false, false},
                                      {"names", offsetof(args, names), false, false},
                                      {"net", offsetof(args, net), false, false},
                                      {"checkpoint-every", offsetof(args, checkpoint_every), false, true}};
/* Share of the annotated slices that --validate slices holds out. */
static const double SLICES_SHARE = 0.1;
enum { N_SOURCE = sizeof SOURCE / sizeof SOURCE[0] };

static char **source_at(args *a, int i)
{
    return (char **)(void *)((char *)a + SOURCE[i].offset);
}

static u3d_status source_store(const args *a, char **text)
{
    args copy = *a;
    *text = NULL;
    cJSON *json = cJSON_CreateObject();
    bool ok = json && cJSON_AddBoolToObject(json, "dense", a->dense) &&
              cJSON_AddBoolToObject(json, "resample_labels", a->resample_labels);
    for (int i = 0; ok && i < N_SOURCE; i++) {
        const char *value = *source_at(&copy, i);
        if (!value) continue;
        char *absolute = SOURCE[i].path ? realpath(value, NULL) : NULL;
        ok = cJSON_AddStringToObject(json, SOURCE[i].name, absolute ? absolute : value);
        free(absolute);
    }
    *text = ok ? u3d_json_text(json) : NULL;
    cJSON_Delete(json);
    return *text ? U3D_OK : u3d_fail(U3D_E_NOMEM, "out of memory while storing the options of training");
}

/* Sets a stored option, unless it was given once more and may be. */
static u3d_status source_take(args *a, int i, const cJSON *source, const char *path)
{
    const cJSON *value = u3d_json_member(source, SOURCE[i].name);
    const bool stored = cJSON_IsString(value), given = *source_at(a, i) != NULL;
    if (!given && stored) *source_at(a, i) = value->valuestring;
    if (!given || (SOURCE[i].again && (stored || !SOURCE[i].path))) return U3D_OK;
    if (SOURCE[i].again)
        return u3d_fail(U3D_E_ARG,
                        "resuming %s: the run was started without --%s (see %s), so that cannot be moved",
                        a->out, SOURCE[i].name, path);
    return u3d_fail(U3D_E_ARG, "resuming %s: leave out --%s, because a resumed run gets it from %s", a->out,
                    SOURCE[i].name, path);
}

/* Sets the stored options of the run in --out. The strings belong to *json. */
static u3d_status source_restore(args *a, cJSON **json)
{
    char *path = u3d_path_join(a->out, U3D_RUN_CONFIG);
    if (!path) return U3D_E_NOMEM;
    u3d_status status = U3D_OK;
    if (!u3d_path_exists(path))
        status = u3d_fail(
            U3D_E_ARG,
            "resuming %s: there is no run (config.json is missing); start one with u3d train --out", a->out);
    else
        status = u3d_json_read(path, json);
    const cJSON *source = status == U3D_OK ? u3d_json_member(*json, "source") : NULL;
    if (status == U3D_OK && !cJSON_IsObject(source))
        status = u3d_fail(U3D_E_FORMAT, "%s: the field 'source' is missing, so the run cannot be resumed", path);
    for (int i = 0; status == U3D_OK && i < N_SOURCE; i++) status = source_take(a, i, source, path);
    if (status == U3D_OK) {
        a->dense = cJSON_IsTrue(u3d_json_member(source, "dense"));
        a->resample_labels = cJSON_IsTrue(u3d_json_member(source, "resample_labels"));
    }
    u3d_free(path);
    return status;
}

static u3d_status print_result(const args *a, const u3d_train_result *r)
{
    if (!a->json) {
        printf("trained %s: %lld iterations in %.0f s, loss %.4f", a->out, (long long)r->iterations,
               r->seconds, r->loss);
        if (!a->no_report && !r->held_out && !isfinite(r->report_dice))
            printf(", quality unknown because nothing was held out (u3d crossval measures it)");
        if (isfinite(r->val_dice))
            printf(", held-out Dice %.4f, IoU %.4f%s", r->val_dice, r->val_iou,
                   r->sparse ? " on annotated voxels" : "");
        if (isfinite(r->report_dice))
            printf(", validation cases of the fold Dice %.4f, IoU %.4f", r->report_dice, r->report_iou);
        printf(", peak memory %.2f GB", (double)r->peak_resident / 1e9);
        if (r->device_peak > 0) printf(" and %.2f GB on the device", (double)r->device_peak / 1e9);
        printf("\n");
        return U3D_OK;
    }
    cJSON *json = cJSON_CreateObject();
    const bool ok = json && cJSON_AddStringToObject(json, "run", a->out) &&
                    cJSON_AddNumberToObject(json, "iterations", (double)r->iterations) &&
                    cJSON_AddNumberToObject(json, "parameters", (double)r->parameters) &&
                    cJSON_AddItemToObject(json, "seconds", u3d_json_number(r->seconds)) &&
                    cJSON_AddItemToObject(json, "seconds_waiting", u3d_json_number(r->waited)) &&
                    cJSON_AddItemToObject(json, "loss", u3d_json_number(r->loss)) &&
                    cJSON_AddItemToObject(json, "held_out_dice", u3d_json_number(r->val_dice)) &&
                    cJSON_AddItemToObject(json, "held_out_iou", u3d_json_number(r->val_iou)) &&
                    cJSON_AddBoolToObject(json, "held_out_annotated_only", r->sparse) &&
                    cJSON_AddItemToObject(json, "foreground_untouched", u3d_json_number(r->untouched)) &&
                    cJSON_AddItemToObject(json, "report_dice", u3d_json_number(r->report_dice)) &&
                    cJSON_AddItemToObject(json, "report_iou", u3d_json_number(r->report_iou)) &&
                    cJSON_AddNumberToObject(json, "peak_bytes_planned", (double)r->peak_planned) &&
                    cJSON_AddNumberToObject(json, "peak_bytes", (double)r->peak_resident) &&
                    cJSON_AddNumberToObject(json, "device_bytes_planned", (double)r->device_planned) &&
                    cJSON_AddNumberToObject(json, "device_bytes", (double)r->device_peak) &&
                    cJSON_AddStringToObject(json, "fingerprint", r->fingerprint);
    return result_json(json, ok);
}

/* --validate: a share of the data, or the word slices. */
static u3d_status validate_option(const args *a, u3d_train_opts *o)
{
    o->validate_given = true;
    o->validate = SLICES_SHARE;
    o->validate_slices = strcmp(a->validate, "slices") == 0;
    if (!o->validate_slices) U3D_TRY(args_real("--validate", a->validate, 0, 0.9, &o->validate));
    if (o->validate > 0 && a->validate_every && o->validate_every == 0)
        return u3d_fail(U3D_E_ARG,
                        "u3d train: --validate-every 0 holds nothing out, so --validate %s has no effect; "
                        "leave out one of them",
                        a->validate);
    return U3D_OK;
}

static u3d_status train_options(const args *a, u3d_train_opts *o)
{
    int64_t seed = 1;
    o->out = a->out;
    o->resume = a->resume;
    o->force = a->force;
    o->net = a->net ? a->net : "auto";
    o->set = (const char *const *)a->set;
    o->n_set = args_set_count(a);
    o->dense = a->dense;
    o->resample_labels = a->resample_labels;
    o->started = a->started;
    o->bar = a->terminal;
    o->stop = a->stop;
    o->split = a->split;
    o->accept_changes = a->accept_changes;
    if (a->accept_changes && !a->resume)
        return u3d_fail(U3D_E_ARG, "u3d train: --accept-changes needs --resume");
    if (a->checkpoint_every)
        U3D_TRY(args_seconds("--checkpoint-every", a->checkpoint_every, &o->checkpoint_s));
    if (a->dense && a->unlabeled)
        return u3d_fail(U3D_E_ARG, "u3d train: --dense and --unlabeled exclude each other");
    if (a->iterations && a->time)
        return u3d_fail(U3D_E_ARG, "u3d train: give --iterations or --time, not both");
    U3D_TRY(args_unlabeled(a, &o->unlabeled_given, &o->unlabeled));
    U3D_TRY(args_background(a, &o->background_given, &o->background));
    if (a->iterations) U3D_TRY(args_int("--iterations", a->iterations, 1, INT32_MAX, &o->iterations));
    if (a->time) U3D_TRY(args_seconds("--time", a->time, &o->time_s));
    if (a->validate_every)
        U3D_TRY(args_int("--validate-every", a->validate_every, 0, INT32_MAX, &o->validate_every));
    if (a->validate) U3D_TRY(validate_option(a, o));
    if (a->validate_every && o->validate_every == 0) o->validate_every = -1; /* never: nothing is set aside */
    if (a->seed) U3D_TRY(args_int("--seed", a->seed, 0, INT64_MAX, &seed));
    o->seed = (uint64_t)seed;
    return args_memory(a, &o->memory_cap);
}

/* Gives the cases that are training cases in any fold of --split; without --split, all cases. */
static u3d_status cases_of_all_folds(const args *a, args_cases *c)
{
    args all = *a;
    int folds, n = 0;
    all.split = all.fold = NULL;
    U3D_TRY(args_cases_open(&all, "crossval", 0, true, c));
    if (!a->split) return U3D_OK;
    U3D_TRY(u3d_split_count(a->split, &folds));
    bool *used = u3d_new((size_t)c->data->n_cases, sizeof *used);
    u3d_status status = used ? U3D_OK : U3D_E_NOMEM;
    for (int k = 0; k < folds && status == U3D_OK; k++) {
        int *train = NULL, *val = NULL, n_train = 0, n_val = 0;
        status = u3d_split_read(a->split, k, c->data, &train, &n_train, &val, &n_val);
        for (int i = 0; status == U3D_OK && i < n_train; i++) used[train[i]] = true;
        u3d_free(train);
        u3d_free(val);
    }
    for (int i = 0; used && i < c->data->n_cases; i++)
        if (used[i]) c->train[n++] = i;
    c->n_train = n;
    u3d_free(used);
    return status;
}

u3d_status train_plan(const args *a)
{
    u3d_status status;
    cJSON *plan = NULL;
    args_cases cases = {0};
    u3d_backend *backend = NULL;
    u3d_train_opts o = {0};
    U3D_GO(train_options(a, &o));
    U3D_GO(cases_of_all_folds(a, &cases));
    o.data = cases.data;
    o.train = cases.train;
    o.n_train = cases.n_train;
    U3D_GO(args_open_backend(a, &backend));
    U3D_GO(u3d_train_plan(backend, &o, &plan));
    U3D_GO(u3d_json_write(a->plan_file, plan));
done:
    cJSON_Delete(plan);
    u3d_backend_close(backend);
    args_cases_close(&cases);
    return status;
}

/* With --force, the files of an earlier run are moved to RUN.old, and an earlier one there is removed. None
 * of them may be an input of this one. */
static u3d_status files_of_train(const args *a, const u3d_dataset *data)
{
    files f = {0};
    files_read_cases(&f, data);
    files_read(&f, a->split);
    files_read(&f, a->net);
    for (int i = 0; i < 2 * U3D_RUN_FILES; i++) {
        char *path = u3d_format("%s%s/%s", a->out, i % 2 ? ".old" : "", u3d_run_files[i / 2]);
        files_write(&f, path, true);
        u3d_free(path);
    }
    return files_check(&f, a);
}

u3d_status cmd_train(const args *given)
{
    u3d_status status = U3D_OK;
    args a = *given;
    cJSON *stored = NULL, *plan = NULL;
    char *source = NULL;
    args_cases cases = {0};
    u3d_backend *backend = NULL;
    u3d_train_opts o = {0};
    u3d_train_result result;

    U3D_GO(args_need("train", "--out RUN", a.out));
    if (a.resume) U3D_GO(source_restore(&a, &stored));
    U3D_GO(train_options(&a, &o));
    status = args_cases_open(&a, "train", 0, true, &cases);
    if (status == U3D_E_IO && a.resume)
        u3d_wrap(status, "resuming %s (if the data were moved, say where to: --data, or --image and --label)",
                 a.out);
    if (status != U3D_OK) goto done;
    if (a.force) U3D_GO(files_of_train(&a, cases.data));
    U3D_GO(source_store(&a, &source));
    o.command_json = source;
    if (a.plan_file) U3D_GO(u3d_json_read(a.plan_file, &plan));
    o.plan = plan;
    o.data = cases.data;
    o.train = cases.train;
    o.n_train = cases.n_train;
    if (!a.no_report) {
        o.report = cases.val;
        o.n_report = cases.n_val;
    }
    U3D_GO(args_open_backend(&a, &backend));
    U3D_GO(u3d_train(backend, &o, &result));
    U3D_GO(print_result(&a, &result));
done:
    u3d_backend_close(backend);
    args_cases_close(&cases);
    u3d_free(source);
    cJSON_Delete(stored);
    cJSON_Delete(plan);
    return status;
}
