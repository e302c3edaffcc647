/* Finds out which prediction belongs to which reference: two files form one pair; files in two folders are
 * matched by name. Probability maps, whose names end in _probabilities, are skipped. */
#include "net/evaluate/evaluate_impl.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/dataset.h"
#include "io/path.h"
#include "io/volume.h"

void u3d_pairs_free(u3d_pairs *p)
{
    for (int i = 0; i < p->n + p->n_failed; i++) {
        u3d_free(p->item[i].failure);
        u3d_free(p->item[i].id);
        u3d_free(p->item[i].prediction);
        u3d_free(p->item[i].reference);
        u3d_free(p->item[i].image);
    }
    u3d_free(p->item);
}

u3d_status u3d_pair_fail(u3d_pair *pair)
{
    pair->failure = u3d_strdup(u3d_error_text());
    if (!pair->failure) return U3D_E_NOMEM;
    U3D_WARN("evaluate", "%s is left out: %s", pair->id, pair->failure);
    return U3D_OK;
}

/* Adds a pair. It takes ownership of the three names, also on failure. `image` may be NULL (unknown). */
static u3d_status pairs_add(u3d_pairs *p, const char *id, size_t id_length, char *prediction, char *reference,
                            char *image)
{
    u3d_pair *grown = u3d_resize(p->item, (size_t)p->n, (size_t)p->n + 1, sizeof *grown);
    if (grown) p->item = grown;
    char *name = u3d_format("%.*s", (int)id_length, id);
    if (!grown || !name || !prediction || !reference) {
        u3d_free(name);
        u3d_free(prediction);
        u3d_free(reference);
        u3d_free(image);
        return U3D_E_NOMEM;
    }
    p->item[p->n++] = (u3d_pair){name, prediction, reference, image, NULL};
    return U3D_OK;
}

/* Opens the references. A plain folder of label files is opened as a data set whose cases have the label
 * in place of an image. */
static u3d_status references_open(const char *dir, u3d_dataset **out)
{
    char *json = u3d_path_join(dir, "dataset.json"), *labels = u3d_path_join(dir, "labels");
    const bool whole = json && labels && (u3d_path_exists(json) || u3d_path_is_dir(labels));
    const bool failed = !json || !labels;
    u3d_free(json);
    u3d_free(labels);
    if (failed) return U3D_E_NOMEM;
    return whole ? u3d_dataset_open(dir, true, out) : u3d_dataset_labels(dir, out);
}

static const char *case_label(const u3d_case *c)
{
    return c->label ? c->label : c->image[0];
}

/* Copies the name of the first image; *image is NULL if there is none. */
static u3d_status case_image(const u3d_case *c, char **image)
{
    *image = NULL;
    if (!c->label || c->n_images == 0) return U3D_OK;
    *image = u3d_strdup(c->image[0]);
    return *image ? U3D_OK : U3D_E_NOMEM;
}

static bool ends_with(const char *name, size_t length, const char *end)
{
    const size_t n = strlen(end);
    return length >= n && memcmp(name + length - n, end, n) == 0;
}

/* Adds the pair of the prediction in file `name` and the reference of the same name. The file's extension
 * begins at name[stem] and is cut off. */
static u3d_status pairs_match(const u3d_evaluate_opts *o, const u3d_dataset *references, char *name,
                              size_t stem, u3d_pairs *p)
{
    char *prediction = u3d_path_join(o->prediction, name), *image;
    name[stem] = '\0';
    const int at = u3d_dataset_find(references, name);
    if (at < 0) {
        U3D_TRY(pairs_add(p, name, stem, prediction, u3d_strdup(""), NULL));
        (void)u3d_fail(U3D_E_FORMAT, "%s: the prediction %s has no reference of the same name in %s",
                       o->prediction, name, o->reference);
        return u3d_pair_fail(&p->item[p->n - 1]);
    }
    const u3d_status status = case_image(&references->cases[at], &image);
    if (status != U3D_OK) {
        u3d_free(prediction);
        return status;
    }
    return pairs_add(p, name, stem, prediction, u3d_strdup(case_label(&references->cases[at])), image);
}

static u3d_status pairs_from_folders(const u3d_evaluate_opts *o, u3d_pairs *p)
{
    u3d_status status = U3D_OK;
    u3d_dataset *references = NULL;
    char **names = NULL;
    int n = 0;
    U3D_GO(references_open(o->reference, &references));
    p->has_unlabeled = references->has_unlabeled;
    p->unlabeled = references->unlabeled;
    u3d_dataset_background(references, &p->background);
    U3D_GO(u3d_path_list(o->prediction, &names, &n));
    for (int i = 0; i < n; i++) {
        size_t stem;
        if (!u3d_nifti_is_listed(names[i], &stem) || ends_with(names[i], stem, "_probabilities")) continue;
        U3D_GO(pairs_match(o, references, names[i], stem, p));
        if (p->n > 1 && strcmp(p->item[p->n - 1].id, p->item[p->n - 2].id) == 0)
            U3D_GO(u3d_fail(U3D_E_FORMAT, "%s: two predictions are called %s; remove one", o->prediction,
                            p->item[p->n - 1].id));
    }
    if (!p->n)
        U3D_GO(u3d_fail(U3D_E_IO, "%s: no predictions were found (*.nii, *.nii.gz or *.hdr)", o->prediction));
    p->n_unpredicted = references->n_cases;
    for (int i = 0; i < p->n; i++) p->n_unpredicted -= !p->item[i].failure;
done:
    u3d_path_list_free(names, n);
    u3d_dataset_free(references);
    return status;
}

u3d_status u3d_pairs_find(const u3d_evaluate_opts *o, u3d_pairs *p)
{
    const bool folder = u3d_path_is_dir(o->prediction);
    if (folder != u3d_path_is_dir(o->reference))
        return u3d_fail(U3D_E_ARG, "evaluating %s against %s: expected two files or two folders",
                        o->prediction, o->reference);
    p->folder = folder;
    if (folder) return pairs_from_folders(o, p);
    const char *slash = strrchr(o->prediction, '/'), *name = slash ? slash + 1 : o->prediction;
    size_t stem = strlen(name);
    u3d_nifti_is_name(name, &stem);
    return pairs_add(p, name, stem, u3d_strdup(o->prediction), u3d_strdup(o->reference), NULL);
}
