/* Signs that a value of a label volume means "unlabelled", because only some slices were painted. */
#ifndef U3D_NET_SPARSE_H
#define U3D_NET_SPARSE_H

#include "io/volume.h"

/* Numbers of labelled voxels. */
typedef struct u3d_plane_counts {
    int64_t *of[3];   /* in each plane across axis z, y, x                             */
    int64_t *scratch; /* scratch space for the caller, as long as the three together   */
    int64_t all;      /* in the whole volume                                           */
} u3d_plane_counts;
/* Counts the voxels that differ from `unlabeled` in a label volume (i32 values or u8 classes). */
u3d_status u3d_plane_counts_make(const u3d_volume *label, int32_t unlabeled, u3d_plane_counts *out);
void u3d_plane_counts_free(u3d_plane_counts *counts);

/* Whether nearly all voxels (i32) other than `blank` lie on single slices; `counts` were made with `blank`. A
 * plane is isolated if at least 16 of its voxels have other values, and at least twice as many as in each
 * neighbouring plane. The sign is two or more isolated planes that contain 9 of 10 of all voxels with other
 * values. These are single painted slices, in one or in several orientations; whole shapes fill neighbouring
 * planes about equally. If so, `seen` (cap bytes) becomes a clause that says what was seen. */
bool u3d_sparse_isolated(const u3d_volume *label, int32_t blank, const u3d_plane_counts *counts, char *seen,
                         size_t cap);

/* The same for a volume whose planes are not counted yet; *looks is the answer. U3D_E_NOMEM. */
u3d_status u3d_sparse_looks(const u3d_volume *label, int32_t blank, bool *looks, char *seen, size_t cap);

/* Finds the value (i32) of more than half of the voxels; false if there is none. */
bool u3d_sparse_majority(const u3d_volume *label, int32_t *value);

#endif
