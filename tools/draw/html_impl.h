/* Shared by html.c and html_chart.c only. */
#ifndef U3D_TOOLS_HTML_IMPL_H
#define U3D_TOOLS_HTML_IMPL_H

#include <stdio.h>

/* Writes text and escapes the characters that have a meaning in HTML. */
void html_text(FILE *f, const char *text);

#endif
