/* Draws slices of volumes with labels over them as one PNG, for `u3d picture`, `u3d augment`, `u3d report`
 * and `u3d evaluate --picture`. */
#ifndef U3D_TOOLS_PICTURE_H
#define U3D_TOOLS_PICTURE_H

#include "io/volume.h"

enum { PICTURE_LABELS = 8 };

/* One volume, with a row for each slice, and a column for the image and for each label volume. */
typedef struct picture_part {
    const u3d_volume *image;                  /* f32; the first channel is shown; NULL: no column       */
    const u3d_volume *labels[PICTURE_LABELS]; /* i32, on the grid of the image                          */
    int n_labels;
    bool compare;      /* the labels are a reference and a prediction, see picture_write */
    int64_t slices[3]; /* number of slices across x, y and z, see picture_write  */
} picture_part;

typedef struct picture_opts {
    bool has_unlabeled;
    int32_t unlabeled; /* voxels with this label are dimmed and get no colour */
    bool as_stored;    /* draw the axes of the arrays, even of volumes that have a place in space */
} picture_opts;

typedef struct picture_result {
    int n_slices;           /* number of rows */
    const char *convention; /* a phrase that says where the patient's left is */
} picture_result;

/* Draws the parts below each other. Slices across x are sagittal, across y coronal and across z axial,
 * whatever the order in which the file stores its axes, and they are drawn in radiological convention; of a
 * volume without a place in space, they are those of the file's axes (picture_view.c). Background (0) is left
 * as it is. Every other label has the same colour in all parts.
 *
 * The volume is divided along each axis into as many equal ranges as there are slices across it, and each row
 * shows one slice of one range: the one with most different labels in the last label volume, and of those the
 * one with most foreground. If the first label volume has unlabelled voxels, slices of which more than half
 * is annotated are not chosen. With `compare`, the row is the slice in which most voxels differ, and of those
 * the one with most foreground; slices without a reference label are chosen only if there are no others. A
 * last column then shows the outlines of both: the reference in white and, over it, the prediction in
 * colours.
 *
 * Errors: U3D_E_ARG if there is no row, U3D_E_UNSUPPORTED for more than 256 label
 * values, U3D_E_NOMEM, U3D_E_OUTPUT. */
u3d_status picture_write(const char *path, const picture_part *parts, int n_parts, const picture_opts *o,
                         picture_result *result);

#endif
