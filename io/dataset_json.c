/* The two layouts that a dataset.json describes: Medical Segmentation Decathlon and nnU-Net v2 raw.
 *
 *   Decathlon   "training": [{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}],
 *               "labels": {"1": "Anterior"}, "modality": {"0": "MRI"}
 *   nnU-Net v2  "channel_names": {"0": "CT"}, "labels": {"liver": 1, "ignore": 2}, "file_ending": ".nii.gz",
 *               optionally "dataset": {"case": {"images": [...], "label": "..."}}
 *
 * In both layouts labels may be written either way, {"1": "liver"} or {"liver": 1}. Source: nnU-Net,
 * documentation/dataset_format.md. */
#include "io/dataset_impl.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "io/volume.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static u3d_status json_add_label(u3d_dataset *d, int32_t value, const char *name)
{
    if (strcasecmp(name, "ignore") == 0 || strcasecmp(name, "unlabeled") == 0) {
        d->has_unlabeled = true;
        d->unlabeled = value;
        return U3D_OK;
    }
    u3d_label_name *grown = u3d_dataset_grow(d->labels, d->n_labels, sizeof *grown);
    if (!grown) return U3D_E_NOMEM;
    d->labels = grown;
    grown[d->n_labels].value = value;
    grown[d->n_labels].name = u3d_strdup(name);
    if (!grown[d->n_labels].name) return U3D_E_NOMEM;
    d->n_labels++;
    return U3D_OK;
}

/* "3" -> 3. Returns false if the text is not a number or the number does not fit. */
static bool json_key_number(const char *text, int32_t *out)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno || value < INT32_MIN || value > INT32_MAX) return false;
    *out = (int32_t)value;
    return true;
}

/* Reads one entry of "labels": "1": "liver" or "liver": 1. */
static u3d_status json_label(u3d_dataset *d, const char *path, const cJSON *item)
{
    int32_t value = 0;
    if (cJSON_IsArray(item))
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': label '%s' is a list of values: region labels are not supported; "
                        "give every label a single value",
                        path, item->string);
    if (cJSON_IsString(item)) {
        if (json_key_number(item->string, &value)) return json_add_label(d, value, item->valuestring);
        return u3d_fail(U3D_E_FORMAT, "'%s': labels: '%s' is not a whole number", path, item->string);
    }
    double number = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(number >= INT32_MIN && number <= INT32_MAX) || floor(number) != number)
        return u3d_fail(U3D_E_FORMAT, "'%s': labels: the value of '%s' is not a whole number", path,
                        item->string);
    return json_add_label(d, (int32_t)number, item->string);
}

static int json_compare_label(const void *a, const void *b)
{
    int32_t x = ((const u3d_label_name *)a)->value, y = ((const u3d_label_name *)b)->value;
    return x < y ? -1 : x > y;
}

u3d_status u3d_dataset_json_labels(u3d_dataset *d, const char *path, const cJSON *json)
{
    const cJSON *labels = u3d_json_member(json, "labels"), *item = NULL;
    if (!labels) return U3D_OK;
    if (!cJSON_IsObject(labels)) return u3d_fail(U3D_E_FORMAT, "'%s': labels: expected an object", path);
    cJSON_ArrayForEach(item, labels) U3D_TRY(json_label(d, path, item));
    if (d->n_labels) qsort(d->labels, (size_t)d->n_labels, sizeof *d->labels, json_compare_label);
    for (int i = 0; i < d->n_labels; i++)
        if ((i > 0 && d->labels[i].value == d->labels[i - 1].value) ||
            (d->has_unlabeled && d->labels[i].value == d->unlabeled))
            return u3d_fail(U3D_E_FORMAT, "'%s': labels: the value %d has two names", path,
                            d->labels[i].value);
    return U3D_OK;
}

