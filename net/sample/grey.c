/* Changes of grey values: what is drawn for a sample, and the changes that look at one voxel at a time. Those
 * that look at neighbours are in grey_filter.c; the definitions are in grey.h.
 *
 * If the image has several channels, each channel is first copied to an array of its own, so that every loop
 * runs over consecutive values in memory. */
#include "net/sample/grey.h"

#include <math.h>
#include <string.h>

/* ---- range and moments ---- */

static void grey_range(const float *v, int64_t n, float *low, float *high)
{
    float least = v[0], most = v[0];
    for (int64_t i = 1; i < n; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    *low = least;
    *high = most;
}

static void grey_moments(const float *v, int64_t n, double *mean, double *sd)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)v[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) squares += ((double)v[i] - *mean) * ((double)v[i] - *mean);
    *sd = sqrt(squares / (double)n);
}

/* ---- the curve ---- */

/* 5 knots: the two ends and two rounds of points half-way between, the default of the authors' layer. */
enum { CURVE_KNOTS = 5, CURVE_DRAWS = 1000 };

static double curve_between(u3d_rng *rng, double low, double high)
{
    return low + (high - low) * u3d_rng_uniform(rng);
}

/* Draws the knots: first black and white, then points half-way between two that are there, each from the
 * interval that the slopes to both sides allow. Returns false if that interval is empty. */
static bool curve_knots(const u3d_augment_settings *s, u3d_rng *rng, double y[CURVE_KNOTS])
{
    y[0] = curve_between(rng, s->curve_black[0], s->curve_black[1]);
    y[CURVE_KNOTS - 1] = curve_between(rng, s->curve_white[0], s->curve_white[1]);
    for (int step = (CURVE_KNOTS - 1) / 2; step >= 1; step /= 2) {
        const double dx = (double)step / (CURVE_KNOTS - 1);
        for (int i = step; i < CURVE_KNOTS; i += 2 * step) {
            const double before = y[i - step], after = y[i + step];
            const double low = fmax(before + s->curve_slope[0] * dx, after - s->curve_slope[1] * dx);
            const double high = fmin(before + s->curve_slope[1] * dx, after - s->curve_slope[0] * dx);
            if (low > high) return false;
            y[i] = curve_between(rng, low, high);
        }
    }
    return true;
}

/* The curve before smoothing: straight lines between the knots, extended beyond both ends as in the authors'
 * layer. */
static double curve_straight(const double y[CURVE_KNOTS], double x)
{
    const double at = x * (CURVE_KNOTS - 1);
    int i = (int)floor(at);
    i = i < 0 ? 0 : i > CURVE_KNOTS - 2 ? CURVE_KNOTS - 2 : i;
    return y[i] + (at - i) * (y[i + 1] - y[i]);
}

/* The curve is smoothed by a Gaussian whose standard deviation is a quarter of the distance between knots.
 * The convolution is a sum over the curve's own points. */
bool u3d_grey_curve(const u3d_augment_settings *s, u3d_rng *rng, float curve[U3D_CURVE_POINTS])
{
    enum { REACH = 64 }; /* points on each side: four standard deviations of 15.9 points */
    const double sd = 0.25 / (CURVE_KNOTS - 1) * (U3D_CURVE_POINTS - 1);
    double y[CURVE_KNOTS], weight[2 * REACH + 1], sum = 0;
    bool found = false;
    for (int i = 0; i < CURVE_DRAWS && !found; i++) found = curve_knots(s, rng, y);
    if (!found) return false;
    for (int k = -REACH; k <= REACH; k++) sum += weight[k + REACH] = exp(-0.5 * (double)(k * k) / (sd * sd));
    for (int i = 0; i < U3D_CURVE_POINTS; i++) {
        double value = 0;
        for (int k = -REACH; k <= REACH; k++)
            value += weight[k + REACH] * curve_straight(y, (double)(i + k) / (U3D_CURVE_POINTS - 1));
        curve[i] = (float)(value / sum);
    }
    return true;
}

