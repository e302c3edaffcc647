/* The two layouts that a dataset.json describes: Medical Segmentation Decathlon and nnU-Net v2 raw.
 *
 *   Decathlon   "training": [{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}],
 *               "labels": {"1": "Anterior"}, "modality": {"0": "MRI"}; in nnU-Net v1 the files are
 *               imagesTr/x_0000.nii.gz, imagesTr/x_0001.nii.gz, ...
 *   nnU-Net v2  "channel_names": {"0": "CT"}, "labels": {"liver": 1, "ignore": 2}, "file_ending": ".nii.gz",
 *               optionally "dataset": {"case": {"images": [...], "label": "..."}}
 *
 * In both layouts labels may be written either way, {"1": "liver"} or {"liver": 1}, and numbers as texts. A
 * list of names counts from 0.
 * Source: nnU-Net, documentation/dataset_format.md. */
#include "io/dataset_impl.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/json.h"
#include "io/path.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool u3d_label_means_unlabeled(const char *name)
{
    static const char *const words[] = {"unlabeled", "unlabelled", "unannotated", "ignore", "void"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(name, words[i]) == 0) return true;
    return false;
}

static u3d_status json_add_label(u3d_dataset *d, const char *path, int32_t value, const char *name)
{
    if (u3d_label_means_unlabeled(name)) {
        if (d->has_unlabeled && d->unlabeled != value)
            return u3d_fail(
                U3D_E_FORMAT,
                "'%s': labels: '%s' is %d, but %d is already named as the value of voxels that nobody "
                "labelled; keep one of them, or rename a class",
                path, name, value, d->unlabeled);
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

/* A whole number: 3, 3.0, or the text "3". */
static bool json_text_number(const char *text, int32_t *out)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || end[strspn(end, " ")] != '\0') return false;
    if (!(value >= INT32_MIN && value <= INT32_MAX) || floor(value) != value) return false;
    *out = (int32_t)value;
    return true;
}

static bool json_number(const cJSON *item, int32_t *out)
{
    if (cJSON_IsString(item)) return json_text_number(item->valuestring, out);
    if (!cJSON_IsNumber(item) || floor(item->valuedouble) != item->valuedouble) return false;
    if (!(item->valuedouble >= INT32_MIN && item->valuedouble <= INT32_MAX)) return false;
    *out = (int32_t)item->valuedouble;
    return true;
}

/* Reads one entry of "labels": "1": "liver", "liver": 1 or "liver": "1". A list of one value is that value,
 * as in nnU-Net. */
static u3d_status json_label(u3d_dataset *d, const char *path, const cJSON *item)
{
    int32_t value = 0;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) != 1)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': label '%s' is a region, a list of %d values: region labels are not supported; "
                        "give every label a single value of its own",
                        path, item->string, cJSON_GetArraySize(item));
    const cJSON *number = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, 0) : item;
    if (cJSON_IsString(item) && json_text_number(item->string, &value))
        return json_add_label(d, path, value, item->valuestring);
    if (json_number(number, &value)) return json_add_label(d, path, value, item->string);
    if (cJSON_IsString(item))
        return u3d_fail(U3D_E_FORMAT, "'%s': labels: '%s' is not a whole number", path, item->string);
    return u3d_fail(U3D_E_FORMAT, "'%s': labels: the value of '%s' is not a whole number", path,
                    item->string);
}

static int json_compare_label(const void *a, const void *b)
{
    int32_t x = ((const u3d_label_name *)a)->value, y = ((const u3d_label_name *)b)->value;
    return x < y ? -1 : x > y;
}

