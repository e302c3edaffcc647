/* Reading and writing single values as text: lists of numbers, sizes and spacings, as in settings and in
 * command line options. In text the axes are x, y, z; in memory they are z, y, x. */
#ifndef U3D_NET_CONFIG_VALUE_H
#define U3D_NET_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

/* "1,2,2.5" -> *n numbers, at most cap. U3D_E_ARG: the text is not such a list. */
u3d_status u3d_parse_numbers(const char *text, double *numbers, int cap, int *n);

/* "132x132x116" or "132,132,116" (x, y, z) -> z, y, x; whole numbers from 1 on. U3D_E_ARG: the text is not a
 * size; `what` names the value in the message. */
u3d_status u3d_parse_size(const char *text, const char *what, int64_t zyx[3]);

/* "1x1x2.5" or "1,1,2.5" (x, y, z) -> z, y, x; three numbers from 1e-9 to 1e9. U3D_E_ARG otherwise. */
u3d_status u3d_parse_spacing(const char *text, double zyx[3]);
/* Writes a spacing as x,y,z. u3d_parse_spacing reads exactly the same numbers back. */
void u3d_spacing_text(const double zyx[3], char *buf, size_t cap);

#endif
