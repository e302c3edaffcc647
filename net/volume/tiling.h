/* Station 2 of prediction: tiles that cover a volume. */
#ifndef U3D_NET_TILING_H
#define U3D_NET_TILING_H

#include "net/config/config.h"
#include "net/volume/patch.h"

typedef struct u3d_tile {
    u3d_box in, out; /* in the volume; `out` may reach over its end (cropped when stitched) */
} u3d_tile;

/* Valid nets: outputs abut (step ignored) and cover [0, size). Same-padded nets: in == out, tiles step by about
 * step * net size, evenly spread starts round(i * max / (n - 1)) (nnU-Net); a volume smaller than the net is centred.
 * Sorted by z, then y, then x. */
u3d_status u3d_tiling_make(const int64_t volume[3], const int64_t net_in[3], const int64_t net_out[3], bool valid,
                           double step, u3d_tile **tiles, int *n);

#endif
