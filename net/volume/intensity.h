/* Station 2 of training, station 1b of prediction: normalises the intensities of a volume, per
 * channel. */
#ifndef U3D_NET_INTENSITY_H
#define U3D_NET_INTENSITY_H

#include <cjson/cJSON.h>

#include "io/volume.h"
#include "net/config/config.h"

/* Everything that normalisation needs to know; stored in the model. The statistics are used by CT channels
 * only and come from the labelled foreground voxels of the training cases (net/cases/cases_ct.c). */
typedef struct u3d_intensity_stats {
    int32_t channels;
    u3d_intensity kind[U3D_MAX_CHANNELS];                 /* never AUTO                      */
    double low[U3D_MAX_CHANNELS], high[U3D_MAX_CHANNELS]; /* CT: 0.5th and 99.5th percentile */
    double mean[U3D_MAX_CHANNELS], sd[U3D_MAX_CHANNELS];  /* CT                              */
} u3d_intensity_stats;

/* The kind that nnU-Net gives to a channel of this name: ct for CT, none for noNorm, rescale for
 * rescale_to_0_1, rgb for rgb_to_0_1, in any case; zscore for every other name. */
u3d_intensity u3d_intensity_of_name(const char *name);
/* Whether some channel is of this kind. */
bool u3d_intensity_has(const u3d_intensity_stats *s, u3d_intensity kind);
const char *u3d_intensity_word(u3d_intensity kind); /* as in the setting "intensity" */

/* Normalises each channel of an f32 image in place, by the kind of the channel:
 *
 *   zscore   mean 0 and sd 1 in this volume; a constant channel becomes 0, with a warning
 *   ct       clip to low..high, then (v - mean) / sd
 *   none     unchanged
 *   rescale  the least value of this volume becomes 0 and the largest 1; a constant channel as above
 *   rgb      v / 255
 *
 * U3D_E_FORMAT: the image and `s` differ in the number of channels, or an rgb value is not in 0..255. */
u3d_status u3d_intensity_normalise(u3d_volume *image, const u3d_intensity_stats *s);

/* The form that is stored in the model, and back. `where` names the source in error messages.
 * U3D_E_FORMAT: a member is missing or not legal. */
u3d_status u3d_intensity_to_json(const u3d_intensity_stats *s, cJSON **out);
u3d_status u3d_intensity_from_json(u3d_intensity_stats *s, const cJSON *json, const char *where);

#endif
