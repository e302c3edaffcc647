/* safetensors files: builds a set of tensors and saves it. checkpoint_load.c loads it.
 *
 * Tensors with 4-byte elements are written first, so that every tensor is aligned for a reader that maps the
 * file into memory. For the same reason the header is padded with spaces to a multiple of 8 bytes. */
#include "io/checkpoint_impl.h"

#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors data is little-endian and is written without swapping bytes");

const char *const u3d_checkpoint_dtypes[3] = {[U3D_F32] = "F32", [U3D_I32] = "I32", [U3D_U8] = "U8"};

u3d_status u3d_checkpoint_new(u3d_checkpoint **out)
{
    *out = u3d_new(1, sizeof **out);
    return *out ? U3D_OK : U3D_E_NOMEM;
}

void u3d_checkpoint_free(u3d_checkpoint *c)
{
    if (!c) return;
    for (int i = 0; i < c->n_tensors; i++) u3d_tensor_free(c->tensors[i]);
    for (int i = 0; i < c->n_meta; i++) {
        u3d_free(c->meta[i].key);
        u3d_free(c->meta[i].value);
    }
    u3d_free(c->tensors);
    u3d_free(c->meta);
    u3d_free(c);
}

u3d_tensor *u3d_checkpoint_find(const u3d_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->n_tensors; i++)
        if (strcmp(c->tensors[i]->name, name) == 0) return c->tensors[i];
    return NULL;
}

u3d_status u3d_checkpoint_add(u3d_checkpoint *c, u3d_tensor *owned)
{
    u3d_status status = U3D_OK;
    if (owned->name[0] == '\0' || strcmp(owned->name, U3D_CHECKPOINT_META) == 0 ||
        u3d_checkpoint_find(c, owned->name))
        U3D_GO(u3d_fail(U3D_E_ARG, "add tensor '%s' to a checkpoint: the name is empty, reserved or taken",
                        owned->name));
    size_t n = (size_t)c->n_tensors;
    u3d_tensor **grown = u3d_resize(c->tensors, n, n + 1, sizeof *grown);
    if (!grown) U3D_GO(U3D_E_NOMEM);
    c->tensors = grown;
    c->tensors[c->n_tensors++] = owned;
    return U3D_OK;
done:
    u3d_tensor_free(owned);
    return status;
}

const char *u3d_checkpoint_get(const u3d_checkpoint *c, const char *key)
{
    for (int i = 0; i < c->n_meta; i++)
        if (strcmp(c->meta[i].key, key) == 0) return c->meta[i].value;
    return NULL;
}

u3d_status u3d_checkpoint_set(u3d_checkpoint *c, const char *key, const char *value)
{
    u3d_status status = U3D_E_NOMEM;
    if (strcmp(key, U3D_CHECKPOINT_HASHES) == 0)
        return u3d_fail(U3D_E_ARG, "checkpoint metadata '%s' is reserved: it is written automatically", key);
    char *new_key = NULL, *new_value = u3d_strdup(value);
    if (!new_value) goto done;
    for (int i = 0; i < c->n_meta; i++) {
        if (strcmp(c->meta[i].key, key) != 0) continue;
        u3d_free(c->meta[i].value);
        c->meta[i].value = new_value;
        return U3D_OK;
    }
    new_key = u3d_strdup(key);
    if (!new_key) goto done;
    size_t n = (size_t)c->n_meta;
    u3d_meta *grown = u3d_resize(c->meta, n, n + 1, sizeof *grown);
    if (!grown) goto done;
    c->meta = grown;
    c->meta[c->n_meta++] = (u3d_meta){.key = new_key, .value = new_value};
    return U3D_OK;
done:
    u3d_free(new_key);
    u3d_free(new_value);
    return status;
}

uint64_t u3d_checkpoint_hash(const void *data, uint64_t bytes)
{
    return XXH64(data, (size_t)bytes, 0);
}

/* Sorts the tensors as they are stored in the file: first those with 4-byte elements, then the others. Within
 * both groups the order of the list is kept. */
static void save_order(const u3d_checkpoint *c, const u3d_tensor **order)
{
    int n = 0;
    for (int narrow = 0; narrow < 2; narrow++)
        for (int i = 0; i < c->n_tensors; i++)
            if ((c->tensors[i]->type.dtype == U3D_U8) == narrow) order[n++] = c->tensors[i];
}

