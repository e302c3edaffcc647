/* Failure messages, in one buffer per thread.
 *
 * A message is first formatted into a local buffer and then copied, so that its arguments may include the
 * message that is already recorded. Nothing is allocated, because "out of memory" must be reportable when no
 * memory is left. */
#include "engine/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 4096: room for a list of about forty tensor names; longer messages end in "...". */
enum { STATUS_TEXT_CAP = 4096 };

static _Thread_local char status_text[STATUS_TEXT_CAP] = "no error";

static void status_mark_cut(char *text, int wanted)
{
    if (wanted >= STATUS_TEXT_CAP) memcpy(text + STATUS_TEXT_CAP - 4, "...", 4);
}

u3d_status u3d_fail(u3d_status code, const char *fmt, ...)
{
    char text[STATUS_TEXT_CAP];
    va_list args;
    va_start(args, fmt);
    status_mark_cut(text, vsnprintf(text, sizeof text, fmt, args));
    va_end(args);
    memcpy(status_text, text, sizeof text);
    return code;
}

u3d_status u3d_wrap(u3d_status code, const char *fmt, ...)
{
    char context[STATUS_TEXT_CAP], text[STATUS_TEXT_CAP];
    va_list args;
    va_start(args, fmt);
    status_mark_cut(context, vsnprintf(context, sizeof context, fmt, args));
    va_end(args);
    size_t n = strlen(context);
    const char *colon = n >= 2 && strcmp(context + n - 2, ": ") == 0 ? "" : ": ";
    size_t room = sizeof text - strlen(colon) - 1;
    int wanted = snprintf(text, sizeof text, "%.*s%s", (int)(n < room ? n : room), context, colon);
    size_t used = strlen(text);
    wanted += snprintf(text + used, sizeof text - used, "%s", status_text);
    status_mark_cut(text, wanted);
    memcpy(status_text, text, sizeof text);
    return code;
}

const char *u3d_error_text(void)
{
    return status_text;
}

void u3d_bug(const char *file, int line, const char *cond, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "u3d: internal error at %s:%d, '%s' does not hold: ", file, line, cond);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
