/* u3d evaluate: scores predictions against references. It prints a table, or with --json the fields of
 * summary.json; with --csv and --picture it also writes a CSV file and a picture. */
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/evaluate/evaluate.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"
#include "tools/commands/evaluate_out.h"
#include "tools/commands/run_source.h"

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
    if (a->csv) U3D_TRY(args_free_output(a, a->csv));
    if (a->picture) U3D_TRY(args_free_output(a, a->picture));
    return U3D_OK;
}

/* Adds the images that the run --model was trained on. A model file names none. */
static u3d_status add_images(const args *a, cJSON *summary)
{
    cJSON *config = NULL;
    char *path = u3d_path_join(a->model, "config.json");
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
    status = write_files(a, summary);
done:
    cJSON_Delete(summary);
    u3d_free(trained);
    return status;
}
