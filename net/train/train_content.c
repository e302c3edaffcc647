/* The contents of the training files, as hashes, so that a resumed run notices that somebody has repainted a
 * label or chosen other cases since it began.
 *
 *   "content": {"cases": [["id", "hash of image 0", ..., "hash of the label"], ...], "split": "hash",
 *               "dataset.json": "hash"}
 *
 * with all training cases of the options, also those without labels, which are not trained on.
 *
 * The hashes are in the checkpoint. A checkpoint that has none was written before u3d kept them. */
#include "net/train/train_impl.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/thread.h"
#include "io/json.h"
#include "io/path.h"

enum { HASH_CAP = 24, MOST_NAMED = 10 };

bool u3d_training_is_pair(const u3d_training *t)
{
    return t->o->data->layout && strcmp(t->o->data->layout, "pair") == 0;
}

typedef struct contents {
    const char **path; /* [n], borrowed */
    char (*hash)[HASH_CAP];
    int n;
} contents;

static u3d_status hash_one(void *context, int worker, int64_t item)
{
    contents *c = context;
    (void)worker;
    return u3d_volume_hash(c->path[item], c->hash[item]);
}

/* Hashes all images and labels, in the order of the cases. */
static u3d_status contents_hash(const u3d_training *t, contents *c)
{
    int most = 0;
    for (int i = 0; i < t->n_which; i++) most += t->o->data->cases[t->which[i]].n_images + 1;
    c->path = u3d_new((size_t)most, sizeof *c->path);
    c->hash = u3d_new((size_t)most, sizeof *c->hash);
    if (!c->path || !c->hash) return U3D_E_NOMEM;
    for (int i = 0; i < t->n_which; i++) {
        const u3d_case *one = &t->o->data->cases[t->which[i]];
        for (int k = 0; k < one->n_images; k++) c->path[c->n++] = one->image[k];
        if (one->label) c->path[c->n++] = one->label;
    }
    return u3d_thread_each(u3d_thread_count(), c->n, hash_one, c);
}

/* Adds the hash of a file that need not exist. */
static u3d_status add_hash(cJSON *json, const char *name, const char *path)
{
    char hash[HASH_CAP];
    if (!path || !u3d_path_exists(path)) return U3D_OK;
    U3D_TRY(u3d_path_hash(path, hash));
    return cJSON_AddStringToObject(json, name, hash) ? U3D_OK : U3D_E_NOMEM;
}

/* dataset.json says which value is unlabelled; NULL if there cannot be one. */
static char *description_path(const u3d_training *t)
{
    return t->o->data->path ? u3d_path_join(t->o->data->path, "dataset.json") : NULL;
}

static u3d_status contents_json(const u3d_training *t, const contents *c, cJSON **out)
{
    cJSON *json = cJSON_CreateObject(), *cases = cJSON_AddArrayToObject(json, "cases");
    bool ok = cases != NULL;
    int at = 0;
    for (int i = 0; ok && i < t->n_which; i++) {
        const u3d_case *one = &t->o->data->cases[t->which[i]];
        cJSON *files = cJSON_CreateArray();
        ok = cJSON_AddItemToArray(cases, files) && cJSON_AddItemToArray(files, cJSON_CreateString(one->id));
        for (int k = one->n_images + (one->label != NULL); ok && k-- > 0;)
            ok = cJSON_AddItemToArray(files, cJSON_CreateString(c->hash[at++]));
    }
    u3d_status status =
        ok ? U3D_OK : u3d_fail(U3D_E_NOMEM, "out of memory while noting the contents of the training files");
    char *description = description_path(t);
    if (status == U3D_OK) status = add_hash(json, "split", t->o->split);
    if (status == U3D_OK) status = add_hash(json, "dataset.json", description);
    u3d_free(description);
    *out = status == U3D_OK ? json : NULL;
    if (status != U3D_OK) cJSON_Delete(json);
    return status;
}

u3d_status u3d_training_note_contents(u3d_training *t)
{
    contents c = {0};
    u3d_status status = contents_hash(t, &c);
    if (status == U3D_OK) status = contents_json(t, &c, &t->content);
    u3d_free(c.path);
    u3d_free(c.hash);
    return status;
}

/* ---- comparing ---- */

typedef struct changes {
    int n;
    char *names;
} changes;

static u3d_status changes_add(changes *c, const char *path)
{
    if (++c->n > MOST_NAMED) return U3D_OK;
    char *longer = u3d_format("%s%s%s", c->names ? c->names : "", c->names ? ", " : "", path);
    u3d_free(c->names);
    c->names = longer;
    return longer ? U3D_OK : U3D_E_NOMEM;
}

static bool same_text(const cJSON *a, const cJSON *b)
{
    return cJSON_IsString(a) && cJSON_IsString(b) && strcmp(a->valuestring, b->valuestring) == 0;
}

static u3d_status case_compare(const u3d_case *one, const cJSON *then, const cJSON *now, changes *c)
{
    if (cJSON_GetArraySize(then) != cJSON_GetArraySize(now)) return changes_add(c, one->id);
    for (int k = 1; k < cJSON_GetArraySize(now); k++)
        if (!same_text(cJSON_GetArrayItem(then, k), cJSON_GetArrayItem(now, k)))
            U3D_TRY(changes_add(c, k <= one->n_images ? one->image[k - 1] : one->label));
    return U3D_OK;
}

/* Finds a case of now among those of then; NULL: it is new. The only case of a pair may have got another
 * name. */
static const cJSON *case_then(const u3d_training *t, const cJSON *cases, const cJSON *now)
{
    const cJSON *one;
    if (u3d_training_is_pair(t)) return cJSON_GetArrayItem(cases, 0);
    cJSON_ArrayForEach(one, cases)
        if (same_text(cJSON_GetArrayItem(one, 0), cJSON_GetArrayItem(now, 0))) return one;
    return NULL;
}

static u3d_status contents_compare(const u3d_training *t, const cJSON *then, changes *c)
{
    const cJSON *cases_then = u3d_json_member(then, "cases"),
                *cases_now = u3d_json_member(t->content, "cases");
    static const char *const FILES[] = {"split", "dataset.json"};
    for (int i = 0; i < t->n_which; i++) {
        const cJSON *now = cJSON_GetArrayItem(cases_now, i), *before = case_then(t, cases_then, now);
        if (before) U3D_TRY(case_compare(&t->o->data->cases[t->which[i]], before, now, c));
    }
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        const cJSON *was = u3d_json_member(then, FILES[i]), *is = u3d_json_member(t->content, FILES[i]);
        if ((was || is) && !same_text(was, is))
            U3D_TRY(changes_add(c, i == 0 && t->o->split ? t->o->split : FILES[i]));
    }
    return U3D_OK;
}

u3d_status u3d_training_check_contents(const u3d_training *t, const cJSON *then)
{
    changes c = {0};
    if (!cJSON_IsObject(then)) return U3D_OK;
    u3d_status status = contents_compare(t, then, &c);
    if (status == U3D_OK && c.n > 0) {
        const char *more = c.n > MOST_NAMED ? ", ..." : "";
        if (t->o->accept_changes)
            U3D_WARN("train", "%d file%s of the data changed since the run began: %s%s", c.n,
                     c.n == 1 ? "" : "s", c.names, more);
        else
            status = u3d_fail(
                U3D_E_ARG,
                "resume %s: %d file%s of the data changed since the run began: %s%s; restore what was there, "
                "start a new run, or go on with the new contents by --accept-changes",
                t->o->out, c.n, c.n == 1 ? "" : "s", c.names, more);
    }
    u3d_free(c.names);
    return status;
}
