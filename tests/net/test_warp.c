/* Tests of random maps of patches (net/sample/warp.h): the standard deviation of the deformation is compared
 * with theory, rotated and scaled positions with formulas, patches with loops in double precision, and maps
 * that only flip and turn with the plain patch. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/sample/warp.h"

static const u3d_axes as_it_is = {.from = {0, 1, 2}};

static void map_row(u3d_warp *w, int64_t z, int64_t y, int64_t n, double (*v)[3])
{
    float *coord[3];
    u3d_warp_row(w, z, y, 0, n, coord);
    for (int64_t x = 0; x < n; x++)
        for (int a = 0; a < 3; a++) v[x][a] = (double)coord[a][x];
}

/* ---- deformation ---- */

enum { FIELD_N = 65, FIELD_DRAWS = 4000, KNOTS = 6 };

/* Variance of the field along one axis at grid position `at` (in cells), if each of the six grid values has
 * variance 1: the sum of squares of their weights. The grid values are the coefficients of the splines or,
 * with `interpolate`, the values of the field at the grid points. The coefficients are then found by Gaussian
 * elimination, with grid values mirrored at both ends. */
static double field_variance(double at, bool interpolate)
{
    double matrix[KNOTS][KNOTS + 1] = {{0}}, sum = 0;
    for (int i = 0; i < KNOTS; i++) { /* the weight of knot i at position `at`; knot 0 lies at -1 */
        const double d = fabs(at - (i - 1));
        matrix[i][KNOTS] = d >= 2 ? 0 : d >= 1 ? pow(2 - d, 3) / 6 : (4 - 6 * d * d + 3 * d * d * d) / 6;
        matrix[i][i] = interpolate ? 4.0 / 6 : 1;
    }
    /* With values = B c and field = w c for coefficients c, the weights of the values are w B^-1. They are
     * found by solving the transposed equations. This adds the other elements of B^T. */
    for (int i = 0; interpolate && i < KNOTS; i++) {
        if (i > 0) matrix[i - 1][i] += i == KNOTS - 1 ? 2.0 / 6 : 1.0 / 6;
        if (i < KNOTS - 1) matrix[i + 1][i] += i == 0 ? 2.0 / 6 : 1.0 / 6;
    }
    for (int p = 0; p < KNOTS; p++)
        for (int row = 0; row < KNOTS; row++)
            for (int column = KNOTS; row != p && column >= p; column--)
                matrix[row][column] -= matrix[row][p] / matrix[p][p] * matrix[p][column];
    for (int i = 0; i < KNOTS; i++) sum += pow(matrix[i][KNOTS] / matrix[i][i], 2);
    return sum;
}

/* Standard deviation of the field at a grid point, between two grid points along x, and in the middle of a
 * cell. */
static void test_field_deviation(void **state)
{
    (void)state;
    static const int point[3][3] = {{32, 32, 32}, {32, 32, 48}, {48, 48, 48}};
    const int64_t in[3] = {FIELD_N, FIELD_N, FIELD_N};
    const double spacing[3] = {1, 1, 1};
    assert_true(fabs(field_variance(1, false) - 0.5) < 1e-12); /* 1/36 + 16/36 + 1/36 */
    assert_true(fabs(field_variance(1.5, false) - 0.4601) < 1e-4);
    assert_true(fabs(field_variance(1, true) - 1) < 1e-12);
    for (int interpolate = 0; interpolate < 2; interpolate++) {
        u3d_augment a = u3d_test_augment_everything();
        a.set.elastic_interpolation = interpolate ? U3D_ELASTIC_INTERPOLATE : U3D_ELASTIC_APPROXIMATE;
        u3d_warp *w = NULL;
        double squares[3][3] = {{0}}, cross = 0, mean = 0;
        assert_ok(u3d_warp_new(&a, in, &w));
        for (uint64_t k = 0; k < FIELD_DRAWS; k++) {
            const u3d_warp_draw draw = {.scale = {1, 1, 1}, .elastic = true, .seed = 5, .index = k};
            static double v[FIELD_N][3];
            u3d_warp_set(w, &draw, spacing, &as_it_is);
            for (int i = 0; i < 3; i++) {
                double d[3];
                map_row(w, point[i][0], point[i][1], FIELD_N, v);
                for (int axis = 0; axis < 3; axis++) {
                    d[axis] = v[point[i][2]][axis] - (point[i][axis] - 32);
                    squares[i][axis] += d[axis] * d[axis] / FIELD_DRAWS;
                }
                mean += d[0] / (3.0 * FIELD_DRAWS);
                cross += d[0] * d[1] / (3.0 * FIELD_DRAWS);
            }
        }
        assert_true(fabs(mean) < 0.25);
        assert_true(fabs(cross) < 0.8 * (interpolate ? 1 : 0.125)); /* the components are independent */
        for (int i = 0; i < 3; i++) {
            double expected = 4;
            for (int axis = 0; axis < 3; axis++)
                expected *= sqrt(field_variance(point[i][axis] / 32.0, interpolate));
            for (int axis = 0; axis < 3; axis++) /* within 5 standard deviations of the estimate */
                u3d_test_close(sqrt(squares[i][axis]), expected, expected * 5 / sqrt(2.0 * FIELD_DRAWS));
        }
        u3d_warp_free(w);
    }
}

