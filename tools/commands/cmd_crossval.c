/* u3d crossval: for each fold in turn, trains on the other folds, then predicts and scores this one.
 *
 *   OUT/crossval.json        the options; a call with the same options continues, one with others is refused
 *   OUT/plan.json            what all folds share: settings, label table, CT statistics
 *   OUT/splits_final.json    the folds, unless --split names a file with them
 *   OUT/fold_K/              run/ from u3d train, predictions/, and summary.json as from u3d evaluate; a fold
 *                            that has it is done; for a single volume also train.nii.gz and test.nii.gz, the
 *                            labels for training and for scoring
 *   OUT/summary.json         the scores of every fold, their mean and their standard deviation
 *   OUT/summary.csv          the scores of every fold and label
 *
 * A fold that fails does not keep the others from being run; the failures are listed at the end, and the same
 * call tries them again. */
#include <math.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/cases/cases.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/commands/commands.h"
#include "tools/commands/crossval_impl.h"
#include "tools/commands/crossval_out.h"

/* ---- the options of earlier calls ---- */

/* Adds hashes of --label and --split. Every call derives the folds from these files again. If one has
 * changed, slices or volumes that are now tested may have been used for training. */
static u3d_status request_contents(const args *a, cJSON *json)
{
    const struct {
        const char *name, *path;
    } inputs[] = {{"content of label", a->label}, {"content of split", a->split}};
    char hash[24];
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (!inputs[i].path) continue;
        U3D_TRY(u3d_path_hash(inputs[i].path, hash));
        if (!cJSON_AddStringToObject(json, inputs[i].name, hash)) return U3D_E_NOMEM;
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
                   {"names", a->names, false},
                   {"net", a->net ? a->net : "auto", false},
                   {"reference", a->reference, true},
                   {"background", a->background, false},
                   {"iterations", a->iterations, false},
                   {"time", a->time, false},
                   {"validate", a->validate, false},
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

static bool exists_in(const char *dir, const char *name)
{
    char *path = u3d_path_join(dir, name);
    const bool is = path && u3d_path_is_taken(path);
    u3d_free(path);
    return is;
}

/* Whether training of any fold has begun. A call that failed before does not fix the options of later calls.
 */
static bool anything_done(const crossval *c)
{
    bool done = false;
    for (int k = 0; k < CROSSVAL_FOLDS_MOST && !done; k++) {
        char config[64], summary[64];
        (void)snprintf(config, sizeof config, "fold_%d/run/config.json", k);
        (void)snprintf(summary, sizeof summary, "fold_%d/summary.json", k);
        done = exists_in(c->a->out, config) || exists_in(c->a->out, summary);
    }
    return done;
}

/* Refuses a folder that has such files, but not from a cross-validation: they would be overwritten. */
static u3d_status folder_check(const args *a)
{
    static const char *const OWN[] = {"splits_final.json", "plan.json", "summary.json", "summary.csv",
                                      "fold_0"};
    for (size_t i = 0; i < sizeof OWN / sizeof OWN[0]; i++)
        if (!a->force && !(i == 0 && a->split) && exists_in(a->out, OWN[i]))
            return u3d_fail(
                U3D_E_ARG,
                "%s/%s exists, but is not from u3d crossval (crossval.json is missing); choose another "
                "--out, or give --force to overwrite it",
                a->out, OWN[i]);
    return U3D_OK;
}

static u3d_status request_begin(const crossval *c, const char *path, const cJSON *wanted)
{
    static const char *const MADE[] = {"plan.json", "splits_final.json"};
    for (size_t i = 0; i < sizeof MADE / sizeof MADE[0]; i++) {
        if (i == 1 && c->a->split) continue;
        char *file = u3d_path_join(c->a->out, MADE[i]);
        if (!file) return U3D_E_NOMEM;
        (void)remove(file); /* written by an earlier call, which failed */
        u3d_free(file);
    }
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
    if (!u3d_path_exists(path)) U3D_GO(folder_check(c->a));
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

/* No output is one of the inputs, as the label in `--label cv/fold_0/test.nii.gz --out cv` would be. */
static u3d_status files_of_crossval(const crossval *c)
{
    static const char *const OWN[] = {"crossval.json", "plan.json", "summary.json", "summary.csv",
                                      "splits_final.json"};
    static const char *const FOLD[] = {"summary.json", "train.nii.gz", "test.nii.gz"};
    const args *a = c->a;
    files f = {0};
    files_read(&f, a->image);
    files_read(&f, a->label);
    files_read(&f, a->split);
    files_read(&f, a->net);
    files_read_volumes(&f, a->data);
    files_read_volumes(&f, a->reference);
    for (size_t i = 0; i < sizeof OWN / sizeof OWN[0]; i++) {
        char *path = u3d_path_join(a->out, OWN[i]);
        if (!a->split || i != 4) files_write(&f, path, true);
        u3d_free(path);
    }
    for (int k = 0; k < c->n; k++)
        for (size_t i = 0; i < sizeof FOLD / sizeof FOLD[0]; i++) {
            char *path = u3d_format("%s/fold_%d/%s", a->out, k, FOLD[i]);
            files_write(&f, path, true);
            u3d_free(path);
        }
    return files_check(&f, a);
}

/* Says at the start which volumes are damaged, because training the first fold may take hours. */
static u3d_status cases_check(const args *a)
{
    u3d_dataset *data = NULL;
    int *which = NULL;
    if (!a->data) return U3D_OK;
    U3D_TRY(u3d_dataset_open(a->data, 0, true, &data));
    u3d_status status = (which = u3d_new((size_t)data->n_cases, sizeof *which)) ? U3D_OK : U3D_E_NOMEM;
    for (int i = 0; which && i < data->n_cases; i++) which[i] = i;
    if (status == U3D_OK) status = u3d_cases_probe(data, which, data->n_cases);
    if (status == U3D_E_IO || status == U3D_E_FORMAT) {
        U3D_WARN("crossval", "folds that need them will fail: %s", u3d_error_text());
        status = U3D_OK;
    }
    u3d_free(which);
    u3d_dataset_free(data);
    return status;
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
    U3D_TRY(crossval_number(c));
    return files_of_crossval(c);
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

/* Runs all folds, and lists those that failed. *n_failed: their number. If no fold has a score, the first
 * failure is returned. */
static u3d_status folds_run(const crossval *c, cJSON *summaries, int *n_failed)
{
    u3d_status status = U3D_OK, first = U3D_OK;
    double n_cases = 0;
    fold_failure *failure = u3d_new((size_t)c->n, sizeof *failure);
    if (!failure) return U3D_E_NOMEM;
    *n_failed = 0;
    for (int k = 0; k < c->n && status == U3D_OK; k++) status = crossval_fold(c, k, summaries, &failure[k]);
    const cJSON *summary;
    cJSON_ArrayForEach(summary, summaries) n_cases += cJSON_GetNumberValue(u3d_json_member(summary, "cases"));
    for (int k = 0; k < c->n && status == U3D_OK; k++) {
        if (!failure[k].text) continue;
        U3D_WARN("crossval", "failed: %s", failure[k].text);
        if ((*n_failed)++ == 0 && n_cases == 0) first = u3d_fail(failure[k].status, "%s", failure[k].text);
    }
    for (int k = 0; k < c->n; k++) u3d_free(failure[k].text);
    if (status == U3D_E_CANCELLED)
        status = u3d_fail(status, "u3d crossval: interrupted in fold %d; the same command continues",
                          cJSON_GetArraySize(summaries));
    u3d_free(failure);
    return status != U3D_OK ? status : first;
}

static u3d_status tell_failures(const crossval *c, int n_failed)
{
    if (n_failed == 0) return U3D_OK;
    return u3d_fail(
        U3D_E_FORMAT,
        "%d of %d folds failed or are incomplete (listed above), and the scores are without what failed; the "
        "same command tries them again",
        n_failed, c->n);
}

u3d_status cmd_crossval(const args *a)
{
    int n_failed = 0;
    crossval c = {.a = a};
    cJSON *summaries = NULL, *result = NULL;
    u3d_status status;
    U3D_GO(options_check(&c));
    U3D_GO(request_settle(&c));
    U3D_GO(cases_check(a));
    U3D_GO(crossval_plan(&c, anything_done(&c)));
    U3D_GO(crossval_split(&c));
    summaries = cJSON_CreateArray();
    if (!summaries) U3D_GO(U3D_E_NOMEM);
    U3D_GO(folds_run(&c, summaries, &n_failed));
    U3D_GO(crossval_summary(summaries, &result));
    U3D_GO(summary_write(a, result));
    if (a->json)
        status = u3d_json_print(stdout, result);
    else
        crossval_table(result);
    if (status == U3D_OK) status = tell_failures(&c, n_failed);
done:
    cJSON_Delete(summaries);
    cJSON_Delete(result);
    u3d_free(c.split);
    u3d_free(c.plan);
    return status;
}
