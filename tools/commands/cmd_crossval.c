/* u3d crossval: for each fold in turn, trains on the other folds, then predicts and scores this one.
 *
 *   OUT/crossval.json        the options; a call with the same options continues, one with others is refused
 *   OUT/splits_final.json    the folds, unless --split names a file with them
 *   OUT/fold_K/              run/ from u3d train, predictions/, and summary.json as from u3d evaluate; a fold
 *                            that has it is done; for a single volume also train.nii.gz and test.nii.gz, the
 *                            labels for training and for scoring
 *   OUT/summary.json         the scores of every fold, their mean and their standard deviation
 *   OUT/summary.csv          the scores of every fold and label
 *
 * Training and prediction each run in a process of their own, as the commands that a user would call. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/child.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/rng.h"
#include "io/json.h"
#include "io/path.h"
#include "net/evaluate/evaluate.h"
#include "net/cases/slice_folds.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"
#include "tools/commands/crossval_out.h"
#include "tools/commands/run_source.h"

enum { FOLDS_DEFAULT = 5, FOLDS_MOST = 1000 };

typedef struct crossval {
    const args *a;
    int n;       /* folds */
    char *split; /* the file that lists them; NULL: slices of one volume */
    int32_t unlabeled;
} crossval;

/* The paths of one fold. */
typedef struct fold {
    int k;
    char number[16];
    char *dir, *run, *predictions, *summary, *train, *test;
} fold;

/* ---- running a command in its own process ---- */

typedef struct task {
    u3d_status (*run)(const args *a);
    args a;
    struct {
        u3d_status status;
        char text[2000];
    } result;
} task;

static void task_work(void *context)
{
    task *t = context;
    t->a.started = u3d_clock();
    t->result.status = freopen("/dev/null", "w", stdout) ? t->run(&t->a) : U3D_E_IO;
    (void)snprintf(t->result.text, sizeof t->result.text, "%s", u3d_error_text());
}

static u3d_status task_run(const fold *f, const char *what, u3d_status (*run)(const args *a), const args *a)
{
    int ended_by;
    task *t = u3d_new(1, sizeof *t);
    if (!t) return U3D_E_NOMEM;
    t->run = run;
    t->a = *a;
    u3d_status status;
    if (!u3d_child_run(task_work, t, &t->result, sizeof t->result, &ended_by))
        status = u3d_fail(U3D_E_DEVICE, "fold %d: %s ended without a result (signal %d)", f->k, what, ended_by);
    else
        status = t->result.status == U3D_OK ? U3D_OK
                                            : u3d_fail(t->result.status, "fold %d: %s", f->k, t->result.text);
    u3d_free(t);
    return status;
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
    if (exists_in(f->run, "model.safetensors")) return U3D_OK;
    args a = *c->a;
    a.out = f->run;
    a.json = 0;
    a.no_report = true;
    if (exists_in(f->run, "checkpoint.safetensors")) {
        a.resume = 1;
        a.force = 0;
        a.data = a.image = a.label = a.split = a.fold = a.unlabeled = a.names = a.net = a.iterations =
            a.time = NULL;
        a.dense = a.resample_labels = 0;
        a.set = NULL;
    } else {
        a.force = 1; /* overwrites the files of a run that was interrupted before its first checkpoint */
        a.split = c->split;
        a.fold = c->split ? f->number : NULL;
        if (!c->split) a.label = f->train;
    }
    return task_run(f, "training", cmd_train, &a);
}

