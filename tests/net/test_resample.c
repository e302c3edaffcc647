/* Tests of resampling (net/volume/resample.h): both grids fill the same box in space; polynomials are
 * reproduced; splines are compared with a system of equations that is solved by iteration; labels keep their
 * volume, and sparse labels are neither lost nor spread; and probabilities that return to the volume's own
 * grid plane by plane are the same as if the whole volume were resampled at once. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/volume/resample.h"

static u3d_rng rng_of(uint64_t index)
{
    return u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, index);
}

static u3d_volume *volume_of(const int64_t size[3], const double spacing[3], u3d_dtype dtype, int channels)
{
    u3d_volume *v;
    assert_ok(u3d_volume_new(size, spacing, dtype, channels, &v));
    return v;
}

static u3d_volume *copy_of(const u3d_volume *v)
{
    u3d_volume *c;
    assert_ok(u3d_volume_new_like(v, v->dtype, v->channels, &c));
    memcpy(c->data, v->data, (size_t)(u3d_volume_voxels(v) * v->channels) * u3d_dtype_size(v->dtype));
    return c;
}

/* ---- places ---- */

/* World position of a point given in voxels z, y, x. */
static void world_of(const u3d_volume *v, const double at[3], double world[3])
{
    for (int w = 0; w < 3; w++) {
        world[w] = v->voxel_to_world[w][3];
        for (int a = 0; a < 3; a++) world[w] += v->voxel_to_world[w][2 - a] * at[a];
    }
}

static void both_grids_fill_one_box(void **state)
{
    (void)state;
    u3d_rng r = rng_of(1);
    for (int trial = 0; trial < 50; trial++) {
        const int64_t size[3] = {1 + u3d_rng_below(&r, 9), 1 + u3d_rng_below(&r, 9),
                                 1 + u3d_rng_below(&r, 9)};
        const int64_t out[3] = {1 + u3d_rng_below(&r, 9), 1 + u3d_rng_below(&r, 9), 1 + u3d_rng_below(&r, 9)};
        u3d_volume *v = volume_of(size, (double[]){3, 2, 0.5}, U3D_F32, 1);
        for (int w = 0; w < 3; w++) /* makes the grid oblique and moves it away from the origin */
            for (int c = 0; c < 4; c++) v->voxel_to_world[w][c] += u3d_rng_uniform(&r) * (c == 3 ? 100 : 0.3);
        u3d_volume *before = copy_of(v);
        assert_ok(u3d_resample_image_to(v, out, U3D_RESAMPLE_LINEAR));
        for (int corner = 0; corner < 8; corner++) {
            double a[3], b[3], was[3], is[3];
            for (int axis = 0; axis < 3; axis++) {
                a[axis] = corner >> axis & 1 ? (double)size[axis] - 0.5 : -0.5;
                b[axis] = corner >> axis & 1 ? (double)out[axis] - 0.5 : -0.5;
            }
            world_of(before, a, was);
            world_of(v, b, is);
            for (int w = 0; w < 3; w++) u3d_test_close(is[w], was[w], 1e-9);
        }
        for (int a = 0; a < 3; a++) {
            assert_int_equal(v->size[a], out[a]);
            u3d_test_close(v->spacing[a] * (double)out[a], before->spacing[a] * (double)size[a], 1e-9);
        }
        u3d_volume_free(before);
        u3d_volume_free(v);
    }
}

static void sizes_follow_the_target(void **state)
{
    (void)state;
    u3d_resampling r = {.on = true, .spacing = {2, 1, 1}};
    int64_t out[3];
    assert_true(u3d_resample_size(&r, (int64_t[]){10, 20, 31}, (double[]){5, 0.5, 0.5}, out));
    assert_true(out[0] == 25 && out[1] == 10 && out[2] == 16); /* 15.5 rounds away from zero */
    assert_false(u3d_resample_size(&r, (int64_t[]){300, 300, 300}, (double[]){2.019, 0.991, 1.009}, out));
    assert_true(out[0] == 300 && out[1] == 300 && out[2] == 300); /* within 1 % */
    assert_true(u3d_resample_size(&r, (int64_t[]){300, 300, 300}, (double[]){2, 1, 1.02}, out));
    assert_true(out[0] == 300 && out[1] == 300 && out[2] == 306);
    /* An axis of one voxel stays one voxel. */
    assert_false(u3d_resample_size(&r, (int64_t[]){1, 20, 20}, (double[]){9, 1, 1}, out));
    assert_true(u3d_resample_size(&r, (int64_t[]){2, 20, 20}, (double[]){0.1, 1, 1}, out));
    assert_int_equal(out[0], 1);
    r.on = false;
    assert_false(u3d_resample_size(&r, (int64_t[]){10, 20, 31}, (double[]){5, 0.5, 0.5}, out));
    assert_int_equal(out[0], 10);
}

