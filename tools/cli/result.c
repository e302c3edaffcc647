/* The result of a command: a line of text, or one JSON object with --json. */
#include "tools/cli/result.h"

#include <stdarg.h>
#include <stdio.h>

u3d_status result_json(cJSON *json, bool ok)
{
    const u3d_status status = json && ok ? u3d_json_print(stdout, json)
                                         : u3d_fail(U3D_E_NOMEM, "out of memory while printing the result");
    cJSON_Delete(json);
    return status;
}

u3d_status result_print(const args *a, cJSON *json, bool ok, const char *text, ...)
{
    if (a->json) return result_json(json, ok);
    va_list values;
    va_start(values, text);
    vprintf(text, values);
    va_end(values);
    putchar('\n');
    cJSON_Delete(json);
    return U3D_OK;
}
