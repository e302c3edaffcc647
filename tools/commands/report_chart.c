/* Draws a chart of a CSV table: one column over another, with one line for each value of a third. */
#include "tools/commands/report_chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/csv.h"

typedef struct chart_row {
    double x, y;
    char by[128];
} chart_row;

enum { MAX_CHART_ROWS = 10000, MAX_CHART_LINES = 32 };

/* Sets at[] to the columns that are named X,Y,BY. */
static u3d_status chart_columns(const u3d_csv *table, const char *csv, const u3d_csv *names, int at[3])
{
    for (int i = 0; i < 3; i++) {
        const char *name = names->n > 0 ? u3d_csv_cell(names, 0, i) : "";
        at[i] = u3d_csv_column(table, name);
        if (at[i] < 0) return u3d_fail(U3D_E_ARG, "--chart: %s has no column '%s'", csv, name);
    }
    return U3D_OK;
}

static u3d_status chart_rows_read(const char *csv, const u3d_csv *names, chart_row *rows, int *n)
{
    int at[3];
    u3d_csv table;
    u3d_status status;
    U3D_GO(u3d_csv_read(csv, &table));
    if (table.n == 0) U3D_GO(u3d_fail(U3D_E_FORMAT, "%s: the table is empty", csv));
    U3D_GO(chart_columns(&table, csv, names, at));
    for (int i = 1; i < table.n && *n < MAX_CHART_ROWS; i++) {
        chart_row *row = &rows[(*n)++];
        const char *y = u3d_csv_cell(&table, i, at[1]);
        row->x = atof(u3d_csv_cell(&table, i, at[0]));
        row->y = *y ? atof(y) : NAN;
        (void)snprintf(row->by, sizeof row->by, "%s", u3d_csv_cell(&table, i, at[2]));
    }
done:
    u3d_csv_free(&table);
    return status;
}

/* Fills the lines and returns how many there are. `xy` has room for MAX_CHART_ROWS x values, then as many y
 * values. */
static int lines_make(const chart_row *rows, int n, double *xy, html_line *lines)
{
    int n_lines = 0, used = 0;
    for (int i = 0; i < n && n_lines < MAX_CHART_LINES; i++) {
        bool known = false;
        for (int l = 0; l < n_lines; l++) known = known || strcmp(lines[l].name, rows[i].by) == 0;
        if (known) continue;
        html_line *line = &lines[n_lines++];
        *line =
            (html_line){.name = rows[i].by, .x = xy + used, .y = xy + MAX_CHART_ROWS + used, .points = true};
        for (int j = i; j < n; j++) {
            if (strcmp(rows[j].by, rows[i].by) != 0) continue;
            xy[used] = rows[j].x;
            xy[MAX_CHART_ROWS + used++] = rows[j].y;
            line->n++;
        }
    }
    return n_lines;
}

u3d_status report_chart(html *page, const char *chart)
{
    u3d_status status = U3D_OK;
    int n = 0;
    const char *colon = strrchr(chart, ':');
    if (!colon) return u3d_fail(U3D_E_ARG, "--chart: found '%s', expected FILE:X,Y,BY", chart);
    char *csv = u3d_format("%.*s", (int)(colon - chart), chart);
    html_line lines[MAX_CHART_LINES];
    chart_row *rows = u3d_new(MAX_CHART_ROWS, sizeof *rows);
    double *xy = u3d_new((size_t)2 * MAX_CHART_ROWS, sizeof *xy);
    u3d_csv names = {0};
    char title[256];
    if (!csv || !rows || !xy) U3D_GO(U3D_E_NOMEM);
    U3D_GO(u3d_csv_parse(colon + 1, "--chart", &names));
    U3D_GO(chart_rows_read(csv, &names, rows, &n));
    const char *x_name = u3d_csv_cell(&names, 0, 0);
    (void)snprintf(title, sizeof title, "%s over %s, one line per %s", u3d_csv_cell(&names, 0, 1), x_name,
                   u3d_csv_cell(&names, 0, 2));
    const int n_lines = lines_make(rows, n, xy, lines);
    html_chart(page, title, x_name, lines, n_lines);
done:
    u3d_csv_free(&names);
    u3d_free(csv);
    u3d_free(rows);
    u3d_free(xy);
    return status;
}