static void the_target_is_the_median_but_for_coarse_slices(void **state)
{
    (void)state;
    char why[160];
    double target[3];
    enum { N = 11 };
    double spacing[N][3];
    int64_t size[N][3];
    for (int i = 0; i < N; i++) {
        memcpy(spacing[i], (double[]){5 + i, 1.2f, 1 + 0.01 * i}, sizeof spacing[i]);
        memcpy(size[i], (int64_t[]){12, 200, 220}, sizeof size[i]);
    }
    assert_ok(u3d_resample_target((const double(*)[3])spacing, (const int64_t(*)[3])size, N, target, why,
                                  sizeof why));
    u3d_test_close(target[0], 6, 1e-12);   /* rank 0.1 * 10 among 5 .. 15 */
    u3d_test_close(target[1], 1.2, 1e-12); /* 1.2f, rounded, because headers have single precision */
    u3d_test_close(target[2], 1.05, 1e-12);
    assert_non_null(strstr(why, "10th percentile"));
    for (int i = 0; i < N; i++) size[i][0] = 150; /* the coarsest axis is not much shorter: median */
    assert_ok(u3d_resample_target((const double(*)[3])spacing, (const int64_t(*)[3])size, N, target, why,
                                  sizeof why));
    u3d_test_close(target[0], 10, 1e-12);
    assert_null(strstr(why, "10th percentile"));
    for (int i = 0; i < N; i++) size[i][0] = 12;
    /* The 10th percentile is 0.5 now, but the target must not be finer than along the other axes. */
    for (int i = 0; i < 3; i++) spacing[i][0] = 0.5;
    assert_ok(u3d_resample_target((const double(*)[3])spacing, (const int64_t(*)[3])size, N, target, why,
                                  sizeof why));
    u3d_test_close(target[0], 1.2, 1e-12);
}

/* ---- images ---- */

static double linear_field(const double p[3])
{
    return 1 + 0.5 * p[0] - 0.3 * p[1] + 0.2 * p[2];
}

static double cubic_field(const double p[3])
{
    double value = 1;
    for (int a = 0; a < 3; a++) {
        const double u = (p[a] - 20) / 10;
        value *= 1 + 0.3 * u - 0.5 * u * u + (0.2 + 0.1 * a) * u * u * u;
    }
    return value;
}

static double smooth_field(const double p[3])
{
    return cos(0.5 * p[0]) + cos(0.45 * p[1] + 1) * cos(0.4 * p[2]) + sin(0.35 * (p[0] + p[1] + p[2]));
}

/* Samples a field at the indices of the voxels. Positions are measured in these voxels, also after
 * resampling. */
static u3d_volume *sampled(const int64_t size[3], double (*field)(const double[3]))
{
    u3d_volume *v = volume_of(size, (double[]){1, 1, 1}, U3D_F32, 1);
    float *to = v->data;
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[2]; x++)
                *to++ = (float)field((double[]){(double)z, (double)y, (double)x});
    return v;
}

/* Returns the largest difference between the volume and the field at voxels that are at least `margin` away
 * from the border. `own` is the size before resampling. */
static double worst_inside(const u3d_volume *v, const int64_t own[3], double margin,
                           double (*field)(const double[3]))
{
    const float *got = v->data;
    double worst = 0;
    int64_t counted = 0;
    for (int64_t z = 0; z < v->size[0]; z++)
        for (int64_t y = 0; y < v->size[1]; y++)
            for (int64_t x = 0; x < v->size[2]; x++, got++) {
                double p[3];
                const int64_t at[3] = {z, y, x};
                bool inside = true;
                for (int a = 0; a < 3; a++) {
                    p[a] = ((double)at[a] + 0.5) * (double)own[a] / (double)v->size[a] - 0.5;
                    inside = inside && p[a] >= margin && p[a] <= (double)(own[a] - 1) - margin;
                }
                if (!inside) continue;
                worst = fmax(worst, fabs((double)*got - field(p)));
                counted++;
            }
    assert_true(counted > 100);
    return worst;
}

