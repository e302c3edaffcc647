/* Private to tools/html*.c. */
#ifndef U3D_TOOLS_HTML_IMPL_H
#define U3D_TOOLS_HTML_IMPL_H

#include <stdio.h>

/* Text with the characters that HTML gives a meaning escaped. */
void html_text(FILE *f, const char *text);

#endif