/* The third differences of the field must be as small as those of a cubic spline, which are the third
 * differences of its coefficients divided by step^3. Linear interpolation would have kinks a hundred times as
 * large. */
static void test_field_smooth(void **state)
{
    (void)state;
    const int64_t in[3] = {9, 9, 129};
    const double spacing[3] = {1, 1, 1};
    for (int interpolate = 0; interpolate < 2; interpolate++) {
        u3d_augment a = u3d_test_augment_everything();
        a.set.elastic_interpolation = interpolate ? U3D_ELASTIC_INTERPOLATE : U3D_ELASTIC_APPROXIMATE;
        u3d_warp *w = NULL;
        double v[129][3], largest = 0, moved = 0;
        assert_ok(u3d_warp_new(&a, in, &w));
        for (uint64_t k = 0; k < 50; k++) {
            const u3d_warp_draw draw = {.scale = {1, 1, 1}, .elastic = true, .seed = 6, .index = k};
            u3d_warp_set(w, &draw, spacing, &as_it_is);
            map_row(w, 0, 0, 129, v);
            for (int x = 0; x + 3 < 129; x++)
                for (int axis = 0; axis < 3; axis++)
                    largest = fmax(
                        largest, fabs(v[x + 3][axis] - 3 * v[x + 2][axis] + 3 * v[x + 1][axis] - v[x][axis]));
            moved = fmax(moved, fabs(v[64][0] + 4));
        }
        assert_true(largest < 8.0 * (interpolate ? 50 : 20) / (32.0 * 32 * 32));
        assert_true(moved > 1);
        u3d_warp_free(w);
    }
}

/* Along an axis with a larger spacing, the deformation must have the same length in space. Along an axis that
 * is marked as coarse, there must be none. */
static void test_field_spacing(void **state)
{
    (void)state;
    const int64_t in[3] = {33, 65, 65};
    const double spacing[3] = {2, 1, 1};
    for (int coarse = 0; coarse < 2; coarse++) {
        u3d_augment a = u3d_test_augment_everything();
        memcpy(a.spacing, spacing, sizeof spacing);
        a.coarse[0] = coarse;
        u3d_warp *w = NULL;
        double squares[3] = {0}, v[65][3];
        assert_ok(u3d_warp_new(&a, in, &w));
        for (uint64_t k = 0; k < 2000; k++) {
            const u3d_warp_draw draw = {.scale = {1, 1, 1}, .elastic = true, .seed = 7, .index = k};
            u3d_warp_set(w, &draw, spacing, &as_it_is);
            map_row(w, 16, 32, 65, v); /* z = 16 is a grid point: 16 voxels of 2 are as long as 32 of 1 */
            for (int axis = 0; axis < 3; axis++) squares[axis] += v[32][axis] * v[32][axis] / 2000;
        }
        const double expected = 4 * pow(0.5, 1.5);
        for (int axis = 1; axis < 3; axis++) u3d_test_close(sqrt(squares[axis]), expected, 0.08 * expected);
        u3d_test_close(sqrt(squares[0]), coarse ? 0 : expected / 2, coarse ? 0 : 0.04 * expected);
        u3d_warp_free(w);
    }
}

/* ---- rotation and scaling ---- */

