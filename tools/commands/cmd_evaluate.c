/* u3d evaluate: a table for people, or summary.json's fields with --json; CSV and a picture on demand. */
#include "io/json.h"
#include "io/path.h"
#include "net/evaluate/evaluate.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"
#include "tools/commands/evaluate_out.h"

static u3d_status read_options(const args *a, u3d_evaluate_opts *o)
{
    U3D_TRY(args_need("evaluate", "--prediction FILE|DIR", a->prediction));
    U3D_TRY(args_need("evaluate", "--reference FILE|DIR", a->reference));
    U3D_TRY(args_evaluate(a, o));
    if (a->tolerance && a->no_surface)
        return u3d_fail(U3D_E_ARG, "u3d evaluate: --tolerance says nothing with --no-surface");
    if (a->image && !a->picture)
        return u3d_fail(U3D_E_ARG, "u3d evaluate: --image is what --picture PNG draws on; give both");
    if (a->image && u3d_path_is_dir(a->prediction))
        return u3d_fail(
            U3D_E_ARG,
            "u3d evaluate: --image is for a single case; a data set as --reference knows its images");
    if (a->csv) U3D_TRY(args_free_output(a, a->csv));
    if (a->picture) U3D_TRY(args_free_output(a, a->picture));
    return U3D_OK;
}

static u3d_status write_files(const args *a, const cJSON *summary)
{
    if (a->csv) U3D_TRY(evaluate_csv(summary, a->csv));
    return a->picture ? evaluate_picture(summary, a->image, a->picture) : U3D_OK;
}

u3d_status cmd_evaluate(const args *a)
{
    u3d_evaluate_opts o;
    cJSON *summary;
    U3D_TRY(read_options(a, &o));
    U3D_TRY(u3d_evaluate(&o, &summary));
    u3d_status status = U3D_OK;
    if (a->json)
        status = u3d_json_print(stdout, summary);
    else
        evaluate_table(summary);
    if (status == U3D_OK) status = write_files(a, summary);
    cJSON_Delete(summary);
    return status;
}
