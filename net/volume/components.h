/* Connected components of the classes of a segmentation. Postprocessing keeps the largest component of a
 * class (net/model/postprocess.c), and training measures whether that helps
 * (net/train/train_postprocess.c). When training labels what nobody painted, it clears the components that no
 * annotation touches (net/train/train_pseudo.c). */
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

/* Does the same to the foreground as a whole: all classes >= 1 count as one. kept: one element, or NULL. */
u3d_status u3d_components_keep_foreground(u3d_volume *classes, int n_classes, u3d_kept *kept);

/* The share of the voxels annotated as class k that lie in the largest component of class k; share[0]: of
 * those annotated as any class >= 1 that lie in the largest component of the foreground as a whole. NaN: none
 * of them has its class in `classes`. For dense labels, `annotation` is `classes` itself. U3D_E_NOMEM.
 *
 *   share   [n_classes] */
u3d_status u3d_components_largest_share(const u3d_volume *classes, const u3d_volume *annotation,
                                        int n_classes, double *share);

/* Compares the components of each class k >= 1 with annotation, and clears those that it does not touch, but
 * only of a class that is one object as far as the annotation shows: at least the share `one_object` of the
 * voxels that are annotated as k and have the class k lie in a single component. A class of many objects,
 * such as cells of which only a few are annotated, stays as it is, and so does a class that the annotation
 * does not have.
 *
 *   classes     u8, one channel; cleared voxels become class 0
 *   annotation  u8 on the same grid; values that are no class, such as "unlabelled", touch nothing
 *   kept        [n_classes], or NULL; zeros for classes that stay as they are
 *
 * Components, memory and U3D_E_NOMEM are as for u3d_components_keep_largest. */
u3d_status u3d_components_keep_annotated(u3d_volume *classes, const u3d_volume *annotation, int n_classes,
                                         double one_object, u3d_kept *kept);

#endif
