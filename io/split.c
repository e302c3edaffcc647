/* Reads and writes nnU-Net's splits_final.json: a list with one {"train": [ids], "val": [ids]} per fold.
 *
 * Every id must be a case of the dataset, and no case may be named twice in a fold. Otherwise a comparison
 * with published folds would be wrong without anybody noticing. */
#include "io/dataset.h"

#include "engine/base/mem.h"
#include "io/json.h"

#include <stdint.h>

enum { SIDE_NONE, SIDE_TRAIN, SIDE_VAL };

/* Sets side[case] to `mark` for the cases in one list. */
static u3d_status split_mark(const char *path, int fold, const cJSON *list, const char *name, uint8_t mark,
                             const u3d_dataset *d, uint8_t *side)
{
    const cJSON *item = NULL;
    if (!cJSON_IsArray(list))
        return u3d_fail(U3D_E_FORMAT, "'%s': fold %d: '%s' is not a list", path, fold, name);
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return u3d_fail(U3D_E_FORMAT, "'%s': fold %d: '%s' has an entry that is not the name of a case",
                            path, fold, name);
        int at = u3d_dataset_find(d, item->valuestring);
        if (at < 0)
            return u3d_fail(U3D_E_FORMAT, "'%s': fold %d: '%s' names case '%s', which '%s' does not have",
                            path, fold, name, item->valuestring, d->path);
        if (side[at] != SIDE_NONE)
            return u3d_fail(U3D_E_FORMAT, "'%s': fold %d: case '%s' is named twice", path, fold,
                            item->valuestring);
        side[at] = mark;
    }
    return U3D_OK;
}

/* Lists the indices of the cases with a mark, in increasing order. */
static u3d_status split_collect(const uint8_t *side, int n_cases, uint8_t mark, int **out, int *n)
{
    *n = 0;
    *out = u3d_new((size_t)n_cases, sizeof **out);
    if (!*out) return U3D_E_NOMEM;
    for (int i = 0; i < n_cases; i++)
        if (side[i] == mark) (*out)[(*n)++] = i;
    return U3D_OK;
}

u3d_status u3d_split_read(const char *path, int fold, const u3d_dataset *d, int **train, int *n_train,
                          int **val, int *n_val)
{
    cJSON *json = NULL;
    uint8_t *side = NULL;
    u3d_status status = U3D_OK;
    *train = *val = NULL;
    *n_train = *n_val = 0;
    U3D_GO(u3d_json_read(path, &json));
    if (!cJSON_IsArray(json)) U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': expected a list of folds", path));
    int n_folds = cJSON_GetArraySize(json);
    if (fold < 0 || fold >= n_folds)
        U3D_GO(u3d_fail(U3D_E_ARG, "'%s': fold %d does not exist; the file has folds 0 to %d", path, fold,
                        n_folds - 1));
    side = u3d_new((size_t)d->n_cases, sizeof *side);
    if (!side) U3D_GO(U3D_E_NOMEM);
    const cJSON *chosen = cJSON_GetArrayItem(json, fold);
    U3D_GO(split_mark(path, fold, u3d_json_member(chosen, "train"), "train", SIDE_TRAIN, d, side));
    U3D_GO(split_mark(path, fold, u3d_json_member(chosen, "val"), "val", SIDE_VAL, d, side));
    U3D_GO(split_collect(side, d->n_cases, SIDE_TRAIN, train, n_train));
    U3D_GO(split_collect(side, d->n_cases, SIDE_VAL, val, n_val));
done:
    cJSON_Delete(json);
    u3d_free(side);
    if (status != U3D_OK) {
        u3d_free(*train);
        u3d_free(*val);
        *train = *val = NULL;
        *n_train = *n_val = 0;
    }
    return status;
}

u3d_status u3d_split_count(const char *path, int *n)
{
    cJSON *json;
    U3D_TRY(u3d_json_read(path, &json));
    *n = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 0;
    cJSON_Delete(json);
    return *n > 0 ? U3D_OK : u3d_fail(U3D_E_FORMAT, "'%s': expected a list of folds", path);
}

u3d_status u3d_split_write(const char *path, const u3d_dataset *d, int n, const int *fold)
{
    cJSON *json = cJSON_CreateArray();
    bool ok = json != NULL;
    for (int k = 0; k < n && ok; k++) {
        cJSON *entry = cJSON_CreateObject();
        ok = cJSON_AddItemToArray(json, entry);
        cJSON *train = cJSON_AddArrayToObject(entry, "train"), *val = cJSON_AddArrayToObject(entry, "val");
        for (int i = 0; i < d->n_cases && ok; i++)
            if (fold[i] >= 0)
                ok = cJSON_AddItemToArray(fold[i] == k ? val : train, cJSON_CreateString(d->cases[i].id));
    }
    u3d_status status = ok ? u3d_json_write(path, json) : U3D_E_NOMEM;
    cJSON_Delete(json);
    return status;
}