static void polynomials_come_through(void **state)
{
    (void)state;
    const int64_t size[3] = {40, 42, 44}, outs[3][3] = {{57, 61, 40}, {31, 29, 66}, {33, 84, 44}};
    for (int i = 0; i < 3; i++) {
        u3d_volume *linear = sampled(size, linear_field), *cubic = sampled(size, cubic_field),
                   *coarse = sampled(size, cubic_field);
        assert_ok(u3d_resample_image_to(linear, outs[i], U3D_RESAMPLE_LINEAR));
        assert_true(worst_inside(linear, size, 0, linear_field) < 4e-6);
        assert_ok(u3d_resample_image_to(cubic, outs[i], U3D_RESAMPLE_CUBIC));
        assert_true(worst_inside(cubic, size, 12, cubic_field) < 2e-5);
        assert_ok(u3d_resample_image_to(coarse, outs[i], U3D_RESAMPLE_LINEAR));
        /* Linear interpolation exceeds the bound of the cubic one, so that bound is not too loose. */
        assert_true(worst_inside(coarse, size, 12, cubic_field) > 1e-3);
        u3d_volume_free(linear);
        u3d_volume_free(cubic);
        u3d_volume_free(coarse);
    }
}

/* Resamples one line with an interpolating cubic spline. The border is repeated, and the equations of the
 * coefficients are solved by iteration. */
static void spline_plainly(const float *in, int n, int n_out, double *out)
{
    enum { PAD = 30, CAP = 128 };
    double s[CAP], c[CAP] = {0};
    const int all = n + 2 * PAD;
    assert_true(all <= CAP);
    for (int i = 0; i < all; i++) s[i] = c[i] = (double)in[i < PAD ? 0 : i - PAD < n ? i - PAD : n - 1];
    for (int round = 0; round < 200; round++)
        for (int i = 1; i + 1 < all; i++) c[i] = (6 * s[i] - c[i - 1] - c[i + 1]) / 4;
    for (int o = 0; o < n_out; o++) {
        const double at = (o + 0.5) * n / n_out - 0.5 + PAD;
        out[o] = 0;
        for (int i = 0; i < all; i++) {
            const double d = fabs(at - i);
            const double b = d < 1   ? 2.0 / 3 - d * d + d * d * d / 2
                             : d < 2 ? (2 - d) * (2 - d) * (2 - d) / 6
                                     : 0;
            out[o] += b * c[i];
        }
    }
}

static void splines_solve_their_equations(void **state)
{
    (void)state;
    u3d_rng r = rng_of(2);
    for (int trial = 0; trial < 60; trial++) {
        const int axis = trial % 3;
        int64_t size[3] = {5, 6, 7}, out[3] = {5, 6, 7};
        const int n = 1 + (int)u3d_rng_below(&r, 40), n_out = 1 + (int)u3d_rng_below(&r, 60);
        size[axis] = n;
        out[axis] = n_out;
        u3d_volume *v = volume_of(size, (double[]){1, 1, 1}, U3D_F32, 2), *was;
        u3d_test_normal(&r, v->data, u3d_volume_voxels(v) * 2);
        was = copy_of(v);
        const double ratio = (double)n / n_out;
        assert_ok(u3d_resample_image_to(v, out, U3D_RESAMPLE_CUBIC));
        if (n == n_out || ratio > 3 || ratio < 1.0 / 3) { /* the same size, or so coarse that it is linear */
            u3d_volume_free(v);
            u3d_volume_free(was);
            continue;
        }
        int64_t stride = 2;
        for (int a = axis + 1; a < 3; a++) stride *= size[a];
        float line[40];
        double want[60];
        /* Checks the line at index 0 of the axes before `axis` and at the last index of those after it. */
        for (int ch = 0; ch < 2; ch++) {
            for (int k = 0; k < n; k++) line[k] = ((float *)was->data)[k * stride + stride - 2 + ch];
            spline_plainly(line, n, n_out, want);
            for (int o = 0; o < n_out; o++)
                u3d_test_close((double)((float *)v->data)[o * stride + stride - 2 + ch], want[o], 2e-6);
        }
        u3d_volume_free(v);
        u3d_volume_free(was);
    }
}

