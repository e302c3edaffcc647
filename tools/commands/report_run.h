/* One training run as a report shows it: config.json and log.csv of its folder. */
#ifndef U3D_TOOLS_REPORT_RUN_H
#define U3D_TOOLS_REPORT_RUN_H

#include <cjson/cJSON.h>

#include "engine/base/status.h"

enum { REPORT_MAX_COLUMNS = 600 };

typedef struct report_run {
    const char *path, *name;                /* name: the path without the folders that all runs share */
    cJSON *config;
    char *header;                           /* of log.csv, its commas replaced by ends       */
    const char *column[REPORT_MAX_COLUMNS]; /* into it                                       */
    int n_columns, n;
    double *value; /* [n_columns][n]; NaN where empty               */
} report_run;

u3d_status report_run_read(const char *folder, report_run *out);
void report_run_free(report_run *r);
/* Column by name, [n]; NULL where the log has none. */
const double *report_run_column(const report_run *r, const char *name);
/* Mean of the columns whose name begins with `prefix`, [n]; the caller's. NULL: out of memory. */
double *report_run_mean(const report_run *r, const char *prefix);

#endif
