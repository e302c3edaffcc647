/* Cubes of dense labels at random places, over all volumes of a folder together.
 *
 * The volumes come in a random order. Each gets one cube until there are no more; if there are more cubes
 * than volumes, the numbers per volume differ by one at most. Half of the cubes, as far as there are
 * structures, are centred on a voxel of a structure: the label (other than the background) is drawn first,
 * all with the same chance, then one of its voxels. The others lie anywhere. A cube is moved into the volume
 * if it reaches out, and is as large as the volume where this is smaller. A place that overlaps an earlier
 * cube is drawn anew up to CUBES_TRIES times; a cube on a structure may then lie anywhere, and after as many
 * tries again cubes overlap.
 *
 * Source: nnActive (Lueth et al., 2025, arXiv:2511.19183), whose random strategies go through the shuffled
 * volumes in the same way and draw again after an overlap. */
#ifndef U3D_TOOLS_CUBES_H
#define U3D_TOOLS_CUBES_H

#include "engine/base/rng.h"
#include "io/volume.h"

enum { CUBES_TRIES = 100, CUBES_MAX = 100000 };

typedef struct cubes {
    int32_t background;            /* the label that is no structure                    */
    int64_t size[3];               /* z, y, x                                           */
    int64_t wanted;                /* cubes in all volumes                              */
    int64_t volumes_left;          /* volumes that are to come, with the next one       */
    int64_t placed, on_structures; /* cubes so far, and those centred on a structure    */
    int64_t overlapping;           /* cubes that share voxels with an earlier one       */
    int64_t volumes;               /* volumes that got a cube                           */
} cubes;

/* Keeps the next volume's cubes of an i32 label volume and sets all other voxels to `unlabeled`. *kept
 * receives the number of voxels that are still labelled. U3D_E_NOMEM; the counts are then unchanged. */
u3d_status cubes_keep(u3d_volume *label, cubes *c, int32_t unlabeled, u3d_rng *r, int64_t *kept);

#endif
