/* Station 3 of training: chooses the box in which sample number k is cut. */
#ifndef U3D_NET_CHOOSE_H
#define U3D_NET_CHOOSE_H

#include "engine/base/rng.h"
#include "net/cases/cases.h"
#include "net/volume/patch.h"

typedef struct u3d_patch_opts {
    int64_t in[3], out[3];   /* input and output size of the network, z, y, x               */
    double foreground_share; /* share of the samples that are centred on a foreground class */
    u3d_border border;       /* mirror for valid networks, zero for same-padded ones        */
    bool roam;               /* for zero borders and sparse labels; see u3d_patch_choose    */
    bool pseudo;             /* samples have pseudo-labels as well                          */
} u3d_patch_opts;

/* Chooses the case and the box (network input) of sample number `k` = batch number * batch size + position in
 * the batch. Depends only on (seed, k).
 *
 *   class    with probability foreground_share, uniformly one of the foreground classes that occur in any
 *            case; otherwise any labelled voxel will do
 *   case     uniformly one of those that have the class, or any labelled voxel. So a class that is in few
 *            cases is seen as often as the others.
 *   voxel    uniformly one of the class, or of all labelled voxels
 *   box      centred on the voxel. With zero borders it is then moved into the volume as far as it fits.
 *   roam     the voxel may lie anywhere in the box, which is still moved into the volume as far as it fits. A
 *            same-padded network can tell a voxel's position in the patch; if annotated slices were always at
 *            the same position, it would learn nothing about the other positions.
 *
 * U3D_E_ARG: no case has a labelled voxel. */
u3d_status u3d_patch_choose(u3d_cases *c, const u3d_patch_opts *o, uint64_t seed, int64_t k, int *case_index,
                            u3d_box *in, int64_t voxel[3]);

#endif