static u3d_status fold_predict(const crossval *c, fold *f)
{
    args a = *c->a;
    a.json = 0;
    a.force = 1;
    a.model = f->run;
    a.output = f->predictions;
    a.set = NULL;
    a.split = c->split;
    a.fold = c->split ? f->number : NULL;
    if (!c->split) {
        a.input = a.image;
        U3D_TRY(u3d_path_make_dir(f->predictions));
    }
    return task_run(f, "prediction", cmd_predict, &a);
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

static u3d_status fold_score(const crossval *c, const fold *f)
{
    u3d_status status = U3D_OK;
    char *prediction = NULL;
    cJSON *summary = NULL;
    u3d_labels *trained = NULL;
    u3d_evaluate_opts o;
    U3D_TRY(args_evaluate(c->a, &o));
    U3D_GO(run_labels(f->run, &trained));
    o.prediction = f->predictions;
    o.part = true;
    o.trained = trained;
    if (c->a->reference) o.unlabeled_given = false; /* --unlabeled is about the labels for training */
    if (!c->split) {
        U3D_TRY(only_file(f->predictions, &prediction));
        o.prediction = prediction;
        o.reference = f->test;
    } else if (!o.reference) {
        o.reference = c->a->data;
    }
    U3D_GO(u3d_evaluate(&o, &summary));
    U3D_GO(u3d_json_write(f->summary, summary));
done:
    cJSON_Delete(summary);
    u3d_free(trained);
    u3d_free(prediction);
    return status;
}

static u3d_status fold_run(const crossval *c, int k, cJSON *summaries)
{
    fold f;
    cJSON *summary = NULL;
    u3d_status status;
    U3D_GO(fold_open(c, k, &f));
    if (!u3d_path_exists(f.summary)) {
        U3D_INFO("crossval", "fold %d (folds are 0 to %d)", k, c->n - 1);
        if (!c->split) U3D_GO(fold_labels(c, &f));
        U3D_GO(fold_train(c, &f));
        U3D_GO(fold_predict(c, &f));
        U3D_GO(fold_score(c, &f));
    }
    U3D_GO(u3d_json_read(f.summary, &summary));
    if (!cJSON_AddItemToArray(summaries, summary)) U3D_GO(U3D_E_NOMEM);
    summary = NULL;
    if (c->a->stop && *c->a->stop) U3D_GO(u3d_fail(U3D_E_CANCELLED, "stopped after fold %d", k));
done:
    cJSON_Delete(summary);
    fold_free(&f);
    return status;
}

/* ---- the options of earlier calls ---- */

/* Adds hashes of --label and --split. Every call derives the folds from these files again. If one has
 * changed, slices or volumes that are now tested may have been used for training. */
static u3d_status request_contents(const args *a, cJSON *json)
{
    const struct {
        const char *name, *path;
    } files[] = {{"content of label", a->label}, {"content of split", a->split}};
    char hash[24];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (!files[i].path) continue;
        U3D_TRY(u3d_path_hash(files[i].path, hash));
        if (!cJSON_AddStringToObject(json, files[i].name, hash)) return U3D_E_NOMEM;
    }
    return U3D_OK;
}

static u3d_status request_json(const crossval *c, cJSON **out)
{
    const args *a = c->a;
    const struct {
        const char *name, *value;
        bool path;
    } options[] = {{"data", a->data, true},
                   {"image", a->image, true},
                   {"label", a->label, true},
                   {"split", a->split, true},
                   {"unlabeled", a->unlabeled, false},
                   {"names", a->names, false},
                   {"net", a->net ? a->net : "auto", false},
                   {"reference", a->reference, true},
                   {"background", a->background, false},
                   {"iterations", a->iterations, false},
                   {"time", a->time, false},
                   {"validate_every", a->validate_every, false},
                   {"seed", a->seed ? a->seed : "1", false}};
    cJSON *json = cJSON_CreateObject();
    bool ok = json && cJSON_AddNumberToObject(json, "folds", c->n) &&
              cJSON_AddBoolToObject(json, "dense", a->dense) &&
              (!a->resample_labels || cJSON_AddTrueToObject(json, "resample_labels")) &&
              cJSON_AddBoolToObject(json, "tta", a->tta);
    for (size_t i = 0; ok && i < sizeof options / sizeof options[0]; i++) {
        if (!options[i].value) continue;
        char *absolute = options[i].path ? realpath(options[i].value, NULL) : NULL;
        ok = cJSON_AddStringToObject(json, options[i].name, absolute ? absolute : options[i].value);
        free(absolute);
    }
    cJSON *set = ok ? cJSON_AddArrayToObject(json, "set") : NULL;
    ok = ok && set;
    for (int i = 0; ok && i < args_set_count(a); i++)
        ok = cJSON_AddItemToArray(set, cJSON_CreateString(a->set[i]));
    u3d_status status =
        ok ? request_contents(a, json) : u3d_fail(U3D_E_NOMEM, "out of memory while storing the options");
    *out = status == U3D_OK ? json : NULL;
    if (status != U3D_OK) cJSON_Delete(json);
    return status;
}