static void equal_sizes_are_untouched(void **state)
{
    (void)state;
    u3d_rng r = rng_of(3);
    const int64_t size[3] = {7, 8, 9};
    u3d_volume *v = volume_of(size, (double[]){3, 1, 1}, U3D_F32, 2);
    u3d_test_normal(&r, v->data, u3d_volume_voxels(v) * 2);
    u3d_volume *was = copy_of(v);
    const void *data = v->data;
    const u3d_resampling same = {.on = true, .spacing = {3.02, 0.995, 1}};
    assert_ok(u3d_resample_image(&same, v));
    assert_ptr_equal(v->data, data);
    assert_memory_equal(v->data, was->data, (size_t)u3d_volume_voxels(v) * 2 * sizeof(float));
    was->data = (u3d_free(was->data), v->data); /* all other members must be equal as well */
    assert_memory_equal(v, was, sizeof *v);
    was->data = NULL;
    u3d_volume_free(was);
    u3d_volume_free(v);
}

/* Across thick slices, interpolation is linear, so that a step stays between its two values. Along finer
 * axes, the spline overshoots. */
static void coarse_slices_are_joined_linearly(void **state)
{
    (void)state;
    for (int axis = 0; axis < 3; axis += 2) {
        const int64_t size[3] = {12, 12, 12}, out[3] = {36, 24, 24};
        u3d_volume *v = volume_of(size, (double[]){5, 1, 1}, U3D_F32, 1);
        for (int64_t i = 0; i < 12 * 12 * 12; i++)
            ((float *)v->data)[i] = (axis == 0 ? i / 144 : i % 12) < 6 ? 0 : 1;
        assert_ok(u3d_resample_image_to(v, out, U3D_RESAMPLE_CUBIC));
        float least = 0, most = 0;
        for (int64_t i = 0; i < u3d_volume_voxels(v); i++) {
            least = fminf(least, ((float *)v->data)[i]);
            most = fmaxf(most, ((float *)v->data)[i]);
        }
        if (axis == 0)
            assert_true(least >= -1e-6f && most <= 1 + 1e-6f);
        else
            assert_true(least < -0.05f && most > 1.05f);
        u3d_volume_free(v);
    }
}

static void there_and_back_keeps_smooth_fields(void **state)
{
    (void)state;
    const int64_t size[3] = {40, 44, 48}, finer[3] = {57, 63, 69}, coarser[3] = {27, 29, 32};
    for (int i = 0; i < 4; i++) {
        const u3d_resample_how how = i % 2 ? U3D_RESAMPLE_LINEAR : U3D_RESAMPLE_CUBIC;
        const double bound[4] = {0.001, 0.2, 0.03, 0.4};
        u3d_volume *v = sampled(size, smooth_field);
        assert_ok(u3d_resample_image_to(v, i < 2 ? finer : coarser, how));
        assert_ok(u3d_resample_image_to(v, size, how));
        const double worst = worst_inside(v, size, 6, smooth_field);
        print_message("to %s voxels and back, %s: the largest error is %.5f\n", i < 2 ? "finer" : "coarser",
                      i % 2 ? "linear" : "cubic", worst);
        assert_true(worst < bound[i]);
        for (int a = 0; a < 3; a++) u3d_test_close(v->spacing[a], 1, 1e-12);
        u3d_volume_free(v);
    }
}

/* ---- labels ---- */

/* The class of a voxel in a box of 36^3 with two concentric balls: 2 in the inner ball (radius 8), 1 in the
 * rest of the outer ball (radius 14), 0 elsewhere. */
static uint8_t ball_at(const u3d_volume *v, const double centre[3], int64_t z, int64_t y, int64_t x)
{
    const int64_t at[3] = {z, y, x};
    double d = 0;
    for (int a = 0; a < 3; a++) {
        const double u = ((double)at[a] + 0.5) * v->spacing[a] - centre[a];
        d += u * u;
    }
    return d < 8 * 8 ? 2 : d < 14 * 14 ? 1 : 0;
}

static u3d_volume *balls(const int64_t size[3], const double spacing[3], const double centre[3])
{
    u3d_volume *v = volume_of(size, spacing, U3D_U8, 1);
    uint8_t *to = v->data;
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[2]; x++) *to++ = ball_at(v, centre, z, y, x);
    return v;
}

