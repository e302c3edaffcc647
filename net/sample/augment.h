/* Station 4b of training: random changes to one patch. Settings and data decide which changes are allowed
 * (u3d_augment_plan). Flips and 90 degree turns only exchange voxels and are made here. Rotation, scaling and
 * deformation need resampling (net/sample/warp.h); grey values are changed last (net/sample/grey.h).
 *
 * Random numbers come from the streams U3D_RNG_AUGMENT (flips and turns), U3D_RNG_WARP and U3D_RNG_GREY. The
 * index is made of the sample number k and the kind of change, in U3D_RNG_GREY also of the channel, so that
 * switching one change on or off leaves the random numbers of all others as they were. */
#ifndef U3D_NET_AUGMENT_H
#define U3D_NET_AUGMENT_H

#include "engine/base/rng.h"
#include "net/cases/cases.h"
#include "net/config/config.h"
#include "net/volume/patch.h"

typedef struct u3d_augment {
    bool mirror[3];    /* axes z, y, x along which patches may be flipped                             */
    bool turn[3];      /* turn[a]: may be turned by 90 degrees in the plane perpendicular to axis a   */
    bool coarse[3];    /* nothing is moved along these axes                                           */
    double spacing[3]; /* of the deformation's grid: the spacing in the data's facts, z, y, x         */
    u3d_augment_settings set;
} u3d_augment;

/* An exchange of axes: dst[i] = src[j] with j[from[a]] = flip[a] ? n - 1 - i[a] : i[a]. */
typedef struct u3d_axes {
    int from[3];
    bool flip[3];
} u3d_axes;

/* Decides from settings and data which changes are allowed, and logs the decision with its reason.
 *
 *   mirror=auto    all axes except those whose two ends are told apart by label names
 *                  (net/volume/label_sides.h) or by the labels' positions (u3d_cases_sides); none if there
 *                  are such names and an image has no place
 *   turn=auto      turns are allowed if the files give no anatomical orientation and no label names tell the
 *                  ends of an axis apart. With both auto and on, only axes of equal spacing (within 1 %),
 *                  patch size, kernels and poolings are exchanged.
 *   in_plane=auto  an axis is coarse if its spacing is more than 3 times the finest; otherwise if it is the
 *                  only axis along which the patch is more than 3 times shorter than along its longest axis
 *                  (nnU-Net, ANISO_THRESHOLD) */
u3d_status u3d_augment_plan(const u3d_config *c, u3d_cases *cases, u3d_augment *out);

/* Flips and turns of sample k. Turns only exchange axes that are equally long in both `in` and `out`. */
u3d_axes u3d_augment_axes(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3],
                          const int64_t out[3]);

/* Makes these flips and turns in place on one sample: image [D,H,W,C] and label [d,h,w]. `work` has at least
 * as many bytes as the larger of the two. Depends only on (seed, k). */
void u3d_augment_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3], int32_t channels,
                       float *image, const int64_t out[3], uint8_t *label, void *work);
/* Does the same to a label alone. */
void u3d_augment_label(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3],
                       const int64_t out[3], uint8_t *label, void *work);

#endif
