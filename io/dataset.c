/* Opens a dataset, builds its list of cases, and checks the list.
 *
 * The layout is detected from the content. dataset_json.c reads the two layouts that dataset.json describes,
 * dataset_group.c makes cases of the files in a folder; this file opens plain folders, single pairs, images
 * to predict and references. No voxels are read: a missing file is found here, before hours of training, and
 * a damaged file is found when it is read. */
#include "io/dataset_impl.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/json.h"
#include "io/listing.h"
#include "io/path.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

int u3d_dataset_match(const u3d_dataset *d, const char *name, u3d_status *status)
{
    int at = u3d_dataset_find(d, name);
    if (at >= 0) return at;
    const size_t length = strlen(name), id_length = u3d_case_id_length(name, length);
    char *other = id_length < length ? u3d_format("%.*s", (int)id_length, name) : u3d_format("%s_0000", name);
    if (!other) *status = U3D_E_NOMEM;
    if (other) at = u3d_dataset_find(d, other);
    u3d_free(other);
    return at;
}

/* Finds the label of a case: by its id, or by the name of its first channel, which some people give to
 * labels. */
static int labels_find(const u3d_listing *labels, const char *id, u3d_status *status)
{
    int at = u3d_listing_find(labels, id, strlen(id));
    if (at >= 0) return at;
    char *channel = u3d_format("%s_0000", id);
    if (!channel) *status = U3D_E_NOMEM;
    if (channel) at = u3d_listing_find(labels, channel, strlen(channel));
    u3d_free(channel);
    return at;
}

u3d_status u3d_dataset_join_labels(u3d_dataset *d, const char *label_dir, bool needed)
{
    u3d_listing labels = {0};
    bool *used = NULL;
    u3d_status status = U3D_OK;
    if (!u3d_path_is_dir(label_dir) && !needed) return U3D_OK;
    U3D_GO(u3d_listing_open(label_dir, &labels));
    used = u3d_new((size_t)labels.n + 1, sizeof *used);
    if (!used) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < d->n_cases; i++) {
        u3d_case *c = &d->cases[i];
        const int at = labels_find(&labels, c->id, &status);
        if (status != U3D_OK) goto done;
        if (at < 0 && needed)
            U3D_GO(u3d_fail(U3D_E_IO, "case '%s' has no label: looked for '%s/%s' with one of the endings %s",
                            c->id, label_dir, c->id, u3d_format_listed_text()));
        if (at < 0) continue;
        used[at] = true;
        c->label = u3d_path_join(label_dir, labels.file[at].name);
        if (!c->label) U3D_GO(U3D_E_NOMEM);
    }
    for (int i = 0; i < labels.n && needed; i++) /* otherwise a case with a misspelt name would be left out */
        if (!used[i])
            U3D_GO(u3d_fail(U3D_E_FORMAT, "label '%s/%s' has no image of the same name", label_dir,
                            labels.file[i].name));
done:
    u3d_free(used);
    u3d_listing_done(&labels);
    return status;
}

/* Names the files beside those of the cases that are not read. A single volume was chosen by its name, so
 * there the other files do not matter. */
static u3d_status finish_unread(const u3d_dataset *d)
{
    int n = 0;
    if (strcmp(d->layout, "pair") == 0) return U3D_OK;
    for (int i = 0; i < d->n_cases; i++) n += d->cases[i].n_images + 1;
    const char **read = u3d_new((size_t)n, sizeof *read);
    if (!read) return U3D_E_NOMEM;
    n = 0;
    for (int i = 0; i < d->n_cases; i++) {
        const u3d_case *c = &d->cases[i];
        for (int channel = 0; channel < c->n_images; channel++) read[n++] = c->image[channel];
        if (c->label) read[n++] = c->label;
    }
    const u3d_status status = u3d_unread_warn(read, n);
    u3d_free(read);
    return status;
}

/* Refuses a folder without a volume, and names what lies there instead. */
static u3d_status no_volumes(const char *looked_in)
{
    char *inside = u3d_format("%s/", looked_in);
    u3d_status status = inside ? U3D_OK : U3D_E_NOMEM;
    if (inside && u3d_path_is_dir(looked_in)) status = u3d_unread_warn((const char *const *)&inside, 1);
    u3d_free(inside);
    U3D_TRY(status);
    return u3d_fail(U3D_E_FORMAT, "'%s': no volumes found, expected files with one of the endings %s",
                    looked_in, u3d_format_listed_text());
}

u3d_status u3d_dataset_finish(u3d_dataset *d, const char *looked_in, bool labels_needed)
{
    if (d->n_cases == 0) return no_volumes(looked_in);
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
    return finish_unread(d);
}

