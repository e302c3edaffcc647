/* Writes a self-contained HTML page: the styles, the charts (as SVG) and the pictures are inside the file.
 * Call html_open, then the other functions in the order of the page, then html_close or html_abandon. */
#ifndef U3D_TOOLS_HTML_H
#define U3D_TOOLS_HTML_H

#include <stdbool.h>

#include "io/path.h"

typedef struct html {
    u3d_outfile *file;
    FILE *f;
} html;

u3d_status html_open(const char *path, const char *title, html *h);
u3d_status html_close(html *h); /* on failure no file is left */
void html_abandon(html *h);

void html_heading(html *h, const char *text);
/* Formats as printf does and escapes the result. */
void html_paragraph(html *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void html_table_begin(html *h);
void html_row(html *h, const char *const *cells, int n, bool head); /* numbers, except for the first cell */
void html_table_end(html *h);
/* A list of names with their values, in as many columns as the page has room for. */
void html_list_begin(html *h);
void html_pair(html *h, const char *name, const char *value);
void html_list_end(html *h);
u3d_status html_picture(html *h, const char *png, const char *caption);

/* A line of a chart. Points whose y is NaN are left out. */
typedef struct html_line {
    const char *name;
    const double *x, *y;
    int n;
    bool points; /* mark each point, for lines with few points */
} html_line;
void html_chart(html *h, const char *title, const char *x_name, const html_line *lines, int n);

#endif
