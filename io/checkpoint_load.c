/* Loads safetensors files, which may come from untrusted sources.
 *
 * The rules of the format are checked before any tensor is allocated: the header's length fits the file,
 * element types are known, the byte count of each shape equals the one that its offsets give, and the tensors
 * cover the data from the first byte to the last without gaps or overlaps. The size of the file therefore
 * limits how much memory a header can ask for.
 * Source: huggingface/safetensors, README "Format". */
#include "io/checkpoint_impl.h"

#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One tensor of the header. */
typedef struct load_entry {
    const char *name; /* owned by the parsed JSON */
    u3d_type type;
    uint64_t begin, end; /* bytes from the start of the data */
} load_entry;

/* A whole number from 0 to 2^53, which JSON numbers hold exactly. */
static bool load_whole(const cJSON *number, uint64_t *out)
{
    if (!cJSON_IsNumber(number)) return false;
    double value = number->valuedouble;
    if (!(value >= 0 && value <= 9007199254740992.0) || floor(value) != value) return false;
    *out = (uint64_t)value;
    return true;
}

static u3d_status load_type(const char *path, const cJSON *item, u3d_type *type)
{
    const cJSON *dtype = u3d_json_member(item, "dtype"), *dim = NULL;
    const cJSON *shape = u3d_json_member(item, "shape");
    int64_t dims[U3D_MAX_RANK];
    int32_t rank = 0;
    int found = -1;
    for (int i = 0; cJSON_IsString(dtype) && i < 3; i++)
        if (strcmp(dtype->valuestring, u3d_checkpoint_dtypes[i]) == 0) found = i;
    if (found < 0)
        return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' has dtype '%.16s', expected F32, I32 or U8", path,
                        item->string, cJSON_IsString(dtype) ? dtype->valuestring : "?");
    if (!cJSON_IsArray(shape))
        return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' has no shape", path, item->string);
    cJSON_ArrayForEach(dim, shape)
    {
        uint64_t value = 0;
        if (rank == U3D_MAX_RANK)
            return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' has more than %d dimensions", path, item->string,
                            U3D_MAX_RANK);
        if (!load_whole(dim, &value) || value < 1)
            return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s': shape[%d] must be a whole number, at least 1",
                            path, item->string, rank);
        dims[rank++] = (int64_t)value;
    }
    *type = u3d_type_of((u3d_dtype)found, rank, dims);
    return U3D_OK;
}

static u3d_status load_entry_parse(const char *path, const cJSON *item, uint64_t data_bytes, load_entry *e)
{
    const cJSON *offsets = u3d_json_member(item, "data_offsets");
    int64_t elements = 0;
    uint64_t bytes = 0;
    e->name = item->string;
    if (e->name[0] == '\0' || strlen(e->name) >= U3D_NAME_CAP)
        return u3d_fail(U3D_E_FORMAT, "'%s': tensor name '%.80s' is empty or has more than %d characters",
                        path, e->name, U3D_NAME_CAP - 1);
    if (!cJSON_IsObject(item))
        return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' is not an object", path, e->name);
    U3D_TRY(load_type(path, item, &e->type));
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !load_whole(cJSON_GetArrayItem(offsets, 0), &e->begin) ||
        !load_whole(cJSON_GetArrayItem(offsets, 1), &e->end) || e->begin > e->end || e->end > data_bytes)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': tensor '%s': data_offsets must be two ascending numbers up to %" PRIu64, path,
                        e->name, data_bytes);
    if (u3d_type_count(&e->type, &elements, &bytes) != U3D_OK)
        return u3d_wrap(U3D_E_FORMAT, "'%s': tensor '%s'", path, e->name);
    if (bytes != e->end - e->begin)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': tensor '%s' has %" PRIu64 " bytes by its shape but %" PRIu64 " by its offsets",
                        path, e->name, bytes, e->end - e->begin);
    return U3D_OK;
}

static int load_compare_begin(const void *a, const void *b)
{
    const load_entry *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static int load_compare_name(const void *a, const void *b)
{
    return strcmp(((const load_entry *)a)->name, ((const load_entry *)b)->name);
}

/* Reads all tensors of the header, sorts them by offset, and checks that they cover the data exactly. */
static u3d_status load_entries(const char *path, const cJSON *header, uint64_t data_bytes,
                               load_entry *entries, int *n)
{
    const cJSON *item = NULL;
    uint64_t end = 0;
    *n = 0;
    cJSON_ArrayForEach(item, header)
    {
        if (strcmp(item->string, U3D_CHECKPOINT_META) == 0) continue;
        U3D_TRY(load_entry_parse(path, item, data_bytes, &entries[*n]));
        ++*n;
    }
    qsort(entries, (size_t)*n, sizeof *entries, load_compare_name);
    for (int i = 1; i < *n; i++)
        if (strcmp(entries[i - 1].name, entries[i].name) == 0)
            return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' occurs twice", path, entries[i].name);
    qsort(entries, (size_t)*n, sizeof *entries, load_compare_begin);
    for (int i = 0; i < *n; i++) {
        if (entries[i].begin != end)
            return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' begins at byte %" PRIu64 ", expected %" PRIu64,
                            path, entries[i].name, entries[i].begin, end);
        end = entries[i].end;
    }
    if (end != data_bytes)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': the tensors end at byte %" PRIu64 " of %" PRIu64 " bytes of data", path, end,
                        data_bytes);
    return U3D_OK;
}

