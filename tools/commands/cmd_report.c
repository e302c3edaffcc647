/* u3d report: writes one HTML page with training runs (their curves and settings), scores, pictures and
 * tables. Each part appears only if its option is given. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/csv.h"
#include "io/json.h"
#include "io/temporary.h"
#include "net/evaluate/evaluate.h"
#include "tools/cli/args.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/result.h"
#include "tools/commands/commands.h"
#include "tools/commands/evaluate_out.h"
#include "tools/draw/html.h"
#include "tools/commands/report_chart.h"
#include "tools/commands/report_run.h"
#include "tools/commands/run_source.h"

enum { MAX_RUNS = 64 };

typedef struct report {
    const args *a;
    html page;
    int n_unscored; /* cases that could not be scored */
    report_run run[MAX_RUNS];
    int n;
} report;

/* A string, number or bool of config.json as text; "" for anything else. */
static const char *text_of(const cJSON *v, char *buf, size_t cap)
{
    if (cJSON_IsString(v)) return v->valuestring;
    if (cJSON_IsBool(v)) return cJSON_IsTrue(v) ? "true" : "false";
    if (!cJSON_IsNumber(v)) return "";
    (void)snprintf(buf, cap, "%.6g", v->valuedouble);
    return buf;
}

/* ---- runs ---- */

/* Sets the name of each run to its path without the leading folders that all runs share. */
static void name_runs(report *r)
{
    size_t shared = r->n ? strlen(r->run[0].path) : 0;
    for (int i = 0; i < r->n; i++) {
        const char *path = r->run[i].path;
        size_t alike = 0;
        while (alike < shared && path[alike] == r->run[0].path[alike]) alike++;
        shared = alike;
    }
    while (shared > 0 && r->run[0].path[shared - 1] != '/') shared--;
    for (int i = 0; i < r->n; i++)
        if (r->run[i].path[shared]) r->run[i].name = r->run[i].path + shared;
}

static void write_run_table(report *r)
{
    static const char *const TITLES[] = {"run",        "network",         "data",         "seed", "minutes",
                                         "iterations", "loss at the end", "held-out Dice"};
    html_table_begin(&r->page);
    html_row(&r->page, TITLES, 8, true);
    for (int i = 0; i < r->n; i++) {
        const report_run *run = &r->run[i];
        const cJSON *source = u3d_json_member(run->config, "source");
        const double *seconds = report_run_column(run, "seconds"), *loss = report_run_column(run, "loss");
        double *dice = report_run_mean(run, "dice_"), last = NAN, sum = 0;
        int last_tenth = run->n / 10 + 1;
        for (int j = 0; dice && j < run->n; j++)
            if (isfinite(dice[j])) last = dice[j];
        for (int j = run->n - last_tenth; loss && j < run->n; j++) sum += loss[j];
        char minutes[32], iterations[32], end[32], held[32] = "-", net[64], data[32], seed[64];
        (void)snprintf(minutes, sizeof minutes, "%.1f", seconds ? seconds[run->n - 1] / 60 : NAN);
        (void)snprintf(iterations, sizeof iterations, "%d", run->n);
        (void)snprintf(end, sizeof end, "%.4f", sum / last_tenth);
        if (isfinite(last)) (void)snprintf(held, sizeof held, "%.4f", last);
        const cJSON *from = u3d_json_member(source, "data") ? u3d_json_member(source, "data")
                                                            : u3d_json_member(source, "image");
        const char *const cells[] = {run->name,
                                     text_of(u3d_json_member(run->config, "net"), net, sizeof net),
                                     text_of(from, data, sizeof data),
                                     text_of(u3d_json_member(run->config, "seed"), seed, sizeof seed),
                                     minutes,
                                     iterations,
                                     end,
                                     held};
        html_row(&r->page, cells, 8, false);
        u3d_free(dice);
    }
    html_table_end(&r->page);
}

/* Draws one line per run over minutes. The line shows `column`, or the mean of the columns whose names begin
 * with `mean_of` if that is not NULL. */