static void test_rotation_positions(void **state)
{
    (void)state;
    const int64_t in[3] = {12, 17, 20};
    const double spacing[3] = {3, 1.5, 0.7};
    u3d_augment a = u3d_test_augment_everything();
    u3d_warp *w = NULL;
    double v[20][3];
    assert_ok(u3d_warp_new(&a, in, &w));
    for (int axis = 0; axis < 3; axis++) {
        const double angle = 0.3 + 0.2 * axis, c = cos(angle), s = sin(angle);
        const int p = (axis + 1) % 3, q = (axis + 2) % 3;
        u3d_warp_draw draw = {.scale = {1, 1, 1}};
        draw.angle[axis] = angle;
        u3d_warp_set(w, &draw, spacing, &as_it_is);
        for (int z = 0; z < 12; z += 11)
            for (int y = 0; y < 17; y += 8) {
                map_row(w, z, y, 20, v);
                for (int x = 0; x < 20; x++) {
                    const double mm[3] = {(z - 5.5) * 3, (y - 8) * 1.5, (x - 9.5) * 0.7};
                    u3d_test_close(v[x][axis] * spacing[axis], mm[axis], 1e-4);
                    u3d_test_close(v[x][p] * spacing[p], c * mm[p] - s * mm[q], 1e-4);
                    u3d_test_close(v[x][q] * spacing[q], s * mm[p] + c * mm[q], 1e-4);
                }
            }
    }
    u3d_warp_free(w);
}

/* With rotations about all three axes and one scale, all lengths in space must grow by the scale, whatever
 * the spacing. Without a rotation, each axis must have its own scale. */
static void test_rotation_isotropic(void **state)
{
    (void)state;
    const int64_t in[3] = {12, 17, 20};
    const double spacing[3] = {3, 1.5, 0.7};
    u3d_augment a = u3d_test_augment_everything();
    u3d_warp *w = NULL;
    double first[20][3], v[20][3];
    assert_ok(u3d_warp_new(&a, in, &w));
    const u3d_warp_draw draw = {.angle = {0.5, -1.1, 2.2}, .scale = {1.3, 1.3, 1.3}};
    u3d_warp_set(w, &draw, spacing, &as_it_is);
    map_row(w, 0, 0, 20, first);
    for (int z = 1; z < 12; z++) {
        map_row(w, z, 16 - z, 20, v);
        for (int x = 0; x < 20; x++) {
            const double from[3] = {3.0 * z, 1.5 * (16 - z), 0.7 * x};
            double before = 0, after = 0;
            for (int axis = 0; axis < 3; axis++) {
                before += from[axis] * from[axis];
                after += pow((v[x][axis] - first[0][axis]) * spacing[axis], 2);
            }
            u3d_test_close(sqrt(after), 1.3 * sqrt(before), 1e-4 * sqrt(before));
        }
    }
    const u3d_warp_draw each = {.scale = {0.7, 1.4, 2}};
    u3d_warp_set(w, &each, spacing, &as_it_is);
    map_row(w, 3, 4, 20, v);
    for (int x = 0; x < 20; x++) {
        u3d_test_close(v[x][0], 0.7 * (3 - 5.5), 1e-5);
        u3d_test_close(v[x][1], 1.4 * (4 - 8), 1e-5);
        u3d_test_close(v[x][2], 2 * (x - 9.5), 1e-5);
    }
    u3d_warp_free(w);
}

/* Rotation, scaling and deformation must be drawn with the right probabilities and ranges, scales
 * log-uniformly. If an axis is coarse, rotation must be about this axis only. */