/* Number of voxels of `v` whose class is not that of ball_at. */
static int64_t wrong_of(const u3d_volume *v, const double centre[3])
{
    const uint8_t *got = v->data;
    int64_t wrong = 0;
    for (int64_t z = 0; z < v->size[0]; z++)
        for (int64_t y = 0; y < v->size[1]; y++)
            for (int64_t x = 0; x < v->size[2]; x++) wrong += *got++ != ball_at(v, centre, z, y, x);
    return wrong;
}

/* Resamples `v` to the grid of `like` by taking the class of the nearest voxel. */
static u3d_volume *nearest_of(const u3d_volume *v, const u3d_volume *like)
{
    u3d_volume *n = copy_of(like);
    const int64_t *out = like->size;
    for (int64_t o = 0; o < u3d_volume_voxels(n); o++) {
        const int64_t at[3] = {o / (out[1] * out[2]), o / out[2] % out[1], o % out[2]};
        int64_t from = 0;
        for (int a = 0; a < 3; a++) from = from * v->size[a] + (2 * at[a] + 1) * v->size[a] / (2 * out[a]);
        ((uint8_t *)n->data)[o] = ((uint8_t *)v->data)[from];
    }
    return n;
}

static double volume_within(const u3d_volume *v, uint8_t least)
{
    double n = 0;
    for (int64_t i = 0; i < u3d_volume_voxels(v); i++) n += ((uint8_t *)v->data)[i] >= least;
    return n * v->spacing[0] * v->spacing[1] * v->spacing[2];
}

static void balls_keep_their_volume(void **state)
{
    (void)state;
    static const double from[4][3] = {{3, 1, 1}, {0.6, 0.6, 0.6}, {1, 1, 1}, {2, 0.8, 1.1}};
    static const double to[4][3] = {{1, 1, 1}, {1.2, 1.2, 1.2}, {1.5, 0.7, 0.7}, {1, 1, 2.2}};
    u3d_rng r = rng_of(6);
    for (int i = 0; i < 4; i++) {
        const u3d_resampling want = {.on = true, .spacing = {to[i][0], to[i][1], to[i][2]}};
        double inner = 0, both = 0;
        int64_t size[3], out[3], wrong = 0, wrong_nearest = 0;
        for (int a = 0; a < 3; a++) size[a] = llround(36 / from[i][a]);
        for (int ball = 0; ball < 10; ball++) {
            double centre[3];
            for (int a = 0; a < 3; a++) centre[a] = 17 + 2 * u3d_rng_uniform(&r);
            u3d_volume *v = balls(size, from[i], centre), *was = copy_of(v);
            assert_true(u3d_resample_size(&want, v->size, v->spacing, out));
            assert_ok(u3d_resample_labels_to(v, out));
            u3d_volume *nearest = nearest_of(was, v);
            inner += volume_within(v, 2) / volume_within(was, 2) / 10;
            both += volume_within(v, 1) / volume_within(was, 1) / 10;
            wrong += wrong_of(v, centre);
            wrong_nearest += wrong_of(nearest, centre);
            u3d_volume_free(nearest);
            u3d_volume_free(was);
            u3d_volume_free(v);
        }
        print_message("pair %d: volume of radius 8 %+.2f %%, of radius 14 %+.2f %%; %lld voxels are wrong, "
                      "%lld with the nearest class\n",
                      i, 100 * (inner - 1), 100 * (both - 1), (long long)wrong, (long long)wrong_nearest);
        assert_true(fabs(inner - 1) < 0.035 && fabs(both - 1) < 0.02);
        assert_true(i == 0 ? wrong <= wrong_nearest : 10 * wrong < 8 * wrong_nearest);
    }
}

/* The halves of a volume have different classes. The boundary must be at the same place if the classes are
 * swapped, because a tie must not depend on the order of the classes. */
static void equal_weights_favour_no_class(void **state)
{
    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        const int64_t size[3] = {4, 4, 10}, out[3] = {2, 2, 5};
        u3d_volume *v = volume_of(size, (double[]){1, 1, 1}, U3D_U8, 1);
        for (int64_t i = 0; i < 160; i++) ((uint8_t *)v->data)[i] = (i % 10 < 5) == swapped;
        assert_ok(u3d_resample_labels_to(v, out)); /* in the third voxel, both classes have equal weights */
        for (int64_t i = 0; i < 20; i++) assert_int_equal(((uint8_t *)v->data)[i], (i % 5 < 3) == swapped);
        u3d_volume_free(v);
    }
}

