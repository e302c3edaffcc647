/* Finds out which prediction belongs to which reference: two files form one pair; files in two folders are
 * matched by name (u3d_dataset_match). Probability maps, whose names end in _probabilities, are skipped. */
#include "net/evaluate/evaluate_impl.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/listing.h"
#include "io/path.h"

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
    u3d_dataset_free(p->references);
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

/* Adds the pair of a prediction and the reference of its name. `taken` tells which references have a
 * prediction already. */
static u3d_status pairs_match(const u3d_evaluate_opts *o, const u3d_dataset *references,
                              const u3d_listed *file, bool *taken, u3d_pairs *p)
{
    u3d_status status = U3D_OK;
    char *id = u3d_format("%.*s", (int)file->stem, file->name), *image = NULL;
    if (!id) return U3D_E_NOMEM;
    const int at = u3d_dataset_match(references, id, &status);
    if (status == U3D_OK && at < 0) {
        status = pairs_add(p, id, file->stem, u3d_path_join(o->prediction, file->name), u3d_strdup(""), NULL);
        u3d_free(id);
        U3D_TRY(status);
        (void)u3d_fail(U3D_E_FORMAT, "%s: the prediction %s has no reference of the same name in %s",
                       o->prediction, file->name, o->reference);
        return u3d_pair_fail(&p->item[p->n - 1]);
    }
    if (status == U3D_OK && taken[at])
        status = u3d_fail(U3D_E_FORMAT,
                          "%s: the prediction %s is the second one for the reference %s in %s; remove one",
                          o->prediction, file->name, references->cases[at].id, o->reference);
    if (status == U3D_OK) status = case_image(&references->cases[at], &image);
    if (status == U3D_OK) {
        taken[at] = true;
        status = pairs_add(p, id, file->stem, u3d_path_join(o->prediction, file->name),
                           u3d_strdup(case_label(&references->cases[at])), image);
    }
    u3d_free(id);
    return status;
}

/* Names the files beside the predictions that are neither predictions nor probabilities. */
static u3d_status predictions_unread(const u3d_evaluate_opts *o, const u3d_listing *files)
{
    u3d_status status = U3D_OK;
    char **read = u3d_new((size_t)files->n + 1, sizeof *read);
    if (!read) return U3D_E_NOMEM;
    for (int i = 0; i < files->n && status == U3D_OK; i++) {
        read[i] = u3d_path_join(o->prediction, files->file[i].name);
        if (!read[i]) status = U3D_E_NOMEM;
    }
    if (status == U3D_OK) status = u3d_unread_warn((const char *const *)read, files->n);
    u3d_path_list_free(read, files->n);
    return status;
}

static u3d_status pairs_from_folders(const u3d_evaluate_opts *o, u3d_pairs *p)
{
    u3d_status status = U3D_OK;
    u3d_listing files = {0};
    bool *taken = NULL;
    U3D_GO(u3d_dataset_labels(o->reference, &p->references));
    taken = u3d_new((size_t)p->references->n_cases, sizeof *taken);
    if (!taken) U3D_GO(U3D_E_NOMEM);
    U3D_GO(u3d_listing_open(o->prediction, &files));
    for (int i = 0; i < files.n; i++)
        if (!ends_with(files.file[i].name, files.file[i].stem, "_probabilities"))
            U3D_GO(pairs_match(o, p->references, &files.file[i], taken, p));
    if (!p->n)
        U3D_GO(u3d_fail(U3D_E_IO, "%s: no predictions were found, expected files with one of the endings %s",
                        o->prediction, u3d_format_listed_text()));
    U3D_GO(predictions_unread(o, &files));
    p->n_unpredicted = p->references->n_cases;
    for (int i = 0; i < p->n; i++) p->n_unpredicted -= !p->item[i].failure;
done:
    u3d_listing_done(&files);
    u3d_free(taken);
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
    u3d_format_is_name(name, &stem);
    return pairs_add(p, name, stem, u3d_strdup(o->prediction), u3d_strdup(o->reference), NULL);
}
