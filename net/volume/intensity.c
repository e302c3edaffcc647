/* Station 2 of training, station 1b of prediction; before: intensities as in the file; after:
 * intensities that are comparable between volumes.
 *
 * Each channel has a kind of its own, because a data set may hold CT beside PET. zscore treats every channel
 * of every volume on its own, because scanners and exporters choose scales freely (in one public data set the
 * maxima of similar images range over four orders of magnitude). ct keeps the absolute scale of computed
 * tomography: it clips, and then applies one shift and one scale to the whole data set. These statistics are
 * found while the cases are read (net/cases/cases_ct.c). The other kinds are nnU-Net's noNorm, rescale_to_0_1
 * and rgb_to_0_1. All sums are in double. */
#include "net/volume/intensity.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "engine/base/log.h"
#include "io/json.h"

enum { RGB_MOST = 255 };

static void intensity_range(const float *data, int64_t n, int32_t channels, int32_t ch, float *least,
                            float *most)
{
    *least = *most = data[ch];
    for (int64_t v = 0; v < n; v++) {
        *least = fminf(*least, data[v * channels + ch]);
        *most = fmaxf(*most, data[v * channels + ch]);
    }
}

/* Makes channel `ch` of data [n, channels] (x - shift) / scale; everything becomes 0 if the channel is flat.
 */
static void intensity_shift(float *data, int64_t n, int32_t channels, int32_t ch, bool flat, double shift,
                            double scale)
{
    if (flat)
        U3D_WARN("intensity", "channel %d has the same value %g everywhere; all of it becomes 0", (int)ch,
                 (double)data[ch]);
    for (int64_t v = 0; v < n; v++) {
        float *x = &data[v * channels + ch];
        *x = flat ? 0.0f : (float)(((double)*x - shift) / scale);
    }
}

/* Brings a channel to mean 0 and sd 1. */
static void intensity_zscore(float *data, int64_t n, int32_t channels, int32_t ch)
{
    double sum = 0, squares = 0;
    float least, most;
    intensity_range(data, n, channels, ch, &least, &most);
    for (int64_t v = 0; v < n; v++) sum += (double)data[v * channels + ch];
    double mean = sum / (double)n;
    for (int64_t v = 0; v < n; v++) {
        double d = (double)data[v * channels + ch] - mean;
        squares += d * d;
    }
    double sd = sqrt(squares / (double)n);
    intensity_shift(data, n, channels, ch, least == most || !(sd > 0), mean, sd);
}

/* Brings a channel to the range 0 to 1. */
static void intensity_rescale(float *data, int64_t n, int32_t channels, int32_t ch)
{
    float least, most;
    intensity_range(data, n, channels, ch, &least, &most);
    intensity_shift(data, n, channels, ch, least == most, (double)least, (double)most - (double)least);
}

static u3d_status intensity_rgb(float *data, int64_t n, int32_t channels, int32_t ch)
{
    float least, most;
    intensity_range(data, n, channels, ch, &least, &most);
    if (least < 0 || most > RGB_MOST)
        return u3d_fail(U3D_E_FORMAT,
                        "channel %d has values from %g to %g, but rgb_to_0_1 needs values from 0 to 255; "
                        "name the channel differently in dataset.json, or set intensity=rescale",
                        (int)ch, (double)least, (double)most);
    intensity_shift(data, n, channels, ch, false, 0, RGB_MOST);
    return U3D_OK;
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
    U3D_ASSERT(image->dtype == U3D_F32, "dtype %d", (int)image->dtype);
    if (image->channels != s->channels)
        return u3d_fail(U3D_E_FORMAT, "the image has %d channels; expected %d as in the training data",
                        (int)image->channels, (int)s->channels);
    int64_t n = u3d_volume_voxels(image);
    for (int32_t ch = 0; ch < image->channels; ch++) {
        switch (s->kind[ch]) {
        case U3D_INTENSITY_ZSCORE: intensity_zscore(image->data, n, image->channels, ch); break;
        case U3D_INTENSITY_CT: intensity_ct(image->data, n, image->channels, ch, s); break;
        case U3D_INTENSITY_RESCALE: intensity_rescale(image->data, n, image->channels, ch); break;
        case U3D_INTENSITY_RGB: U3D_TRY(intensity_rgb(image->data, n, image->channels, ch)); break;
        case U3D_INTENSITY_NONE: break;
        default: U3D_ASSERT(false, "channel %d has intensity %d", (int)ch, (int)s->kind[ch]);
        }
    }
    return U3D_OK;
}

/* ---- names and words ---- */

static const char *const intensity_words[] = {
    [U3D_INTENSITY_AUTO] = "auto", [U3D_INTENSITY_ZSCORE] = "zscore",   [U3D_INTENSITY_CT] = "ct",
    [U3D_INTENSITY_NONE] = "none", [U3D_INTENSITY_RESCALE] = "rescale", [U3D_INTENSITY_RGB] = "rgb"};

const char *u3d_intensity_word(u3d_intensity kind)
{
    return intensity_words[kind];
}

