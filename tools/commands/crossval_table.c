/* Combines the summaries of the folds into one, and prints or writes it: the scores of each fold, their mean
 * and their standard deviation. */
#include "tools/commands/crossval_out.h"

#include <math.h>
#include <stdio.h>

#include "io/json.h"
#include "io/path.h"

static const char *const MEASURES[] = {"Dice", "IoU", "Precision", "Recall", "HD95", "ASSD", "NSD"};
enum { N_MEASURES = sizeof MEASURES / sizeof MEASURES[0] };
static const char FOREGROUND[] = "foreground";

/* The measures of one label, or of the foreground, in a fold. */
static const cJSON *scores_of(const cJSON *summary, const char *label)
{
    return label == FOREGROUND ? u3d_json_member(summary, "foreground_mean")
                               : u3d_json_member(u3d_json_member(summary, "mean"), label);
}

/* Mean and standard deviation of a measure over the folds that have it. Both are NaN if no fold has it; *sd
 * is also NaN if only one has it. */
static void mean_and_sd(const cJSON *summaries, const char *label, const char *measure, double *mean,
                        double *sd)
{
    const cJSON *summary;
    double sum = 0, squares = 0;
    int n = 0;
    cJSON_ArrayForEach(summary, summaries)
    {
        const cJSON *v = u3d_json_member(scores_of(summary, label), measure);
        if (!cJSON_IsNumber(v)) continue;
        sum += v->valuedouble;
        n++;
    }
    *mean = n > 0 ? sum / n : NAN;
    cJSON_ArrayForEach(summary, summaries)
    {
        const cJSON *v = u3d_json_member(scores_of(summary, label), measure);
        if (cJSON_IsNumber(v)) squares += (v->valuedouble - *mean) * (v->valuedouble - *mean);
    }
    *sd = n > 1 ? sqrt(squares / (n - 1)) : NAN;
}

static bool add_label(const cJSON *summaries, const char *label, cJSON *means, cJSON *sds)
{
    cJSON *mean = cJSON_AddObjectToObject(means, label), *sd = cJSON_AddObjectToObject(sds, label);
    bool ok = mean && sd;
    for (int i = 0; ok && i < N_MEASURES; i++) {
        double m, s;
        mean_and_sd(summaries, label, MEASURES[i], &m, &s);
        ok = cJSON_AddItemToObject(mean, MEASURES[i], u3d_json_number(m)) &&
             cJSON_AddItemToObject(sd, MEASURES[i], u3d_json_number(s));
    }
    return ok;
}

/* Adds the foreground and every label that occurs in any fold. */
static bool add_labels(const cJSON *summaries, cJSON *means, cJSON *sds)
{
    const cJSON *summary, *label;
    bool ok = add_label(summaries, FOREGROUND, means, sds);
    cJSON_ArrayForEach(summary, summaries) cJSON_ArrayForEach(
        label, u3d_json_member(summary, "mean")) if (ok && !u3d_json_member(means, label->string)) ok =
        add_label(summaries, label->string, means, sds);
    return ok;
}

static bool add_folds(const cJSON *summaries, cJSON *folds)
{
    static const char *const KEPT[] = {"cases", "foreground_mean", "mean"};
    const cJSON *summary;
    bool ok = folds != NULL;
    cJSON_ArrayForEach(summary, summaries)
    {
        cJSON *entry = ok ? cJSON_CreateObject() : NULL;
        ok = ok && cJSON_AddItemToArray(folds, entry);
        for (size_t i = 0; ok && i < sizeof KEPT / sizeof KEPT[0]; i++)
            ok = cJSON_AddItemToObject(entry, KEPT[i],
                                       cJSON_Duplicate(u3d_json_member(summary, KEPT[i]), true));
        const char *error = cJSON_GetStringValue(u3d_json_member(summary, "error"));
        if (ok && error) ok = cJSON_AddStringToObject(entry, "error", error) != NULL;
    }
    return ok;
}

u3d_status crossval_summary(const cJSON *summaries, cJSON **out)
{
    cJSON *result = cJSON_CreateObject();
    bool ok = add_folds(summaries, cJSON_AddArrayToObject(result, "folds"));
    cJSON *means = cJSON_AddObjectToObject(result, "mean"), *sds = cJSON_AddObjectToObject(result, "sd");
    ok = ok && means && sds && add_labels(summaries, means, sds);
    *out = ok ? result : NULL;
    if (!ok) cJSON_Delete(result);
    return ok ? U3D_OK : u3d_fail(U3D_E_NOMEM, "out of memory while combining the folds");
}

static void print_number(const cJSON *scores, const char *measure, int decimals)
{
    const cJSON *v = u3d_json_member(scores, measure);
    if (cJSON_IsNumber(v))
        printf(" %7.*f", decimals, v->valuedouble);
    else
        printf(" %7s", "-");
}

static void print_row(const char *name, const cJSON *scores)
{
    printf("%-24s", name);
    for (int i = 0; i < N_MEASURES; i++) print_number(scores, MEASURES[i], i == 4 ? 2 : i == 5 ? 3 : 4);
    putchar('\n');
}

void crossval_table(const cJSON *result)
{
    const cJSON *fold, *label;
    char name[64];
    int k = 0;
    printf("%-24s", "");
    for (int i = 0; i < N_MEASURES; i++) printf(" %7.7s", MEASURES[i]);
    putchar('\n');
    cJSON_ArrayForEach(fold, u3d_json_member(result, "folds"))
    {
        (void)snprintf(name, sizeof name, "fold %d (%g case%s)", k++,
                       cJSON_GetNumberValue(u3d_json_member(fold, "cases")),
                       cJSON_GetNumberValue(u3d_json_member(fold, "cases")) == 1 ? "" : "s");
        print_row(name, u3d_json_member(fold, "foreground_mean"));
    }
    cJSON_ArrayForEach(label, u3d_json_member(result, "mean"))
    {
        const bool all = label == u3d_json_member(result, "mean")->child;
        (void)snprintf(name, sizeof name, "mean, %s%s", all ? "" : "label ", label->string);
        print_row(name, label);
        (void)snprintf(name, sizeof name, "sd over folds");
        print_row(name, u3d_json_member(u3d_json_member(result, "sd"), label->string));
    }
}

static void csv_line(FILE *f, int fold, double cases, const char *label, const cJSON *scores)
{
    fprintf(f, "%d,%g,%s", fold, cases, label);
    for (int i = 0; i < N_MEASURES; i++) {
        const cJSON *v = u3d_json_member(scores, MEASURES[i]);
        if (cJSON_IsNumber(v))
            fprintf(f, ",%.6g", v->valuedouble);
        else
            fputc(',', f);
    }
    fputc('\n', f);
}

u3d_status crossval_csv(const cJSON *result, const char *path)
{
    u3d_outfile *out;
    const cJSON *fold, *label;
    int k = 0;
    U3D_TRY(u3d_outfile_open(path, &out));
    FILE *f = u3d_outfile_stream(out);
    fputs("fold,cases,label", f);
    for (int i = 0; i < N_MEASURES; i++) fprintf(f, ",%s", MEASURES[i]);
    fputc('\n', f);
    cJSON_ArrayForEach(fold, u3d_json_member(result, "folds"))
    {
        const double cases = cJSON_GetNumberValue(u3d_json_member(fold, "cases"));
        cJSON_ArrayForEach(label, u3d_json_member(fold, "mean")) csv_line(f, k, cases, label->string, label);
        csv_line(f, k++, cases, FOREGROUND, u3d_json_member(fold, "foreground_mean"));
    }
    return u3d_outfile_commit(out);
}
