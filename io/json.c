/* Reads and writes JSON through cJSON. Messages give the file, line and column.
 *
 * Files of up to 64 MB are read as a whole. The largest file in practice, a dataset.json with a hundred
 * thousand cases, has a quarter of that. cJSON itself limits the nesting depth to 1000, so that a hostile
 * file cannot exhaust the stack. */
#include "io/json.h"

#include "engine/base/mem.h"
#include "io/path.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const uint64_t json_max_bytes = 64000000;

/* ---- names that are not UTF-8 ---- */

/* The number of bytes of the UTF-8 character at p; 0 if there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *p)
{
    const unsigned char low = p[0] == 0xe0   ? 0xa0
                              : p[0] == 0xf0 ? 0x90
                                             : 0x80,
                        high = p[0] == 0xed   ? 0x9f
                               : p[0] == 0xf4 ? 0x8f
                                              : 0xbf;
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || p[1] < low || p[1] > high) return 0;
    const size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

/* Whether the character at p stands for a byte: U+EF80 to U+EFFF. */
static bool stands_for_byte(const unsigned char *p)
{
    return p[0] == 0xee && (p[1] == 0xbe || p[1] == 0xbf) && (p[2] & 0xc0) == 0x80;
}

/* A copy of the text in which every byte that is not UTF-8 is a character that stands for it. So is every
 * byte of such a character, so that reading gives back exactly what was written. */
char *u3d_json_utf8(const char *text)
{
    const unsigned char *from = (const unsigned char *)text;
    size_t bytes = 1;
    for (const unsigned char *p = from; *p; p++) bytes += *p < 0x80 ? 1 : 3;
    char *copy = u3d_new_uninit(bytes, 1), *to = copy;
    while (copy && *from) {
        size_t n = utf8_length(from);
        if (n > 0 && !stands_for_byte(from)) {
            memcpy(to, from, n);
            from += n;
            to += n;
            continue;
        }
        for (n = n ? n : 1; n > 0; n--, from++) {
            *to++ = (char)0xee;
            *to++ = (char)(0xbc | *from >> 6);
            *to++ = (char)(0x80 | (*from & 0x3f));
        }
    }
    if (copy) *to = '\0';
    return copy;
}

/* The reverse, in place. */
static void utf8_undone(char *text)
{
    char *to = text;
    for (const unsigned char *from = (const unsigned char *)text; text && *from;) {
        if (stands_for_byte(from)) {
            *to++ = (char)((from[1] & 3) << 6 | (from[2] & 0x3f));
            from += 3;
        } else {
            *to++ = (char)*from++;
        }
    }
    if (text) *to = '\0';
}

static void strings_undone(cJSON *json)
{
    for (; json; json = json->next) {
        utf8_undone(json->string);
        utf8_undone(json->valuestring);
        strings_undone(json->child);
    }
}

/* ---- reading ---- */

/* Parses `text`, which has `bytes` bytes and a terminating zero. */
static u3d_status json_parse_bytes(const char *text, size_t bytes, const char *where, cJSON **out)
{
    const char *end = text;
    *out = NULL;
    const char *zero = memchr(text, '\0', bytes);
    if (zero)
        return u3d_fail(U3D_E_FORMAT, "'%s': not JSON: there is a zero byte at offset %zu", where,
                        (size_t)(zero - text));
    *out = cJSON_ParseWithLengthOpts(text, bytes + 1, &end, 1);
    strings_undone(*out);
    if (*out) return U3D_OK;
    size_t stop = end < text ? 0 : (size_t)(end - text);
    if (stop > bytes) stop = bytes;
    int line = 1, column = 1;
    for (size_t i = 0; i < stop; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        if (text[i] == '\n') line++;
    }
    if (bytes == 0) return u3d_fail(U3D_E_FORMAT, "'%s': it is empty, expected JSON", where);
    return u3d_fail(U3D_E_FORMAT, "'%s': not valid JSON near line %d, column %d", where, line, column);
}

u3d_status u3d_json_parse(const char *text, const char *where, cJSON **out)
{
    return json_parse_bytes(text, strlen(text), where, out);
}

u3d_status u3d_json_read(const char *path, cJSON **out)
{
    uint64_t bytes = 0;
    char *text = NULL;
    u3d_status status = U3D_OK;
    *out = NULL;
    U3D_TRY(u3d_path_size(path, &bytes));
    if (bytes > json_max_bytes)
        return u3d_fail(U3D_E_FORMAT, "'%s': it has %llu bytes, but JSON files may have at most %llu", path,
                        (unsigned long long)bytes, (unsigned long long)json_max_bytes);
    FILE *f = fopen(path, "rb");
    if (!f) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    text = u3d_new_uninit((size_t)bytes + 1, 1);
    if (!text) U3D_GO(U3D_E_NOMEM);
    if (fread(text, 1, (size_t)bytes, f) != bytes)
        U3D_GO(
            u3d_fail(U3D_E_IO, "read '%s': got fewer than its %llu bytes", path, (unsigned long long)bytes));
    text[bytes] = '\0';
    status = json_parse_bytes(text, (size_t)bytes, path, out);
done:
    fclose(f);
    u3d_free(text);
    return status;
}

/* ---- writing ---- */

/* Makes the printed text UTF-8, and frees it. */
static char *text_finish(char *printed)
{
    char *text = printed ? u3d_json_utf8(printed) : NULL;
    cJSON_free(printed);
    return text;
}

char *u3d_json_text(const cJSON *json)
{
    return text_finish(cJSON_PrintUnformatted(json));
}

u3d_status u3d_json_print(FILE *f, const cJSON *json)
{
    char *text = text_finish(cJSON_Print(json));
    if (!text) return u3d_fail(U3D_E_NOMEM, "print JSON: out of memory");
    bool good = fputs(text, f) >= 0 && fputc('\n', f) != EOF;
    int cause = errno;
    u3d_free(text);
    return good ? U3D_OK : u3d_fail(U3D_E_OUTPUT, "write JSON: %s", strerror(cause));
}

u3d_status u3d_json_write(const char *path, const cJSON *json)
{
    u3d_outfile *file = NULL;
    U3D_TRY(u3d_outfile_open(path, &file));
    u3d_status status = u3d_json_print(u3d_outfile_stream(file), json);
    if (status != U3D_OK) {
        u3d_outfile_abandon(file);
        return u3d_wrap(status, "'%s'", path);
    }
    return u3d_outfile_commit(file);
}

cJSON *u3d_json_member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

cJSON *u3d_json_number(double value)
{
    return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
}
