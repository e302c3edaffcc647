/* The result of a command: a line of text, or one JSON object with --json. */
#include "tools/cli/result.h"

#include <stdarg.h>
#include <stdio.h>

u3d_status result_print(const args *a, cJSON *json, bool ok, const char *text, ...)
{
    u3d_status status = U3D_OK;
    va_list values;
    va_start(values, text);
    if (!a->json) {
        vprintf(text, values);
        putchar('\n');
    } else {
        status = json && ok ? u3d_json_print(stdout, json)
                            : u3d_fail(U3D_E_NOMEM, "out of memory while printing the result");
    }
    va_end(values);
    cJSON_Delete(json);
    return status;
}