/* A voxel must be labelled if and only if the definition in resample.h says so. */
static void labelled_is_what_was_painted(void **state)
{
    (void)state;
    u3d_rng r = rng_of(4);
    for (int trial = 0; trial < 60; trial++) {
        int64_t size[3], out[3];
        for (int a = 0; a < 3; a++) {
            size[a] = 1 + u3d_rng_below(&r, 12);
            out[a] = 1 + u3d_rng_below(&r, 14);
        }
        u3d_volume *v = volume_of(size, (double[]){1, 1, 1}, U3D_U8, 1);
        uint8_t *in = v->data;
        for (int64_t i = 0; i < u3d_volume_voxels(v); i++)
            in[i] = u3d_rng_below(&r, 8) ? 255 : (uint8_t)u3d_rng_below(&r, 3);
        u3d_volume *was = copy_of(v);
        assert_ok(u3d_resample_labels_to(v, out));
        if (memcmp(size, out, sizeof size) == 0)
            assert_memory_equal(v->data, was->data, (size_t)u3d_volume_voxels(v));
        const uint8_t *from = was->data, *got = v->data;
        for (int64_t o = 0; o < u3d_volume_voxels(v); o++) {
            const int64_t at[3] = {o / (out[1] * out[2]), o / out[2] % out[1], o % out[2]};
            bool labelled = false;
            for (int64_t i = 0; i < u3d_volume_voxels(was) && !labelled; i++) {
                const int64_t k[3] = {i / (size[1] * size[2]), i / size[2] % size[1], i % size[2]};
                labelled = from[i] != 255;
                for (int a = 0; a < 3; a++) {
                    /* 2 n_out (c - k), where c is the position of the voxel in voxels of the input */
                    const int64_t twice = (2 * at[a] + 1) * size[a] - (2 * k[a] + 1) * out[a];
                    const bool in_cell = (2 * k[a] + 1) * out[a] / (2 * size[a]) == at[a];
                    labelled = labelled && (in_cell || llabs(twice) < out[a] || twice == out[a]);
                }
            }
            assert_int_equal(got[o] != 255, labelled);
            if (labelled) assert_true(got[o] < 3);
        }
        u3d_volume_free(v);
        u3d_volume_free(was);
    }
}

/* Every fourth slice is annotated, six in total. With coarser voxels there must still be six slices, with up
 * to 1.5 times finer voxels at most twice as many. */
static void single_slices_survive(void **state)
{
    (void)state;
    for (int axis = 0; axis < 3; axis++)
        for (int64_t n = 9; n <= 36; n++) {
            int64_t size[3] = {24, 24, 24}, out[3] = {24, 24, 24}, planes = 0;
            out[axis] = n;
            u3d_volume *v = volume_of(size, (double[]){1, 1, 1}, U3D_U8, 1);
            for (int64_t i = 0; i < 24 * 24 * 24; i++) {
                const int64_t at[3] = {i / 576, i / 24 % 24, i % 24};
                ((uint8_t *)v->data)[i] = at[axis] % 4 == 1 ? 1 : 255;
            }
            assert_ok(u3d_resample_labels_to(v, out));
            for (int64_t i = 0; i < u3d_volume_voxels(v); i++) planes += ((uint8_t *)v->data)[i] == 1;
            assert_int_equal(planes % 576, 0);
            planes /= 576;
            if (n <= 24)
                assert_int_equal(planes, 6);
            else
                assert_true(planes >= 6 && planes <= 12);
            u3d_volume_free(v);
        }
}

/* ---- the way back ---- */

