/* Models on disk: the weights in PyTorch's names and axis order, and as metadata everything that must be
 * known to use them.
 *
 * The engine keeps convolution weights as [KD,KH,KW,CI,CO]. PyTorch's Conv3d has [CO,CI,KD,KH,KW] and its
 * ConvTranspose3d [CI,CO,KD,KH,KW]; this file is the only place that converts between them. All other tensors
 * have one axis, or two (running statistics), and are copied as they are. */
#include "net/model/model.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/model/unet3d.h"

/* ---- axis order ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* For each axis of the file's tensor, the corresponding axis of the engine's [KD,KH,KW,CI,CO]. */
static const int *file_order(const char *name)
{
    static const int conv[5] = {4, 3, 0, 1, 2}, upconv[5] = {3, 4, 0, 1, 2};
    return ends_with(name, ".up.weight") || strcmp(name, "up.weight") == 0 ? upconv : conv;
}

static u3d_type file_type(const char *name, const u3d_type *engine)
{
    u3d_type t = *engine;
    if (engine->rank != 5) return t;
    const int *order = file_order(name);
    for (int i = 0; i < 5; i++) t.dim[i] = engine->dim[order[i]];
    return t;
}

/* Copies a tensor between the two axis orders, in the direction that `to_file` says. Both directions walk
 * through the elements in the file's order. */
static void copy_permuted(const char *name, const u3d_type *engine, float *engine_data, float *file_data,
                          bool to_file)
{
    if (engine->rank != 5) {
        size_t bytes = (size_t)u3d_type_bytes(engine);
        if (to_file)
            memcpy(file_data, engine_data, bytes);
        else
            memcpy(engine_data, file_data, bytes);
        return;
    }
    int64_t stride[5], step[5], at[5] = {0};
    stride[4] = 1;
    for (int i = 3; i >= 0; i--) stride[i] = stride[i + 1] * engine->dim[i + 1];
    u3d_type file = file_type(name, engine);
    for (int i = 0; i < 5; i++) step[i] = stride[file_order(name)[i]];
    int64_t n = u3d_type_elems(engine), from = 0;
    for (int64_t e = 0; e < n; e++) {
        if (to_file)
            file_data[e] = engine_data[from];
        else
            engine_data[from] = file_data[e];
        for (int i = 4; i >= 0; i--) { /* advance the file's index and, with it, `from` */
            from += step[i];
            if (++at[i] < file.dim[i]) break;
            from -= step[i] * file.dim[i];
            at[i] = 0;
        }
    }
}

/* ---- parameters <-> checkpoint ---- */

static u3d_status add_one(u3d_params *p, u3d_block block, int i, const char *prefix, u3d_checkpoint *c)
{
    const u3d_param_info *info = u3d_params_info(p, i);
    char name[2 * U3D_NAME_CAP];
    u3d_tensor *device = NULL, *file = NULL;
    (void)snprintf(name, sizeof name, "%s%s", prefix, info->name);
    u3d_status status = u3d_tensor_new(info->name, info->type, &device);
    if (status != U3D_OK) return status;
    U3D_GO(u3d_params_download(p, block, i, device));
    U3D_GO(u3d_tensor_new(name, file_type(info->name, &info->type), &file));
    copy_permuted(info->name, &info->type, u3d_tensor_f32(device), u3d_tensor_f32(file), true);
    status = u3d_checkpoint_add(c, file);
done:
    u3d_tensor_free(device);
    return status;
}

u3d_status u3d_params_to_checkpoint(u3d_params *p, u3d_block block, const char *prefix, u3d_checkpoint *c)
{
    for (int i = 0; i < u3d_params_count(p); i++)
        if (block == U3D_BLOCK_VALUE || !u3d_params_info(p, i)->state)
            U3D_TRY(add_one(p, block, i, prefix, c));
    return U3D_OK;
}

/* A growing list of what is wrong. What does not fit into the buffer is cut off. */
typedef struct text {
    char buf[1200];
    size_t used;
    int n;
} text;

static void text_add(text *t, const char *kind, const char *name, const char *detail)
{
    size_t left = sizeof t->buf - t->used;
    t->n++;
    int n = snprintf(t->buf + t->used, left, "%s%s %s%s", t->used ? "; " : "", kind, name, detail);
    if (n > 0) t->used += (size_t)n < left ? (size_t)n : left - 1;
}