u3d_status u3d_dataset_json_labels(u3d_dataset *d, const char *path, const cJSON *json)
{
    const cJSON *labels = u3d_json_member(json, "labels"), *item = NULL;
    int32_t position = 0;
    if (!labels || cJSON_IsNull(labels)) return U3D_OK;
    if (!cJSON_IsObject(labels) && !cJSON_IsArray(labels))
        return u3d_fail(U3D_E_FORMAT, "'%s': labels: expected an object or a list of names", path);
    cJSON_ArrayForEach(item, labels)
    {
        if (cJSON_IsObject(labels))
            U3D_TRY(json_label(d, path, item));
        else if (cJSON_IsString(item))
            U3D_TRY(json_add_label(d, path, position++, item->valuestring));
        else
            return u3d_fail(U3D_E_FORMAT, "'%s': labels[%d]: expected a name", path, position);
    }
    if (d->n_labels) qsort(d->labels, (size_t)d->n_labels, sizeof *d->labels, json_compare_label);
    for (int i = 0; i < d->n_labels; i++)
        if ((i > 0 && d->labels[i].value == d->labels[i - 1].value) ||
            (d->has_unlabeled && d->labels[i].value == d->unlabeled))
            return u3d_fail(U3D_E_FORMAT, "'%s': labels: the value %d has two names", path,
                            d->labels[i].value);
    return U3D_OK;
}

/* Reads the names of the channels from the field that has them: {"0": "T1", "1": "T2"} in the order of the
 * numbers, {"T1": 0, "T2": 1}, ["T1", "T2"], or "CT" for a single channel. */
static u3d_status json_channels(u3d_dataset *d, const char *path, const cJSON *json)
{
    const char *field = cJSON_HasObjectItem(json, "channel_names") ? "channel_names" : "modality";
    const cJSON *channels = u3d_json_member(json, field), *item = NULL;
    const bool one = cJSON_IsString(channels);
    const int n = one ? 1 : cJSON_GetArraySize(channels);
    int position = 0;
    if (!channels || n == 0) return U3D_OK;
    if (!one && !cJSON_IsObject(channels) && !cJSON_IsArray(channels))
        return u3d_fail(U3D_E_FORMAT, "'%s': %s: expected an object or a list", path, field);
    d->channel_names = u3d_new((size_t)n, sizeof *d->channel_names);
    if (!d->channel_names) return U3D_E_NOMEM;
    d->n_channel_names = n;
    for (item = one ? channels : channels->child; item; item = one ? NULL : item->next) {
        const bool listed = one || !item->string;
        const char *name = cJSON_GetStringValue(item);
        int32_t at = position++;
        bool numbered = listed || json_text_number(item->string, &at);
        if (!numbered && json_number(item, &at)) {
            name = item->string;
            numbered = true;
        }
        if (!numbered || at < 0 || at >= n || d->channel_names[at] || !name)
            return u3d_fail(U3D_E_FORMAT, "'%s': %s: expected a name for each number from 0 to %d", path,
                            field, n - 1);
        d->channel_names[at] = u3d_strdup(name);
        if (!d->channel_names[at]) return U3D_E_NOMEM;
    }
    return U3D_OK;
}

u3d_status u3d_dataset_json_names(u3d_dataset *d, const char *path, const cJSON *json)
{
    U3D_TRY(u3d_dataset_json_labels(d, path, json));
    const u3d_status status = json_channels(d, path, json);
    if (status != U3D_E_FORMAT) return status;
    U3D_WARN("io", "%s; the channels stay without names", u3d_error_text());
    for (int i = 0; i < d->n_channel_names; i++) u3d_free(d->channel_names[i]);
    u3d_free(d->channel_names);
    d->channel_names = NULL;
    d->n_channel_names = 0;
    return U3D_OK;
}

/* Compares the number of cases with the optional field "numTraining": a difference suggests that files were
 * lost. */
static void json_check_count(const u3d_dataset *d, const char *path, const cJSON *json)
{
    int32_t count = 0;
    if (json_number(u3d_json_member(json, "numTraining"), &count) && count != d->n_cases)
        U3D_WARN("io", "'%s': numTraining is %d, but %d cases were found", path, count, d->n_cases);
}

static u3d_status json_check_channels(const u3d_dataset *d, const u3d_case *c, const char *path,
                                      const char *field)
{
    if (!d->n_channel_names || c->n_images == d->n_channel_names) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT, "'%s': %s has %d channels, but case '%s' has %d image files", path, field,
                    d->n_channel_names, c->id, c->n_images);
}