static void planes_are_the_whole_volume(void **state)
{
    (void)state;
    u3d_rng r = rng_of(5);
    for (int trial = 0; trial < 80; trial++) {
        u3d_planes_back_opts o = {.labels = 1 + (int32_t)u3d_rng_below(&r, 4)};
        for (int a = 0; a < 3; a++) {
            o.from[a] = 1 + u3d_rng_below(&r, 14);
            o.to[a] = u3d_rng_below(&r, 3) ? 1 + u3d_rng_below(&r, 20) : o.from[a];
        }
        u3d_volume *p = volume_of(o.from, (double[]){1, 1, 1}, U3D_F32, o.labels);
        u3d_test_normal(&r, p->data, u3d_volume_voxels(p) * o.labels);
        u3d_volume *whole = copy_of(p), *only = volume_of(o.to, (double[]){1, 1, 1}, U3D_U8, 1);
        const int64_t plane = o.from[1] * o.from[2] * o.labels;
        o.classes = volume_of(o.to, (double[]){1, 1, 1}, U3D_U8, 1);
        o.probabilities = volume_of(o.to, (double[]){1, 1, 1}, U3D_F32, o.labels);
        for (int pass = 0; pass < 2; pass++) {
            u3d_planes_back *b;
            u3d_planes_back_opts now = o;
            if (pass) {
                now.classes = only;
                now.probabilities = NULL;
            }
            assert_ok(u3d_planes_back_new(&now, &b));
            for (int64_t z = 0; z < o.from[0]; z++) u3d_planes_back_add(b, (float *)p->data + z * plane);
            u3d_planes_back_free(b);
        }
        assert_ok(u3d_resample_image_to(whole, o.to, U3D_RESAMPLE_LINEAR));
        const int64_t n = u3d_volume_voxels(whole);
        assert_memory_equal(whole->data, o.probabilities->data, (size_t)(n * o.labels) * sizeof(float));
        assert_memory_equal(o.classes->data, only->data, (size_t)n);
        for (int64_t v = 0; v < n; v++) {
            const float *q = (float *)whole->data + v * o.labels;
            int best = 0;
            for (int k = 1; k < o.labels; k++)
                if (q[k] > q[best]) best = k;
            assert_int_equal(((uint8_t *)only->data)[v], best);
        }
        u3d_volume_free(p);
        u3d_volume_free(whole);
        u3d_volume_free(only);
        u3d_volume_free(o.classes);
        u3d_volume_free(o.probabilities);
    }
}

static void memory_may_run_out(void **state)
{
    (void)state;
    const int64_t size[3] = {6, 7, 8}, out[3] = {9, 5, 11};
    const int64_t live = u3d_mem_live();
    for (int64_t n = 1, done = 0; done < 3; n++) {
        u3d_volume *image = volume_of(size, (double[]){1, 1, 1}, U3D_F32, 1),
                   *label = volume_of(size, (double[]){1, 1, 1}, U3D_U8, 1);
        u3d_planes_back *b = NULL;
        const u3d_planes_back_opts o = {.from = {6, 7, 8}, .to = {9, 5, 11}, .labels = 2};
        u3d_mem_fail_at(n);
        const u3d_status a = u3d_resample_image_to(image, out, U3D_RESAMPLE_CUBIC);
        u3d_mem_fail_at(n);
        const u3d_status c = u3d_resample_labels_to(label, out);
        u3d_mem_fail_at(n);
        const u3d_status d = u3d_planes_back_new(&o, &b);
        u3d_mem_fail_at(0);
        assert_true((a == U3D_OK || a == U3D_E_NOMEM) && (c == U3D_OK || c == U3D_E_NOMEM));
        assert_true(d == U3D_OK ? b != NULL : d == U3D_E_NOMEM && !b);
        done = (a == U3D_OK) + (c == U3D_OK) + (d == U3D_OK);
        assert_true(n > 1 || done == 0);
        u3d_planes_back_free(b);
        u3d_volume_free(image);
        u3d_volume_free(label);
        assert_int_equal(u3d_mem_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_grids_fill_one_box),
        cmocka_unit_test(sizes_follow_the_target),
        cmocka_unit_test(the_target_is_the_median_but_for_coarse_slices),
        cmocka_unit_test(polynomials_come_through),
        cmocka_unit_test(splines_solve_their_equations),
        cmocka_unit_test(equal_sizes_are_untouched),
        cmocka_unit_test(coarse_slices_are_joined_linearly),
        cmocka_unit_test(there_and_back_keeps_smooth_fields),
        cmocka_unit_test(balls_keep_their_volume),
        cmocka_unit_test(equal_weights_favour_no_class),
        cmocka_unit_test(labelled_is_what_was_painted),
        cmocka_unit_test(single_slices_survive),
        cmocka_unit_test(planes_are_the_whole_volume),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
