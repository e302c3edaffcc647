/* u3d picture: draws slices of a volume as a PNG. Each slice is a row; the first column is the image, and
 * each further column shows one label file over it. */
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/volume.h"
#include "net/volume/sparse.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/result.h"
#include "tools/commands/commands.h"
#include "tools/commands/run_source.h"
#include "tools/draw/picture.h"

typedef struct volumes {
    u3d_volume *image, *labels[PICTURE_LABELS];
    int n_labels;
} volumes;

static const char *label_path(const args *a, int i)
{
    return i == 0 ? a->label : a->rest[i - 1];
}

/* Finds the value that means "unlabelled", from --unlabeled or --model. */
static u3d_status unlabeled_find(const args *a, picture_opts *o)
{
    u3d_labels *trained;
    U3D_TRY(args_unlabeled(a, &o->has_unlabeled, &o->unlabeled));
    if (!a->model || o->has_unlabeled) return U3D_OK;
    U3D_TRY(run_labels(a->model, &trained));
    o->has_unlabeled = trained->has_unlabeled;
    o->unlabeled = trained->unlabeled;
    u3d_free(trained);
    return U3D_OK;
}

/* Says if 255, which `u3d sparsify` writes for unlabelled voxels, looks as if it meant that. It is drawn as a
 * label nevertheless, because in a mask of 0 and 255 it is one. */
static u3d_status unlabeled_hint(const u3d_volume *label, const char *path)
{
    int32_t most;
    char seen[160];
    bool looks = false;
    if (!u3d_sparse_majority(label, &most) || most != U3D_UNLABELED) return U3D_OK;
    U3D_TRY(u3d_sparse_looks(label, most, &looks, seen, sizeof seen));
    if (looks)
        U3D_WARN("picture", "'%s': %s; 255 is drawn as a label; if it means unlabelled, give --unlabeled 255",
                 path, seen);
    return U3D_OK;
}

/* Reads the volumes and brings the labels onto the grid of the image. If the image does not say where it lies
 * in space, it gets the place of the first labels that do. */
static u3d_status volumes_read(const args *a, const picture_opts *o, volumes *v)
{
    if (a->n_rest + 1 > PICTURE_LABELS)
        return u3d_fail(U3D_E_ARG, "u3d picture: found %d label files, expected at most %d", a->n_rest + 1,
                        PICTURE_LABELS);
    U3D_TRY(u3d_volume_read(a->image, U3D_VOLUME_IMAGE, &v->image));
    for (int i = 0; i <= a->n_rest; i++) {
        U3D_TRY(u3d_volume_read(label_path(a, i), U3D_VOLUME_LABEL, &v->labels[i]));
        v->n_labels++;
        if (!o->has_unlabeled) U3D_TRY(unlabeled_hint(v->labels[i], label_path(a, i)));
        if (!u3d_volume_has_place(v->image))
            U3D_TRY(u3d_volume_match_onto(&v->image, a->image, v->labels[i], label_path(a, i), false, 0));
    }
    for (int i = 0; i < v->n_labels; i++)
        U3D_TRY(u3d_volume_match_onto(&v->labels[i], label_path(a, i), v->image, a->image, false,
                                      o->has_unlabeled ? o->unlabeled : 0));
    return U3D_OK;
}

static u3d_status files_of_picture(const args *a)
{
    files f = {0};
    files_read(&f, a->image);
    files_read(&f, a->label);
    files_read_model(&f, a->model);
    for (int i = 0; i < a->n_rest; i++) files_read(&f, a->rest[i]);
    files_write(&f, a->output, false);
    return files_check(&f, a);
}

static u3d_status print_result(const args *a, const picture_result *r, int n_labels)
{
    cJSON *json = cJSON_CreateObject();
    const bool ok = cJSON_AddStringToObject(json, "output", a->output) &&
                    cJSON_AddNumberToObject(json, "slices", r->n_slices) &&
                    cJSON_AddNumberToObject(json, "label_files", n_labels) &&
                    cJSON_AddStringToObject(json, "convention", r->convention);
    return result_print(a, json, ok, "%s: %d slices, columns: image, %d label file%s; %s", a->output,
                        r->n_slices, n_labels, n_labels == 1 ? "" : "s", r->convention);
}

u3d_status cmd_picture(const args *a)
{
    u3d_status status = U3D_OK;
    volumes v = {0};
    picture_opts o = {0};
    picture_result result;
    picture_part part = {.slices = {1, 1, 1}};
    U3D_GO(args_need("picture", "--image FILE", a->image));
    U3D_GO(args_need("picture", "--label FILE", a->label));
    U3D_GO(args_need("picture", "--output PNG", a->output));
    if (a->slices) U3D_GO(args_slices(a->slices, part.slices));
    U3D_GO(files_of_picture(a));
    U3D_GO(unlabeled_find(a, &o));
    U3D_GO(volumes_read(a, &o, &v));
    part.image = v.image;
    part.n_labels = v.n_labels;
    for (int i = 0; i < v.n_labels; i++) part.labels[i] = v.labels[i];
    U3D_GO(picture_write(a->output, &part, 1, &o, &result));
    status = print_result(a, &result, v.n_labels);
done:
    u3d_volume_free(v.image);
    for (int i = 0; i < v.n_labels; i++) u3d_volume_free(v.labels[i]);
    return status;
}
