/* Folds over the annotated slices of one volume, as in the paper's semi-automated experiment: test slices
 * become unlabelled in training and are what the prediction is scored on. */
#ifndef U3D_NET_SLICE_FOLDS_H
#define U3D_NET_SLICE_FOLDS_H

#include "io/volume.h"

typedef struct u3d_slice_folds u3d_slice_folds;

/* Finds the annotated slices of each orientation (where most planes hold hardly any labelled voxel) and deals
 * them out to n folds in turn, along an orientation and on to the next, so that each fold's lie spread over
 * the volume. `label`: i32 values. U3D_E_UNSUPPORTED: fewer annotated slices than folds. */
u3d_status u3d_slice_folds_new(const u3d_volume *label, int32_t unlabeled, int n, u3d_slice_folds **out);
void u3d_slice_folds_free(u3d_slice_folds *f);

/* Fold k's slices across x, y and z. */
void u3d_slice_folds_count(const u3d_slice_folds *f, int k, int64_t across[3]);
/* Labels for training: `label` with every voxel of fold k's slices unlabelled, also where slices of other
 * folds cross them; for testing: those voxels alone. Both are the caller's. */
u3d_status u3d_slice_folds_make(const u3d_slice_folds *f, const u3d_volume *label, int k, u3d_volume **train,
                                u3d_volume **test);

#endif