/* Whether a listed path is not a volume but a resource fork from a macOS archive ("._x.nii.gz"). */
static bool json_is_fork(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, "._", 2) == 0;
}

/* Finds a listed file: by its name, or with its ending in another case. *path stays as it is if there is no
 * such file, so that the message names what the list asks for. */
static u3d_status json_find_file(char **path)
{
    char **found = NULL;
    int n = 0;
    size_t stem;
    if (!*path) return U3D_E_NOMEM;
    if (u3d_path_exists(*path) || !u3d_format_is_name(*path, &stem)) return U3D_OK;
    const char *ending = *path + stem;
    U3D_TRY(u3d_path_find(*path, stem, &ending, 1, &found, &n));
    if (n == 1) {
        u3d_free(*path);
        *path = found[0];
        found[0] = NULL;
    }
    u3d_path_list_free(found, n);
    return U3D_OK;
}

/* Adds the channels of a case of nnU-Net v1, whose list says x.nii.gz for the files x_0000.nii.gz,
 * x_0001.nii.gz, ... *n is their number. */
static u3d_status json_add_channels(u3d_case *c, const char *listed, int *n)
{
    size_t stem;
    u3d_format_is_name(listed, &stem);
    for (*n = 0;; ++*n) {
        char *channel = u3d_format("%.*s_%04d%s", (int)stem, listed, *n, listed + stem);
        const u3d_status status = json_find_file(&channel);
        if (status != U3D_OK || !u3d_path_exists(channel)) {
            u3d_free(channel);
            return status;
        }
        U3D_TRY(u3d_case_add_image(c, channel));
    }
}

/* Adds the image that a list calls `listed` and takes ownership of that name. *channels is the number of
 * files if the list stands for the files of channels, otherwise 0. */
static u3d_status json_add_image(u3d_case *c, char *listed, int *channels)
{
    *channels = 0;
    u3d_status status = json_find_file(&listed);
    if (status == U3D_OK && !u3d_path_exists(listed)) status = json_add_channels(c, listed, channels);
    if (status == U3D_OK && *channels == 0) return u3d_case_add_image(c, listed);
    u3d_free(listed);
    return status;
}

static u3d_status json_add_images(const u3d_dataset *d, u3d_case *c, const char *path, const cJSON *image)
{
    const cJSON *item = NULL;
    int channels = 0;
    if (cJSON_IsString(image)) {
        U3D_TRY(json_add_image(c, u3d_path_join(d->path, image->valuestring), &channels));
        return channels > 0 ? json_check_channels(d, c, path, "modality") : U3D_OK;
    }
    if (!cJSON_IsArray(image) || cJSON_GetArraySize(image) == 0)
        return u3d_fail(U3D_E_FORMAT, "'%s': case '%s': expected an image or a list of images", path, c->id);
    cJSON_ArrayForEach(item, image)
    {
        if (!cJSON_IsString(item))
            return u3d_fail(U3D_E_FORMAT, "'%s': case '%s': an image is not a file name", path, c->id);
        char *listed = u3d_path_join(d->path, item->valuestring);
        U3D_TRY(json_find_file(&listed));
        U3D_TRY(u3d_case_add_image(c, listed));
    }
    return U3D_OK;
}

static u3d_status json_set_label(u3d_case *c, const char *dir, const char *path, const cJSON *label)
{
    if (!label || cJSON_IsNull(label)) return U3D_OK;
    if (!cJSON_IsString(label))
        return u3d_fail(U3D_E_FORMAT, "'%s': case '%s': its label is not a file name", path, c->id);
    c->label = u3d_path_join(dir, label->valuestring);
    return json_find_file(&c->label);
}

