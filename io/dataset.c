/* Opens a dataset, builds its list of cases, and checks the list.
 *
 * The layout is detected from the content. dataset_json.c reads the two layouts that dataset.json describes;
 * this file reads plain folders, single pairs and images to predict. No voxels are read: a missing file is
 * found here, before hours of training, and a damaged file is found when it is read. */
#include "io/dataset_impl.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "io/volume.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CHANNEL_DIGITS = 4 }; /* CASE_0000.nii.gz: nnU-Net's names */

void *u3d_dataset_grow(void *array, int n, size_t size)
{
    if (n & (n - 1)) return array; /* n is neither 0 nor a power of two, so there is room */
    return u3d_resize(array, (size_t)n, n ? 2 * (size_t)n : 1, size);
}

u3d_status u3d_dataset_new(const char *path, const char *layout, u3d_dataset **out)
{
    *out = NULL;
    u3d_dataset *d = u3d_new(1, sizeof *d);
    if (!d) return U3D_E_NOMEM;
    d->path = u3d_strdup(path);
    d->layout = u3d_strdup(layout);
    if (!d->path || !d->layout) {
        u3d_dataset_free(d);
        return U3D_E_NOMEM;
    }
    *out = d;
    return U3D_OK;
}

static void case_done(u3d_case *c)
{
    for (int i = 0; i < c->n_images; i++) u3d_free(c->image[i]);
    u3d_free(c->image);
    u3d_free(c->label);
    u3d_free(c->id);
}

void u3d_dataset_free(u3d_dataset *d)
{
    if (!d) return;
    for (int i = 0; i < d->n_cases; i++) case_done(&d->cases[i]);
    for (int i = 0; i < d->n_channel_names; i++) u3d_free(d->channel_names[i]);
    for (int i = 0; i < d->n_labels; i++) u3d_free(d->labels[i].name);
    u3d_free(d->cases);
    u3d_free(d->channel_names);
    u3d_free(d->labels);
    u3d_free(d->path);
    u3d_free(d->layout);
    u3d_free(d);
}

u3d_status u3d_dataset_add_case(u3d_dataset *d, const char *id, size_t id_len, u3d_case **out)
{
    *out = NULL;
    u3d_case *grown = u3d_dataset_grow(d->cases, d->n_cases, sizeof *grown);
    if (!grown) return U3D_E_NOMEM;
    d->cases = grown;
    u3d_case *c = &grown[d->n_cases];
    memset(c, 0, sizeof *c);
    c->id = u3d_format("%.*s", (int)id_len, id);
    if (!c->id) return U3D_E_NOMEM;
    d->n_cases++;
    *out = c;
    return U3D_OK;
}

u3d_status u3d_case_add_image(u3d_case *c, char *owned)
{
    char **grown = owned ? u3d_dataset_grow(c->image, c->n_images, sizeof *grown) : NULL;
    if (!grown) {
        u3d_free(owned);
        return U3D_E_NOMEM;
    }
    c->image = grown;
    c->image[c->n_images++] = owned;
    return U3D_OK;
}

/* The channel number at the end of a name without its ending, "_0012" -> 12; -1 if there is none. */
static int case_channel(const char *name, size_t stem)
{
    if (stem < CHANNEL_DIGITS + 2 || name[stem - CHANNEL_DIGITS - 1] != '_') return -1;
    int channel = 0;
    for (size_t i = stem - CHANNEL_DIGITS; i < stem; i++) {
        if (name[i] < '0' || name[i] > '9') return -1;
        channel = 10 * channel + (name[i] - '0');
    }
    return channel;
}

size_t u3d_case_id_length(const char *name, size_t stem)
{
    return case_channel(name, stem) == 0 ? stem - CHANNEL_DIGITS - 1 : stem;
}

/* Finds the volume called `id` in a folder, with any of the endings; *out is NULL if there is none. */
static u3d_status case_find_file(const char *dir, const char *id, size_t id_len, char **out)
{
    static const char *const endings[] = {".nii.gz", ".nii", ".hdr"};
    *out = NULL;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char *path = u3d_format("%s/%.*s%s", dir, (int)id_len, id, endings[i]);
        if (!path) return U3D_E_NOMEM;
        if (u3d_path_exists(path)) {
            *out = path;
            return U3D_OK;
        }
        u3d_free(path);
    }
    return U3D_OK;
}

/* Whether `name` is a volume to list: a NIfTI file with the given ending, or with any ending if it is NULL;
 * of a pair only the header is listed. */
