/* Single values as text, as settings and options have them. */
#ifndef U3D_NET_CONFIG_VALUE_H
#define U3D_NET_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

/* "1,2,2.5" -> numbers; *n of them, at most cap. U3D_E_ARG: the text is not such a list. */
u3d_status u3d_parse_numbers(const char *text, double *numbers, int cap, int *n);

/* "132x132x116" (x,y,z) or "132,132,116" -> z, y, x. `what` names the value in the error message. */
u3d_status u3d_parse_size(const char *text, const char *what, int64_t zyx[3]);

/* "1x1x2.5" (x,y,z) or "1,1,2.5" -> z, y, x; three numbers above 0. */
u3d_status u3d_parse_spacing(const char *text, double zyx[3]);
/* Writes the spacing as x,y,z so that u3d_parse_spacing reads back exactly the same numbers. */
void u3d_spacing_text(const double zyx[3], char *buf, size_t cap);

#endif
