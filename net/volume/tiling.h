/* Station 2 of prediction: tiles that cover a volume. The network computes one tile after the other. */
#ifndef U3D_NET_TILING_H
#define U3D_NET_TILING_H

#include "net/config/config.h"
#include "net/volume/patch.h"

typedef struct u3d_tile {
    u3d_box in, out; /* voxels of the volume that are read and computed; both may reach beyond the volume */
} u3d_tile;

/* Makes the tiles for a volume of size `volume` and a network with the given input and output sizes (voxels,
 * z, y, x). The list belongs to the caller (u3d_free) and is sorted by z, then y, then x.
 *
 *   valid networks         output boxes abut and cover [0, size); `step` is ignored
 *   same-padded networks   in == out; tiles are at most step * size apart (0 < step <= 1); n tiles along an
 *                          axis start at round(i * (volume - size) / (n - 1)), as in nnU-Net; along an axis
 *                          on which the volume is smaller than the network, it lies in the middle of one tile
 *
 * U3D_E_ARG: `step` is out of range, or there would be more than INT32_MAX tiles. U3D_E_NOMEM. */
u3d_status u3d_tiling_make(const int64_t volume[3], const int64_t net_in[3], const int64_t net_out[3],
                           bool valid, double step, u3d_tile **tiles, int *n);

#endif