void u3d_grey_apply_curve(const float curve[U3D_CURVE_POINTS], float *v, int64_t n)
{
    float low, high;
    grey_range(v, n, &low, &high);
    const float range = high - low, points = (U3D_CURVE_POINTS - 1) / range;
    if (!(range > 0) || !isfinite(points)) return;
    for (int64_t i = 0; i < n; i++) {
        const float at = (v[i] - low) * points;
        int point = (int)at;
        point = point > U3D_CURVE_POINTS - 2 ? U3D_CURVE_POINTS - 2 : point;
        v[i] = low + range * (curve[point] + (at - (float)point) * (curve[point + 1] - curve[point]));
    }
}

/* ---- one voxel at a time ---- */

/* Normal numbers by the method of Box and Muller, which gives two at a time, in float. With 24 random bits
 * they reach 5.8 standard deviations. */
void u3d_grey_noise(u3d_rng *rng, double sd, float *v, int64_t n)
{
    for (int64_t i = 0; i < n; i += 2) {
        const float u = (float)((u3d_rng_u32(rng) >> 8) + 1) * 0x1p-24F;
        const float angle = (float)(u3d_rng_u32(rng) >> 8) * (float)(2 * M_PI * 0x1p-24);
        const float radius = (float)sd * sqrtf(-2 * logf(u));
        v[i] += radius * cosf(angle);
        if (i + 1 < n) v[i + 1] += radius * sinf(angle);
    }
}

static void grey_scale(double factor, double plus, float *v, int64_t n)
{
    const float a = (float)factor, b = (float)plus;
    for (int64_t i = 0; i < n; i++) v[i] = a * v[i] + b;
}

void u3d_grey_contrast(double factor, float *v, int64_t n)
{
    double mean, sd;
    float low, high;
    grey_range(v, n, &low, &high);
    grey_moments(v, n, &mean, &sd);
    grey_scale(factor, mean * (1 - factor), v, n);
    for (int64_t i = 0; i < n; i++) {
        const float at_least = v[i] < low ? low : v[i];
        v[i] = at_least > high ? high : at_least;
    }
}

void u3d_grey_gamma(double gamma, bool inverted, bool retain, float *v, int64_t n)
{
    double mean, sd, new_mean, new_sd;
    float low, high;
    if (inverted) grey_scale(-1, 0, v, n);
    grey_range(v, n, &low, &high);
    const float range = high - low, exponent = (float)gamma;
    if (range > 0 && isfinite(1 / range)) {
        grey_moments(v, n, &mean, &sd);
        for (int64_t i = 0; i < n; i++) v[i] = low + range * powf((v[i] - low) / range, exponent);
        if (retain) {
            grey_moments(v, n, &new_mean, &new_sd);
            const double factor = new_sd > 0 ? sd / new_sd : 1;
            grey_scale(factor, mean - factor * new_mean, v, n);
        }
    }
    if (inverted) grey_scale(-1, 0, v, n);
}

/* ---- what is drawn ---- */

typedef enum grey_change {
    GREY_CURVE,
    GREY_NOISE,
    GREY_BLUR,
    GREY_BRIGHTNESS,
    GREY_SHIFT,
    GREY_CONTRAST,
    GREY_LOW_RESOLUTION,
    GREY_GAMMA_INVERTED,
    GREY_GAMMA,
    GREY_CHANGES
} grey_change;

/* Random numbers for one change of one channel of sample k. Channel U3D_MAX_CHANNELS stands for the whole
 * sample. */
static u3d_rng grey_rng(uint64_t seed, int64_t k, grey_change change, int channel)
{
    const uint64_t index = (uint64_t)k * GREY_CHANGES + (uint64_t)change;
    return u3d_rng_at(seed, U3D_RNG_GREY, index * (U3D_MAX_CHANNELS + 1) + (uint64_t)channel);
}

static double grey_chance(const u3d_augment_settings *s, grey_change change)
{
    switch (change) {
    case GREY_CURVE: return s->p_curve;
    case GREY_NOISE: return s->p_noise;
    case GREY_BLUR: return s->p_blur;
    case GREY_BRIGHTNESS: return s->p_brightness;
    case GREY_SHIFT: return s->p_shift;
    case GREY_CONTRAST: return s->p_contrast;
    case GREY_LOW_RESOLUTION: return s->p_low_resolution;
    case GREY_GAMMA_INVERTED: return s->p_gamma_inverted;
    case GREY_GAMMA: return s->p_gamma;
    case GREY_CHANGES: break;
    }
    return 0;
}

