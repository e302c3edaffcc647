/* Draws a chart of a CSV table: one column over another, with one line for each value of a third. */
#include "tools/commands/report_chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

typedef struct chart_row {
    double x, y;
    char by[128];
} chart_row;

enum { MAX_CHART_ROWS = 10000, MAX_CHART_LINES = 32, MAX_CELLS = 64 };

/* Copies cell number `at` of a line of the table to buf, cut to fit into `cap` bytes. */
static void csv_cell(const char *line, int at, char *buf, size_t cap)
{
    for (; at > 0 && line; at--) {
        line = strchr(line, ',');
        if (line) line++;
    }
    (void)snprintf(buf, cap, "%.*s", line ? (int)strcspn(line, ",\r\n") : 0, line ? line : "");
}

static int csv_column(const char *head, const char *name)
{
    char cell[64];
    for (int i = 0; i < MAX_CELLS; i++) {
        csv_cell(head, i, cell, sizeof cell);
        if (strcmp(cell, name) == 0) return i;
    }
    return -1;
}

static u3d_status chart_rows_read(const char *csv, char names[3][64], chart_row *rows, int *n)
{
    char cell[128], *line = NULL;
    size_t cap = 0;
    int at[3];
    u3d_status status = U3D_OK;
    FILE *f = fopen(csv, "r");
    if (!f) return u3d_fail(U3D_E_IO, "%s: cannot open the table", csv);
    if (getline(&line, &cap, f) <= 0) U3D_GO(u3d_fail(U3D_E_FORMAT, "%s: the table is empty", csv));
    for (int i = 0; i < 3; i++) {
        at[i] = csv_column(line, names[i]);
        if (at[i] < 0) U3D_GO(u3d_fail(U3D_E_ARG, "--chart: %s has no column '%s'", csv, names[i]));
    }
    while (*n < MAX_CHART_ROWS && getline(&line, &cap, f) > 0) {
        chart_row *row = &rows[(*n)++];
        csv_cell(line, at[0], cell, sizeof cell);
        row->x = atof(cell);
        csv_cell(line, at[1], cell, sizeof cell);
        row->y = *cell ? atof(cell) : NAN;
        csv_cell(line, at[2], row->by, sizeof row->by);
    }
done:
    free(line);
    fclose(f);
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
    char title[256], names[3][64];
    if (!csv || !rows || !xy) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < 3; i++) csv_cell(colon + 1, i, names[i], sizeof names[i]);
    U3D_GO(chart_rows_read(csv, names, rows, &n));
    (void)snprintf(title, sizeof title, "%s over %s, one line per %s", names[1], names[0], names[2]);
    const int n_lines = lines_make(rows, n, xy, lines);
    html_chart(page, title, names[0], lines, n_lines);
done:
    u3d_free(csv);
    u3d_free(rows);
    u3d_free(xy);
    return status;
}
