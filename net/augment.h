/* Station 4b: random changes to one patch. Mirroring and 90 degree turns; elastic deformation, rotation,
 * scaling and grey-value changes belong here too. */
#ifndef U3D_NET_AUGMENT_H
#define U3D_NET_AUGMENT_H

#include "engine/rng.h"
#include "net/cases.h"
#include "net/patch.h"

typedef struct u3d_augment {
    bool mirror[3];     /* z, y, x: may be flipped                                                      */
    bool turn[3];       /* turn[a]: may be turned by 90 degrees in the plane perpendicular to axis a (z, y, x) */
} u3d_augment;

/* From settings and data: mirror "auto" leaves out the axis that label names tell apart (left/right,
 * anterior/posterior, ... with the file's orientation); turn "auto" allows turns between axes of equal spacing (1 %)
 * and patch size where the files give no anatomical orientation. Logs what was chosen and why, once. */
u3d_status u3d_augment_plan(const u3d_config *c, const u3d_cases *cases, u3d_augment *out);

/* In place on one sample: image [D,H,W,C] and label [d,h,w]. `work`: at least the larger of the two in bytes.
 * Depends on (seed, k) only. */
void u3d_augment_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3], int32_t channels,
                       float *image, const int64_t out[3], uint8_t *label, void *work);

#endif
