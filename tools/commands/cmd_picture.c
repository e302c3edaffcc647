/* u3d picture: draws slices of a volume as a PNG. Each slice is a row; the first column is the image, and
 * each further column shows one label file over it. */
#include "io/volume.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"
#include "tools/draw/picture.h"

enum { UNLABELED = 255 };

typedef struct volumes {
    u3d_volume *image, *labels[PICTURE_LABELS];
    int n_labels;
} volumes;

static u3d_status volumes_read(const args *a, int32_t unlabeled, volumes *v)
{
    u3d_match m;
    if (a->n_rest + 1 > PICTURE_LABELS)
        return u3d_fail(U3D_E_ARG, "u3d picture: found %d label files, expected at most %d", a->n_rest + 1,
                        PICTURE_LABELS);
    U3D_TRY(u3d_volume_read(a->image, U3D_VOLUME_IMAGE, &v->image));
    for (int i = 0; i <= a->n_rest; i++) {
        const char *path = i == 0 ? a->label : a->rest[i - 1];
        U3D_TRY(u3d_volume_read(path, U3D_VOLUME_LABEL, &v->labels[i]));
        v->n_labels++;
        U3D_TRY(u3d_volume_match(v->image, a->image, v->labels[i], path, false, &m));
        U3D_TRY(u3d_volume_onto(&v->labels[i], v->image, &m, unlabeled));
    }
    return U3D_OK;
}

u3d_status cmd_picture(const args *a)
{
    u3d_status status = U3D_OK;
    volumes v = {0};
    picture_opts o = {.has_unlabeled = true, .unlabeled = UNLABELED};
    picture_part part = {.slices = {1, 1, 1}};
    bool given;
    int n_slices;
    U3D_GO(args_need("picture", "--image FILE", a->image));
    U3D_GO(args_need("picture", "--label FILE", a->label));
    U3D_GO(args_need("picture", "--output PNG", a->output));
    if (a->slices) U3D_GO(args_slices(a->slices, part.slices));
    if (a->unlabeled) U3D_GO(args_unlabeled(a, &given, &o.unlabeled));
    U3D_GO(args_free_output(a, a->output));
    U3D_GO(volumes_read(a, o.unlabeled, &v));
    part.image = v.image;
    part.n_labels = v.n_labels;
    for (int i = 0; i < v.n_labels; i++) part.labels[i] = v.labels[i];
    U3D_GO(picture_write(a->output, &part, 1, &o, &n_slices));
    printf("%s: %d slices, columns: image, %d label file%s\n", a->output, n_slices, v.n_labels,
           v.n_labels == 1 ? "" : "s");
done:
    u3d_volume_free(v.image);
    for (int i = 0; i < v.n_labels; i++) u3d_volume_free(v.labels[i]);
    return status;
}