static bool case_is_volume(const char *name, const char *ending, size_t *stem)
{
    if (ending) return u3d_nifti_is_name(name, stem) && strcmp(name + *stem, ending) == 0;
    return u3d_nifti_is_listed(name, stem);
}

/* Whether the folder of labels (may be NULL) has a label called `id`. */
static u3d_status case_has_label(const char *label_dir, const char *id, size_t id_len, bool *has)
{
    char *label = NULL;
    *has = false;
    if (label_dir) U3D_TRY(case_find_file(label_dir, id, id_len, &label));
    *has = label != NULL;
    u3d_free(label);
    return U3D_OK;
}

/* Decides whether NAME_0003 is channel 3 of a case NAME (*channel = 3) or a case of its own (*channel = -1).
 * It is a case of its own if there is a label NAME_0003, or if the image NAME_0000 is missing or has a label
 * NAME_0000. */
static u3d_status case_split_name(const u3d_case_rule *rule, const char *name, size_t stem, int *channel)
{
    bool alone = false;
    *channel = case_channel(name, stem);
    if (*channel < 0 || rule->numbered) return U3D_OK;
    U3D_TRY(case_has_label(rule->label_dir, name, stem, &alone));
    if (!alone && *channel > 0) {
        int base = (int)stem - CHANNEL_DIGITS - 1;
        char *first = u3d_format("%s/%.*s_0000%s", rule->image_dir, base, name, name + stem);
        if (!first) return U3D_E_NOMEM;
        alone = !u3d_path_exists(first);
        u3d_status status = U3D_OK;
        if (!alone) {
            const char *first_name = first + strlen(rule->image_dir) + 1;
            status = case_has_label(rule->label_dir, first_name, stem, &alone);
        }
        u3d_free(first);
        U3D_TRY(status);
    }
    if (alone) *channel = -1;
    return U3D_OK;
}

/* Finds or adds the case to which the image file `name` belongs. Files are passed in sorted order, so the
 * case of a further channel is near the end of the list. */
static u3d_status case_of_name(u3d_dataset *d, const u3d_case_rule *rule, const char *name, size_t stem,
                               u3d_case **out)
{
    int channel = -1;
    *out = NULL;
    U3D_TRY(case_split_name(rule, name, stem, &channel));
    if (channel < 0 && rule->numbered)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s/%s': expected a name that ends in a channel number, like CASE_0000%s",
                        rule->image_dir, name, rule->ending);
    size_t length = channel < 0 ? stem : stem - CHANNEL_DIGITS - 1;
    if (channel <= 0) return u3d_dataset_add_case(d, name, length, out);
    for (int i = d->n_cases - 1; i >= 0 && !*out; i--)
        if (strncmp(d->cases[i].id, name, length) == 0 && d->cases[i].id[length] == '\0') *out = &d->cases[i];
    if (!*out || (*out)->n_images != channel)
        return u3d_fail(U3D_E_FORMAT, "'%s/%s': channel %04d of this case is missing", rule->image_dir, name,
                        *out ? (*out)->n_images : 0);
    return U3D_OK;
}

u3d_status u3d_dataset_group(u3d_dataset *d, const u3d_case_rule *rule)
{
    char **names = NULL;
    int n = 0;
    u3d_status status = U3D_OK;
    U3D_TRY(u3d_path_list(rule->image_dir, &names, &n));
    for (int i = 0; i < n; i++) {
        size_t stem = 0;
        u3d_case *c = NULL;
        if (!case_is_volume(names[i], rule->ending, &stem)) continue;
        U3D_GO(case_of_name(d, rule, names[i], stem, &c));
        U3D_GO(u3d_case_add_image(c, u3d_path_join(rule->image_dir, names[i])));
    }
done:
    u3d_path_list_free(names, n);
    return status;
}

static int case_compare(const void *a, const void *b)
{
    return strcmp(((const u3d_case *)a)->id, ((const u3d_case *)b)->id);
}