static void compare_one(const u3d_checkpoint *c, const char *prefix, const u3d_param_info *info, text *t)
{
    char name[2 * U3D_NAME_CAP], found[128], expected[128], detail[300];
    (void)snprintf(name, sizeof name, "%s%s", prefix, info->name);
    const u3d_tensor *tensor = u3d_checkpoint_find(c, name);
    u3d_type want = file_type(info->name, &info->type);
    if (!tensor) {
        text_add(t, "missing", name, "");
    } else if (!u3d_type_equal(&tensor->type, &want)) {
        (void)snprintf(detail, sizeof detail, ": found %s, expected %s",
                       u3d_type_text(&tensor->type, found, sizeof found),
                       u3d_type_text(&want, expected, sizeof expected));
        text_add(t, "differing", name, detail);
    }
}

/* Lists the tensors under `prefix` that the network does not have. Without a prefix these are tensors without
 * a '/' in the name. Parameters that only training graphs have are expected in a file and are not listed. */
static void find_extra(const u3d_checkpoint *c, const char *prefix, const u3d_params *p, text *t)
{
    size_t n = strlen(prefix);
    for (int i = 0; i < c->n_tensors; i++) {
        const char *name = c->tensors[i]->name;
        if (strncmp(name, prefix, n) != 0 || strchr(name + n, '/')) continue;
        if (u3d_params_find(p, name + n) < 0 && !u3d_unet3d_only_trained(name + n))
            text_add(t, "unexpected", name, "");
    }
}

static u3d_status load_one(const u3d_checkpoint *c, u3d_block block, int i, const char *prefix, u3d_params *p)
{
    const u3d_param_info *info = u3d_params_info(p, i);
    char name[2 * U3D_NAME_CAP];
    (void)snprintf(name, sizeof name, "%s%s", prefix, info->name);
    u3d_tensor *device = NULL;
    U3D_TRY(u3d_tensor_new(info->name, info->type, &device));
    copy_permuted(info->name, &info->type, u3d_tensor_f32(device),
                  u3d_tensor_f32(u3d_checkpoint_find(c, name)), false);
    u3d_status status = u3d_params_upload(p, block, i, device);
    u3d_tensor_free(device);
    return status;
}

u3d_status u3d_params_from_checkpoint(const u3d_checkpoint *c, u3d_block block, const char *prefix,
                                      u3d_params *p, const char *where)
{
    text t = {.used = 0};
    for (int i = 0; i < u3d_params_count(p); i++)
        if (block == U3D_BLOCK_VALUE || !u3d_params_info(p, i)->state)
            compare_one(c, prefix, u3d_params_info(p, i), &t);
    find_extra(c, prefix, p, &t);
    if (t.n > 0)
        return u3d_fail(U3D_E_FORMAT, "%s: %d tensors do not fit the network that its settings describe: %s",
                        where, t.n, t.buf);
    for (int i = 0; i < u3d_params_count(p); i++)
        if (block == U3D_BLOCK_VALUE || !u3d_params_info(p, i)->state)
            U3D_TRY(load_one(c, block, i, prefix, p));
    return U3D_OK;
}

u3d_status u3d_model_to_params(const u3d_model *m, u3d_params *p)
{
    U3D_ASSERT(m->weights, "model without weights");
    return u3d_params_from_checkpoint(m->weights, U3D_BLOCK_VALUE, "", p, "model");
}

/* ---- metadata ---- */

/* Triples are x, y, z in files, as in everything that people read, and z, y, x in memory. */
static cJSON *triple_to_json(const double zyx[3])
{
    return cJSON_CreateDoubleArray((double[]){zyx[2], zyx[1], zyx[0]}, 3);
}

static u3d_status facts_to_json(const u3d_data_facts *f, cJSON **out)
{
    cJSON *json = cJSON_CreateObject();
    bool ok = json && cJSON_AddNumberToObject(json, "channels", f->channels) &&
              cJSON_AddItemToObject(json, "spacing", triple_to_json(f->spacing)) &&
              cJSON_AddItemToObject(json, "size", triple_to_json(f->size)) &&
              cJSON_AddItemToObject(json, "orientation", cJSON_CreateIntArray(f->orientation, 3)) &&
              (!f->spacing_why[0] || cJSON_AddStringToObject(json, "spacing_why", f->spacing_why));
    *out = ok ? json : NULL;
    if (ok) return U3D_OK;
    cJSON_Delete(json);
    return u3d_fail(U3D_E_NOMEM, "describing the training data: out of memory");
}

static bool triple_from_json(const cJSON *json, const char *key, double abc[3])
{
    const cJSON *list = u3d_json_member(json, key);
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 3) return false;
    for (int i = 0; i < 3; i++) {
        const cJSON *item = cJSON_GetArrayItem(list, i);
        if (!cJSON_IsNumber(item)) return false;
        abc[i] = item->valuedouble;
    }
    return true;
}

