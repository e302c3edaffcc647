/* Station 3 of training: where sample number k is cut. */
#ifndef U3D_NET_CHOOSE_H
#define U3D_NET_CHOOSE_H

#include "engine/base/rng.h"
#include "net/cases/cases.h"
#include "net/volume/patch.h"

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