/* A folder, with its dataset.json if it has one. */
typedef struct folder {
    const char *dir;
    int channels;           /* of the model; 0: unknown                                 */
    char *json_path;
    cJSON *json;            /* NULL: there is none                                      */
    bool exist;             /* the images that the json describes are there             */
    bool nnunet, decathlon; /* the json is of this layout                               */
    bool plain;             /* it is of neither, and there is a folder images/          */
} folder;

static void folder_done(folder *f)
{
    cJSON_Delete(f->json);
    u3d_free(f->json_path);
}

static u3d_status folder_read(const char *dir, int channels, folder *f)
{
    *f = (folder){.dir = dir, .channels = channels};
    if (!u3d_path_is_dir(dir)) return u3d_fail(U3D_E_IO, "open dataset '%s': no such folder", dir);
    f->json_path = u3d_path_join(dir, "dataset.json");
    char *images = u3d_path_join(dir, "images");
    f->plain = images && u3d_path_is_dir(images);
    u3d_free(images);
    if (!f->json_path || !images) return U3D_E_NOMEM;
    if (!u3d_path_exists(f->json_path)) return U3D_OK;
    U3D_TRY(u3d_json_read(f->json_path, &f->json));
    if (!cJSON_IsObject(f->json)) return u3d_fail(U3D_E_FORMAT, "'%s': expected an object", f->json_path);
    U3D_TRY(u3d_dataset_json_files(dir, f->json, &f->exist));
    if (f->plain && !f->exist) return U3D_OK; /* the json only gives names to what lies in images/ */
    f->decathlon = cJSON_HasObjectItem(f->json, "training") && !cJSON_HasObjectItem(f->json, "file_ending");
    f->nnunet = !f->decathlon && (cJSON_HasObjectItem(f->json, "file_ending") ||
                                  cJSON_HasObjectItem(f->json, "channel_names"));
    f->plain = f->plain && !f->nnunet && !f->decathlon;
    return U3D_OK;
}

/* Opens the folders images/ and labels/. A dataset.json may name the labels and the channels. */
static u3d_status dataset_plain(const folder *f, bool labels_needed, u3d_dataset **out)
{
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    char *images = u3d_path_join(f->dir, "images"), *labels = u3d_path_join(f->dir, "labels");
    if (!images || !labels) U3D_GO(U3D_E_NOMEM);
    if (!f->plain)
        U3D_GO(u3d_fail(U3D_E_FORMAT,
                        "'%s': no dataset found: looked for dataset.json "
                        "with \"training\" (Decathlon) or \"channel_names\" (nnU-Net v2), "
                        "and for the folders images/ and labels/",
                        f->dir));
    if (labels_needed && !u3d_path_is_dir(labels))
        U3D_GO(u3d_fail(U3D_E_IO, "'%s': the folder labels/ next to images/ is missing", f->dir));
    U3D_GO(u3d_dataset_new(f->dir, "plain", &d));
    u3d_case_rule rule = {
        .image_dir = images, .label_dir = u3d_path_is_dir(labels) ? labels : NULL, .channels = f->channels};
    U3D_GO(u3d_dataset_group(d, &rule));
    U3D_GO(u3d_dataset_join_labels(d, labels, labels_needed));
    if (f->json) U3D_GO(u3d_dataset_json_names(d, f->json_path, f->json));
    U3D_GO(u3d_dataset_finish(d, images, labels_needed));
    *out = d;
    d = NULL;
done:
    u3d_free(images);
    u3d_free(labels);
    u3d_dataset_free(d);
    return status;
}

static u3d_status dataset_open(const folder *f, bool labels_needed, u3d_dataset **out)
{
    if (f->nnunet) return u3d_dataset_nnunet(f->dir, f->json_path, f->json, labels_needed, out);
    if (f->decathlon) return u3d_dataset_decathlon(f->dir, f->json_path, f->json, labels_needed, out);
    return dataset_plain(f, labels_needed, out);
}

u3d_status u3d_dataset_open(const char *dir, int channels, bool labels_needed, u3d_dataset **out)
{
    folder f;
    *out = NULL;
    u3d_status status = folder_read(dir, channels, &f);
    if (status == U3D_OK) status = dataset_open(&f, labels_needed, out);
    folder_done(&f);
    return status;
}

/* Opens the volumes that lie in the folder itself. If `labels`, each file is a case of its own, and a
 * dataset.json (perhaps a copy) names their values. *out is NULL if there are no volumes. */
