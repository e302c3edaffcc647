/* Slices of volumes with labels laid over them, as one PNG: what `u3d picture` and `u3d evaluate --picture`
 * draw. */
#ifndef U3D_TOOLS_PICTURE_H
#define U3D_TOOLS_PICTURE_H

#include "io/volume.h"

enum { PICTURE_LABELS = 8 };

/* One volume: a row for each slice, a column for the image and for each label volume. */
typedef struct picture_part {
    const u3d_volume *image;                  /* f32, its first channel is shown; NULL: no column       */
    const u3d_volume *labels[PICTURE_LABELS]; /* i32, of the image's shape                              */
    int n_labels;
    bool compare;      /* labels are reference and prediction: see picture_write */
    int64_t slices[3]; /* how many across x, y and z                             */
} picture_part;

typedef struct picture_opts {
    bool has_unlabeled;
    int32_t unlabeled; /* value that is dimmed in the first label volume, never coloured */
} picture_opts;

/* Parts below each other. Background (0) is left as it is, every other value gets a colour, the same one in
 * all parts. Each row is the slice of its share of the volume that shows most labels in the last label volume
 * and was not annotated whole in the first. With `compare` it is, of those where the reference has a label,
 * the one in which most voxels differ, then the one with most labels, and a last column has the outlines of
 * both: the reference's white, the prediction's in colours, over the white ones.
 *
 * *n_slices: rows drawn; none is U3D_E_ARG. U3D_E_UNSUPPORTED: more than 256 values. U3D_E_NOMEM,
 * U3D_E_OUTPUT. */
u3d_status picture_write(const char *path, const picture_part *parts, int n_parts, const picture_opts *o,
                         int *n_slices);

#endif