/* Reads the names of the channels: {"0": "T1", "1": "T2"} in the order of the numbers, or ["T1", "T2"]. */
static u3d_status json_channels(u3d_dataset *d, const char *path, const cJSON *json, const char *field)
{
    const cJSON *channels = u3d_json_member(json, field), *item = NULL;
    int position = 0, n = cJSON_GetArraySize(channels);
    if (!channels || n == 0) return U3D_OK;
    if (!cJSON_IsObject(channels) && !cJSON_IsArray(channels))
        return u3d_fail(U3D_E_FORMAT, "'%s': %s: expected an object or a list", path, field);
    d->channel_names = u3d_new((size_t)n, sizeof *d->channel_names);
    if (!d->channel_names) return U3D_E_NOMEM;
    d->n_channel_names = n;
    cJSON_ArrayForEach(item, channels)
    {
        int32_t at = position++;
        bool numbered = !item->string || json_key_number(item->string, &at);
        if (!numbered || at < 0 || at >= n || d->channel_names[at] || !cJSON_IsString(item))
            return u3d_fail(U3D_E_FORMAT, "'%s': %s: expected a name for each number from 0 to %d", path,
                            field, n - 1);
        d->channel_names[at] = u3d_strdup(item->valuestring);
        if (!d->channel_names[at]) return U3D_E_NOMEM;
    }
    return U3D_OK;
}

/* Compares the number of cases with the optional field "numTraining": a difference suggests that files were
 * lost. */
static void json_check_count(const u3d_dataset *d, const char *path, const cJSON *json)
{
    const cJSON *count = u3d_json_member(json, "numTraining");
    if (cJSON_IsNumber(count) && count->valuedouble != d->n_cases)
        U3D_WARN("io", "'%s': numTraining is %g, but %d cases were found", path, count->valuedouble,
                 d->n_cases);
}

/* Whether a listed path is not a volume but a resource fork from a macOS archive ("._x.nii.gz"). */
static bool json_is_fork(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, "._", 2) == 0;
}

static u3d_status json_add_images(u3d_case *c, const char *dir, const char *path, const cJSON *image)
{
    const cJSON *item = NULL;
    if (cJSON_IsString(image)) return u3d_case_add_image(c, u3d_path_join(dir, image->valuestring));
    if (!cJSON_IsArray(image) || cJSON_GetArraySize(image) == 0)
        return u3d_fail(U3D_E_FORMAT, "'%s': case '%s': expected an image or a list of images", path, c->id);
    cJSON_ArrayForEach(item, image)
    {
        if (!cJSON_IsString(item))
            return u3d_fail(U3D_E_FORMAT, "'%s': case '%s': an image is not a file name", path, c->id);
        U3D_TRY(u3d_case_add_image(c, u3d_path_join(dir, item->valuestring)));
    }
    return U3D_OK;
}

static u3d_status json_set_label(u3d_case *c, const char *dir, const char *path, const cJSON *label)
{
    if (!label || cJSON_IsNull(label)) return U3D_OK;
    if (!cJSON_IsString(label))
        return u3d_fail(U3D_E_FORMAT, "'%s': case '%s': its label is not a file name", path, c->id);
    c->label = u3d_path_join(dir, label->valuestring);
    return c->label ? U3D_OK : U3D_E_NOMEM;
}

/* Reads one element of Decathlon's "training". */
static u3d_status decathlon_case(u3d_dataset *d, const char *path, const cJSON *item, int index)
{
    const cJSON *image = u3d_json_member(item, "image"), *first = image;
    size_t stem = 0;
    u3d_case *c = NULL;
    if (cJSON_IsArray(image)) first = cJSON_GetArrayItem(image, 0);
    if (!cJSON_IsString(first))
        return u3d_fail(U3D_E_FORMAT, "'%s': training[%d]: expected {\"image\": ..., \"label\": ...}", path,
                        index);
    if (json_is_fork(first->valuestring)) return U3D_OK;
    if (!u3d_nifti_is_name(first->valuestring, &stem))
        return u3d_fail(U3D_E_FORMAT, "'%s': training[%d]: image '%s' is not the name of a NIfTI file", path,
                        index, first->valuestring);
    const char *slash = strrchr(first->valuestring, '/'), *name = slash ? slash + 1 : first->valuestring;
    stem -= (size_t)(name - first->valuestring);
    U3D_TRY(u3d_dataset_add_case(d, name, u3d_case_id_length(name, stem), &c));
    U3D_TRY(json_add_images(c, d->path, path, image));
    return json_set_label(c, d->path, path, u3d_json_member(item, "label"));
}