static u3d_status dataset_flat(const folder *f, bool labels, u3d_dataset **out)
{
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    /* A file is a case of its own if a label has its name. The folder is also its folder of labels, so this
     * holds for every file. */
    u3d_case_rule rule = {.image_dir = f->dir, .label_dir = labels ? f->dir : NULL, .channels = f->channels};
    *out = NULL;
    U3D_GO(u3d_dataset_new(f->dir, labels ? "labels" : "plain", &d));
    U3D_GO(u3d_dataset_group(d, &rule));
    if (labels && f->json && d->n_cases) U3D_GO(u3d_dataset_json_labels(d, f->json_path, f->json));
    if (d->n_cases) {
        U3D_GO(u3d_dataset_finish(d, f->dir, false));
        *out = d;
        d = NULL;
    }
done:
    u3d_dataset_free(d);
    return status;
}

/* Whether a folder is a data set with files of its own, or its volumes lie in the folder itself. A
 * dataset.json alone does not make a data set: nnU-Net copies it beside predictions. */
static u3d_status folder_open(const folder *f, bool labels, u3d_dataset **out)
{
    bool whole = f->plain || f->exist;
    if (f->plain && labels) {
        char *beside = u3d_path_join(f->dir, "labels");
        if (!beside) return U3D_E_NOMEM;
        whole = u3d_path_is_dir(beside);
        u3d_free(beside);
    }
    if (!whole) {
        U3D_TRY(dataset_flat(f, labels, out));
        if (*out) return U3D_OK;
        if (!f->json) return no_volumes(f->dir);
    }
    return dataset_open(f, labels, out); /* this also says what is wrong with a data set without files */
}

u3d_status u3d_dataset_labels(const char *path, u3d_dataset **out)
{
    folder f;
    *out = NULL;
    u3d_status status = folder_read(path, 0, &f);
    if (status == U3D_OK) status = folder_open(&f, true, out);
    folder_done(&f);
    return status;
}

/* Gives a case the full name of its first image, with the number. */
static u3d_status image_keep_number(u3d_case *c)
{
    const char *slash = strrchr(c->image[0], '/'), *name = slash ? slash + 1 : c->image[0];
    size_t stem;
    u3d_format_is_name(name, &stem);
    u3d_free(c->id);
    c->id = u3d_format("%.*s", (int)stem, name);
    return c->id ? U3D_OK : U3D_E_NOMEM;
}

/* Opens one image. As in a folder, it keeps its number if it belongs to a series of volumes, and if the model
 * wants several channels, the other files of the series are its further channels. */
static u3d_status image_open(const char *path, int channels, u3d_dataset **out)
{
    char **more = NULL;
    int n = 0;
    bool alone = channels == 1;
    u3d_status status = U3D_OK;
    U3D_TRY(u3d_dataset_pair(path, NULL, out));
    u3d_case *c = &(*out)->cases[0];
    if (channels > 0) U3D_GO(u3d_case_series(path, &more, &n));
    if (n > 0 && !alone) U3D_GO(u3d_case_is_whole(path, channels, &alone));
    if (n > 0) U3D_GO(alone ? image_keep_number(c) : u3d_case_add_series(c, more, n));
    if (c->n_images > 1)
        U3D_INFO("io", "'%s' is read as the first of %d channels; the others are files beside it", path,
                 n + 1);
done:
    u3d_path_list_free(more, n);
    if (status == U3D_OK) return status;
    u3d_dataset_free(*out);
    *out = NULL;
    return status;
}

u3d_status u3d_dataset_images(const char *path, int channels, u3d_dataset **out)
{
    folder f;
    *out = NULL;
    if (!u3d_path_is_dir(path)) return image_open(path, channels, out);
    u3d_status status = folder_read(path, channels, &f);
    if (status == U3D_OK) status = folder_open(&f, false, out);
    folder_done(&f);
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
        if (both[i] && !u3d_format_is_name(both[i], &stem))
            return u3d_fail(U3D_E_FORMAT, "'%s': expected a name with one of the endings %s", both[i],
                            u3d_format_listed_text());
    const char *slash = strrchr(image, '/');
    if (slash) skip = (size_t)(slash - image) + 1;
    u3d_format_is_name(image, &stem);
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

u3d_status u3d_dataset_name_label(u3d_dataset *d, int32_t value, const char *name)
{
    char *copy = u3d_strdup(name);
    if (!copy) return U3D_E_NOMEM;
    int at = 0;
    while (at < d->n_labels && d->labels[at].value < value) at++;
    if (at < d->n_labels && d->labels[at].value == value) {
        u3d_free(d->labels[at].name);
        d->labels[at].name = copy;
        return U3D_OK;
    }
    u3d_label_name *grown = u3d_dataset_grow(d->labels, d->n_labels, sizeof *grown);
    if (!grown) {
        u3d_free(copy);
        return U3D_E_NOMEM;
    }
    memmove(grown + at + 1, grown + at, (size_t)(d->n_labels - at) * sizeof *grown);
    grown[at] = (u3d_label_name){.value = value, .name = copy};
    d->labels = grown;
    d->n_labels++;
    return U3D_OK;
}
