/* Stations 3 and 4: choose where to cut, and cut. */
#ifndef U3D_NET_PATCH_H
#define U3D_NET_PATCH_H

#include "engine/base/rng.h"
#include "engine/base/tensor.h"
#include "net/cases/cases.h"

typedef struct u3d_box {
    int64_t start[3], size[3]; /* voxels, z, y, x; start may be negative */
} u3d_box;

/* A batch of patches, cut and augmented. */
typedef struct u3d_patch {
    int64_t index;      /* which batch: 0, 1, ...                        */
    u3d_tensor *image;  /* f32 [N, D, H, W, C]                           */
    u3d_tensor *label;  /* u8  [N, d, h, w], the network's output size   */
} u3d_patch;

typedef enum u3d_border { U3D_BORDER_MIRROR, U3D_BORDER_ZERO } u3d_border;

/* Index of the mirrored voxel: edge voxel not repeated, again and again: -1 -> 1, n -> n-2; any i, n >= 1. */
int64_t u3d_mirror_index(int64_t i, int64_t n);

/* Cut `box` out of f32 [z,y,x,c] into out [D,H,W,C] (contiguous), the outside mirrored or zero. Used for training
 * and prediction alike. */
void u3d_patch_cut_image(const u3d_volume *image, const u3d_box *box, u3d_border border, float *out);
/* The same for u8 classes; zero border gives U3D_UNLABELED. */
void u3d_patch_cut_label(const u3d_volume *label, const u3d_box *box, u3d_border border, uint8_t *out);

typedef struct u3d_patch_opts {
    int64_t in[3], out[3]; /* network sizes, z, y, x         */
    double foreground_share;
    u3d_border border;     /* valid nets mirror, same-padded nets zero */
    bool roam;             /* zero borders, sparse labels: see u3d_patch_choose */
} u3d_patch_opts;

/* Sample number `k` (batch index * N + position): case uniformly; with probability foreground_share a class uniformly
 * among the foreground classes present in it and a voxel of that class uniformly, else any labelled voxel uniformly.
 * The box (network input) is centred on it; with zero borders it is then moved inside the volume as far as it fits.
 * With `roam` the voxel lies anywhere in the box, which still stays inside the volume as far as it fits: a same-padded
 * network knows where in its patch it is, and from annotated slices that always lie at one place it would learn
 * nothing about the others. `voxel` is the one that was drawn. Depends on (seed, k) only. */
u3d_status u3d_patch_choose(u3d_cases *c, const u3d_patch_opts *o, uint64_t seed, int64_t k, int *case_index,
                            u3d_box *in, int64_t voxel[3]);

#endif