static double grey_between(u3d_rng *rng, const double range[2])
{
    return range[0] + (range[1] - range[0]) * u3d_rng_uniform(rng);
}

/* A factor that is below 1 as often as above 1, if the range has both. */
static double grey_factor(u3d_rng *rng, const double range[2])
{
    const bool below = u3d_rng_uniform(rng) < 0.5;
    if (range[0] >= 1 || range[1] <= 1) return grey_between(rng, range);
    return grey_between(rng, below ? (const double[]){range[0], 1} : (const double[]){1, range[1]});
}

/* Makes one change of one channel: v has n = size[0] * size[1] * size[2] values. */
static void grey_change_channel(const u3d_augment *a, grey_change change, u3d_rng *rng, const int64_t size[3],
                                float *v, float *work)
{
    const u3d_augment_settings *s = &a->set;
    const int64_t n = size[0] * size[1] * size[2];
    const bool partly = change == GREY_BLUR || change == GREY_LOW_RESOLUTION;
    float curve[U3D_CURVE_POINTS];
    double scale[3], factor;
    if (partly && !(u3d_rng_uniform(rng) < s->p_channel)) return;
    switch (change) {
    case GREY_CURVE:
        if (u3d_grey_curve(s, rng, curve)) u3d_grey_apply_curve(curve, v, n);
        break;
    case GREY_NOISE:
        factor = grey_between(rng, s->noise);
        u3d_grey_noise(rng, factor, v, n);
        break;
    case GREY_BLUR:
        for (int axis = 0; axis < 3; axis++) scale[axis] = grey_between(rng, s->blur);
        u3d_grey_blur(scale, size, v, work);
        break;
    case GREY_BRIGHTNESS: grey_scale(grey_factor(rng, s->brightness), 0, v, n); break;
    case GREY_SHIFT: grey_scale(1, s->shift * u3d_rng_normal(rng), v, n); break;
    case GREY_CONTRAST: u3d_grey_contrast(grey_factor(rng, s->contrast), v, n); break;
    case GREY_LOW_RESOLUTION:
        factor = grey_between(rng, s->low_resolution);
        for (int axis = 0; axis < 3; axis++) scale[axis] = a->coarse[axis] ? 1 : factor;
        u3d_grey_low_resolution(scale, size, v, work);
        break;
    case GREY_GAMMA_INVERTED:
    case GREY_GAMMA:
        u3d_grey_gamma(grey_factor(rng, s->gamma), change == GREY_GAMMA_INVERTED, s->gamma_retain, v, n);
        break;
    case GREY_CHANGES: break;
    }
}

uint64_t u3d_grey_bytes(const u3d_augment *a, const int64_t size[3], int32_t channels)
{
    double chance = 0;
    for (int change = 0; change < GREY_CHANGES; change++)
        chance = fmax(chance, grey_chance(&a->set, (grey_change)change));
    if (chance == 0) return 0;
    int64_t longest = size[0];
    for (int axis = 1; axis < 3; axis++) longest = size[axis] > longest ? size[axis] : longest;
    const int64_t n = size[0] * size[1] * size[2];
    return sizeof(float) * (uint64_t)(n * (channels > 1 ? 2 : 1) + 3 * longest + 64);
}

void u3d_grey_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t size[3], int32_t channels,
                    float *image, void *work)
{
    const int64_t n = size[0] * size[1] * size[2];
    bool chosen[GREY_CHANGES], any = false;
    for (int change = 0; change < GREY_CHANGES; change++) {
        u3d_rng rng = grey_rng(seed, k, (grey_change)change, U3D_MAX_CHANNELS);
        chosen[change] = u3d_rng_uniform(&rng) < grey_chance(&a->set, (grey_change)change);
        any = any || chosen[change];
    }
    for (int32_t c = 0; any && c < channels; c++) {
        float *v = channels > 1 ? work : image, *rest = channels > 1 ? v + n : work;
        for (int64_t i = 0; channels > 1 && i < n; i++) v[i] = image[i * channels + c];
        for (int change = 0; change < GREY_CHANGES; change++) {
            u3d_rng rng = grey_rng(seed, k, (grey_change)change, c);
            if (chosen[change]) grey_change_channel(a, (grey_change)change, &rng, size, v, rest);
        }
        for (int64_t i = 0; channels > 1 && i < n; i++) image[i * channels + c] = v[i];
    }
}
