/* Cutting a box out of a volume, for training (station 4) and prediction (station 3) alike. */
#ifndef U3D_NET_PATCH_H
#define U3D_NET_PATCH_H

#include "io/volume.h"

typedef struct u3d_box {
    int64_t start[3], size[3]; /* voxels, z, y, x; start may be negative */
} u3d_box;

typedef enum u3d_border { U3D_BORDER_MIRROR, U3D_BORDER_ZERO } u3d_border;

/* Index of the mirrored voxel: edge voxel not repeated, again and again: -1 -> 1, n -> n-2; any i, n >= 1. */
int64_t u3d_mirror_index(int64_t i, int64_t n);

/* Cut `box` out of f32 [z,y,x,c] into out [D,H,W,C] (contiguous), the outside mirrored or zero. Used for training
 * and prediction alike. */
void u3d_patch_cut_image(const u3d_volume *image, const u3d_box *box, u3d_border border, float *out);
/* The same for u8 classes; zero border gives U3D_UNLABELED. */
void u3d_patch_cut_label(const u3d_volume *label, const u3d_box *box, u3d_border border, uint8_t *out);

#endif