/* Whether a listed image, or the first channel of it, is there. */
static u3d_status json_image_exists(const char *dir, const cJSON *image, bool *exists)
{
    u3d_case c = {0};
    int channels = 0;
    const cJSON *first = cJSON_IsArray(image) ? cJSON_GetArrayItem(image, 0) : image;
    *exists = false;
    if (!cJSON_IsString(first)) return U3D_OK;
    const u3d_status status = json_add_image(&c, u3d_path_join(dir, first->valuestring), &channels);
    *exists = status == U3D_OK && u3d_path_exists(c.image[0]);
    for (int i = 0; i < c.n_images; i++) u3d_free(c.image[i]);
    u3d_free(c.image);
    return status;
}

u3d_status u3d_dataset_json_files(const char *dir, const cJSON *json, bool *exist)
{
    const cJSON *training = u3d_json_member(json, "training"), *item = NULL;
    const cJSON *listed = u3d_json_member(json, "dataset");
    *exist = false;
    cJSON_ArrayForEach(item, training)
    {
        U3D_TRY(json_image_exists(dir, u3d_json_member(item, "image"), exist));
        if (*exist) return U3D_OK;
    }
    cJSON_ArrayForEach(item, listed)
    {
        U3D_TRY(json_image_exists(dir, u3d_json_member(item, "images"), exist));
        if (*exist) return U3D_OK;
    }
    if (!cJSON_HasObjectItem(json, "channel_names") && !cJSON_HasObjectItem(json, "file_ending"))
        return U3D_OK;
    char *images = u3d_path_join(dir, "imagesTr");
    *exist = images && u3d_path_is_dir(images);
    u3d_free(images);
    return images ? U3D_OK : U3D_E_NOMEM;
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
    if (!u3d_format_is_name(first->valuestring, &stem))
        return u3d_fail(U3D_E_FORMAT, "'%s': training[%d]: image '%s' does not have one of the endings %s",
                        path, index, first->valuestring, u3d_format_listed_text());
    const char *slash = strrchr(first->valuestring, '/'), *name = slash ? slash + 1 : first->valuestring;
    stem -= (size_t)(name - first->valuestring);
    U3D_TRY(u3d_dataset_add_case(d, name, u3d_case_id_length(name, stem), &c));
    U3D_TRY(json_add_images(d, c, path, image));
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
    U3D_GO(json_channels(d, path, json));
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
        U3D_TRY(json_add_images(d, c, path, u3d_json_member(item, "images")));
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
    if (ending && d->n_cases == 0)
        U3D_GO(u3d_fail(U3D_E_FORMAT,
                        "'%s': no volumes found, expected files ending in %s, the file_ending of dataset.json",
                        images, ending));
    U3D_GO(u3d_dataset_join_labels(d, labels, labels_needed));
done:
    u3d_free(images);
    u3d_free(labels);
    return status;
}

/* Reads "file_ending", with or without its dot; NULL: any ending counts, because the field is missing. */
static u3d_status json_ending(const char *path, const cJSON *json, const char **out)
{
    const cJSON *item = u3d_json_member(json, "file_ending");
    const char *text = cJSON_GetStringValue(item);
    *out = item ? u3d_format_listed(text ? text : "") : NULL;
    if (!item || *out) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT, "'%s': file_ending is '%s', expected one of %s", path,
                    text ? text : "not a text", u3d_format_listed_text());
}

u3d_status u3d_dataset_nnunet(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                              u3d_dataset **out)
{
    const cJSON *listed = u3d_json_member(json, "dataset");
    const char *ending = NULL;
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    U3D_TRY(json_ending(path, json, &ending));
    U3D_GO(u3d_dataset_new(dir, "nnunet", &d));
    U3D_GO(u3d_dataset_json_labels(d, path, json));
    U3D_GO(json_channels(d, path, json));
    if (cJSON_IsObject(listed))
        U3D_GO(nnunet_listed(d, path, listed));
    else
        U3D_GO(nnunet_folders(d, ending, labels_needed));
    U3D_GO(u3d_dataset_finish(d, path, labels_needed));
    U3D_GO(json_check_channels(d, &d->cases[0], path, "channel_names"));
    json_check_count(d, path, json);
    *out = d;
    d = NULL;
done:
    u3d_dataset_free(d);
    return status;
}
