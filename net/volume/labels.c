/* The label table: values in files <-> classes 0..n-1 of the network, and its JSON form.
 *
 * Files may use any integers; the network counts its classes from 0. The table keeps the values behind the
 * background in increasing order, so that a value is found by binary search. Label volumes consist of runs of
 * equal voxels, and the search is done only once per run. */
#include "net/volume/labels.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/json.h"
#include "net/config/config.h"

/* Class of a value; U3D_UNLABELED for the value that means "unlabelled"; -1 if the table does not have it. */
static int labels_find(const u3d_labels *l, int32_t value)
{
    if (l->has_unlabeled && value == l->unlabeled) return U3D_UNLABELED;
    if (l->background && value == l->value[0]) return 0;
    int low = l->background ? 1 : 0, high = l->n - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        if (l->value[middle] == value) return middle;
        if (l->value[middle] < value)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

u3d_status u3d_labels_to_classes(const u3d_labels *l, const u3d_volume *file, const char *path,
                                 u3d_volume **out)
{
    *out = NULL;
    U3D_ASSERT(file->dtype == U3D_I32 && file->channels == 1, "dtype %d, %d channels", (int)file->dtype,
               (int)file->channels);
    u3d_volume *classes = NULL;
    U3D_TRY(u3d_volume_new_like(file, U3D_U8, 1, &classes));
    const int32_t *from = file->data;
    uint8_t *to = classes->data;
    int64_t n = u3d_volume_voxels(file);
    int class = -1;
    for (int64_t v = 0; v < n; v++) {
        if (v == 0 || from[v] != from[v - 1]) class = labels_find(l, from[v]);
        if (class < 0) {
            int64_t at[3];
            u3d_volume_file_voxel(file, v, at);
            u3d_volume_free(classes);
            return u3d_fail(
                U3D_E_FORMAT,
                "%s: label value %d at x, y, z = %lld, %lld, %lld is not one of the %d known values", path,
                (int)from[v], (long long)at[0], (long long)at[1], (long long)at[2], (int)l->n);
        }
        to[v] = (uint8_t) class;
    }
    *out = classes;
    return U3D_OK;
}

u3d_status u3d_labels_to_values(const u3d_labels *l, const u3d_volume *classes, u3d_volume **out)
{
    *out = NULL;
    U3D_ASSERT(classes->dtype == U3D_U8 && classes->channels == 1, "dtype %d, %d channels",
               (int)classes->dtype, (int)classes->channels);
    int32_t value[256];
    bool known[256] = {false}, small = true;
    for (int32_t class = 0; class < l->n; class ++) {
        value[class] = l->value[class];
        known[class] = true;
        small = small && value[class] >= 0 && value[class] <= UINT8_MAX;
    }
    if (l->has_unlabeled) {
        value[U3D_UNLABELED] = l->unlabeled;
        known[U3D_UNLABELED] = true;
    }
    const uint8_t *from = classes->data;
    int64_t n = u3d_volume_voxels(classes);
    for (int64_t v = 0; v < n; v++) {
        if (!known[from[v]])
            return u3d_fail(U3D_E_FORMAT, "voxel %lld has class %d; the label table has %d classes%s",
                            (long long)v, from[v], (int)l->n,
                            l->has_unlabeled ? "" : " and no value for unlabelled voxels");
        if (from[v] == U3D_UNLABELED) small = small && l->unlabeled >= 0 && l->unlabeled <= UINT8_MAX;
    }
    u3d_volume *file = NULL;
    U3D_TRY(u3d_volume_new_like(classes, small ? U3D_U8 : U3D_I32, 1, &file));
    for (int64_t v = 0; v < n; v++) {
        if (small)
            ((uint8_t *)file->data)[v] = (uint8_t)value[from[v]];
        else
            ((int32_t *)file->data)[v] = value[from[v]];
    }
    *out = file;
    return U3D_OK;
}

bool u3d_labels_zero_background(u3d_labels *l)
{
    for (int32_t class = 1; class < l->n; class ++)
        if (l->value[class] == 0) return false;
    if (!l->background) return false;
    l->value[0] = 0;
    return true;
}

u3d_status u3d_labels_to_json(const u3d_labels *l, cJSON **out)
{
    *out = NULL;
    cJSON *json = cJSON_CreateObject();
    cJSON *values = cJSON_AddArrayToObject(json, "values"), *names = cJSON_AddArrayToObject(json, "names");
    bool good = values && names && cJSON_AddBoolToObject(json, "background", l->background);
    for (int32_t class = 0; good && class < l->n; class ++)
        good = cJSON_AddItemToArray(values, cJSON_CreateNumber(l->value[class])) &&
               cJSON_AddItemToArray(names, cJSON_CreateString(l->name[class]));
    if (good && l->has_unlabeled) good = cJSON_AddNumberToObject(json, "unlabeled", l->unlabeled);
    if (!good) {
        cJSON_Delete(json);
        return u3d_fail(U3D_E_NOMEM, "label table as JSON: out of memory");
    }
    *out = json;
    return U3D_OK;
}

static bool labels_read_int(const cJSON *json, int32_t *v)
{
    if (!cJSON_IsNumber(json)) return false;
    double d = json->valuedouble;
    if (!(d >= INT32_MIN && d <= INT32_MAX) || d != floor(d)) return false;
    *v = (int32_t)d;
    return true;
}

/* Whether value i may follow the values before it: the background is first, the others increase. */
static bool labels_in_order(const u3d_labels *l, int i)
{
    const int first = l->background ? 1 : 0;
    if (i > first && l->value[i] <= l->value[i - 1]) return false;
    return i < first || !l->background || l->value[i] != l->value[0];
}

u3d_status u3d_labels_from_json(u3d_labels *l, const cJSON *json, const char *where)
{
    memset(l, 0, sizeof *l);
    const cJSON *values = u3d_json_member(json, "values");
    const cJSON *names = u3d_json_member(json, "names");
    const cJSON *unlabeled = u3d_json_member(json, "unlabeled");
    int n = cJSON_IsArray(values) ? cJSON_GetArraySize(values) : -1;
    if (n < 0 || n > U3D_MAX_LABELS || !cJSON_IsArray(names) || cJSON_GetArraySize(names) != n)
        return u3d_fail(U3D_E_FORMAT,
                        "%s: expected lists 'values' and 'names' of equal length, with at most %d entries",
                        where, (int)U3D_MAX_LABELS);
    l->background = n > 0 && cJSON_IsTrue(u3d_json_member(json, "background"));
    for (int i = 0; i < n; i++) {
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(names, i));
        if (!labels_read_int(cJSON_GetArrayItem(values, i), &l->value[i]) || !name || !labels_in_order(l, i))
            return u3d_fail(U3D_E_FORMAT,
                            "%s: entry %d: expected increasing whole numbers in 'values' and strings in 'names'",
                            where, i);
        (void)snprintf(l->name[i], sizeof l->name[i], "%s", name);
    }
    l->n = n;
    if (!unlabeled || cJSON_IsNull(unlabeled)) return U3D_OK;
    l->has_unlabeled = labels_read_int(unlabeled, &l->unlabeled);
    return l->has_unlabeled ? U3D_OK : u3d_fail(U3D_E_FORMAT, "%s: 'unlabeled' is not a whole number", where);
}
