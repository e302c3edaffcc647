/* Reads and writes tables with comma-separated values.
 *
 * The text is cut into cells in place. A cell that begins with a quote ends at the next quote that is not
 * doubled; it may contain commas and line ends, and a doubled quote in it stands for one. */
#include "io/csv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

void u3d_csv_free(u3d_csv *t)
{
    u3d_free(t->text);
    u3d_free(t->cell);
    u3d_free(t->first);
    *t = (u3d_csv){0};
}

/* Reads a quoted cell at *from, whose text it moves to *to. Returns false if the quote is never closed. */
static bool csv_unquote(char **from, char **to)
{
    for (++*from; **from; *(*to)++ = *(*from)++) {
        if (**from != '"') continue;
        if ((*from)[1] != '"') {
            ++*from;
            return true;
        }
        ++*from;
    }
    return false;
}

/* Cuts t->text into cells. The arrays have room for every comma and line end. */
static u3d_status csv_cut(u3d_csv *t, const char *where)
{
    int n_cells = 0;
    for (char *at = t->text; *at;) {
        at += strspn(at, "\r\n");
        if (!*at) break;
        t->first[t->n++] = n_cells;
        for (bool more = true; more; at += more) {
            char *to = t->cell[n_cells++] = at;
            if (*at == '"' && !csv_unquote(&at, &to))
                return u3d_fail(U3D_E_FORMAT, "'%s': the quote that opens cell %d of row %d is never closed",
                                where, n_cells - t->first[t->n - 1], t->n);
            const size_t rest = strcspn(at, ",\r\n");
            memmove(to, at, rest);
            at += rest;
            more = *at == ',';
            const bool line_end = *at && !more;
            to[rest] = '\0'; /* `to` is at or before `at` */
            if (line_end) at++;
        }
    }
    t->first[t->n] = n_cells;
    return U3D_OK;
}

u3d_status u3d_csv_parse(const char *text, const char *where, u3d_csv *out)
{
    size_t cells = 2;
    *out = (u3d_csv){0};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) text += 3;
    for (const char *p = text; *p; p++) cells += *p == ',' || *p == '\n' || *p == '\r';
    out->text = u3d_strdup(text);
    out->cell = u3d_new(cells, sizeof *out->cell);
    out->first = u3d_new(cells, sizeof *out->first);
    return out->text && out->cell && out->first ? csv_cut(out, where) : U3D_E_NOMEM;
}

u3d_status u3d_csv_read(const char *path, u3d_csv *out)
{
    char *text = NULL;
    size_t room = 0;
    *out = (u3d_csv){0};
    FILE *f = fopen(path, "rb");
    if (!f) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    u3d_status status;
    const ssize_t length = getdelim(&text, &room, '\0', f);
    if (ferror(f))
        status = u3d_fail(U3D_E_IO, "read '%s': %s", path, strerror(errno));
    else if (length > 0 && text[length - 1] == '\0')
        status = u3d_fail(U3D_E_FORMAT, "'%s': it has a zero byte, expected a table as text", path);
    else
        status = u3d_csv_parse(length > 0 ? text : "", path, out);
    free(text); /* getdelim allocated it with malloc */
    fclose(f);
    return status;
}

int u3d_csv_width(const u3d_csv *t, int row)
{
    return t->first[row + 1] - t->first[row];
}

const char *u3d_csv_cell(const u3d_csv *t, int row, int column)
{
    return column >= 0 && column < u3d_csv_width(t, row) ? t->cell[t->first[row] + column] : "";
}

int u3d_csv_column(const u3d_csv *t, const char *name)
{
    for (int c = 0; t->n > 0 && c < u3d_csv_width(t, 0); c++)
        if (strcmp(u3d_csv_cell(t, 0, c), name) == 0) return c;
    return -1;
}

void u3d_csv_put(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, f);
        return;
    }
    putc('"', f);
    for (; *text; text++) {
        if (*text == '"') putc('"', f);
        putc(*text, f);
    }
    putc('"', f);
}