/* Whether training has begun. A call that failed before does not fix the options of later calls. */
static bool anything_done(const crossval *c)
{
    char *config = u3d_path_join(c->a->out, "fold_0/run/config.json");
    const bool done = config && u3d_path_exists(config);
    u3d_free(config);
    return done;
}

static u3d_status request_begin(const crossval *c, const char *path, const cJSON *wanted)
{
    char *split = u3d_path_join(c->a->out, "splits_final.json");
    if (!split) return U3D_E_NOMEM;
    if (u3d_path_exists(path)) (void)remove(split); /* written by the earlier call, which failed */
    u3d_free(split);
    U3D_TRY(u3d_path_make_dir(c->a->out));
    return u3d_json_write(path, wanted);
}

/* Begins OUT, or checks that an earlier call there had the same options. */
static u3d_status request_settle(const crossval *c)
{
    u3d_status status;
    cJSON *wanted = NULL, *found = NULL;
    char *path = u3d_path_join(c->a->out, "crossval.json");
    if (!path) return U3D_E_NOMEM;
    U3D_GO(request_json(c, &wanted));
    if (!u3d_path_exists(path) || !anything_done(c)) {
        U3D_GO(request_begin(c, path, wanted));
        goto done;
    }
    U3D_GO(u3d_json_read(path, &found));
    const cJSON *option;
    cJSON_ArrayForEach(option, wanted)
    {
        if (!cJSON_Compare(option, u3d_json_member(found, option->string), true))
            U3D_GO(u3d_fail(U3D_E_ARG, "%s is a cross-validation with another '%s' (see %s); choose another --out",
                            c->a->out, option->string, path));
    }
    if (cJSON_GetArraySize(wanted) != cJSON_GetArraySize(found))
        status = u3d_fail(U3D_E_ARG, "%s is a cross-validation with other options (see %s); choose another --out",
                          c->a->out, path);
done:
    cJSON_Delete(wanted);
    cJSON_Delete(found);
    u3d_free(path);
    return status;
}

/* ---- all folds ---- */

static u3d_status folds_number(crossval *c)
{
    const args *a = c->a;
    int64_t n = FOLDS_DEFAULT;
    if (a->folds) U3D_TRY(args_int("--folds", a->folds, 2, FOLDS_MOST, &n));
    c->n = (int)n;
    if (!a->split) return U3D_OK;
    if (a->folds)
        return u3d_fail(U3D_E_ARG, "u3d crossval: leave out --folds, because --split defines the folds");
    return u3d_split_count(a->split, &c->n);
}

/* Sets of[case] to the fold of each case. The cases are dealt to the folds in turn, in random order, so the
 * sizes of the folds differ by at most one. */
static u3d_status folds_deal(int n_cases, int n, uint64_t seed, int **of)
{
    u3d_rng rng = u3d_rng_at(seed, U3D_RNG_SPLIT, 1); /* training uses index 0 to choose held-out cases */
    *of = u3d_new((size_t)n_cases, sizeof **of);
    if (!*of) return U3D_E_NOMEM;
    for (int i = 0; i < n_cases; i++) (*of)[i] = i % n;
    for (int i = n_cases - 1; i > 0; i--) { /* Fisher-Yates shuffle */
        const int64_t j = u3d_rng_below(&rng, i + 1);
        const int kept = (*of)[i];
        (*of)[i] = (*of)[j];
        (*of)[j] = kept;
    }
    return U3D_OK;
}

