/* Station 4b: random changes to one patch. What is allowed follows from settings and data (u3d_augment_plan);
 * mirroring and 90 degree turns are exact exchanges of voxels and stand here. Rotation, scaling and
 * deformation need resampling (net/sample/warp.h), grey values follow last (net/sample/grey.h).
 *
 * Random numbers: streams U3D_RNG_AUGMENT (flips, turns), U3D_RNG_WARP, U3D_RNG_GREY, each at an index made
 * of the sample's number k and the change (U3D_RNG_GREY: and the channel): no change shifts another's draws.
 */
#ifndef U3D_NET_AUGMENT_H
#define U3D_NET_AUGMENT_H

#include "engine/base/rng.h"
#include "net/cases/cases.h"
#include "net/config/config.h"
#include "net/volume/patch.h"

typedef struct u3d_augment {
    bool mirror[3];    /* z, y, x: may be flipped                                                     */
    bool turn[3];      /* turn[a]: may be turned by 90 degrees in the plane perpendicular to axis a   */
    bool coarse[3];    /* nothing is moved across these axes                                          */
    double spacing[3]; /* of the deformation's grid: the data's median, z, y, x                       */
    u3d_augment_settings set;
} u3d_augment;

/* An exchange of axes: dst[i] = src[j] with j[from[a]] = flip[a] ? n - 1 - i[a] : i[a]. */
typedef struct u3d_axes {
    int from[3];
    bool flip[3];
} u3d_axes;

/* From settings and data: mirror "auto" leaves out the axis that label names tell apart (left/right,
 * anterior/posterior, ... with the file's orientation); turn "auto" allows turns between axes of equal
 * spacing (1 %) and patch size where the files give no anatomical orientation. in_plane "auto": an axis is
 * coarse where the patch is more than 3 times as long along another (nnU-Net, ANISO_THRESHOLD), or its
 * spacing more than 3 times the finest. Logs what was chosen and why, once. */
u3d_status u3d_augment_plan(const u3d_config *c, const u3d_cases *cases, u3d_augment *out);

/* Flips and turns of sample k; turns exchange axes that are equally long in `in` and in `out` voxels. */
u3d_axes u3d_augment_axes(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3],
                          const int64_t out[3]);

/* The same, carried out in place on one sample: image [D,H,W,C] and label [d,h,w]. `work`: at least the
 * larger of the two in bytes. Depends on (seed, k) only. */
void u3d_augment_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3], int32_t channels,
                       float *image, const int64_t out[3], uint8_t *label, void *work);

#endif
