/* log.csv: one header line, one line per record, flushed line by line. */
#ifndef U3D_IO_CSVLOG_H
#define U3D_IO_CSVLOG_H

#include <stdint.h>

#include "engine/base/status.h"

typedef struct u3d_csvlog u3d_csvlog;

/* `columns`: comma-separated, as written. Opens for appending: an existing file must have the same header line;
 * rows whose first column exceeds keep_up_to are removed first (a resumed run repeats them). */
u3d_status u3d_csvlog_open(const char *path, const char *columns, int64_t keep_up_to, u3d_csvlog **out);
/* One value per column; NaN is written as an empty field, whole numbers without a fraction. */
u3d_status u3d_csvlog_row(u3d_csvlog *log, const double *values, int n);
void u3d_csvlog_close(u3d_csvlog *log); /* NULL is legal */

#endif