static u3d_status facts_from_json(const cJSON *json, const char *where, u3d_data_facts *f)
{
    const cJSON *channels = u3d_json_member(json, "channels");
    double spacing[3], size[3], orientation[3];
    if (!cJSON_IsNumber(channels) || channels->valuedouble < 1 || channels->valuedouble > U3D_MAX_CHANNELS ||
        !triple_from_json(json, "spacing", spacing) || !triple_from_json(json, "size", size) ||
        !triple_from_json(json, "orientation", orientation))
        return u3d_fail(
            U3D_E_FORMAT,
            "%s: metadata u3d.data: expected channels (1 to %d) and three numbers each for spacing, size and "
            "orientation",
            where, U3D_MAX_CHANNELS);
    f->channels = (int32_t)channels->valuedouble;
    const char *why = cJSON_GetStringValue(u3d_json_member(json, "spacing_why"));
    (void)snprintf(f->spacing_why, sizeof f->spacing_why, "%s", why ? why : "");
    for (int i = 0; i < 3; i++) {
        f->spacing[i] = spacing[2 - i];
        f->size[i] = size[2 - i];
        if (!(orientation[i] >= -3 && orientation[i] <= 3))
            return u3d_fail(U3D_E_FORMAT, "%s: metadata u3d.data: orientation %g, expected -3 to 3", where,
                            orientation[i]);
        f->orientation[i] = (int)orientation[i];
    }
    return U3D_OK;
}

/* Sets metadata `key` to the JSON, which is freed in any case. */
static u3d_status set_json(u3d_checkpoint *c, const char *key, cJSON *owned)
{
    char *printed = u3d_json_text(owned);
    cJSON_Delete(owned);
    if (!printed) return u3d_fail(U3D_E_NOMEM, "metadata %s: out of memory", key);
    u3d_status status = u3d_checkpoint_set(c, key, printed);
    u3d_free(printed);
    return status;
}

static u3d_status postprocess_to_json(const u3d_model *m, cJSON **out)
{
    cJSON *json = cJSON_CreateObject(), *list = json ? cJSON_AddArrayToObject(json, "keep_largest") : NULL;
    bool ok = list != NULL;
    for (int k = 0; ok && k < m->labels.n; k++)
        if (m->keep_largest[k]) ok = cJSON_AddItemToArray(list, cJSON_CreateNumber(m->labels.value[k]));
    ok = ok && cJSON_AddBoolToObject(json, "keep_foreground", m->keep_foreground);
    *out = ok ? json : NULL;
    if (ok) return U3D_OK;
    cJSON_Delete(json);
    return u3d_fail(U3D_E_NOMEM, "describing the post-processing: out of memory");
}

/* Foreground class of a label value, -1 if no foreground class has it. */
static int foreground_class(const u3d_labels *l, const cJSON *value)
{
    for (int k = 1; cJSON_IsNumber(value) && k < l->n; k++)
        if (value->valuedouble == (double)l->value[k]) return k;
    return -1;
}

static u3d_status postprocess_from_json(const cJSON *json, const char *where, u3d_model *m)
{
    const cJSON *list = u3d_json_member(json, "keep_largest"), *item;
    const cJSON *whole = u3d_json_member(json, "keep_foreground"); /* version 0.1 does not write it */
    memset(m->keep_largest, 0, sizeof m->keep_largest);
    bool ok = cJSON_IsArray(list) && (!whole || cJSON_IsBool(whole));
    m->keep_foreground = cJSON_IsTrue(whole);
    ok = ok && (!m->keep_foreground || m->labels.background);
    cJSON_ArrayForEach(item, list)
    {
        int k = foreground_class(&m->labels, item);
        ok = ok && k > 0 && m->labels.background;
        if (ok) m->keep_largest[k] = true;
    }
    if (ok) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT,
                    "%s: metadata u3d.postprocess: expected keep_largest, a list of foreground labels, and "
                    "keep_foreground, true or false",
                    where);
}

u3d_status u3d_model_describe(const u3d_model *m, u3d_checkpoint *c)
{
    cJSON *json;
    U3D_TRY(u3d_config_to_json(&m->config, &json));
    U3D_TRY(set_json(c, "u3d.config", json));
    U3D_TRY(u3d_labels_to_json(&m->labels, &json));
    U3D_TRY(set_json(c, "u3d.labels", json));
    U3D_TRY(facts_to_json(&m->facts, &json));
    U3D_TRY(set_json(c, "u3d.data", json));
    U3D_TRY(u3d_intensity_to_json(&m->intensity, &json));
    U3D_TRY(set_json(c, "u3d.intensity", json));
    U3D_TRY(postprocess_to_json(m, &json));
    return set_json(c, "u3d.postprocess", json);
}

