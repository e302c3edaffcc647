/* A training run as a report shows it: config.json and log.csv of its folder. */
#ifndef U3D_TOOLS_REPORT_RUN_H
#define U3D_TOOLS_REPORT_RUN_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "engine/base/status.h"

enum { REPORT_MAX_COLUMNS = 600 };

typedef struct report_run {
    const char *path, *name;                /* name: the path without the folders that all runs share */
    cJSON *config;
    char *header;                           /* first line of log.csv; its commas are now '\0' */
    const char *column[REPORT_MAX_COLUMNS]; /* names of the columns, in header               */
    int n_columns, n;                       /* n: rows                                       */
    double *value;                          /* [n_columns][n]; NaN for an empty field        */
} report_run;

/* Whether the reference is, or contains, the labels that the run was trained on. */
bool report_run_trained_on(const report_run *r, const char *reference);
u3d_status report_run_read(const char *folder, report_run *out);
void report_run_free(report_run *r);
/* Column by name, [n]; NULL if the log does not have it. */
const double *report_run_column(const report_run *r, const char *name);
/* Mean of the columns whose names begin with `prefix`, [n]. The caller frees it. NULL: out of memory. */
double *report_run_mean(const report_run *r, const char *prefix);

#endif
