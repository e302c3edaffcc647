/* Station 2 of training, station 1b of prediction; before: intensities as in the file; after:
 * intensities that are comparable between volumes.
 *
 * zscore treats every channel of every volume on its own, because scanners and exporters choose scales freely
 * (in one public data set the maxima of similar images range over four orders of magnitude). ct keeps the
 * absolute scale of computed tomography: it clips, and then applies one shift and one scale to the whole data
 * set. These statistics are found while the cases are read (net/cases/cases_ct.c). All sums are in double. */
#include "net/volume/intensity.h"

#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "io/json.h"

/* Brings channel `ch` of data [n, channels] to mean 0 and sd 1. */
static void intensity_zscore(float *data, int64_t n, int32_t channels, int32_t ch)
{
    double sum = 0, squares = 0;
    float least = data[ch], most = data[ch];
    for (int64_t v = 0; v < n; v++) {
        float x = data[v * channels + ch];
        sum += (double)x;
        least = fminf(least, x);
        most = fmaxf(most, x);
    }
    double mean = sum / (double)n;
    for (int64_t v = 0; v < n; v++) {
        double d = (double)data[v * channels + ch] - mean;
        squares += d * d;
    }
    double sd = sqrt(squares / (double)n);
    bool flat = least == most || !(sd > 0);
    if (flat)
        U3D_WARN("intensity", "channel %d has the same value %g everywhere; all of it becomes 0", (int)ch,
                 (double)least);
    for (int64_t v = 0; v < n; v++) {
        float *x = &data[v * channels + ch];
        *x = flat ? 0.0f : (float)(((double)*x - mean) / sd);
    }
}

static void intensity_ct(float *data, int64_t n, int32_t channels, int32_t ch, const u3d_intensity_stats *s)
{
    for (int64_t v = 0; v < n; v++) {
        double x = fmin(fmax((double)data[v * channels + ch], s->low[ch]), s->high[ch]);
        data[v * channels + ch] = (float)((x - s->mean[ch]) / s->sd[ch]);
    }
}

u3d_status u3d_intensity_normalise(u3d_volume *image, const u3d_intensity_stats *s)
{
    U3D_ASSERT(image->dtype == U3D_F32 && s->kind != U3D_INTENSITY_AUTO, "dtype %d, kind %d",
               (int)image->dtype, (int)s->kind);
    if (image->channels != s->channels)
        return u3d_fail(U3D_E_FORMAT, "the image has %d channels; expected %d as in the training data",
                        (int)image->channels, (int)s->channels);
    int64_t n = u3d_volume_voxels(image);
    for (int32_t ch = 0; ch < image->channels; ch++) {
        if (s->kind == U3D_INTENSITY_ZSCORE) intensity_zscore(image->data, n, image->channels, ch);
        if (s->kind == U3D_INTENSITY_CT) intensity_ct(image->data, n, image->channels, ch, s);
    }
    return U3D_OK;
}

static const char *const intensity_words[] = {[U3D_INTENSITY_AUTO] = "auto",
                                              [U3D_INTENSITY_ZSCORE] = "zscore",
                                              [U3D_INTENSITY_CT] = "ct",
                                              [U3D_INTENSITY_NONE] = "none"};

u3d_status u3d_intensity_to_json(const u3d_intensity_stats *s, cJSON **out)
{
    *out = NULL;
    cJSON *json = cJSON_CreateObject();
    bool good = cJSON_AddStringToObject(json, "kind", intensity_words[s->kind]) &&
                cJSON_AddNumberToObject(json, "channels", s->channels);
    const struct {
        const char *key;
        const double *values;
    } lists[] = {{"low", s->low}, {"high", s->high}, {"mean", s->mean}, {"sd", s->sd}};
    for (size_t i = 0; good && s->kind == U3D_INTENSITY_CT && i < sizeof lists / sizeof lists[0]; i++) {
        cJSON *array = cJSON_CreateDoubleArray(lists[i].values, s->channels);
        good = cJSON_AddItemToObject(json, lists[i].key, array);
        if (!good) cJSON_Delete(array);
    }
    if (!good) {
        cJSON_Delete(json);
        return u3d_fail(U3D_E_NOMEM, "intensity statistics as JSON: out of memory");
    }
    *out = json;
    return U3D_OK;
}

static u3d_status intensity_read_list(const cJSON *json, const char *key, int32_t n, const char *where,
                                      double *values)
{
    const cJSON *array = u3d_json_member(json, key);
    int found = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : 0;
    if (found != n)
        return u3d_fail(U3D_E_FORMAT, "%s: '%s' has %d numbers; expected %d", where, key, found, (int)n);
    for (int i = 0; i < n; i++) {
        const cJSON *value = cJSON_GetArrayItem(array, i);
        if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
            return u3d_fail(U3D_E_FORMAT, "%s: entry %d of '%s' is not a number", where, i, key);
        values[i] = value->valuedouble;
    }
    return U3D_OK;
}

u3d_status u3d_intensity_from_json(u3d_intensity_stats *s, const cJSON *json, const char *where)
{
    memset(s, 0, sizeof *s);
    const char *kind = cJSON_GetStringValue(u3d_json_member(json, "kind"));
    const cJSON *channels = u3d_json_member(json, "channels");
    if (!cJSON_IsNumber(channels) || channels->valueint < 1 || channels->valueint > U3D_MAX_CHANNELS)
        return u3d_fail(U3D_E_FORMAT, "%s: 'channels' must be a number from 1 to %d", where,
                        (int)U3D_MAX_CHANNELS);
    s->channels = channels->valueint;
    for (int i = U3D_INTENSITY_ZSCORE; kind && i <= U3D_INTENSITY_NONE; i++)
        if (strcmp(kind, intensity_words[i]) == 0) s->kind = (u3d_intensity)i;
    if (s->kind == U3D_INTENSITY_AUTO)
        return u3d_fail(U3D_E_FORMAT, "%s: 'kind' is %s; expected zscore, ct or none", where,
                        kind ? kind : "missing");
    if (s->kind != U3D_INTENSITY_CT) return U3D_OK;
    U3D_TRY(intensity_read_list(json, "low", s->channels, where, s->low));
    U3D_TRY(intensity_read_list(json, "high", s->channels, where, s->high));
    U3D_TRY(intensity_read_list(json, "mean", s->channels, where, s->mean));
    U3D_TRY(intensity_read_list(json, "sd", s->channels, where, s->sd));
    for (int32_t ch = 0; ch < s->channels; ch++)
        if (s->low[ch] > s->high[ch] || !(s->sd[ch] > 0))
            return u3d_fail(U3D_E_FORMAT,
                            "%s: channel %d has low %g, high %g, sd %g; expected low <= high and sd > 0",
                            where, (int)ch, s->low[ch], s->high[ch], s->sd[ch]);
    return U3D_OK;
}
