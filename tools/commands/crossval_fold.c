/* Runs one fold. Training and prediction each run in a process of their own, as the commands that a user
 * would call. */
#include "tools/commands/crossval_impl.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/cases/slice_folds.h"
#include "net/evaluate/evaluate.h"
#include "net/model/model.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"
#include "tools/commands/run_source.h"

/* The paths of one fold. */
typedef struct fold {
    int k;
    bool trained; /* by an earlier call, so that predictions which are there come from this model */
    char number[16];
    char *dir, *run, *predictions, *summary, *train, *test;
} fold;

static u3d_status fold_task(const fold *f, const char *what, u3d_status (*run)(const args *a), const args *a)
{
    const u3d_status status = crossval_task(what, run, a);
    return status == U3D_OK ? U3D_OK : u3d_wrap(status, "fold %d", f->k);
}

/* ---- the folds ---- */

static void fold_free(fold *f)
{
    char *all[] = {f->dir, f->run, f->predictions, f->summary, f->train, f->test};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) u3d_free(all[i]);
}

/* Sets the paths and makes the folder of the fold. */
static u3d_status fold_open(const crossval *c, int k, fold *f)
{
    *f = (fold){.k = k};
    (void)snprintf(f->number, sizeof f->number, "%d", k);
    f->dir = u3d_format("%s/fold_%d", c->a->out, k);
    if (!f->dir) return U3D_E_NOMEM;
    f->run = u3d_path_join(f->dir, "run");
    f->predictions = u3d_path_join(f->dir, "predictions");
    f->summary = u3d_path_join(f->dir, "summary.json");
    f->train = u3d_path_join(f->dir, "train.nii.gz");
    f->test = u3d_path_join(f->dir, "test.nii.gz");
    if (!f->run || !f->predictions || !f->summary || !f->train || !f->test) return U3D_E_NOMEM;
    return u3d_path_make_dir(f->dir);
}

/* For a single volume: writes the labels on which the fold is trained and those on which it is scored. */
static u3d_status fold_labels(const crossval *c, const fold *f)
{
    u3d_status status;
    u3d_volume *label = NULL, *train = NULL, *test = NULL;
    u3d_slice_folds *folds = NULL;
    int64_t across[3];
    U3D_GO(u3d_volume_read(c->a->label, U3D_VOLUME_LABEL, &label));
    U3D_GO(u3d_volume_turn_to_file(label)); /* the folds are slices of the file */
    U3D_GO(u3d_slice_folds_new(label, c->unlabeled, c->n, &folds));
    if (f->k == 0 && u3d_slice_folds_adjoin(folds))
        U3D_WARN("crossval",
                 "most of the annotated slices lie side by side, so each is tested beside slices that were "
                 "trained on, and scores are better than for slices far from annotated ones");
    U3D_GO(u3d_slice_folds_make(folds, label, f->k, &train, &test));
    u3d_slice_folds_count(folds, f->k, across);
    U3D_INFO("crossval", "fold %d is tested on %lld slices across x, %lld across y, %lld across z", f->k,
             (long long)across[0], (long long)across[1], (long long)across[2]);
    U3D_GO(u3d_volume_write(f->train, train));
    U3D_GO(u3d_volume_write(f->test, test));
done:
    if (status != U3D_OK) u3d_wrap(status, "%s", c->a->label);
    u3d_slice_folds_free(folds);
    u3d_volume_free(label);
    u3d_volume_free(train);
    u3d_volume_free(test);
    return status;
}

static bool exists_in(const char *dir, const char *name)
{
    char *path = u3d_path_join(dir, name);
    const bool is = path && u3d_path_exists(path);
    u3d_free(path);
    return is;
}

static u3d_status fold_train(const crossval *c, fold *f)
{
    f->trained = exists_in(f->run, U3D_RUN_MODEL);
    if (f->trained) return U3D_OK;
    args a = *c->a;
    a.out = f->run;
    a.json = 0;
    a.no_report = true;
    if (exists_in(f->run, U3D_RUN_CHECKPOINT)) {
        a.resume = 1;
        a.force = 0;
        a.data = a.image = a.label = a.split = a.fold = a.unlabeled = a.background = NULL;
        a.names = a.net = a.iterations = a.time = NULL;
        a.dense = a.resample_labels = 0;
        a.set = NULL;
    } else {
        a.force = 1; /* overwrites the files of a run that was interrupted before its first checkpoint */
        a.split = c->split;
        a.fold = c->split ? f->number : NULL;
        a.plan_file = c->plan;
        if (!c->split) a.label = f->train;
    }
    return fold_task(f, "training", cmd_train, &a);
}

static u3d_status fold_predict(const crossval *c, fold *f)
{
    args a = *c->a;
    a.json = 0;
    a.force = 1;
    a.skip_existing = f->trained;
    a.no_report = true;
    a.model = f->run;
    a.output = f->predictions;
    a.set = NULL;
    a.split = c->split;
    a.fold = c->split ? f->number : NULL;
    if (!c->split) {
        a.input = a.image;
        U3D_TRY(u3d_path_make_dir(f->predictions));
    }
    return fold_task(f, "prediction", cmd_predict, &a);
}

