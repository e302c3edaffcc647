/* Reads config.json and log.csv of a run. */
#include "tools/commands/report_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/model/model.h"

static u3d_status read_header(FILE *f, const char *path, report_run *r)
{
    char *line = NULL;
    size_t cap = 0;
    const bool read = getline(&line, &cap, f) > 0;
    r->header = read ? u3d_strdup(line) : NULL;
    free(line);
    if (!read) return u3d_fail(U3D_E_FORMAT, "%s: the log is empty", path);
    if (!r->header) return U3D_E_NOMEM;
    r->header[strcspn(r->header, "\r\n")] = '\0';
    for (char *name = r->header, *end; name; name = end) {
        if (r->n_columns == REPORT_MAX_COLUMNS)
            return u3d_fail(U3D_E_FORMAT, "%s: more than %d columns", path, (int)REPORT_MAX_COLUMNS);
        r->column[r->n_columns++] = name;
        end = strchr(name, ',');
        if (end) *end++ = '\0';
    }
    return U3D_OK;
}

/* Reads the rows into *rows, [n][n_columns]. */
static u3d_status read_rows(FILE *f, report_run *r, double **rows)
{
    char *line = NULL;
    size_t cap = 0, have = 0;
    u3d_status status = U3D_OK;
    const size_t width = (size_t)r->n_columns;
    while (getline(&line, &cap, f) > 0) {
        if ((size_t)r->n == have) {
            double *more = u3d_resize(*rows, have * width, (2 * have + 64) * width, sizeof *more);
            if (!more) {
                status = U3D_E_NOMEM;
                break;
            }
            *rows = more;
            have = 2 * have + 64;
        }
        double *to = *rows + (size_t)r->n * width;
        char *at = line;
        for (size_t i = 0; i < width; i++) {
            char *end;
            to[i] = strtod(at, &end);
            if (end == at) to[i] = NAN;
            at += strcspn(at, ",");
            at += *at == ',';
        }
        r->n++;
    }
    free(line);
    return status;
}

static u3d_status read_log(const char *path, report_run *r)
{
    u3d_status status;
    double *rows = NULL;
    FILE *f = fopen(path, "r");
    if (!f) return u3d_fail(U3D_E_IO, "%s: cannot open the log of the run", path);
    U3D_GO(read_header(f, path, r));
    U3D_GO(read_rows(f, r, &rows));
    if (r->n == 0) U3D_GO(u3d_fail(U3D_E_FORMAT, "%s: the log has no iteration yet", path));
    r->value = u3d_new((size_t)r->n * (size_t)r->n_columns, sizeof *r->value);
    if (!r->value) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < r->n; i++)
        for (int c = 0; c < r->n_columns; c++) r->value[c * r->n + i] = rows[i * r->n_columns + c];
done:
    u3d_free(rows);
    fclose(f);
    return status;
}

u3d_status report_run_read(const char *folder, report_run *out)
{
    *out = (report_run){.path = folder, .name = folder};
    char *config = u3d_path_join(folder, U3D_RUN_CONFIG), *log = u3d_path_join(folder, U3D_RUN_LOG);
    u3d_status status = config && log ? u3d_json_read(config, &out->config) : U3D_E_NOMEM;
    if (status == U3D_OK) status = read_log(log, out);
    u3d_free(config);
    u3d_free(log);
    return status;
}

bool report_run_trained_on(const report_run *r, const char *reference)
{
    const cJSON *source = u3d_json_member(r->config, "source");
    const char *label = cJSON_GetStringValue(u3d_json_member(source, "label"));
    const char *data = cJSON_GetStringValue(u3d_json_member(source, "data"));
    char *real = realpath(reference, NULL); /* `source` has such paths, too */
    bool is = false;
    if (real && label) is = strcmp(real, label) == 0;
    if (real && data && !u3d_json_member(source, "fold")) {
        const size_t n = strlen(data);
        is = strncmp(real, data, n) == 0 && (strcmp(real + n, "") == 0 || strcmp(real + n, "/labels") == 0 ||
                                             strcmp(real + n, "/labelsTr") == 0);
    }
    free(real);
    return is;
}

void report_run_free(report_run *r)
{
    cJSON_Delete(r->config);
    u3d_free(r->header);
    u3d_free(r->value);
}

const double *report_run_column(const report_run *r, const char *name)
{
    for (int c = 0; c < r->n_columns; c++)
        if (strcmp(r->column[c], name) == 0) return r->value + c * r->n;
    return NULL;
}

double *report_run_mean(const report_run *r, const char *prefix)
{
    double *mean = u3d_new((size_t)r->n, sizeof *mean);
    for (int i = 0; mean && i < r->n; i++) {
        double sum = 0;
        int n = 0;
        for (int c = 0; c < r->n_columns; c++) {
            if (strncmp(r->column[c], prefix, strlen(prefix)) != 0 || isnan(r->value[c * r->n + i])) continue;
            sum += r->value[c * r->n + i];
            n++;
        }
        mean[i] = n > 0 ? sum / n : NAN;
    }
    return mean;
}
