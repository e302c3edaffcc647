/* Prints a summary of scores as a table, and writes it as CSV. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/csv.h"
#include "io/json.h"
#include "io/path.h"
#include "tools/commands/evaluate_out.h"

static const char *case_name(const cJSON *entry)
{
    const char *name = cJSON_GetStringValue(u3d_json_member(entry, "case"));
    return name ? name : "";
}

/* ---- the table ---- */

typedef struct column {
    const char *name, *title;
    int width, decimals; /* decimals -1: six significant digits */
    double scale;
} column;

static const column OVERLAP[] = {{"Dice", "Dice", 7, 4, 1},
                                 {"IoU", "IoU", 7, 4, 1},
                                 {"Precision", "precis.", 7, 4, 1},
                                 {"Recall", "recall", 7, 4, 1}};
static const column SURFACE[] = {
    {"HD95", "HD95", 7, 2, 1}, {"ASSD", "ASSD", 7, 3, 1}, {"NSD", "NSD", 7, 4, 1}};
static const column VOLUME[] = {{"volume_pred", "volume pred", 12, -1, 1},
                                {"volume_ref", "volume ref", 12, -1, 1},
                                {"RVD", "diff %", 8, 1, 100}};

static void cell(const column *c, const cJSON *metrics)
{
    const cJSON *v = u3d_json_member(metrics, c->name);
    if (!metrics)
        printf(" %*s", c->width, c->title);
    else if (!cJSON_IsNumber(v))
        printf(" %*s", c->width, "-");
    else if (c->decimals < 0)
        printf(" %*.6g", c->width, v->valuedouble * c->scale);
    else
        printf(" %*.*f", c->width, c->decimals, v->valuedouble * c->scale);
}

/* Prints one row; if `metrics` is NULL, the titles. */
static void row(const char *name, const char *label, bool surface, const cJSON *metrics)
{
    printf("%-24s %5s", name, label);
    for (size_t i = 0; i < sizeof OVERLAP / sizeof OVERLAP[0]; i++) cell(&OVERLAP[i], metrics);
    for (size_t i = 0; surface && i < sizeof SURFACE / sizeof SURFACE[0]; i++) cell(&SURFACE[i], metrics);
    for (size_t i = 0; i < sizeof VOLUME / sizeof VOLUME[0]; i++) cell(&VOLUME[i], metrics);
    putchar('\n');
}

static void explain_surface(const cJSON *summary, const cJSON *surface)
{
    const char *said = cJSON_GetStringValue(u3d_json_member(surface, "unit"));
    const char *unit = !said || strcmp(said, "unknown") == 0 ? "mm (the files do not give their unit)" : said;
    const int scored = (int)cJSON_GetNumberValue(u3d_json_member(surface, "cases")),
              cases = (int)cJSON_GetNumberValue(u3d_json_member(summary, "cases"));
    const cJSON *m;
    printf("\nHD95 and ASSD in %s; NSD: share of the surfaces within %g %s.\n", unit,
           cJSON_GetNumberValue(u3d_json_member(surface, "tolerance")), unit);
    if (scored < cases)
        printf("%d of %d references have unlabelled voxels, so their surfaces are unknown and not scored.\n",
               cases - scored, cases);
    cJSON_ArrayForEach(m, u3d_json_member(summary, "mean"))
    {
        const int measured = (int)cJSON_GetNumberValue(u3d_json_member(m, "distance_cases"));
        if (measured < scored)
            printf("Label %s: HD95 and ASSD are means of %d cases; %d others lack its surface in one file or both.\n",
                   m->string, measured, scored - measured);
    }
}

void evaluate_table(const cJSON *summary)
{
    const cJSON *surface = u3d_json_member(summary, "surface"), *c, *m;
    const bool with = cJSON_IsObject(surface);
    row("case", "label", with, NULL);
    cJSON_ArrayForEach(c, u3d_json_member(summary, "metric_per_case"))
    {
        cJSON_ArrayForEach(m, u3d_json_member(c, "metrics")) row(case_name(c), m->string, with, m);
    }
    cJSON_ArrayForEach(m, u3d_json_member(summary, "mean")) row("mean", m->string, with, m);
    row("foreground mean", "", with, u3d_json_member(summary, "foreground_mean"));
    if (with) explain_surface(summary, surface);
}

/* ---- CSV ---- */

/* Writes one row with the columns of `titles`; if `metrics` is NULL, the names of the columns. */
static void csv_row(FILE *f, const char *name, const char *label, const cJSON *titles, const cJSON *metrics)
{
    const cJSON *t;
    u3d_csv_put(f, name);
    fprintf(f, ",%s", label);
    cJSON_ArrayForEach(t, titles)
    {
        const cJSON *v = u3d_json_member(metrics, t->string);
        if (!metrics)
            fprintf(f, ",%s", t->string);
        else if (cJSON_IsNumber(v))
            fprintf(f, ",%.15g", v->valuedouble);
        else
            putc(',', f);
    }
    putc('\n', f);
}

u3d_status evaluate_csv(const cJSON *summary, const char *path)
{
    const cJSON *titles = u3d_json_member(summary, "foreground_mean"), *c, *m;
    u3d_outfile *file;
    U3D_TRY(u3d_outfile_open(path, &file));
    FILE *f = u3d_outfile_stream(file);
    csv_row(f, "case", "label", titles, NULL);
    cJSON_ArrayForEach(c, u3d_json_member(summary, "metric_per_case"))
    {
        cJSON_ArrayForEach(m, u3d_json_member(c, "metrics")) csv_row(f, case_name(c), m->string, titles, m);
    }
    cJSON_ArrayForEach(m, u3d_json_member(summary, "mean")) csv_row(f, "mean", m->string, titles, m);
    csv_row(f, "foreground_mean", "", titles, titles);
    return u3d_outfile_commit(file);
}
