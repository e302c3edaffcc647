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

u3d_status u3d_json_print(FILE *f, const cJSON *json)
{
    char *text = cJSON_Print(json);
    if (!text) return u3d_fail(U3D_E_NOMEM, "print JSON: out of memory");
    bool good = fputs(text, f) >= 0 && fputc('\n', f) != EOF;
    int cause = errno;
    cJSON_free(text);
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
