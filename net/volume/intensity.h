/* Station 2: intensities of one volume, per channel. */
#ifndef U3D_NET_INTENSITY_H
#define U3D_NET_INTENSITY_H

#include <cjson/cJSON.h>

#include "io/volume.h"
#include "net/config/config.h"

/* What normalising needs to know; stored in the model. CT: statistics over the training set's foreground voxels. */
typedef struct u3d_intensity_stats {
    u3d_intensity kind; /* never AUTO */
    int32_t channels;
    double low[U3D_MAX_CHANNELS], high[U3D_MAX_CHANNELS]; /* CT: 0.5 and 99.5 percentile */
    double mean[U3D_MAX_CHANNELS], sd[U3D_MAX_CHANNELS];  /* CT */
} u3d_intensity_stats;

/* zscore: mean 0, sd 1 per channel of this volume (a constant channel becomes 0, with a warning);
 * ct: clip to low..high, then (v - mean) / sd; none: unchanged. In place. */
u3d_status u3d_intensity_normalise(u3d_volume *image, const u3d_intensity_stats *s);
u3d_status u3d_intensity_to_json(const u3d_intensity_stats *s, cJSON **out);
u3d_status u3d_intensity_from_json(u3d_intensity_stats *s, const cJSON *json, const char *where);

#endif
