/* Cross-validation over the annotated slices of one volume, as in the paper's semi-automated experiment.
 * The slices are divided into folds. The slices of a fold are unlabelled in training, and the prediction
 * is scored on them. */
#ifndef U3D_NET_SLICE_FOLDS_H
#define U3D_NET_SLICE_FOLDS_H

#include "io/volume.h"

typedef struct u3d_slice_folds u3d_slice_folds;

/* Finds the annotated slices: planes that were painted from edge to edge, and the fewest planes that contain
 * the other labelled voxels, which may be parts of slices or scribbles. Assigns them to n folds in turn, one
 * orientation after the other, so that the slices of each fold are spread over the volume. `label` has i32
 * values.
 * U3D_E_UNSUPPORTED: there are fewer annotated slices than folds. */
u3d_status u3d_slice_folds_new(const u3d_volume *label, int32_t unlabeled, int n, u3d_slice_folds **out);
void u3d_slice_folds_free(u3d_slice_folds *f);

/* Number of annotated slices. */
u3d_status u3d_slice_count(const u3d_volume *label, int32_t unlabeled, int64_t *n);
/* Whether more than half of the slices lie beside another one, so that the slices of a fold look much like
 * those that it is trained on. */
bool u3d_slice_folds_adjoin(const u3d_slice_folds *f);

/* Numbers of slices in fold k across x, y and z. */
void u3d_slice_folds_count(const u3d_slice_folds *f, int k, int64_t across[3]);
/* Makes the labels for fold k. In *train, every voxel on a slice of fold k is unlabelled, even if a slice
 * of another fold crosses it there. *test has only the labels of these voxels. Both volumes belong to the
 * caller. */
u3d_status u3d_slice_folds_make(const u3d_slice_folds *f, const u3d_volume *label, int k, u3d_volume **train,
                                u3d_volume **test);

#endif