static u3d_status write_curve(report *r, const char *title, const char *column, const char *mean_of)
{
    u3d_status status = U3D_OK;
    double *own[2 * MAX_RUNS] = {NULL};
    html_line lines[MAX_RUNS];
    for (int i = 0; i < r->n; i++) {
        const report_run *run = &r->run[i];
        const double *seconds = report_run_column(run, "seconds");
        double *minutes = own[2 * i] = u3d_new((size_t)run->n, sizeof *minutes);
        if (mean_of) own[2 * i + 1] = report_run_mean(run, mean_of);
        const double *y = mean_of ? own[2 * i + 1] : report_run_column(run, column);
        if (!minutes || (mean_of && !y)) U3D_GO(U3D_E_NOMEM);
        if (!seconds || !y)
            U3D_GO(
                u3d_fail(U3D_E_FORMAT, "%s/log.csv: the column seconds or %s is missing", run->path, column));
        for (int j = 0; j < run->n; j++) minutes[j] = seconds[j] / 60;
        lines[i] =
            (html_line){.name = run->name, .x = minutes, .y = y, .n = run->n, .points = mean_of != NULL};
    }
    html_chart(&r->page, title, "minutes", lines, r->n);
done:
    for (int i = 0; i < 2 * MAX_RUNS; i++) u3d_free(own[i]);
    return status;
}

/* Sets the cells of one setting: its name, then its value in every run. Returns whether all values are
 * equal. */
static bool setting_cells(const report *r, const char *name, const char *cells[MAX_RUNS + 1],
                          char buf[MAX_RUNS][32])
{
    bool alike = true;
    cells[0] = name;
    for (int i = 0; i < r->n; i++) {
        const cJSON *here = u3d_json_member(u3d_json_member(r->run[i].config, "settings"), name);
        cells[i + 1] = text_of(here, buf[i], sizeof buf[i]);
        alike = alike && strcmp(cells[i + 1], cells[1]) == 0;
    }
    return alike;
}

/* Writes all settings. If there are several runs, a table shows the settings that differ, and a list those
 * that are the same in all runs. */
static void write_settings(report *r)
{
    const cJSON *setting, *settings = u3d_json_member(r->run[0].config, "settings");
    const char *cells[MAX_RUNS + 1] = {"setting"};
    char buf[MAX_RUNS][32];
    html_heading(&r->page, "Settings");
    if (r->n > 1) {
        for (int i = 0; i < r->n; i++) cells[i + 1] = r->run[i].name;
        html_table_begin(&r->page);
        html_row(&r->page, cells, r->n + 1, true);
        cJSON_ArrayForEach(setting, settings) if (!setting_cells(r, setting->string, cells, buf))
            html_row(&r->page, cells, r->n + 1, false);
        html_table_end(&r->page);
        html_paragraph(&r->page, "The same in all runs:");
    }
    html_list_begin(&r->page);
    cJSON_ArrayForEach(setting, settings) if (setting_cells(r, setting->string, cells, buf))
        html_pair(&r->page, cells[0], cells[1]);
    html_list_end(&r->page);
}

/* Whether any run has scores of held-out data. */
static bool any_validated(const report *r)
{
    for (int i = 0; i < r->n; i++)
        for (int c = 0; c < r->run[i].n_columns; c++)
            for (int j = 0; j < r->run[i].n && strncmp(r->run[i].column[c], "dice_", 5) == 0; j++)
                if (isfinite(r->run[i].value[c * r->run[i].n + j])) return true;
    return false;
}

static u3d_status write_runs(report *r)
{
    if (r->n == 0) return U3D_OK;
    html_heading(&r->page, r->n == 1 ? "Training" : "Training runs");
    write_run_table(r);
    U3D_TRY(write_curve(r, "Training loss", "loss", NULL));
    if (any_validated(r)) return write_curve(r, "Mean Dice of data held out of training", NULL, "dice_");
    html_paragraph(&r->page,
                   "No data were held out of training, so this page has no validation curve. The loss only "
                   "says how well the training labels are fitted, not how good the model is on other data. "
                   "u3d crossval measures that; u3d train --validate SHARE holds data out.");
    return U3D_OK;
}

/* ---- scores ---- */

static const struct {
    const char *name, *format;
} MEASURES[] = {{"Dice", "%.4f"}, {"IoU", "%.4f"},  {"Precision", "%.4f"}, {"Recall", "%.4f"},
                {"HD95", "%.3f"}, {"ASSD", "%.3f"}, {"NSD", "%.4f"}};