/* Reads the metadata strings. If there are checksums, *hashes gets them as parsed JSON. */
static u3d_status load_meta(const char *path, const cJSON *header, u3d_checkpoint *c, cJSON **hashes)
{
    const cJSON *meta = u3d_json_member(header, U3D_CHECKPOINT_META), *item = NULL;
    if (!meta) return U3D_OK;
    if (!cJSON_IsObject(meta))
        return u3d_fail(U3D_E_FORMAT, "'%s': " U3D_CHECKPOINT_META " is not an object", path);
    cJSON_ArrayForEach(item, meta)
    {
        if (!cJSON_IsString(item))
            return u3d_fail(U3D_E_FORMAT, "'%s': metadata '%.80s' is not a string", path, item->string);
        if (strcmp(item->string, U3D_CHECKPOINT_HASHES) != 0) {
            U3D_TRY(u3d_checkpoint_set(c, item->string, item->valuestring));
        } else if (!*hashes) {
            U3D_TRY(u3d_json_parse(item->valuestring, path, hashes));
        }
    }
    return U3D_OK;
}

static u3d_status load_check_hash(const char *path, const u3d_tensor *t, const cJSON *hashes)
{
    const cJSON *expected = u3d_json_member(hashes, t->name);
    char found[17];
    if (!expected) return U3D_OK;
    snprintf(found, sizeof found, "%016" PRIx64, u3d_checkpoint_hash(t->data, u3d_type_bytes(&t->type)));
    if (cJSON_IsString(expected) && strcmp(expected->valuestring, found) == 0) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT, "'%s': tensor '%s' is damaged: its checksum is %s, expected %.16s", path,
                    t->name, found, cJSON_IsString(expected) ? expected->valuestring : "a string");
}

static u3d_status load_tensors(FILE *f, const char *path, const load_entry *entries, int n,
                               const cJSON *hashes, u3d_checkpoint *c)
{
    for (int i = 0; i < n; i++) {
        u3d_tensor *t = NULL;
        U3D_TRY(u3d_tensor_new(entries[i].name, entries[i].type, &t));
        size_t bytes = (size_t)u3d_type_bytes(&t->type);
        u3d_status status =
            fread(t->data, 1, bytes, f) == bytes
                ? load_check_hash(path, t, hashes)
                : u3d_fail(U3D_E_IO, "read '%s': the data of '%s' is cut short", path, t->name);
        if (status != U3D_OK) {
            u3d_tensor_free(t);
            return status;
        }
        U3D_TRY(u3d_checkpoint_add(c, t));
    }
    return U3D_OK;
}

/* Reads the JSON header and finds out how many bytes of data follow it. Afterwards f is at the first byte of
 * the data. */
static u3d_status load_header(FILE *f, const char *path, uint64_t file_bytes, cJSON **header,
                              uint64_t *data_bytes)
{
    uint64_t length = 0;
    if (file_bytes < sizeof length || fread(&length, sizeof length, 1, f) != 1)
        return u3d_fail(U3D_E_FORMAT, "'%s': %" PRIu64 " bytes are too few for a safetensors file", path,
                        file_bytes);
    if (length < 2 || length > U3D_CHECKPOINT_MAX_HEADER || length > file_bytes - sizeof length)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': not a safetensors file, or cut short: "
                        "header length %" PRIu64 " in a file of %" PRIu64 " bytes",
                        path, length, file_bytes);
    *data_bytes = file_bytes - sizeof length - length;
    char *text = u3d_new_uninit((size_t)length + 1, 1);
    if (!text) return U3D_E_NOMEM;
    u3d_status status = U3D_OK;
    if (fread(text, 1, (size_t)length, f) != length)
        U3D_GO(u3d_fail(U3D_E_IO, "read '%s': %s", path, strerror(errno)));
    text[length] = '\0';
    if (text[0] != '{' || strlen(text) != length)
        U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': not a safetensors file: its header is not a JSON object", path));
    U3D_GO(u3d_json_parse(text, path, header));
done:
    u3d_free(text);
    return status;
}

u3d_status u3d_checkpoint_load(const char *path, u3d_checkpoint **out)
{
    uint64_t file_bytes = 0, data_bytes = 0;
    cJSON *header = NULL, *hashes = NULL;
    load_entry *entries = NULL;
    u3d_checkpoint *c = NULL;
    int n = 0;
    u3d_status status = U3D_OK;
    *out = NULL;
    U3D_TRY(u3d_path_size(path, &file_bytes));
    FILE *f = fopen(path, "rb");
    if (!f) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    U3D_GO(load_header(f, path, file_bytes, &header, &data_bytes));
    if (cJSON_GetArraySize(header) > U3D_CHECKPOINT_MAX_TENSORS)
        U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': more than %d tensors", path, U3D_CHECKPOINT_MAX_TENSORS));
    entries = u3d_new((size_t)cJSON_GetArraySize(header), sizeof *entries);
    if (!entries) U3D_GO(U3D_E_NOMEM);
    U3D_GO(load_entries(path, header, data_bytes, entries, &n));
    U3D_GO(u3d_checkpoint_new(&c));
    U3D_GO(load_meta(path, header, c, &hashes));
    U3D_GO(load_tensors(f, path, entries, n, hashes, c));
    *out = c;
    c = NULL;
done:
    fclose(f);
    cJSON_Delete(header);
    cJSON_Delete(hashes);
    u3d_free(entries);
    u3d_checkpoint_free(c);
    return status;
}
