/* u3d evaluate: scores predictions against references. It prints a table, or with --json the fields of
 * summary.json; with --csv and --picture it also writes a CSV file and a picture. */
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/evaluate/evaluate.h"
#include "net/model/model.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/commands/commands.h"
#include "tools/commands/evaluate_out.h"
#include "tools/commands/run_source.h"

static u3d_status files_of_evaluate(const args *a)
{
    files f = {0};
    if (!a->csv && !a->picture) return U3D_OK;
    files_read_volumes(&f, a->prediction);
    files_read_volumes(&f, a->reference);
    files_read(&f, a->image);
    files_read_model(&f, a->model);
    files_write(&f, a->csv, false);
    files_write(&f, a->picture, false);
    return files_check(&f, a);
}

static u3d_status read_options(const args *a, u3d_evaluate_opts *o)
{
    U3D_TRY(args_need("evaluate", "--prediction FILE|DIR", a->prediction));
    U3D_TRY(args_need("evaluate", "--reference FILE|DIR", a->reference));
    U3D_TRY(args_evaluate(a, o));
    if (a->tolerance && a->no_surface)
        return u3d_fail(U3D_E_ARG, "u3d evaluate: --tolerance has no effect with --no-surface");
    if (a->image && !a->picture)
        return u3d_fail(U3D_E_ARG, "u3d evaluate: --image needs --picture PNG, which shows it under the labels");
    if (a->image && u3d_path_is_dir(a->prediction))
        return u3d_fail(
            U3D_E_ARG,
            "u3d evaluate: --image is for a single case; for several cases, give a data set with images as "
            "--reference");
    return files_of_evaluate(a);
}

/* Adds the images that the run --model was trained on. A model file names none. */
static u3d_status add_images(const args *a, cJSON *summary)
{
    cJSON *config = NULL;
    char *path = u3d_path_join(a->model, U3D_RUN_CONFIG);
    if (!path) return U3D_E_NOMEM;
    u3d_status status = u3d_path_exists(path) ? u3d_json_read(path, &config) : U3D_OK;
    u3d_free(path);
    if (status == U3D_OK) status = run_add_images(config, summary);
    cJSON_Delete(config);
    return status;
}

static u3d_status write_files(const args *a, cJSON *summary)
{
    char caption[300];
    if (a->csv) U3D_TRY(evaluate_csv(summary, a->csv));
    if (!a->picture) return U3D_OK;
    if (a->model) U3D_TRY(add_images(a, summary));
    return evaluate_picture(summary, a->image, a->picture, caption, sizeof caption);
}

/* U3D_E_FORMAT if there are cases that could not be scored; they are listed once more. */
static u3d_status tell_failures(const cJSON *summary)
{
    const cJSON *failures = u3d_json_member(summary, "failures"), *one;
    const int n = cJSON_GetArraySize(failures),
              n_scored = (int)cJSON_GetNumberValue(u3d_json_member(summary, "cases"));
    cJSON_ArrayForEach(one, failures)
        U3D_WARN("evaluate", "not scored: %s: %s", cJSON_GetStringValue(u3d_json_member(one, "case")),
                 cJSON_GetStringValue(u3d_json_member(one, "error")));
    if (n == 0) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT, "%d of %d cases were not scored (listed above); all means are without them",
                    n, n + n_scored);
}

u3d_status cmd_evaluate(const args *a)
{
    u3d_status status;
    u3d_evaluate_opts o;
    u3d_labels *trained = NULL;
    cJSON *summary = NULL;
    U3D_TRY(read_options(a, &o));
    if (a->model) U3D_GO(run_labels(a->model, &trained));
    o.trained = trained;
    U3D_GO(u3d_evaluate(&o, &summary));
    if (a->json)
        U3D_GO(u3d_json_print(stdout, summary));
    else
        evaluate_table(summary);
    U3D_GO(write_files(a, summary));
    status = tell_failures(summary);
done:
    cJSON_Delete(summary);
    u3d_free(trained);
    return status;
}