u3d_status u3d_dataset_decathlon(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                                 u3d_dataset **out)
{
    const cJSON *training = u3d_json_member(json, "training"), *item = NULL;
    u3d_dataset *d = NULL;
    int index = 0;
    u3d_status status = U3D_OK;
    if (!cJSON_IsArray(training)) return u3d_fail(U3D_E_FORMAT, "'%s': training: expected a list", path);
    U3D_GO(u3d_dataset_new(dir, "decathlon", &d));
    U3D_GO(u3d_dataset_json_labels(d, path, json));
    U3D_GO(json_channels(d, path, json, "modality"));
    cJSON_ArrayForEach(item, training) U3D_GO(decathlon_case(d, path, item, index++));
    U3D_GO(u3d_dataset_finish(d, path, labels_needed));
    json_check_count(d, path, json);
    *out = d;
    d = NULL;
done:
    u3d_dataset_free(d);
    return status;
}

/* Reads nnU-Net's optional "dataset": explicit paths, relative to the dataset's folder. */
static u3d_status nnunet_listed(u3d_dataset *d, const char *path, const cJSON *listed)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, listed)
    {
        u3d_case *c = NULL;
        if (!item->string || item->string[0] == '\0')
            return u3d_fail(U3D_E_FORMAT, "'%s': dataset: expected an object with the name of each case",
                            path);
        U3D_TRY(u3d_dataset_add_case(d, item->string, strlen(item->string), &c));
        U3D_TRY(json_add_images(c, d->path, path, u3d_json_member(item, "images")));
        U3D_TRY(json_set_label(c, d->path, path, u3d_json_member(item, "label")));
    }
    return U3D_OK;
}

/* Lists imagesTr/CASE_0000.nii.gz and labelsTr/CASE.nii.gz. */
static u3d_status nnunet_folders(u3d_dataset *d, const char *ending, bool labels_needed)
{
    u3d_status status = U3D_OK;
    char *images = u3d_path_join(d->path, "imagesTr"), *labels = u3d_path_join(d->path, "labelsTr");
    if (!images || !labels) U3D_GO(U3D_E_NOMEM);
    u3d_case_rule rule = {.image_dir = images, .ending = ending, .numbered = true};
    U3D_GO(u3d_dataset_group(d, &rule));
    U3D_GO(u3d_dataset_join_labels(d, labels, labels_needed));
done:
    u3d_free(images);
    u3d_free(labels);
    return status;
}

u3d_status u3d_dataset_nnunet(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                              u3d_dataset **out)
{
    static const char *const endings[] = {".nii.gz", ".nii"};
    const cJSON *ending = u3d_json_member(json, "file_ending");
    const cJSON *listed = u3d_json_member(json, "dataset");
    const char *known = NULL;
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (cJSON_IsString(ending) && strcmp(ending->valuestring, endings[i]) == 0) known = endings[i];
    if (!known)
        return u3d_fail(U3D_E_FORMAT, "'%s': file_ending is '%s', expected .nii.gz or .nii", path,
                        cJSON_IsString(ending) ? ending->valuestring : "missing");
    U3D_GO(u3d_dataset_new(dir, "nnunet", &d));
    U3D_GO(u3d_dataset_json_labels(d, path, json));
    U3D_GO(json_channels(d, path, json, "channel_names"));
    if (cJSON_IsObject(listed))
        U3D_GO(nnunet_listed(d, path, listed));
    else
        U3D_GO(nnunet_folders(d, known, labels_needed));
    U3D_GO(u3d_dataset_finish(d, path, labels_needed));
    if (d->n_channel_names && d->cases[0].n_images != d->n_channel_names)
        U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': channel_names has %d channels, but case '%s' has %d image files",
                        path, d->n_channel_names, d->cases[0].id, d->cases[0].n_images));
    json_check_count(d, path, json);
    *out = d;
    d = NULL;
done:
    u3d_dataset_free(d);
    return status;
}
