/* Tests of random changes of grey values (net/sample/grey.h). Each change is compared with its formula or
 * must have the properties that it promises: curves rise, noise has the right moments, gamma keeps the range
 * or the mean and standard deviation, contrast is clipped, a blurred impulse is a Gaussian, and low
 * resolution interpolates between coarse voxels. Together they must never give NaN or infinity. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/sample/grey.h"

enum { D = 9, H = 10, W = 11, N = D * H * W };
static const int64_t size[3] = {D, H, W};

static u3d_augment settings(const char *set)
{
    u3d_config c;
    u3d_config_default(&c);
    assert_ok(u3d_config_set(&c, set));
    return (u3d_augment){.spacing = {1, 1, 1}, .set = c.augment};
}

static void fill(float *v, int64_t n, uint64_t index)
{
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, index);
    u3d_test_normal(&r, v, n);
}

static void moments(const float *v, int64_t n, double *mean, double *sd, float *low, float *high)
{
    double sum = 0, squares = 0;
    *low = *high = v[0];
    for (int64_t i = 0; i < n; i++) {
        sum += (double)v[i];
        squares += (double)v[i] * (double)v[i];
        *low = fminf(*low, v[i]);
        *high = fmaxf(*high, v[i]);
    }
    *mean = sum / (double)n;
    *sd = sqrt(squares / (double)n - *mean * *mean);
}

/* The ends and slopes of curves must be within their ranges, curves must rise, and no two may be equal. */
static void test_curve(void **state)
{
    (void)state;
    const u3d_augment a = settings("augment=paper");
    float curve[U3D_CURVE_POINTS], before[U3D_CURVE_POINTS] = {0};
    double lowest = 1, highest = -1;
    for (uint64_t k = 0; k < 500; k++) {
        u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, k);
        assert_true(u3d_grey_curve(&a.set, &r, curve));
        for (int i = 0; i + 1 < U3D_CURVE_POINTS; i++) {
            const double slope = (double)(curve[i + 1] - curve[i]) * (U3D_CURVE_POINTS - 1);
            assert_true(slope > 0.8 - 1e-3 && slope < 1.2 + 1e-3);
        }
        /* Smoothing moves the ends by at most half the change of slope times the standard deviation, 1/16. */
        assert_true(fabs((double)curve[0]) < 0.05 + 0.02 && fabs((double)curve[255] - 1) < 0.05 + 0.02);
        assert_memory_not_equal(curve, before, sizeof curve);
        memcpy(before, curve, sizeof curve);
        lowest = fmin(lowest, (double)curve[0]);
        highest = fmax(highest, (double)curve[0]);
    }
    assert_true(lowest < -0.04 && highest > 0.04);

    float v[N], original[N];
    fill(v, N, 1);
    memcpy(original, v, sizeof v);
    u3d_grey_apply_curve(curve, v, N);
    for (int i = 1; i < N; i++) assert_int_equal(v[i] > v[0], original[i] > original[0]);

    u3d_augment impossible = a; /* no curve from black to white can be as steep everywhere */
    impossible.set.curve_slope[0] = 3;
    impossible.set.curve_slope[1] = 4;
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, 0);
    assert_false(u3d_grey_curve(&impossible.set, &r, curve));
}

static void test_noise(void **state)
{
    (void)state;
    enum { M = 200001 }; /* an odd number, although normal numbers are drawn in pairs */
    static float v[M];
    double mean, sd, third = 0, fourth = 0, pairs = 0;
    float low, high;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2);
    for (int i = 0; i < M; i++) v[i] = 3;
    u3d_grey_noise(&r, 0.25, v, M);
    moments(v, M, &mean, &sd, &low, &high);
    u3d_test_close(mean, 3, 5 * 0.25 / sqrt(M));
    u3d_test_close(sd, 0.25, 5 * 0.25 / sqrt(2.0 * M));
    for (int i = 0; i < M; i++) {
        third += pow(((double)v[i] - mean) / sd, 3) / M;
        fourth += pow(((double)v[i] - mean) / sd, 4) / M;
        if (i) pairs += ((double)v[i] - mean) * ((double)v[i - 1] - mean) / (sd * sd) / M;
    }
    u3d_test_close(third, 0, 5 * sqrt(6.0 / M));
    u3d_test_close(fourth, 3, 5 * sqrt(24.0 / M));
    u3d_test_close(pairs, 0, 5 / sqrt(M));
}

