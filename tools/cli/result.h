/* What a command prints on stdout when it has done its work. */
#ifndef U3D_CLI_RESULT_H
#define U3D_CLI_RESULT_H

#include <stdbool.h>

#include "io/json.h"
#include "tools/cli/args.h"

/* Prints a line of text (as printf would), or the object `json` if --json was given. `json` is deleted; `ok`
 * is false if it is not complete because there was no memory. U3D_E_NOMEM, U3D_E_OUTPUT. */
u3d_status result_print(const args *a, cJSON *json, bool ok, const char *text, ...)
    __attribute__((format(printf, 4, 5)));
/* Does the same with --json, for results that take more than a line as text. */
u3d_status result_json(cJSON *json, bool ok);

#endif
