/* Which slices a sparse annotation keeps: n per axis, evenly spaced, at floor((i + 1/2) / n * extent). */
#ifndef U3D_TOOLS_SLICES_H
#define U3D_TOOLS_SLICES_H

#include "io/volume.h"

int64_t slice_position(int64_t i, int64_t n, int64_t extent);

/* Set every voxel of an i32 label volume that lies in none of the kept slices to `unlabeled`; returns how
 * many were kept. Kept are those of every set, which has counts across x, y and z. */
int64_t slices_keep(u3d_volume *label, const int64_t (*sets)[3], int n_sets, int32_t unlabeled);

/* Dense labels from the kept slices alone: every voxel copies what the nearest of them (in space) shows opposite of it, of
 * equals the one across z, then y. `out`: i32 like `dense`. The least that a segmentation must be better than. */
u3d_status slices_copy(const u3d_volume *dense, const int64_t (*sets)[3], int n_sets, u3d_volume *out);

#endif
