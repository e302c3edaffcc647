/* Station 2 of training, station 1b of prediction: normalises the intensities of a volume, per
 * channel. */
#ifndef U3D_NET_INTENSITY_H
#define U3D_NET_INTENSITY_H

#include <cjson/cJSON.h>

#include "io/volume.h"
#include "net/config/config.h"

/* Everything that normalisation needs to know; stored in the model. The statistics are used for CT only and
 * come from the labelled foreground voxels of the training cases (net/cases/cases_ct.c). */
typedef struct u3d_intensity_stats {
    u3d_intensity kind; /* never AUTO */
    int32_t channels;
    double low[U3D_MAX_CHANNELS], high[U3D_MAX_CHANNELS]; /* CT: 0.5th and 99.5th percentile */
    double mean[U3D_MAX_CHANNELS], sd[U3D_MAX_CHANNELS];  /* CT                              */
} u3d_intensity_stats;

/* Normalises an f32 image in place:
 *
 *   zscore   mean 0 and sd 1 per channel of this volume; a constant channel becomes 0, with a warning
 *   ct       clip to low..high, then (v - mean) / sd
 *   none     unchanged
 *
 * U3D_E_FORMAT: the image and `s` differ in the number of channels. */
u3d_status u3d_intensity_normalise(u3d_volume *image, const u3d_intensity_stats *s);

/* The form that is stored in the model, and back. `where` names the source in error messages.
 * U3D_E_FORMAT: a member is missing or not legal. */
u3d_status u3d_intensity_to_json(const u3d_intensity_stats *s, cJSON **out);
u3d_status u3d_intensity_from_json(u3d_intensity_stats *s, const cJSON *json, const char *where);

#endif