enum { N_MEASURES = sizeof MEASURES / sizeof MEASURES[0] };

static void write_score_row(report *r, const char *name, const cJSON *scores)
{
    const char *cells[N_MEASURES + 1] = {name};
    char buf[N_MEASURES][32];
    for (int i = 0; i < N_MEASURES; i++) {
        const cJSON *v = u3d_json_member(scores, MEASURES[i].name);
        cells[i + 1] = cJSON_IsNumber(v) ? buf[i] : "-";
        if (cJSON_IsNumber(v)) (void)snprintf(buf[i], sizeof buf[i], MEASURES[i].format, v->valuedouble);
    }
    html_row(&r->page, cells, N_MEASURES + 1, false);
}

static void write_scores(report *r, const cJSON *summary)
{
    const char *titles[N_MEASURES + 1] = {"label"};
    const cJSON *label;
    for (int i = 0; i < N_MEASURES; i++) titles[i + 1] = MEASURES[i].name;
    html_paragraph(&r->page, "Means of %d cases: %s against %s.",
                   (int)cJSON_GetNumberValue(u3d_json_member(summary, "cases")), r->a->prediction,
                   r->a->reference);
    for (int i = 0; i < r->n; i++)
        if (report_run_trained_on(&r->run[i], r->a->reference))
            html_paragraph(
                &r->page,
                "The run %s was trained on labels of this reference, so these scores do not show how good "
                "it is on other data. u3d crossval measures that.",
                r->run[i].name);
    const cJSON *failure;
    r->n_unscored = cJSON_GetArraySize(u3d_json_member(summary, "failures"));
    cJSON_ArrayForEach(failure, u3d_json_member(summary, "failures")) html_paragraph(
        &r->page, "Not scored: %s: %s.", cJSON_GetStringValue(u3d_json_member(failure, "case")),
        cJSON_GetStringValue(u3d_json_member(failure, "error")));
    html_table_begin(&r->page);
    html_row(&r->page, titles, N_MEASURES + 1, true);
    cJSON_ArrayForEach(label, u3d_json_member(summary, "mean")) write_score_row(r, label->string, label);
    write_score_row(r, "foreground", u3d_json_member(summary, "foreground_mean"));
    html_table_end(&r->page);
}

/* The labels of the first run that has a value for unlabelled voxels, otherwise of the first run with a
 * model. *trained is NULL if there is none, or if runs have different values. The caller frees it. */
static void runs_labels(const report *r, u3d_labels **trained)
{
    *trained = NULL;
    for (int i = 0; i < r->n; i++) {
        u3d_labels *l = NULL, *other = *trained;
        if (run_labels(r->run[i].path, &l) != U3D_OK) {
            U3D_INFO("report", "the labels of %s are not known: %s", r->run[i].path, u3d_error_text());
            continue;
        }
        const bool both = other && other->has_unlabeled && l->has_unlabeled;
        const bool differ = both && l->unlabeled != other->unlabeled;
        const bool better = !other || (l->has_unlabeled && !other->has_unlabeled);
        if (better) *trained = l;
        u3d_free(better ? other : l);
        if (!differ) continue;
        U3D_WARN("report",
                 "the runs took different values for unlabelled, so none of them counts as unlabelled in "
                 "--reference; give --unlabeled V if one does");
        u3d_free(*trained);
        *trained = NULL;
        return;
    }
}

static u3d_status write_evaluation(report *r)
{
    const args *a = r->a;
    cJSON *summary = NULL;
    u3d_labels *trained = NULL;
    char caption[300], *png = NULL;
    int temporary = 0;
    u3d_status status;
    if (!a->prediction && !a->reference) return U3D_OK;
    U3D_TRY(args_need("report", "--prediction FILE|DIR", a->prediction));
    U3D_TRY(args_need("report", "--reference FILE|DIR", a->reference));
    u3d_evaluate_opts o;
    U3D_TRY(args_evaluate(a, &o));
    runs_labels(r, &trained);
    o.trained = trained;
    png = u3d_format("%s.picture.tmp", a->out);
    if (!png) U3D_GO(U3D_E_NOMEM);
    temporary = u3d_temporary_note(png);
    U3D_GO(u3d_evaluate(&o, &summary));
    html_heading(&r->page, "Scores");
    write_scores(r, summary);
    for (int i = 0; i < r->n; i++) U3D_GO(run_add_images(r->run[i].config, summary));
    U3D_GO(evaluate_picture(summary, a->image, png, caption, sizeof caption));
    U3D_GO(html_picture(&r->page, png, caption));
done:
    if (png) {
        (void)remove(png);
        u3d_temporary_forget(temporary);
    }
    u3d_free(png);
    u3d_free(trained);
    cJSON_Delete(summary);
    return status;
}

