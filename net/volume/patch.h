/* Cutting a box out of a volume: station 4 of training and station 3 of prediction. Both use these
 * functions, so that a network sees the same voxels in prediction as in training. */
#ifndef U3D_NET_PATCH_H
#define U3D_NET_PATCH_H

#include "io/volume.h"

typedef struct u3d_box {
    int64_t start[3], size[3]; /* voxels, z, y, x; start may be negative */
} u3d_box;

typedef enum u3d_border { U3D_BORDER_MIRROR, U3D_BORDER_ZERO } u3d_border;

/* Index in 0..n-1 that index i stands for when an axis of n >= 1 voxels is mirrored at both ends. The
 * voxel at the edge is not repeated: -1 -> 1, n -> n-2. Any i is allowed, because the reflection repeats. */
int64_t u3d_mirror_index(int64_t i, int64_t n);

/* Cuts `box` out of an f32 image [z,y,x,c] into out [D,H,W,C] (contiguous). Voxels outside of the volume are
 * mirrored or 0, as `border` says. */
void u3d_patch_cut_image(const u3d_volume *image, const u3d_box *box, u3d_border border, float *out);
/* Cuts `box` out of u8 classes with one channel in the same way, except that U3D_BORDER_ZERO makes voxels
 * outside of the volume U3D_UNLABELED. */
void u3d_patch_cut_label(const u3d_volume *label, const u3d_box *box, u3d_border border, uint8_t *out);

#endif