static u3d_status get_json(const u3d_checkpoint *c, const char *where, const char *key, cJSON **out)
{
    const char *value = u3d_checkpoint_get(c, key);
    if (!value)
        return u3d_fail(U3D_E_FORMAT, "%s: metadata %s is missing; this is not a model made by u3d", where,
                        key);
    u3d_status status = u3d_json_parse(value, where, out);
    return status == U3D_OK ? U3D_OK : u3d_wrap(status, "%s: metadata %s", where, key);
}

u3d_status u3d_model_from_checkpoint(const u3d_checkpoint *c, const char *where, u3d_model *m)
{
    u3d_status status = U3D_OK;
    cJSON *config = NULL, *labels = NULL, *data = NULL, *intensity = NULL, *post = NULL;
    u3d_config_default(&m->config);
    U3D_GO(get_json(c, where, "u3d.config", &config));
    U3D_GO(u3d_config_from_json(&m->config, config, where));
    U3D_GO(u3d_config_check(&m->config));
    U3D_GO(get_json(c, where, "u3d.labels", &labels));
    U3D_GO(u3d_labels_from_json(&m->labels, labels, where));
    U3D_GO(get_json(c, where, "u3d.data", &data));
    U3D_GO(facts_from_json(data, where, &m->facts));
    U3D_GO(get_json(c, where, "u3d.intensity", &intensity));
    U3D_GO(u3d_intensity_from_json(&m->intensity, intensity, where));
    if (u3d_checkpoint_get(c, "u3d.postprocess")) { /* models written by older versions have none */
        U3D_GO(get_json(c, where, "u3d.postprocess", &post));
        U3D_GO(postprocess_from_json(post, where, m));
    }
    if (m->config.resample == U3D_RESAMPLE_AUTO && strcmp(m->config.spacing, "auto") == 0)
        U3D_GO(u3d_fail(U3D_E_FORMAT, "%s: resample=auto, but 'spacing' has no numbers", where));
    if (m->config.labels != m->labels.n || m->config.channels != m->facts.channels)
        status = u3d_fail(U3D_E_FORMAT,
                          "%s: the settings say %lld labels and %lld channels, but the tables list %d and %d",
                          where, (long long)m->config.labels, (long long)m->config.channels, m->labels.n,
                          m->facts.channels);
done:
    cJSON_Delete(config);
    cJSON_Delete(labels);
    cJSON_Delete(data);
    cJSON_Delete(intensity);
    cJSON_Delete(post);
    return status;
}

/* ---- files ---- */

const char *const u3d_run_files[U3D_RUN_FILES] = {U3D_RUN_MODEL, U3D_RUN_CHECKPOINT, U3D_RUN_CONFIG,
                                                  U3D_RUN_LOG};

u3d_status u3d_model_load(const char *path, u3d_model **out)
{
    u3d_status status = U3D_OK;
    char *file = NULL;
    *out = NULL;
    u3d_model *m = u3d_new(1, sizeof *m);
    if (!m) return U3D_E_NOMEM;
    file = u3d_path_is_dir(path) ? u3d_path_join(path, U3D_RUN_MODEL) : u3d_strdup(path);
    if (!file) {
        status = U3D_E_NOMEM;
        goto done;
    }
    U3D_GO(u3d_checkpoint_load(file, &m->weights));
    U3D_GO(u3d_model_from_checkpoint(m->weights, file, m));
    U3D_GO(u3d_checkpoint_fingerprint(m->weights, m->fingerprint));
done:
    u3d_free(file);
    if (status == U3D_OK)
        *out = m;
    else
        u3d_model_free(m);
    return status;
}

void u3d_model_free(u3d_model *m)
{
    if (!m) return;
    u3d_checkpoint_free(m->weights);
    u3d_free(m);
}

u3d_status u3d_model_save(const char *path, const u3d_model *m, u3d_params *p)
{
    u3d_status status = U3D_OK;
    u3d_checkpoint *c;
    char fingerprint[24];
    U3D_TRY(u3d_checkpoint_new(&c));
    U3D_GO(u3d_params_to_checkpoint(p, U3D_BLOCK_VALUE, "", c));
    U3D_GO(u3d_model_describe(m, c));
    U3D_GO(u3d_checkpoint_fingerprint(c, fingerprint));
    U3D_GO(u3d_checkpoint_set(c, "u3d.fingerprint", fingerprint));
    U3D_GO(u3d_checkpoint_save(path, c));
done:
    u3d_checkpoint_free(c);
    return status;
}
