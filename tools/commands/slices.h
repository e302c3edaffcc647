/* Which slices a sparse annotation keeps: n per axis, evenly spaced, at floor((i + 1/2) / n * extent); of
 * missing planes the next one that is there (it may be kept already). */
#ifndef U3D_TOOLS_SLICES_H
#define U3D_TOOLS_SLICES_H

#include "io/volume.h"

enum { SLICES_MAX_SETS = 16 };

typedef struct slices {
    int64_t counts[SLICES_MAX_SETS][3]; /* across x, y and z; the slices of all sets are kept */
    int n_sets;
    struct {      /* planes that nobody can annotate */
        int axis; /* they lie across: 0 x, 1 y, 2 z */
        int64_t first, n;
    } missing;
} slices;

/* Set every voxel of an i32 label volume that lies in a missing plane to `unlabeled`. */
void slices_blank_missing(u3d_volume *label, const slices *s, int32_t unlabeled);

/* The same for every voxel that lies in none of the kept slices; returns how many are labelled still. */
int64_t slices_keep(u3d_volume *label, const slices *s, int32_t unlabeled);

/* Dense labels from the kept slices alone: every voxel copies what the nearest of them (in space) shows
 * opposite of it, of equals the one across z, then y. `out`: i32 like `dense`. The least that a segmentation
 * must be better than. */
u3d_status slices_copy(const u3d_volume *dense, const slices *s, u3d_volume *out);

#endif
