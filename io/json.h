/* Reads and writes JSON through cJSON. Messages give the file, and the line and column of a syntax error.
 *
 * What is written is valid UTF-8. Names of files need not be: each byte of them that is not UTF-8 is written
 * as a character of the private use area, U+EF80 for byte 0x80 to U+EFFF for byte 0xFF, and becomes that byte
 * again when it is read, so that the name still finds the file. */
#ifndef U3D_IO_JSON_H
#define U3D_IO_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/status.h"

/* Read a file, or parse a text; `where` is for messages. The caller calls cJSON_Delete. */
u3d_status u3d_json_read(const char *path, cJSON **out);
u3d_status u3d_json_parse(const char *text, const char *where, cJSON **out);
/* Write indented JSON with a newline at the end: to a file that is complete or absent, or to a stream. */
u3d_status u3d_json_write(const char *path, const cJSON *json);
u3d_status u3d_json_print(FILE *f, const cJSON *json);

/* The same without indentation, as a text; the caller calls u3d_free. NULL: out of memory. */
char *u3d_json_text(const cJSON *json);

/* A copy of a text in UTF-8, as it would be written; the caller calls u3d_free. NULL: out of memory. */
char *u3d_json_utf8(const char *text);

/* The member called `name`; NULL if there is none, or if `object` is not an object. */
cJSON *u3d_json_member(const cJSON *object, const char *name);
/* A number, or null if the value is NaN or infinite. */
cJSON *u3d_json_number(double value);

#endif
