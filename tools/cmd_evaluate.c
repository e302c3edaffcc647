/* u3d evaluate: a table for people, or summary.json's fields with --json. */
#include <math.h>

#include "io/json.h"
#include "net/evaluate.h"
#include "tools/args_data.h"

static double field(const cJSON *metrics, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(metrics, name);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static void row(const char *name, const char *label, const cJSON *m)
{
    printf("%-24s %6s %8.4f %8.4f %12.6g %12.6g %14.6g %14.6g\n", name, label, field(m, "Dice"),
           field(m, "IoU"), field(m, "n_pred"), field(m, "n_ref"), field(m, "volume_pred"),
           field(m, "volume_ref"));
}

static void print_table(const cJSON *summary)
{
    const cJSON *c, *m;
    printf("%-24s %6s %8s %8s %12s %12s %14s %14s\n", "case", "label", "Dice", "IoU", "voxels pred",
           "voxels ref", "volume pred", "volume ref");
    cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(summary, "metric_per_case"))
    {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(c, "case");
        cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(c, "metrics"))
            row(cJSON_IsString(id) ? id->valuestring : "", m->string, m);
    }
    cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(summary, "mean")) row("mean", m->string, m);
    row("foreground mean", "", cJSON_GetObjectItemCaseSensitive(summary, "foreground_mean"));
}

u3d_status cmd_evaluate(const args *a)
{
    u3d_evaluate_opts o = {.prediction = a->prediction, .reference = a->reference, .surface = true, .tolerance = 1, .threads = 2};
    cJSON *summary;
    U3D_TRY(args_need("evaluate", "--prediction FILE|DIR", a->prediction));
    U3D_TRY(args_need("evaluate", "--reference FILE|DIR", a->reference));
    U3D_TRY(args_unlabeled(a, &o.unlabeled_given, &o.unlabeled));
    U3D_TRY(u3d_evaluate(&o, &summary));
    u3d_status status = U3D_OK;
    if (a->json)
        status = u3d_json_print(stdout, summary);
    else
        print_table(summary);
    cJSON_Delete(summary);
    return status;
}