/* Adds {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} to `header` under the tensor's name. */
static bool save_entry(cJSON *header, const u3d_tensor *t, uint64_t begin)
{
    cJSON *entry = cJSON_AddObjectToObject(header, t->name);
    if (!entry || !cJSON_AddStringToObject(entry, "dtype", u3d_checkpoint_dtypes[t->type.dtype]))
        return false;
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    for (int i = 0; i < t->type.rank; i++)
        if (!shape || !cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->type.dim[i]))) return false;
    cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    return offsets && cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + u3d_type_bytes(&t->type))));
}

/* The checksums of all tensors as one JSON text, because metadata values must be strings. The caller calls
 * u3d_free. NULL: out of memory. */
static char *save_hashes(const u3d_tensor *const *order, int n)
{
    cJSON *hashes = cJSON_CreateObject();
    char *text = NULL;
    bool good = hashes != NULL;
    for (int i = 0; good && i < n; i++) {
        char hex[17];
        snprintf(hex, sizeof hex, "%016" PRIx64,
                 u3d_checkpoint_hash(order[i]->data, u3d_type_bytes(&order[i]->type)));
        good = cJSON_AddStringToObject(hashes, order[i]->name, hex) != NULL;
    }
    if (good) text = u3d_json_text(hashes);
    cJSON_Delete(hashes);
    return text;
}

/* The JSON header as text. The caller calls u3d_free. NULL: out of memory. */
static char *save_header(const u3d_checkpoint *c, const u3d_tensor *const *order)
{
    char *text = NULL, *hashes = save_hashes(order, c->n_tensors);
    cJSON *header = cJSON_CreateObject();
    cJSON *meta = header ? cJSON_AddObjectToObject(header, U3D_CHECKPOINT_META) : NULL;
    bool good = meta && hashes && cJSON_AddStringToObject(meta, U3D_CHECKPOINT_HASHES, hashes);
    for (int i = 0; good && i < c->n_meta; i++)
        good = cJSON_AddStringToObject(meta, c->meta[i].key, c->meta[i].value) != NULL;
    uint64_t begin = 0;
    for (int i = 0; good && i < c->n_tensors; i++) {
        good = save_entry(header, order[i], begin);
        begin += u3d_type_bytes(&order[i]->type);
    }
    if (good) text = u3d_json_text(header);
    cJSON_Delete(header);
    u3d_free(hashes);
    return text;
}

static u3d_status save_stream(FILE *f, const char *path, const u3d_checkpoint *c,
                              const u3d_tensor *const *order)
{
    static const char spaces[8] = "        ";
    char *header = save_header(c, order);
    if (!header) return u3d_fail(U3D_E_NOMEM, "write '%s': out of memory for its header", path);
    uint64_t text = strlen(header), padding = (8 - text % 8) % 8, length = text + padding;
    bool good = length < U3D_CHECKPOINT_MAX_HEADER && fwrite(&length, sizeof length, 1, f) == 1 &&
                fwrite(header, 1, text, f) == text && fwrite(spaces, 1, padding, f) == padding;
    u3d_free(header);
    for (int i = 0; good && i < c->n_tensors; i++) {
        size_t bytes = (size_t)u3d_type_bytes(&order[i]->type);
        good = fwrite(order[i]->data, 1, bytes, f) == bytes;
    }
    return good ? U3D_OK : u3d_fail(U3D_E_OUTPUT, "write '%s': %s", path, strerror(errno));
}

u3d_status u3d_checkpoint_save(const char *path, const u3d_checkpoint *c)
{
    u3d_outfile *file = NULL;
    u3d_status status = U3D_OK;
    const u3d_tensor **order = u3d_new((size_t)c->n_tensors, sizeof *order);
    if (!order) return U3D_E_NOMEM;
    save_order(c, order);
    U3D_GO(u3d_outfile_open(path, &file));
    U3D_GO(save_stream(u3d_outfile_stream(file), path, c, order));
    status = u3d_outfile_commit(file);
    file = NULL;
done:
    u3d_outfile_abandon(file);
    u3d_free(order);
    return status;
}