u3d_intensity u3d_intensity_of_name(const char *name)
{
    /* nnU-Net v2, channel_name_to_normalization_mapping. */
    static const struct {
        const char *name;
        u3d_intensity kind;
    } known[] = {{"ct", U3D_INTENSITY_CT},
                 {"noNorm", U3D_INTENSITY_NONE},
                 {"rescale_to_0_1", U3D_INTENSITY_RESCALE},
                 {"rgb_to_0_1", U3D_INTENSITY_RGB}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(name, known[i].name) == 0) return known[i].kind;
    return U3D_INTENSITY_ZSCORE;
}

bool u3d_intensity_has(const u3d_intensity_stats *s, u3d_intensity kind)
{
    for (int32_t ch = 0; ch < s->channels; ch++)
        if (s->kind[ch] == kind) return true;
    return false;
}

/* ---- JSON: {"channels": 2, "kind": ["ct", "zscore"], "low": [...], ...}. If all channels are of one kind,
 * it is a single text, as in models that were written when there was only one. ---- */

static cJSON *intensity_kinds_json(const u3d_intensity_stats *s)
{
    bool same = true;
    for (int32_t ch = 1; ch < s->channels; ch++) same = same && s->kind[ch] == s->kind[0];
    if (same) return cJSON_CreateString(intensity_words[s->kind[0]]);
    const char *words[U3D_MAX_CHANNELS];
    for (int32_t ch = 0; ch < s->channels; ch++) words[ch] = intensity_words[s->kind[ch]];
    return cJSON_CreateStringArray(words, s->channels);
}

u3d_status u3d_intensity_to_json(const u3d_intensity_stats *s, cJSON **out)
{
    *out = NULL;
    cJSON *json = cJSON_CreateObject();
    cJSON *kinds = intensity_kinds_json(s);
    bool good = cJSON_AddItemToObject(json, "kind", kinds);
    if (!good) cJSON_Delete(kinds);
    good = good && cJSON_AddNumberToObject(json, "channels", s->channels);
    const struct {
        const char *key;
        const double *values;
    } lists[] = {{"low", s->low}, {"high", s->high}, {"mean", s->mean}, {"sd", s->sd}};
    const bool ct = u3d_intensity_has(s, U3D_INTENSITY_CT);
    for (size_t i = 0; good && ct && i < sizeof lists / sizeof lists[0]; i++) {
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

static u3d_status intensity_read_kinds(const cJSON *json, const char *where, u3d_intensity_stats *s)
{
    const cJSON *kinds = u3d_json_member(json, "kind");
    if (cJSON_IsArray(kinds) && cJSON_GetArraySize(kinds) != s->channels)
        return u3d_fail(U3D_E_FORMAT, "%s: 'kind' has %d entries; expected %d", where,
                        cJSON_GetArraySize(kinds), (int)s->channels);
    for (int32_t ch = 0; ch < s->channels; ch++) {
        const char *kind = cJSON_GetStringValue(cJSON_IsArray(kinds) ? cJSON_GetArrayItem(kinds, ch) : kinds);
        for (int i = U3D_INTENSITY_ZSCORE; kind && i <= U3D_INTENSITY_RGB; i++)
            if (strcmp(kind, intensity_words[i]) == 0) s->kind[ch] = (u3d_intensity)i;
        if (s->kind[ch] == U3D_INTENSITY_AUTO)
            return u3d_fail(U3D_E_FORMAT, "%s: 'kind' is %s; expected zscore, ct, none, rescale or rgb",
                            where, kind ? kind : "missing");
    }
    return U3D_OK;
}

u3d_status u3d_intensity_from_json(u3d_intensity_stats *s, const cJSON *json, const char *where)
{
    memset(s, 0, sizeof *s);
    const cJSON *channels = u3d_json_member(json, "channels");
    if (!cJSON_IsNumber(channels) || channels->valueint < 1 || channels->valueint > U3D_MAX_CHANNELS)
        return u3d_fail(U3D_E_FORMAT, "%s: 'channels' must be a number from 1 to %d", where,
                        (int)U3D_MAX_CHANNELS);
    s->channels = channels->valueint;
    U3D_TRY(intensity_read_kinds(json, where, s));
    if (!u3d_intensity_has(s, U3D_INTENSITY_CT)) return U3D_OK;
    U3D_TRY(intensity_read_list(json, "low", s->channels, where, s->low));
    U3D_TRY(intensity_read_list(json, "high", s->channels, where, s->high));
    U3D_TRY(intensity_read_list(json, "mean", s->channels, where, s->mean));
    U3D_TRY(intensity_read_list(json, "sd", s->channels, where, s->sd));
    for (int32_t ch = 0; ch < s->channels; ch++)
        if (s->kind[ch] == U3D_INTENSITY_CT && (s->low[ch] > s->high[ch] || !(s->sd[ch] > 0)))
            return u3d_fail(U3D_E_FORMAT,
                            "%s: channel %d has low %g, high %g, sd %g; expected low <= high and sd > 0",
                            where, (int)ch, s->low[ch], s->high[ch], s->sd[ch]);
    return U3D_OK;
}
