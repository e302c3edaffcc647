/* Draws a chart of a CSV table on a report page. */
#ifndef U3D_TOOLS_REPORT_CHART_H
#define U3D_TOOLS_REPORT_CHART_H

#include "tools/draw/html.h"

/* `chart` is "FILE:X,Y,BY": a CSV table and the names of three of its columns. The chart shows Y over X, with
 * one line for each value of BY and its points in the order of the table. */
u3d_status report_chart(html *page, const char *chart);

#endif