int u3d_dataset_find(const u3d_dataset *d, const char *id)
{
    int low = 0, high = d->n_cases;
    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(id, d->cases[middle].id);
        if (order == 0) return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static bool is_called_background(const char *name)
{
    static const char word[] = "background";
    const size_t n = sizeof word - 1;
    name += strspn(name, " \t");
    return strncasecmp(name, word, n) == 0 && name[n + strspn(name + n, " \t")] == '\0';
}

bool u3d_dataset_background(const u3d_dataset *d, int32_t *value)
{
    for (int i = 0; i < d->n_labels; i++)
        if (is_called_background(d->labels[i].name)) {
            *value = d->labels[i].value;
            return true;
        }
    return false;
}

/* Reports labels without an image. Otherwise a case with a misspelt name would silently be left out. */
static u3d_status labels_check_spare(const u3d_dataset *d, const char *label_dir, bool needed)
{
    char **names = NULL;
    int n = 0;
    u3d_status status = U3D_OK;
    U3D_TRY(u3d_path_list(label_dir, &names, &n));
    for (int i = 0; i < n; i++) {
        size_t stem = 0;
        if (!case_is_volume(names[i], NULL, &stem)) continue;
        char *id = u3d_format("%.*s", (int)stem, names[i]);
        if (!id) U3D_GO(U3D_E_NOMEM);
        bool known = u3d_dataset_find(d, id) >= 0;
        u3d_free(id);
        if (known) continue;
        if (needed)
            U3D_GO(
                u3d_fail(U3D_E_FORMAT, "label '%s/%s' has no image of the same name", label_dir, names[i]));
        U3D_WARN("io", "label '%s/%s' has no image of the same name", label_dir, names[i]);
    }
done:
    u3d_path_list_free(names, n);
    return status;
}

u3d_status u3d_dataset_join_labels(u3d_dataset *d, const char *label_dir, bool needed)
{
    if (!u3d_path_is_dir(label_dir) && !needed) return U3D_OK;
    if (d->n_cases) qsort(d->cases, (size_t)d->n_cases, sizeof *d->cases, case_compare);
    for (int i = 0; i < d->n_cases; i++) {
        u3d_case *c = &d->cases[i];
        U3D_TRY(case_find_file(label_dir, c->id, strlen(c->id), &c->label));
        if (!c->label && needed)
            return u3d_fail(U3D_E_IO, "case '%s' has no label: looked for '%s/%s.nii.gz', .nii and .hdr",
                            c->id, label_dir, c->id);
    }
    return labels_check_spare(d, label_dir, needed);
}

u3d_status u3d_dataset_finish(u3d_dataset *d, const char *looked_in, bool labels_needed)
{
    if (d->n_cases == 0)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': no volumes found, expected files ending in .nii.gz, .nii or .hdr", looked_in);
    qsort(d->cases, (size_t)d->n_cases, sizeof *d->cases, case_compare);
    for (int i = 0; i < d->n_cases; i++) {
        const u3d_case *c = &d->cases[i];
        if (i > 0 && strcmp(c->id, d->cases[i - 1].id) == 0)
            return u3d_fail(U3D_E_FORMAT, "'%s': two cases are called '%s' ('%s' and '%s')", d->path, c->id,
                            d->cases[i - 1].image[0], c->image[0]);
        /* One bad case of a batch is reported by whoever reads it, and the others go on. */
        if (!labels_needed && d->n_cases > 1) continue;
        if (c->n_images != d->cases[0].n_images)
            return u3d_fail(U3D_E_FORMAT, "'%s': case '%s' has %d image files, case '%s' has %d", d->path,
                            c->id, c->n_images, d->cases[0].id, d->cases[0].n_images);
        uint64_t bytes = 0;
        for (int channel = 0; channel < c->n_images; channel++)
            if (u3d_path_size(c->image[channel], &bytes) != U3D_OK)
                return u3d_wrap(U3D_E_IO, "case '%s'", c->id);
        if (c->label && u3d_path_size(c->label, &bytes) != U3D_OK)
            return u3d_wrap(U3D_E_IO, "case '%s'", c->id);
        if (labels_needed && !c->label)
            return u3d_fail(U3D_E_IO, "'%s': case '%s' has no label", d->path, c->id);
    }
    return U3D_OK;
}

/* Opens the folders images/ and labels/. If `json` is not NULL, it may name the labels. */
static u3d_status dataset_plain(const char *dir, const char *json_path, const cJSON *json, bool labels_needed,
                                u3d_dataset **out)
{
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    char *images = u3d_path_join(dir, "images"), *labels = u3d_path_join(dir, "labels");
    if (!images || !labels) U3D_GO(U3D_E_NOMEM);
    if (!u3d_path_is_dir(images))
        U3D_GO(u3d_fail(U3D_E_FORMAT,
                        "'%s': no dataset found: looked for dataset.json "
                        "with \"training\" (Decathlon) or \"channel_names\" (nnU-Net v2), "
                        "and for the folders images/ and labels/",
                        dir));
    if (labels_needed && !u3d_path_is_dir(labels))
        U3D_GO(u3d_fail(U3D_E_IO, "'%s': the folder labels/ next to images/ is missing", dir));
    U3D_GO(u3d_dataset_new(dir, "plain", &d));
    u3d_case_rule rule = {.image_dir = images, .label_dir = u3d_path_is_dir(labels) ? labels : NULL};
    U3D_GO(u3d_dataset_group(d, &rule));
    U3D_GO(u3d_dataset_join_labels(d, labels, labels_needed));
    if (json) U3D_GO(u3d_dataset_json_labels(d, json_path, json));
    U3D_GO(u3d_dataset_finish(d, images, labels_needed));
    *out = d;
    d = NULL;
done:
    u3d_free(images);
    u3d_free(labels);
    u3d_dataset_free(d);
    return status;
}

u3d_status u3d_dataset_open(const char *dir, bool labels_needed, u3d_dataset **out)
{
    cJSON *json = NULL;
    u3d_status status = U3D_OK;
    *out = NULL;
    if (!u3d_path_is_dir(dir)) return u3d_fail(U3D_E_IO, "open dataset '%s': no such folder", dir);
    char *path = u3d_path_join(dir, "dataset.json");
    if (!path) return U3D_E_NOMEM;
    if (u3d_path_exists(path)) U3D_GO(u3d_json_read(path, &json));
    if (json && !cJSON_IsObject(json)) U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': expected an object", path));
    if (cJSON_HasObjectItem(json, "channel_names") || cJSON_HasObjectItem(json, "file_ending"))
        U3D_GO(u3d_dataset_nnunet(dir, path, json, labels_needed, out));
    else if (cJSON_HasObjectItem(json, "training"))
        U3D_GO(u3d_dataset_decathlon(dir, path, json, labels_needed, out));
    else
        U3D_GO(dataset_plain(dir, path, json, labels_needed, out));
done:
    cJSON_Delete(json);
    u3d_free(path);
    return status;
}

u3d_status u3d_dataset_pair(const char *image, const char *label, u3d_dataset **out)
{
    u3d_dataset *d = NULL;
    u3d_case *c = NULL;
    size_t stem = 0, skip = 0;
    u3d_status status = U3D_OK;
    *out = NULL;
    const char *const both[2] = {image, label};
    for (int i = 0; i < 2; i++)
        if (both[i] && !u3d_nifti_is_name(both[i], &stem))
            return u3d_fail(U3D_E_FORMAT, "'%s': expected a name ending in .nii, .nii.gz, .hdr or .img",
                            both[i]);
    const char *slash = strrchr(image, '/');
    if (slash) skip = (size_t)(slash - image) + 1;
    u3d_nifti_is_name(image, &stem);
    U3D_GO(u3d_dataset_new(image, "pair", &d));
    U3D_GO(u3d_dataset_add_case(d, image + skip, u3d_case_id_length(image + skip, stem - skip), &c));
    U3D_GO(u3d_case_add_image(c, u3d_strdup(image)));
    if (label) {
        c->label = u3d_strdup(label);
        if (!c->label) U3D_GO(U3D_E_NOMEM);
    }
    U3D_GO(u3d_dataset_finish(d, image, label != NULL));
    *out = d;
    d = NULL;
done:
    u3d_dataset_free(d);
    return status;
}

u3d_status u3d_dataset_labels(const char *path, u3d_dataset **out)
{
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    *out = NULL;
    /* A file is a case of its own if a label has its name. The folder is also its folder of labels, so this
     * holds for every file. */
    u3d_case_rule rule = {.image_dir = path, .label_dir = path};
    U3D_GO(u3d_dataset_new(path, "labels", &d));
    U3D_GO(u3d_dataset_group(d, &rule));
    U3D_GO(u3d_dataset_finish(d, path, false));
    *out = d;
    d = NULL;
done:
    u3d_dataset_free(d);
    return status;
}

u3d_status u3d_dataset_images(const char *path, u3d_dataset **out)
{
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    *out = NULL;
    if (!u3d_path_is_dir(path)) return u3d_dataset_pair(path, NULL, out);
    char *json = u3d_path_join(path, "dataset.json"), *images = u3d_path_join(path, "images");
    if (!json || !images) U3D_GO(U3D_E_NOMEM);
    if (u3d_path_exists(json) || u3d_path_is_dir(images)) {
        status = u3d_dataset_open(path, false, out);
        goto done;
    }
    U3D_GO(u3d_dataset_new(path, "plain", &d));
    u3d_case_rule rule = {.image_dir = path};
    U3D_GO(u3d_dataset_group(d, &rule));
    U3D_GO(u3d_dataset_finish(d, path, false));
    *out = d;
    d = NULL;
done:
    u3d_free(json);
    u3d_free(images);
    u3d_dataset_free(d);
    return status;
}