static void test_draws(void **state)
{
    (void)state;
    enum { N = 20000 };
    u3d_augment a = u3d_test_augment_everything();
    a.set.p_elastic = 0.1;
    int rotated = 0, scaled = 0, elastic = 0, larger = 0;
    double sum = 0, largest = 0;
    for (int64_t k = 0; k < N; k++) {
        u3d_warp_draw d;
        const bool any = u3d_warp_choose(&a, u3d_test_seed(), k, &d);
        rotated += d.angle[0] != 0;
        elastic += d.elastic;
        assert_int_equal(any, d.angle[0] != 0 || d.scale[0] != 1 || d.elastic);
        assert_true(d.scale[0] == d.scale[1] && d.scale[1] == d.scale[2]);
        assert_true(d.scale[0] >= 0.7 && d.scale[0] <= 1.4);
        for (int axis = 0; axis < 3; axis++) largest = fmax(largest, fabs(d.angle[axis]));
        if (d.scale[0] == 1) continue;
        scaled++;
        larger += d.scale[0] > sqrt(0.7 * 1.4);
        sum += d.angle[0] != 0 ? 1 : 0;
    }
    const double sigma = 5 * sqrt(N * 0.2 * 0.8);
    assert_true(fabs(rotated - 0.2 * N) < sigma && fabs(scaled - 0.2 * N) < sigma &&
                fabs(elastic - 0.1 * N) < sigma);
    assert_true(fabs(larger - 0.5 * scaled) < 5 * sqrt(0.25 * scaled));
    /* Rotation and scaling must be drawn independently. */
    assert_true(fabs(sum - 0.2 * scaled) < 5 * sqrt(0.16 * scaled));
    assert_true(largest > 29 * M_PI / 180 && largest <= 30 * M_PI / 180);

    a.coarse[0] = true;
    largest = 0;
    for (int64_t k = 0; k < 2000; k++) {
        u3d_warp_draw d;
        (void)u3d_warp_choose(&a, u3d_test_seed(), k, &d);
        assert_true(d.angle[1] == 0 && d.angle[2] == 0 && d.scale[0] == 1);
        largest = fmax(largest, fabs(d.angle[0]));
    }
    assert_true(largest > 3 && largest <= M_PI);
    a.coarse[1] = true; /* no plane is left in which a patch could be rotated */
    for (int64_t k = 0; k < 2000; k++) {
        u3d_warp_draw d;
        (void)u3d_warp_choose(&a, u3d_test_seed(), k, &d);
        assert_true(d.angle[0] == 0 && d.angle[1] == 0 && d.angle[2] == 0);
    }
}

/* ---- reading the volume ---- */

