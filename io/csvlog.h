/* The training log log.csv: a header line, then one line per record, each flushed at once. */
#ifndef U3D_IO_CSVLOG_H
#define U3D_IO_CSVLOG_H

#include <stdint.h>

#include "engine/base/status.h"

typedef struct u3d_csvlog u3d_csvlog;

/* Opens a log for appending. `columns` is the header line, with commas between the names. An existing file
 * must have the same header line; its rows whose first column exceeds keep_up_to are removed first, because a
 * resumed run writes them again. */
u3d_status u3d_csvlog_open(const char *path, const char *columns, int64_t keep_up_to, u3d_csvlog **out);
/* Appends a row with one value per column. NaN is written as an empty field, a whole number without a
 * fraction. */
u3d_status u3d_csvlog_row(u3d_csvlog *log, const double *values, int n);
void u3d_csvlog_close(u3d_csvlog *log); /* NULL is legal */

#endif
