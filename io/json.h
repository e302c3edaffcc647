/* Reading and writing JSON through cJSON, with messages that name file and field. */
#ifndef U3D_IO_JSON_H
#define U3D_IO_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/status.h"

u3d_status u3d_json_read(const char *path, cJSON **out);                     /* caller: cJSON_Delete */
u3d_status u3d_json_parse(const char *text, const char *where, cJSON **out); /* `where` for messages */
u3d_status u3d_json_write(const char *path, const cJSON *json);              /* pretty; temporary file, rename */
u3d_status u3d_json_print(FILE *f, const cJSON *json);                       /* pretty, newline at the end */

/* NULL where there is none, or `object` is none. */
cJSON *u3d_json_member(const cJSON *object, const char *name);
/* A number, or null where it is NaN or infinite. */
cJSON *u3d_json_number(double value);

#endif