static void test_gamma(void **state)
{
    (void)state;
    float v[N], kept[N], original[N];
    double mean, sd, new_mean, new_sd;
    float low, high, new_low, new_high;
    fill(original, N, 3);
    moments(original, N, &mean, &sd, &low, &high);
    for (int inverted = 0; inverted < 2; inverted++)
        for (int g = 0; g < 3; g++) {
            const double gamma = 0.7 + 0.4 * g;
            memcpy(v, original, sizeof v);
            memcpy(kept, original, sizeof v);
            u3d_grey_gamma(gamma, inverted, false, v, N);
            u3d_grey_gamma(gamma, inverted, true, kept, N);
            moments(v, N, &new_mean, &new_sd, &new_low, &new_high);
            u3d_test_close((double)new_low, (double)low, 1e-5);
            u3d_test_close((double)new_high, (double)high, 1e-5);
            for (int i = 0; i < N; i++) {
                const double range = (double)(high - low);
                const double t =
                    inverted ? (double)(high - original[i]) / range : (double)(original[i] - low) / range;
                u3d_test_close((double)v[i],
                               inverted ? (double)high - range * pow(t, gamma)
                                        : (double)low + range * pow(t, gamma),
                               1e-4);
            }
            moments(kept, N, &new_mean, &new_sd, &new_low, &new_high);
            u3d_test_close(new_mean, mean, 1e-4);
            u3d_test_close(new_sd, sd, 1e-4);
        }
}

static void test_contrast(void **state)
{
    (void)state;
    float v[N], original[N];
    double mean, sd;
    float low, high;
    fill(original, N, 4);
    moments(original, N, &mean, &sd, &low, &high);
    for (int i = 0; i < 2; i++) {
        const double factor = i ? 1.25 : 0.75;
        memcpy(v, original, sizeof v);
        u3d_grey_contrast(factor, v, N);
        for (int k = 0; k < N; k++) {
            const double expected = ((double)original[k] - mean) * factor + mean;
            u3d_test_close((double)v[k], fmin(fmax(expected, (double)low), (double)high), 1e-5);
        }
    }
}

/* A single bright voxel must become the product of three sampled Gaussians. A constant volume must stay
 * constant, because it is mirrored at its borders. */
static void test_blur(void **state)
{
    (void)state;
    enum { M = 33 };
    static float v[M * M * M], work[M * M * M + M + 64];
    const int64_t cube[3] = {M, M, M};
    const double sd[3] = {0.5, 1, 1.7};
    double sum = 0, norm[3] = {0}, squares[3] = {0};
    memset(v, 0, sizeof v);
    v[(16 * M + 16) * M + 16] = 1;
    u3d_grey_blur(sd, cube, v, work);
    for (int a = 0; a < 3; a++)
        for (int d = -7; d <= 7; d++)
            if (abs(d) <= (int)ceil(4 * sd[a])) norm[a] += exp(-0.5 * d * d / (sd[a] * sd[a]));
    for (int z = 0; z < M; z++)
        for (int y = 0; y < M; y++)
            for (int x = 0; x < M; x++) {
                const double d[3] = {z - 16, y - 16, x - 16}, got = (double)v[(z * M + y) * M + x];
                double expected = 1;
                for (int a = 0; a < 3; a++) {
                    const bool reached = fabs(d[a]) <= ceil(4 * sd[a]);
                    expected *= reached ? exp(-0.5 * d[a] * d[a] / (sd[a] * sd[a])) / norm[a] : 0;
                    squares[a] += d[a] * d[a] * got;
                }
                u3d_test_close(got, expected, 1e-6);
                sum += got;
            }
    u3d_test_close(sum, 1, 1e-5);
    for (int a = 1; a < 3; a++) u3d_test_close(squares[a], sd[a] * sd[a], 0.01);

    float small[4 * 1 * 3], rest[12 + 4 + 64]; /* every axis is shorter than the kernel */
    for (int i = 0; i < 12; i++) small[i] = 2.5F;
    u3d_grey_blur((const double[]){8, 8, 8}, (const int64_t[]){4, 1, 3}, small, rest);
    for (int i = 0; i < 12; i++) u3d_test_close((double)small[i], 2.5, 1e-5);
}

/* Compares with the definition: a coarse voxel has the value of the voxel at its middle, and values between
 * these middles are interpolated linearly. */
