/* Writes the page, its tables and its pictures. Charts are in html_chart.c. */
#include "tools/draw/html.h"

#include <stdarg.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/json.h"
#include "tools/draw/html_impl.h"

static const char HEAD[] =
    "<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60em;margin:2em auto;"
    "padding:0 1em;color:#222;background:#fff}\n"
    "h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #ccc}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1em 0}\n"
    "td,th{padding:.15em .6em;text-align:right;border-bottom:1px solid #ddd}\n"
    "td:first-child,th:first-child{text-align:left}th{background:#f3f3f3}\n"
    "dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(18em,1fr));gap:0 2em}\n"
    "dl div{display:flex;justify-content:space-between;gap:1em;border-bottom:1px solid #ddd}dd{margin:0}\n"
    ".legend span{margin-right:1.5em;white-space:nowrap}.legend b{display:inline-block;width:18px;height:3px;"
    "vertical-align:middle;margin-right:6px}\n"
    "img{max-width:100%;image-rendering:pixelated}figure{margin:1em 0}figcaption{color:#555;font-size:.9em}\n"
    "svg text{font:12px system-ui,sans-serif;fill:#333}\n"
    "@media print{body{margin:0;max-width:none}h2{break-after:avoid}figure,tr{break-inside:avoid}}\n"
    "</style>\n";

static void put(FILE *f, char c)
{
    switch (c) {
    case '<': fputs("&lt;", f); break;
    case '>': fputs("&gt;", f); break;
    case '&': fputs("&amp;", f); break;
    case '"': fputs("&quot;", f); break;
    default: fputc(c, f);
    }
}

void html_text(FILE *f, const char *text)
{
    char *utf8 = u3d_json_utf8(text); /* names of files need not be UTF-8, but the page says that it is */
    for (const char *at = utf8 ? utf8 : text; *at; at++) put(f, *at);
    u3d_free(utf8);
}

static void element(html *h, const char *name, const char *text)
{
    fprintf(h->f, "<%s>", name);
    html_text(h->f, text);
    fprintf(h->f, "</%s>\n", name);
}

u3d_status html_open(const char *path, const char *title, html *h)
{
    U3D_TRY(u3d_outfile_open(path, &h->file));
    h->f = u3d_outfile_stream(h->file);
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n", h->f);
    element(h, "title", title);
    fprintf(h->f, "%s</head>\n<body>\n", HEAD);
    element(h, "h1", title);
    return U3D_OK;
}

u3d_status html_close(html *h)
{
    u3d_outfile *file = h->file;
    h->file = NULL;
    fputs("</body>\n</html>\n", h->f);
    return u3d_outfile_commit(file);
}

void html_abandon(html *h)
{
    u3d_outfile_abandon(h->file);
    h->file = NULL;
}

void html_heading(html *h, const char *text)
{
    element(h, "h2", text);
}

void html_paragraph(html *h, const char *fmt, ...)
{
    char text[2000];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    element(h, "p", text);
}

void html_table_begin(html *h)
{
    fputs("<table>\n", h->f);
}

/* Allows a line break after each slash and underscore, so that a long path does not push the numbers off the
 * page. */
static void cell_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        put(f, *text);
        if ((text[0] == '/' || text[0] == '_') && text[1]) fputs("<wbr>", f);
    }
}

void html_row(html *h, const char *const *cells, int n, bool head)
{
    fputs("<tr>", h->f);
    for (int i = 0; i < n; i++) {
        fputs(head ? "<th>" : "<td>", h->f);
        cell_text(h->f, cells[i]);
        fputs(head ? "</th>" : "</td>", h->f);
    }
    fputs("</tr>\n", h->f);
}

void html_table_end(html *h)
{
    fputs("</table>\n", h->f);
}

void html_list_begin(html *h)
{
    fputs("<dl>\n", h->f);
}

void html_pair(html *h, const char *name, const char *value)
{
    fputs("<div><dt>", h->f);
    html_text(h->f, name);
    fputs("</dt><dd>", h->f);
    html_text(h->f, value);
    fputs("</dd></div>\n", h->f);
}

void html_list_end(html *h)
{
    fputs("</dl>\n", h->f);
}

/* ---- pictures ---- */

/* Writes bytes in Base64 (RFC 4648). */
static void base64(const uint8_t *bytes, size_t n, FILE *f)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t b = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
                           (i + 2 < n ? bytes[i + 2] : 0);
        fputc(DIGITS[b >> 18], f);
        fputc(DIGITS[b >> 12 & 63], f);
        fputc(i + 1 < n ? DIGITS[b >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? DIGITS[b & 63] : '=', f);
    }
}

u3d_status html_picture(html *h, const char *png, const char *caption)
{
    uint64_t bytes;
    U3D_TRY(u3d_path_size(png, &bytes));
    FILE *in = fopen(png, "rb");
    uint8_t *data = u3d_new_uninit((size_t)bytes + 1, 1);
    const bool read = in && data && fread(data, 1, (size_t)bytes, in) == (size_t)bytes;
    if (in) fclose(in);
    if (read) {
        fputs("<figure><img alt=\"\" src=\"data:image/png;base64,", h->f);
        base64(data, (size_t)bytes, h->f);
        fputs("\">", h->f);
        element(h, "figcaption", caption);
        fputs("</figure>\n", h->f);
    }
    u3d_free(data);
    return read ? U3D_OK : u3d_fail(U3D_E_IO, "%s: cannot read the picture", png);
}
