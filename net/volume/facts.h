/* Facts about the training data. They are collected while the training cases are opened, --net auto plans the
 * network from them, and they are stored in the model so that prediction can compare its input with them. */
#ifndef U3D_NET_FACTS_H
#define U3D_NET_FACTS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct u3d_data_facts {
    int32_t channels;
    double spacing[3];      /* z, y, x: the spacing that cases were resampled to, or the cases' median */
    char spacing_why[160];  /* says where the spacing comes from; "" if nothing is resampled */
    int orientation[3];     /* as from u3d_orientation_of, of the axes that training saw: 1, 2, 3 (RAS+); all
                               zero if no image has a place in space. Old models may have other axes. */
    double size[3];         /* median size in voxels, z, y, x */
    bool sparse;            /* more than half of the voxels are unlabelled; not stored in the model */
} u3d_data_facts;

#endif