static int64_t walk_mirror(int64_t i, int64_t n)
{
    while (n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
    return n > 1 ? i : 0;
}

static double kernel(double d, bool cubic)
{
    d = fabs(d);
    if (!cubic) return d < 1 ? 1 - d : 0;
    return d < 1 ? 1.5 * d * d * d - 2.5 * d * d + 1 : d < 2 ? -0.5 * d * d * d + 2.5 * d * d - 4 * d + 2 : 0;
}

/* Interpolates the volume at a position, in double precision. */
static double look_up(const u3d_volume *v, const double at[3], int channel, u3d_border border, bool cubic)
{
    double sum = 0;
    int64_t i[3], lowest[3];
    for (int a = 0; a < 3; a++) lowest[a] = (int64_t)floor(at[a]) - 1;
    for (i[0] = lowest[0]; i[0] < lowest[0] + 4; i[0]++)
        for (i[1] = lowest[1]; i[1] < lowest[1] + 4; i[1]++)
            for (i[2] = lowest[2]; i[2] < lowest[2] + 4; i[2]++) {
                double weight = 1;
                bool inside = true;
                int64_t voxel = 0;
                for (int a = 0; a < 3; a++) {
                    weight *= kernel(at[a] - (double)i[a], cubic);
                    inside = inside && i[a] >= 0 && i[a] < v->size[a];
                    voxel = voxel * v->size[a] + walk_mirror(i[a], v->size[a]);
                }
                if (inside || border == U3D_BORDER_MIRROR)
                    sum += weight * (double)((float *)v->data)[voxel * v->channels + channel];
            }
    return sum;
}

typedef struct scene {
    u3d_volume *image, *label;
    u3d_box box;
    int64_t out[3];
    u3d_border border;
} scene;

static scene scene_new(u3d_rng *r, int trial)
{
    const double spacing[3] = {1, 1, 1};
    scene s = {.border = trial % 2 ? U3D_BORDER_MIRROR : U3D_BORDER_ZERO};
    int64_t size[3];
    for (int a = 0; a < 3; a++) {
        size[a] = trial % 5 == 4 && a == 0 ? 1 : 4 + u3d_rng_below(r, 16);
        s.box.size[a] = 3 + u3d_rng_below(r, 14);
        s.box.start[a] = u3d_rng_below(r, 24) - 12;
        s.out[a] = s.box.size[a] - 2 * u3d_rng_below(r, 2);
    }
    assert_ok(u3d_volume_new(size, spacing, U3D_F32, 1 + trial % 4, &s.image));
    assert_ok(u3d_volume_new(size, spacing, U3D_U8, 1, &s.label));
    u3d_test_normal(r, s.image->data, u3d_volume_voxels(s.image) * s.image->channels);
    for (int64_t v = 0; v < u3d_volume_voxels(s.label); v++) {
        const int64_t class = u3d_rng_below(r, 4);
        ((uint8_t *)s.label->data)[v] = class == 3 ? U3D_UNLABELED : (uint8_t) class;
    }
    return s;
}

static void scene_check(const scene *s, u3d_warp *w, bool cubic, float *image, uint8_t *label)
{
    const int channels = s->image->channels;
    double v[32][3];
    u3d_warp_image(w, s->image, &s->box, s->border, image);
    u3d_warp_label(w, s->label, &s->box, s->out, s->border, label);
    int64_t n = 0, n_label = 0;
    for (int64_t z = 0; z < s->box.size[0]; z++)
        for (int64_t y = 0; y < s->box.size[1]; y++) {
            map_row(w, z, y, s->box.size[2], v);
            for (int64_t x = 0; x < s->box.size[2]; x++, n++) {
                const int64_t p[3] = {z, y, x};
                double at[3];
                int64_t nearest[3], voxel = 0;
                bool in_label = true, inside = true;
                for (int a = 0; a < 3; a++) {
                    const int64_t edge = (s->box.size[a] - s->out[a]) / 2;
                    at[a] = v[x][a] + (double)s->box.start[a] + 0.5 * (double)(s->box.size[a] - 1);
                    nearest[a] = (int64_t)floor(at[a] + 0.5);
                    inside = inside && nearest[a] >= 0 && nearest[a] < s->label->size[a];
                    voxel = voxel * s->label->size[a] + walk_mirror(nearest[a], s->label->size[a]);
                    in_label = in_label && p[a] >= edge && p[a] < edge + s->out[a];
                }
                for (int c = 0; c < channels; c++)
                    u3d_test_close((double)image[n * channels + c],
                                   look_up(s->image, at, c, s->border, cubic), 2e-4);
                if (!in_label) continue;
                const uint8_t expected = inside || s->border == U3D_BORDER_MIRROR
                                             ? ((uint8_t *)s->label->data)[voxel]
                                             : U3D_UNLABELED;
                bool edge = false; /* the position is halfway between two voxels: either may be nearest */
                for (int a = 0; a < 3; a++) edge = edge || fabs(at[a] + 0.5 - round(at[a] + 0.5)) < 1e-4;
                if (!edge) assert_int_equal(label[n_label], expected);
                n_label++;
            }
        }
}

/* Compares patches with scene_check for random maps, volumes, borders and channels, linear and cubic. */
static void test_reading(void **state)
{
    (void)state;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 3);
    static float image[17 * 17 * 17 * 4];
    static uint8_t label[17 * 17 * 17];
    for (int trial = 0; trial < 60; trial++) {
        scene s = scene_new(&r, trial);
        u3d_augment a = u3d_test_augment_everything();
        a.set.image_interpolation = trial % 3 == 0 ? U3D_INTERPOLATE_CUBIC : U3D_INTERPOLATE_LINEAR;
        a.set.elastic_grid = 8;
        u3d_warp *w = NULL;
        u3d_warp_draw draw = {.elastic = trial % 4 != 0, .seed = 1, .index = (uint64_t)trial};
        for (int axis = 0; axis < 3; axis++) {
            draw.angle[axis] = u3d_rng_uniform(&r) * 6 - 3;
            draw.scale[axis] = 0.5 + u3d_rng_uniform(&r);
        }
        assert_ok(u3d_warp_new(&a, s.box.size, &w));
        u3d_warp_set(w, &draw, (const double[]){2, 1, 1.5}, &as_it_is);
        scene_check(&s, w, trial % 3 == 0, image, label);
        u3d_warp_free(w);
        u3d_volume_free(s.image);
        u3d_volume_free(s.label);
    }
}

