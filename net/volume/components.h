/* Connected components of the classes of a segmentation. */
#ifndef U3D_NET_COMPONENTS_H
#define U3D_NET_COMPONENTS_H

#include "io/volume.h"

/* What became of one class. */
typedef struct u3d_kept {
    int64_t components; /* found                             */
    int64_t removed;    /* of those                          */
    int64_t voxels;     /* that became class 0               */
} u3d_kept;

/* Of every class k with wanted[k], voxels outside of its largest component become class 0; of several
 * components of the largest size all stay, so that no order decides. Components are 26-connected (voxels that
 * share a face, an edge or a corner); sizes are counted in voxels.
 *
 *   classes   u8, one channel; changed in place
 *   wanted    [n_classes]; wanted[0] must be false
 *   kept      [n_classes], or NULL; zeros for classes that are not wanted
 *
 * U3D_E_NOMEM: 24 bytes per run of equal wanted voxels along x and 8 per row; the volume is unchanged. Voxels
 * with values from n_classes on are left alone. Deterministic, one thread. Source: nnU-Net v2,
 * postprocessing/remove_connected_components.py, by way of acvl_utils' remove_all_but_largest_component (full
 * connectivity, all components of the largest size are kept). */
u3d_status u3d_components_keep_largest(u3d_volume *classes, const bool *wanted, int n_classes,
                                       u3d_kept *kept);

#endif
