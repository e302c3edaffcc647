/* Connected components of the classes of a segmentation. Postprocessing keeps the largest component of a
 * class (net/model/postprocess.c), and training measures whether that helps
 * (net/train/train_postprocess.c). */
#ifndef U3D_NET_COMPONENTS_H
#define U3D_NET_COMPONENTS_H

#include "io/volume.h"

/* What was done to one class. */
typedef struct u3d_kept {
    int64_t components; /* components that were found                */
    int64_t removed;    /* components that were removed              */
    int64_t voxels;     /* voxels that were changed to class 0       */
} u3d_kept;

/* For every class k with wanted[k], changes the voxels outside of the largest component to class 0. If
 * several components share the largest size, all of them stay, so that the result does not depend on an
 * order. Components are 26-connected (voxels that share a face, an edge or a corner); sizes are counted in
 * voxels.
 *
 *   classes   u8, one channel; changed in place
 *   wanted    [n_classes]; wanted[0] must be false
 *   kept      [n_classes], or NULL; zeros for classes that are not wanted
 *
 * Voxels with values of n_classes or more are not changed. The result is deterministic; one thread is used.
 *
 * U3D_E_NOMEM   24 bytes are needed per run of equal wanted voxels along x, and 8 per row; the volume is
 *               unchanged after this error
 *
 * Source: nnU-Net v2, postprocessing/remove_connected_components.py, by way of acvl_utils'
 * remove_all_but_largest_component (full connectivity; all components of the largest size are kept). */
u3d_status u3d_components_keep_largest(u3d_volume *classes, const bool *wanted, int n_classes,
                                       u3d_kept *kept);

#endif