static u3d_status split_make(const crossval *c, uint64_t seed)
{
    int *of = NULL;
    u3d_dataset *data;
    U3D_TRY(u3d_dataset_open(c->a->data, 0, true, &data));
    u3d_status status = U3D_OK;
    if (c->n > data->n_cases)
        status = u3d_fail(U3D_E_ARG, "cannot make %d folds of the %d cases of '%s'", c->n, data->n_cases,
                          data->path);
    if (status == U3D_OK) status = folds_deal(data->n_cases, c->n, seed, &of);
    if (status == U3D_OK) status = u3d_split_write(c->split, data, c->n, of);
    u3d_free(of);
    u3d_dataset_free(data);
    return status;
}

/* Sets the file that lists the folds: the one of --split, or splits_final.json, which is written if it is
 * missing. */
static u3d_status folds_file(crossval *c)
{
    const args *a = c->a;
    int64_t seed = 1;
    if (!a->data) return U3D_OK;
    if (a->split) {
        c->split = u3d_strdup(a->split);
        return c->split ? U3D_OK : U3D_E_NOMEM;
    }
    if (a->seed) U3D_TRY(args_int("--seed", a->seed, 0, INT64_MAX, &seed));
    c->split = u3d_path_join(a->out, "splits_final.json");
    if (!c->split) return U3D_E_NOMEM;
    return u3d_path_exists(c->split) ? U3D_OK : split_make(c, (uint64_t)seed);
}

static u3d_status options_check(crossval *c)
{
    const args *a = c->a;
    bool given;
    U3D_TRY(args_need("crossval", "--out DIR", a->out));
    if (!a->data == !(a->image && a->label))
        return u3d_fail(U3D_E_ARG, "u3d crossval: expected --data DIR, or --image FILE with --label FILE");
    if ((a->split || a->reference) && !a->data)
        return u3d_fail(U3D_E_ARG, "u3d crossval: --split and --reference need --data");
    if (a->reference && !u3d_path_is_dir(a->reference))
        return u3d_fail(U3D_E_IO, "--reference '%s': expected a folder of label files, or a data set",
                        a->reference);
    U3D_TRY(args_unlabeled(a, &given, &c->unlabeled));
    U3D_TRY(args_names(a, NULL));
    if (!a->data && !given)
        return u3d_fail(U3D_E_ARG,
                        "u3d crossval: the folds of a single volume are its annotated slices; "
                        "say with --unlabeled V which value means unlabelled");
    return folds_number(c);
}

static u3d_status summary_write(const args *a, const cJSON *result)
{
    char *json = u3d_path_join(a->out, "summary.json"), *csv = u3d_path_join(a->out, "summary.csv");
    u3d_status status = json && csv ? u3d_json_write(json, result) : U3D_E_NOMEM;
    if (status == U3D_OK) status = crossval_csv(result, csv);
    u3d_free(json);
    u3d_free(csv);
    return status;
}

u3d_status cmd_crossval(const args *a)
{
    crossval c = {.a = a};
    cJSON *summaries = NULL, *result = NULL;
    u3d_status status;
    U3D_GO(options_check(&c));
    U3D_GO(request_settle(&c));
    U3D_GO(folds_file(&c));
    summaries = cJSON_CreateArray();
    if (!summaries) U3D_GO(U3D_E_NOMEM);
    for (int k = 0; k < c.n; k++) U3D_GO(fold_run(&c, k, summaries));
    U3D_GO(crossval_summary(summaries, &result));
    U3D_GO(summary_write(a, result));
    if (a->json)
        status = u3d_json_print(stdout, result);
    else
        crossval_table(result);
done:
    cJSON_Delete(summaries);
    cJSON_Delete(result);
    u3d_free(c.split);
    return status;
}