/* A map that only flips and turns must give the same bits as cutting the patch and exchanging voxels. */
static void test_exact_map(void **state)
{
    (void)state;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 4);
    static float image[2][17 * 17 * 17 * 4], work[17 * 17 * 17 * 4];
    static uint8_t label[2][17 * 17 * 17];
    bool flipped = false, turned = false;
    for (int trial = 0; trial < 60; trial++) {
        scene s = scene_new(&r, trial);
        u3d_augment a = u3d_test_augment_everything();
        u3d_box out = {.size = {s.out[0], s.out[1], s.out[2]}};
        u3d_warp *w = NULL;
        for (int axis = 0; axis < 3; axis++) {
            if (trial % 3) s.box.size[axis] = s.box.size[0], s.out[axis] = out.size[axis] = s.out[0];
            a.mirror[axis] = a.turn[axis] = true;
            out.start[axis] = s.box.start[axis] + (s.box.size[axis] - s.out[axis]) / 2;
        }
        const u3d_axes axes = u3d_augment_axes(&a, 9, trial, s.box.size, s.out);
        flipped = flipped || axes.flip[0];
        turned = turned || axes.from[0] != 0;
        a.set.image_interpolation = trial % 4 == 0 ? U3D_INTERPOLATE_CUBIC : U3D_INTERPOLATE_LINEAR;
        assert_ok(u3d_warp_new(&a, s.box.size, &w));
        u3d_warp_set(w, &(u3d_warp_draw){.scale = {1, 1, 1}}, (const double[]){1, 1, 1}, &axes);
        u3d_warp_image(w, s.image, &s.box, s.border, image[0]);
        u3d_warp_label(w, s.label, &s.box, s.out, s.border, label[0]);
        u3d_patch_cut_image(s.image, &s.box, s.border, image[1]);
        u3d_patch_cut_label(s.label, &out, s.border, label[1]);
        u3d_augment_apply(&a, 9, trial, s.box.size, s.image->channels, image[1], s.out, label[1], work);
        const int64_t n = s.box.size[0] * s.box.size[1] * s.box.size[2];
        for (int64_t i = 0; i < n * s.image->channels; i++) assert_true(image[0][i] == image[1][i]);
        assert_memory_equal(label[0], label[1], (size_t)(s.out[0] * s.out[1] * s.out[2]));
        u3d_warp_free(w);
        u3d_volume_free(s.image);
        u3d_volume_free(s.label);
    }
    assert_true(flipped && turned);
}

/* A map with flips must have the positions of the same map without flips, in reverse order along the flipped
 * axes. */
static void test_mirrored_map(void **state)
{
    (void)state;
    const int64_t in[3] = {10, 11, 12};
    const double spacing[3] = {2, 1, 1.5};
    u3d_augment a = u3d_test_augment_everything();
    u3d_warp *w = NULL;
    static double v[10][11][12][3], mirrored[12][3];
    const u3d_axes flip = {.from = {0, 1, 2}, .flip = {true, false, true}};
    const u3d_warp_draw draw = {.angle = {0.5, 0.2, -0.7}, .scale = {1.1, 0.8, 1.3}};
    assert_ok(u3d_warp_new(&a, in, &w));
    u3d_warp_set(w, &draw, spacing, &as_it_is);
    for (int z = 0; z < 10; z++)
        for (int y = 0; y < 11; y++) map_row(w, z, y, 12, v[z][y]);
    u3d_warp_set(w, &draw, spacing, &flip);
    for (int z = 0; z < 10; z++)
        for (int y = 0; y < 11; y++) {
            map_row(w, z, y, 12, mirrored);
            for (int x = 0; x < 12; x++)
                for (int axis = 0; axis < 3; axis++)
                    u3d_test_close(mirrored[x][axis], v[9 - z][y][11 - x][axis], 1e-5);
        }
    u3d_warp_free(w);
}

/* Shifts must be whole voxels, and all shifts must be equally likely. */
static void test_translation(void **state)
{
    (void)state;
    u3d_augment a = u3d_test_augment_everything();
    int seen[3][7] = {{0}};
    a.set.translation = 3;
    for (int64_t k = 0; k < 2000; k++) {
        u3d_box box = {.start = {10, 20, 30}};
        u3d_warp_shift(&a, 1, k, &box);
        for (int axis = 0; axis < 3; axis++) {
            const int64_t by = box.start[axis] - 10 * (axis + 1);
            assert_in_range(by + 3, 0, 6);
            seen[axis][by + 3]++;
        }
    }
    for (int axis = 0; axis < 3; axis++)
        for (int by = 0; by < 7; by++) assert_in_range(seen[axis][by], 200, 375);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_field_deviation),
                                       cmocka_unit_test(test_field_smooth),
                                       cmocka_unit_test(test_field_spacing),
                                       cmocka_unit_test(test_rotation_positions),
                                       cmocka_unit_test(test_rotation_isotropic),
                                       cmocka_unit_test(test_draws),
                                       cmocka_unit_test(test_reading),
                                       cmocka_unit_test(test_exact_map),
                                       cmocka_unit_test(test_mirrored_map),
                                       cmocka_unit_test(test_translation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
