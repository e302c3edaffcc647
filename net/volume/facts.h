/* Facts about the training data that outlive it: they travel with the model. */
#ifndef U3D_NET_FACTS_H
#define U3D_NET_FACTS_H

#include <stdbool.h>
#include <stdint.h>

/* What prediction checks its input against; stored in the model. */
typedef struct u3d_data_facts {
    int32_t channels;
    double spacing[3];      /* z, y, x: what cases were resampled to, or the median of their own */
    char spacing_why[160];  /* where it comes from; "" where nothing is resampled           */
    int orientation[3];     /* of the first case, as u3d_volume_orientation; zeros unknown */
    double size[3];         /* median voxels, z, y, x                                      */
    bool sparse;            /* most voxels are unlabelled; not stored                      */
} u3d_data_facts;

#endif