/* Gives the path of the only file in a folder. */
static u3d_status only_file(const char *dir, char **path)
{
    char **names;
    int n;
    *path = NULL;
    U3D_TRY(u3d_path_list(dir, &names, &n));
    u3d_status status = U3D_OK;
    if (n != 1)
        status = u3d_fail(U3D_E_FORMAT, "%s: found %d files, expected only the prediction", dir, n);
    else if (!(*path = u3d_path_join(dir, names[0])))
        status = U3D_E_NOMEM;
    u3d_path_list_free(names, n);
    return status;
}

static u3d_status fold_score(const crossval *c, const fold *f, cJSON **summary)
{
    u3d_status status = U3D_OK;
    char *prediction = NULL;
    u3d_labels *trained = NULL;
    u3d_evaluate_opts o;
    U3D_TRY(args_evaluate(c->a, &o));
    U3D_GO(run_labels(f->run, &trained));
    o.prediction = f->predictions;
    o.part = true;
    o.trained = trained;
    if (c->a->reference) o.unlabeled_given = false; /* --unlabeled is about the labels for training */
    if (!c->split) {
        U3D_GO(only_file(f->predictions, &prediction));
        o.prediction = prediction;
        o.reference = f->test;
    } else if (!o.reference) {
        o.reference = c->a->data;
    }
    status = u3d_evaluate(&o, summary);
done:
    u3d_free(trained);
    u3d_free(prediction);
    return status;
}

/* ---- failures ---- */

/* Whether the next fold may succeed nevertheless: this one has a damaged or too large volume, or numbers that
 * went wrong. */
static bool goes_on(u3d_status status)
{
    return status == U3D_E_IO || status == U3D_E_FORMAT || status == U3D_E_NOMEM || status == U3D_E_NUMERIC ||
           status == U3D_E_DEVICE;
}

/* Notes what went wrong in a fold; only the first failure is kept. */
static u3d_status fold_fail(u3d_status status, fold_failure *failure)
{
    if (!goes_on(status)) return status;
    U3D_WARN("crossval", "%s", u3d_error_text());
    if (failure->text) return U3D_OK;
    failure->status = status;
    failure->text = u3d_strdup(u3d_error_text());
    return failure->text ? U3D_OK : U3D_E_NOMEM;
}

/* The summary of a fold without any score. */
static u3d_status summary_empty(const char *failure, cJSON **summary)
{
    *summary = cJSON_CreateObject();
    const bool ok = *summary && cJSON_AddNumberToObject(*summary, "cases", 0) &&
                    cJSON_AddObjectToObject(*summary, "mean") &&
                    cJSON_AddObjectToObject(*summary, "foreground_mean") &&
                    cJSON_AddStringToObject(*summary, "error", failure);
    return ok ? U3D_OK : u3d_fail(U3D_E_NOMEM, "out of memory while noting a fold that failed");
}

/* ---- the fold ---- */

static u3d_status fold_prepare(const crossval *c, fold *f)
{
    U3D_INFO("crossval", "fold %d (folds are 0 to %d)", f->k, c->n - 1);
    if (!c->split) U3D_TRY(fold_labels(c, f));
    return fold_train(c, f);
}

/* Gives the summary of a fold that is not complete; that of a complete one is written. */
static u3d_status fold_make(const crossval *c, fold *f, cJSON **summary, fold_failure *failure)
{
    u3d_status status = fold_prepare(c, f);
    if (status != U3D_OK) {
        U3D_TRY(fold_fail(status, failure));
        return summary_empty(failure->text, summary);
    }
    status = fold_predict(c, f);
    if (status != U3D_OK) U3D_TRY(fold_fail(status, failure));
    status = fold_score(c, f, summary);
    if (status != U3D_OK) {
        U3D_TRY(fold_fail(status, failure));
        return summary_empty(failure->text, summary);
    }
    const int n = cJSON_GetArraySize(u3d_json_member(*summary, "failures"));
    if (n > 0)
        return fold_fail(u3d_fail(U3D_E_FORMAT, "fold %d: %d cases could not be scored", f->k, n), failure);
    if (failure->text) return U3D_OK;
    status = u3d_json_write(f->summary, *summary);
    cJSON_Delete(*summary);
    *summary = NULL;
    return status;
}

u3d_status crossval_fold(const crossval *c, int k, cJSON *summaries, fold_failure *failure)
{
    fold f;
    cJSON *summary = NULL;
    u3d_status status;
    *failure = (fold_failure){0};
    U3D_GO(fold_open(c, k, &f));
    if (!u3d_path_exists(f.summary)) U3D_GO(fold_make(c, &f, &summary, failure));
    if (!summary) U3D_GO(u3d_json_read(f.summary, &summary)); /* the same digits in every call */
    if (!cJSON_AddItemToArray(summaries, summary)) U3D_GO(U3D_E_NOMEM);
    summary = NULL;
    if (c->a->stop && *c->a->stop) U3D_GO(u3d_fail(U3D_E_CANCELLED, "stopped after fold %d", k));
done:
    cJSON_Delete(summary);
    fold_free(&f);
    return status;
}
