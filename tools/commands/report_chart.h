/* A chart of a CSV table. */
#ifndef U3D_TOOLS_REPORT_CHART_H
#define U3D_TOOLS_REPORT_CHART_H

#include "tools/draw/html.h"

/* `chart`: "FILE:X,Y,BY", a table and names of its columns: Y over X, a line for each value of BY, its points in the table's
 * order. */
u3d_status report_chart(html *page, const char *chart);

#endif