static void test_low_resolution(void **state)
{
    (void)state;
    float v[N], original[N], work[N + 3 * W];
    double mean, sd, new_mean, new_sd;
    float low, high;
    fill(original, N, 5);
    memcpy(v, original, sizeof v);
    u3d_grey_low_resolution((const double[]){1, 1, 1}, size, v, work);
    assert_memory_equal(v, original, sizeof v);

    for (int i = 0; i < N; i++) v[i] = -7;
    u3d_grey_low_resolution((const double[]){0.5, 0.6, 0.9}, size, v, work);
    for (int i = 0; i < N; i++) assert_true(v[i] == -7);

    /* A ramp along one axis must roughly keep its mean and standard deviation, and stay within its range. */
    for (int axis = 0; axis < 3; axis++)
        for (double scale = 0.5; scale < 1; scale += 0.07) {
            for (int i = 0; i < N; i++) {
                const int at[3] = {i / (H * W), i / W % H, i % W};
                v[i] = (float)at[axis];
            }
            moments(v, N, &mean, &sd, &low, &high);
            u3d_grey_low_resolution((const double[]){scale, scale, scale}, size, v, work);
            moments(v, N, &new_mean, &new_sd, &low, &high);
            u3d_test_close(new_mean, mean, 0.5);
            u3d_test_close(new_sd, sd, 0.4);
            assert_true(low >= 0 && high <= size[axis] - 1);
        }

    /* Only along x: 11 voxels become 6. Coarse voxel i is the voxel that contains its middle, (i + 1/2) *
     * 11/6, which gives 0, 2, 4, 6, 8 and 10. */
    memcpy(v, original, sizeof v);
    u3d_grey_low_resolution((const double[]){1, 1, 6.0 / 11}, size, v, work);
    for (int row = 0; row < D * H; row++)
        for (int x = 0; x < W; x++) {
            static const int nearest[6] = {0, 2, 4, 6, 8, 10};
            const double at = fmax(0, (x + 0.5) * 6 / 11 - 0.5);
            const int lower = (int)at, upper = lower < 5 ? lower + 1 : 5;
            const double a = (double)original[row * W + nearest[lower]],
                         b = (double)original[row * W + nearest[upper]];
            u3d_test_close((double)v[row * W + x], a + (at - lower) * (b - a), 1e-5);
        }
}

/* All changes at once, also of constant patches and of single voxels. Each channel is changed in its own way,
 * and a patch for which no change is drawn stays as it is. */
static void test_together(void **state)
{
    (void)state;
    u3d_augment a = settings("augment=nnunet");
    static float v[3 * N], original[3 * N], one[3], work[2 * N + 3 * W + 64];
    assert_true(u3d_grey_bytes(&a, size, 3) == sizeof work);
    assert_true(u3d_grey_bytes(&a, size, 1) == sizeof work - N * sizeof(float));
    const u3d_augment none = settings("augment=flips");
    assert_true(u3d_grey_bytes(&none, size, 3) == 0);
    int unchanged = 0;
    fill(original, 3 * N, 6);
    for (int64_t k = 0; k < 400; k++) {
        memcpy(v, original, sizeof v);
        u3d_grey_apply(&a, 1, k, size, 3, v, work);
        unchanged += memcmp(v, original, sizeof v) == 0;
    }
    /* The probability that no change is made: (1 - 0.1)(1 - 0.2 * 7/8)(1 - 0.15)^2 (1 - 0.25 * 7/8)(1 - 0.1)
     * (1 - 0.3). The 7/8 is the probability that at least one of the three channels is changed. */
    const double expected = 0.9 * 0.825 * 0.85 * 0.85 * 0.78125 * 0.9 * 0.7;
    u3d_test_close(unchanged / 400.0, expected, 5 * sqrt(expected / 400));

    a.set.p_curve = a.set.p_noise = a.set.p_blur = a.set.p_brightness = a.set.p_shift = a.set.p_contrast =
        a.set.p_low_resolution = a.set.p_gamma_inverted = a.set.p_gamma = a.set.p_channel = 1;
    for (int64_t k = 0; k < 50; k++) {
        memcpy(v, original, sizeof v);
        u3d_grey_apply(&a, 1, k, size, 3, v, work);
        for (int i = 0; i < 3 * N; i++) assert_true(isfinite(v[i]) && v[i] != original[i]);
        for (int i = 0; i < 3 * N; i++) v[i] = 5;
        a.set.p_noise = 0;
        u3d_grey_apply(&a, 1, k, size, 3, v, work);
        a.set.p_noise = 1;
        /* The channels are still constant. */
        for (int i = 0; i < 3 * N; i++) u3d_test_close((double)v[i], (double)v[i % 3], 1e-4);
        assert_true(v[0] != v[1] && v[1] != v[2]);
        one[0] = one[1] = one[2] = 1;
        u3d_grey_apply(&a, 1, k, (const int64_t[]){1, 1, 1}, 3, one, work);
        assert_true(isfinite(one[0]) && isfinite(one[1]) && isfinite(one[2]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_curve),   cmocka_unit_test(test_noise),
                                       cmocka_unit_test(test_gamma),   cmocka_unit_test(test_contrast),
                                       cmocka_unit_test(test_blur),    cmocka_unit_test(test_low_resolution),
                                       cmocka_unit_test(test_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
