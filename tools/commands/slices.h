/* Which slices a sparse annotation keeps: n per axis, evenly spaced, at floor((i + 1/2) / n * extent). If
 * that plane is missing, the nearest plane that exists is kept instead, which may be a slice that is kept
 * already. */
#ifndef U3D_TOOLS_SLICES_H
#define U3D_TOOLS_SLICES_H

#include "io/volume.h"

enum { SLICES_MAX_SETS = 16 };

typedef struct slices {
    int64_t counts[SLICES_MAX_SETS][3]; /* across x, y and z; the slices of all sets are kept */
    int n_sets;
    struct {      /* planes that cannot be annotated */
        int axis; /* the axis they lie across: 0 x, 1 y, 2 z */
        int64_t first, n;
    } missing;
} slices;

/* Sets every voxel of an i32 label volume that lies in a missing plane to `unlabeled`. */
void slices_blank_missing(u3d_volume *label, const slices *s, int32_t unlabeled);

/* Sets every voxel that lies in none of the kept slices to `unlabeled`. Returns how many voxels are still
 * labelled. */
int64_t slices_keep(u3d_volume *label, const slices *s, int32_t unlabeled);

/* Makes dense labels from the kept slices only, as a baseline that a segmentation must surpass. Each voxel is
 * projected onto the nearest kept slice (by distance in space) and gets the label found there. Of slices at
 * equal distance, one across z is preferred, then one across y. `out` is an i32 volume like `dense`. */
u3d_status slices_copy(const u3d_volume *dense, const slices *s, u3d_volume *out);

#endif