/* ---- tables and pictures from files ---- */

static u3d_status write_csv(report *r)
{
    if (!r->a->csv) return U3D_OK;
    u3d_csv table;
    u3d_status status = u3d_csv_read(r->a->csv, &table);
    if (status == U3D_OK) {
        html_table_begin(&r->page);
        for (int i = 0; i < table.n; i++)
            html_row(&r->page, (const char *const *)table.cell + table.first[i], u3d_csv_width(&table, i),
                     i == 0);
        html_table_end(&r->page);
    }
    u3d_csv_free(&table);
    return status;
}

static u3d_status write_page(report *r)
{
    const args *a = r->a;
    U3D_TRY(write_csv(r));
    if (a->chart) U3D_TRY(report_chart(&r->page, a->chart));
    if (a->picture) U3D_TRY(html_picture(&r->page, a->picture, a->caption ? a->caption : a->picture));
    U3D_TRY(write_runs(r));
    U3D_TRY(write_evaluation(r));
    if (r->n > 0) write_settings(r);
    html_paragraph(&r->page, "Written by u3d %s.", u3d_version);
    return U3D_OK;
}

static u3d_status files_of_report(const args *a)
{
    files f = {0};
    for (int i = 0; i < a->n_rest; i++) files_read_model(&f, a->rest[i]);
    files_read_volumes(&f, a->prediction);
    files_read_volumes(&f, a->reference);
    files_read(&f, a->image);
    files_read(&f, a->csv);
    files_read(&f, a->picture);
    char *chart = a->chart ? u3d_strdup(a->chart) : NULL; /* FILE:X,Y,BY */
    if (chart && strrchr(chart, ':')) *strrchr(chart, ':') = '\0';
    files_read(&f, chart);
    u3d_free(chart);
    files_write(&f, a->out, false);
    return files_check(&f, a);
}

static u3d_status print_result(const report *r)
{
    cJSON *json = cJSON_CreateObject();
    const bool ok = cJSON_AddStringToObject(json, "output", r->a->out) &&
                    cJSON_AddNumberToObject(json, "runs", r->n) &&
                    cJSON_AddNumberToObject(json, "cases_not_scored", r->n_unscored);
    return result_print(r->a, json, ok, "%s", r->a->out);
}

u3d_status cmd_report(const args *a)
{
    u3d_status status = U3D_OK;
    report *r = u3d_new(1, sizeof *r);
    if (!r) return U3D_E_NOMEM;
    r->a = a;
    U3D_GO(args_need("report", "--out PAGE.html", a->out));
    U3D_GO(files_of_report(a));
    if (a->n_rest == 0 && !a->prediction && !a->csv && !a->chart && !a->picture)
        U3D_GO(u3d_fail(U3D_E_ARG, "u3d report: nothing to show; give runs, --prediction with --reference, "
                                   "--csv, --chart or --picture"));
    if (a->n_rest > MAX_RUNS)
        U3D_GO(
            u3d_fail(U3D_E_ARG, "u3d report: found %d runs, expected at most %d", a->n_rest, (int)MAX_RUNS));
    for (; r->n < a->n_rest; r->n++) U3D_GO(report_run_read(a->rest[r->n], &r->run[r->n]));
    name_runs(r);
    U3D_GO(html_open(a->out, a->title ? a->title : "u3d", &r->page));
    U3D_GO(write_page(r));
    U3D_GO(html_close(&r->page));
    U3D_GO(print_result(r));
    if (r->n_unscored)
        U3D_GO(
            u3d_fail(U3D_E_FORMAT, "%d cases were not scored; %s says which and why", r->n_unscored, a->out));
done:
    if (r->page.file) html_abandon(&r->page);
    for (int i = 0; i < MAX_RUNS; i++) report_run_free(&r->run[i]);
    u3d_free(r);
    return status;
}
