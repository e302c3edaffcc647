/* Tests of patches for training: cutting a box out of a volume (net/volume/patch.h), choosing the box
 * (net/sample/choose.h), flips and 90 degree turns (augment.h), and worker threads (feeder.h). Results are
 * compared with loops over voxels, random choices with the probabilities that they should have.
 *
 * Other random changes are tested in test_warp, test_grey and test_augment. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/sample/feeder.h"

static const u3d_cases_opts blank_is_9 = {.unlabeled_given = true, .unlabeled = 9};

/* ---- cutting ---- */

/* The mirrored index, found by walking one step at a time and turning around at the ends. */
static int64_t walk_mirror(int64_t i, int64_t n)
{
    if (n == 1) return 0;
    int64_t at = 0, step = 1;
    for (int64_t left = i < 0 ? -i : i; left > 0; left--) { /* i and -i have the same mirrored index */
        if (at + step < 0 || at + step >= n) step = -step;
        at += step;
    }
    return at;
}

static void test_mirror_index(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 9; n++)
        for (int64_t i = -70; i <= 70; i++) assert_int_equal(u3d_mirror_index(i, n), walk_mirror(i, n));
    assert_int_equal(u3d_mirror_index(-1, 10), 1);
    assert_int_equal(u3d_mirror_index(10, 10), 8);
    assert_int_equal(u3d_mirror_index(INT64_C(1) << 60, 3), 0);
}

static void check_cut(const u3d_volume *image, const u3d_volume *label, const u3d_box *box, u3d_border border)
{
    int64_t n = box->size[0] * box->size[1] * box->size[2];
    float *f = u3d_new((size_t)(n * image->channels), sizeof *f);
    uint8_t *u = u3d_new((size_t)n, 1);
    assert_true(f && u);
    memset(f, 0xFF, (size_t)(n * image->channels) * sizeof *f);
    u3d_patch_cut_image(image, box, border, f);
    u3d_patch_cut_label(label, box, border, u);
    int64_t i = 0;
    for (int64_t z = 0; z < box->size[0]; z++)
        for (int64_t y = 0; y < box->size[1]; y++)
            for (int64_t x = 0; x < box->size[2]; x++, i++) {
                const int64_t at[3] = {box->start[0] + z, box->start[1] + y, box->start[2] + x};
                bool inside = true;
                int64_t v = 0;
                for (int a = 0; a < 3; a++) {
                    inside = inside && at[a] >= 0 && at[a] < image->size[a];
                    v = v * image->size[a] + walk_mirror(at[a], image->size[a]);
                }
                bool blank = !inside && border == U3D_BORDER_ZERO;
                assert_int_equal(u[i], blank ? U3D_UNLABELED : ((uint8_t *)label->data)[v]);
                for (int ch = 0; ch < image->channels; ch++)
                    assert_true(f[i * image->channels + ch] ==
                                (blank ? 0 : ((float *)image->data)[v * image->channels + ch]));
            }
    u3d_free(f);
    u3d_free(u);
}

static void test_cut(void **state)
{
    (void)state;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2);
    const double spacing[3] = {1, 1, 1};
    for (int trial = 0; trial < 400; trial++) {
        u3d_volume *image = NULL, *label = NULL;
        int64_t size[3];
        u3d_box box;
        for (int a = 0; a < 3; a++) {
            size[a] = 1 + u3d_rng_below(&r, 7);
            box.size[a] = 1 + u3d_rng_below(&r, 12);
            box.start[a] = u3d_rng_below(&r, 40) - 20;
        }
        assert_ok(u3d_volume_new(size, spacing, U3D_F32, 1 + trial % 3, &image));
        assert_ok(u3d_volume_new(size, spacing, U3D_U8, 1, &label));
        u3d_test_normal(&r, image->data, u3d_volume_voxels(image) * image->channels);
        for (int64_t v = 0; v < u3d_volume_voxels(label); v++)
            ((uint8_t *)label->data)[v] = (uint8_t)u3d_rng_below(&r, 250);
        check_cut(image, label, &box, trial % 2 ? U3D_BORDER_MIRROR : U3D_BORDER_ZERO);
        u3d_volume_free(image);
        u3d_volume_free(label);
    }
}

/* ---- choosing ---- */

/* 9 is unlabelled, 0 is background, 1 and 2 are foreground classes, of which 2 is rare. */
static double voxel_classes(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    if (z == 3) return 9;
    if (z == 4 && y == 2 && x < 2) return 2;
    return y == 5 ? 1 : 0;
}

static double voxel_background(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)z, (void)y, (void)x, (void)user;
    return 0;
}

static double voxel_blank(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)z, (void)y, (void)x, (void)user;
    return 9;
}

static double voxel_number(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return (double)((z * 100 + y) * 100 + x);
}

/* As voxel_number, plus 0.5, which distinguishes it from all voxels of cases that use voxel_number. */
static double voxel_marked(int64_t z, int64_t y, int64_t x, const void *user)
{
    return voxel_number(z, y, x, user) + 0.5;
}

/* Compares the counts of cells for which counts[i] is true with equal shares. Returns how far chi-square is
 * from its mean, in standard deviations. */
static double chi_square_sigmas(const int64_t *count, const bool *counts, int64_t cells, int64_t samples)
{
    int64_t used = 0;
    double sum = 0;
    for (int64_t i = 0; i < cells; i++) used += counts[i];
    double expected = (double)samples / (double)used;
    for (int64_t i = 0; i < cells; i++)
        if (counts[i]) sum += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
    double freedom = (double)(used - 1);
    return (sum - freedom) / sqrt(2 * freedom);
}

enum { CHOOSE_SAMPLES = 60000 };

static const int64_t CASE_SIZE[3] = {6, 7, 5};

/* Opens n cases "a", "b", ... of CASE_SIZE voxels, which have these labels. The caller frees the cases and
 * the set. */
static u3d_cases *choose_open(u3d_test_set *s, const u3d_test_voxel *labels, int n)
{
    u3d_cases *c = NULL;
    u3d_test_set_new(s);
    for (int i = 0; i < n; i++)
        u3d_test_set_add(s, (const char[]){(char)('a' + i), 0}, CASE_SIZE, 1, voxel_number, labels[i], NULL);
    assert_ok(u3d_test_set_open(s, U3D_INTENSITY_NONE, &blank_is_9, &c));
    return c;
}

/* Cases with labelled voxels must be equally likely, and so must the labelled voxels of a case, whatever
 * their class. */
static void test_choose_uniform(void **state)
{
    (void)state;
    /* Case "c" is never chosen, because it has no labels. */
    const u3d_test_voxel labels[] = {voxel_classes, voxel_background, voxel_blank};
    u3d_test_set s;
    u3d_cases *c = choose_open(&s, labels, 3);
    const u3d_patch_opts o = {.in = {12, 12, 12}, .out = {4, 4, 4}, .border = U3D_BORDER_MIRROR};
    int64_t count[210] = {0}, of_case[3] = {0};
    bool counts[210];
    for (int64_t k = 0; k < CHOOSE_SAMPLES; k++) {
        u3d_box box;
        int i = -1;
        assert_ok(u3d_patch_choose(c, &o, u3d_test_seed(), k, &i, &box, (int64_t[3]){0}));
        of_case[i]++;
        if (i != 0) continue;
        int64_t v = 0;
        for (int a = 0; a < 3; a++) {
            int64_t centre = box.start[a] + 6;
            assert_true(centre >= 0 && centre < CASE_SIZE[a]);
            v = v * CASE_SIZE[a] + centre;
        }
        count[v]++;
    }
    for (int64_t v = 0; v < 210; v++) {
        counts[v] = voxel_classes(v / 35, v / 5 % 7, v % 5, NULL) < 9;
        if (!counts[v]) assert_int_equal(count[v], 0);
    }
    assert_int_equal(of_case[2], 0);
    assert_true(fabs((double)of_case[0] - CHOOSE_SAMPLES / 2.0) < 5 * sqrt(CHOOSE_SAMPLES) / 2);
    assert_true(fabs(chi_square_sigmas(count, counts, 210, of_case[0])) < 5);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* Patches must be centred on foreground with the right probability, on each foreground class equally often. A
 * case without foreground must also give patches, but only those for which any labelled voxel will do. */
static void test_choose_foreground(void **state)
{
    (void)state;
    const u3d_test_voxel labels[] = {voxel_classes, voxel_background};
    u3d_test_set s;
    u3d_cases *c = choose_open(&s, labels, 2);
    const u3d_patch_opts o = {
        .in = {3, 3, 3}, .out = {3, 3, 3}, .foreground_share = 0.4, .border = U3D_BORDER_MIRROR};
    double of_class[3] = {0}, in_a = 0, fore = 0;
    for (int64_t k = 0; k < CHOOSE_SAMPLES; k++) {
        u3d_box box;
        int i = -1;
        assert_ok(u3d_patch_choose(c, &o, u3d_test_seed(), k, &i, &box, (int64_t[3]){0}));
        if (i != 0) continue;
        in_a++;
        of_class[(int)voxel_classes(box.start[0] + 1, box.start[1] + 1, box.start[2] + 1, NULL)]++;
    }
    /* Case "a" has 175 labelled voxels, 25 of class 1 and 2 of class 2; "b" gets half of the other samples.
     */
    const double expected[3] = {0.3 * 148 / 175, 0.2 + 0.3 * 25 / 175, 0.2 + 0.3 * 2 / 175};
    for (int k = 0; k < 3; k++) {
        assert_true(fabs(of_class[k] / CHOOSE_SAMPLES - expected[k]) <
                    5 * sqrt(expected[k] * (1 - expected[k]) / CHOOSE_SAMPLES));
        fore += expected[k];
    }
    assert_true(fabs(in_a / CHOOSE_SAMPLES - fore) < 5 * sqrt(fore * (1 - fore) / CHOOSE_SAMPLES));
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

static double voxel_rare(int64_t z, int64_t y, int64_t x, const void *user)
{
    return z == 1 && y == 1 && x == 1 ? 2 : voxel_classes(z, y, x, user) == 1 ? 1 : 0;
}

static double voxel_common(int64_t z, int64_t y, int64_t x, const void *user)
{
    return voxel_classes(z, y, x, user) == 1 ? 1 : 0;
}

/* A class that is in 1 of 20 cases must be drawn as often as a class that is in all of them. */
static void test_choose_rare(void **state)
{
    (void)state;
    u3d_test_voxel labels[20] = {voxel_rare};
    for (int i = 1; i < 20; i++) labels[i] = voxel_common;
    u3d_test_set s;
    u3d_cases *c = choose_open(&s, labels, 20);
    const u3d_patch_opts o = {
        .in = {3, 3, 3}, .out = {3, 3, 3}, .foreground_share = 1, .border = U3D_BORDER_MIRROR};
    enum { SAMPLES = 4000 };
    double rare = 0;
    for (int64_t k = 0; k < SAMPLES; k++) {
        u3d_box box;
        int i = -1;
        int64_t voxel[3];
        assert_ok(u3d_patch_choose(c, &o, u3d_test_seed(), k, &i, &box, voxel));
        rare += i == 0 && voxel[0] == 1 && voxel[1] == 1 && voxel[2] == 1;
    }
    assert_true(fabs(rare / SAMPLES - 0.5) < 5 * sqrt(0.25 / SAMPLES));
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* The box of a same-padded network must lie inside the volume along axes that are long enough, and must be
 * centred on the volume along the others. */
static void test_choose_inside(void **state)
{
    (void)state;
    const u3d_test_voxel labels[] = {voxel_classes};
    u3d_test_set s;
    u3d_cases *c = choose_open(&s, labels, 1);
    const u3d_patch_opts o = {
        .in = {4, 7, 8}, .out = {4, 7, 8}, .foreground_share = 0.5, .border = U3D_BORDER_ZERO};
    bool seen[3] = {false};
    for (int64_t k = 0; k < 500; k++) {
        u3d_box box;
        int i = -1;
        assert_ok(u3d_patch_choose(c, &o, 1, k, &i, &box, (int64_t[3]){0}));
        assert_in_range(box.start[0], 0, 2);
        seen[box.start[0]] = true;
        assert_int_equal(box.start[1], 0);
        assert_int_equal(box.start[2], -1);
    }
    assert_true(seen[0] && seen[2]); /* a start of 1 has its centre in the unlabelled plane z = 3 */
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* With `roam`, the chosen voxel may lie anywhere in the box. So every start must occur with which the box
 * lies inside the volume or, along an axis where the box is longer, contains the volume. */
static void test_choose_roaming(void **state)
{
    (void)state;
    const u3d_test_voxel labels[] = {voxel_classes};
    u3d_test_set s;
    u3d_cases *c = choose_open(&s, labels, 1);
    const u3d_patch_opts o = {.in = {4, 7, 8}, .out = {4, 7, 8}, .border = U3D_BORDER_ZERO, .roam = true};
    const int64_t low[3] = {0, 0, -3}, high[3] = {2, 0, 0};
    int seen[3][16] = {{0}};
    for (int64_t k = 0; k < 2000; k++) {
        u3d_box box;
        int i = -1;
        assert_ok(u3d_patch_choose(c, &o, 1, k, &i, &box, (int64_t[3]){0}));
        for (int a = 0; a < 3; a++) {
            assert_true(box.start[a] >= low[a] && box.start[a] <= high[a]);
            seen[a][box.start[a] - low[a]]++;
        }
    }
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at <= high[a] - low[a]; at++) assert_true(seen[a][at] > 20);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* ---- augmentation ---- */

/* Before a change, the label equals the first channel of the image in the centre of the patch. They must be
 * equal after every change as well. */
static void test_augment_together(void **state)
{
    (void)state;
    enum { IN = 8, OUT = 4, N_IN = IN * IN * IN, N_OUT = OUT * OUT * OUT };
    const int64_t in[3] = {IN, IN, IN}, out[3] = {OUT, OUT, OUT};
    const u3d_augment a = {.mirror = {true, true, true}, .turn = {true, true, true}};
    static float image[N_IN * 2], original[N_IN * 2], work[N_IN * 2];
    static uint8_t label[N_OUT];
    bool seen[N_IN] = {false};
    int n_seen = 0;
    for (int v = 0; v < N_IN; v++) original[2 * v] = (float)(v % 251), original[2 * v + 1] = (float)v;
    for (int64_t k = 0; k < 2000; k++) {
        memcpy(image, original, sizeof image);
        for (int v = 0; v < N_OUT; v++) {
            int z = v / 16 + 2, y = v / 4 % 4 + 2, x = v % 4 + 2;
            label[v] = (uint8_t)original[2 * ((z * IN + y) * IN + x)];
        }
        u3d_augment_apply(&a, 7, k, in, 2, image, out, label, work);
        for (int v = 0; v < N_OUT; v++) {
            int z = v / 16 + 2, y = v / 4 % 4 + 2, x = v % 4 + 2, at = 2 * ((z * IN + y) * IN + x);
            assert_int_equal(label[v], (int)image[at]);
            assert_int_equal((int)image[at + 1] % 251, (int)image[at]); /* both channels moved together */
        }
        double sum = 0; /* changes if a voxel is lost or doubled */
        for (int v = 0; v < N_IN; v++) sum += (double)image[2 * v + 1];
        assert_true(sum == N_IN * (N_IN - 1) / 2.0);
        int corner = (int)image[1];
        n_seen += !seen[corner];
        seen[corner] = true;
    }
    assert_int_equal(n_seen, 8); /* every corner of the patch has come to voxel 0, and no other voxel */
}

/* Compares single changes with index arithmetic. */
static void test_augment_alone(void **state)
{
    (void)state;
    const int64_t in[3] = {2, 3, 3}, out[3] = {2, 3, 3};
    float image[18], work[18];
    uint8_t label[18];
    int flipped = 0, quarter[4] = {0};
    for (int64_t k = 0; k < 400; k++) {
        const u3d_augment x_only = {.mirror = {false, false, true}};
        for (int v = 0; v < 18; v++) image[v] = (float)v, label[v] = (uint8_t)v;
        u3d_augment_apply(&x_only, 3, k, in, 1, image, out, label, work);
        bool flip = label[0] == 2;
        flipped += flip;
        for (int v = 0; v < 18; v++) assert_int_equal(label[v], flip ? v / 3 * 3 + 2 - v % 3 : v);

        /* Only turns about z are possible. Turns about x or y would exchange axes of different lengths. */
        const u3d_augment all = {.turn = {true, true, true}};
        for (int v = 0; v < 18; v++) image[v] = (float)v, label[v] = (uint8_t)v;
        u3d_augment_apply(&all, 3, k, in, 1, image, out, label, work);
        static const int first[4] = {0, 6, 8, 2},
                         second[4] = {1, 3, 7, 5}; /* voxels that come to x = 0 and x = 1 */
        int turn = 0;
        while (turn < 4 && label[0] != first[turn]) turn++;
        assert_true(turn < 4);
        assert_int_equal(label[1], second[turn]); /* otherwise it is a transposition */
        assert_int_equal(label[9], first[turn] + 9);
        for (int v = 0; v < 18; v++) assert_true((int)image[v] == label[v]);
        quarter[turn]++;
    }
    assert_in_range(flipped, 150, 250);
    for (int turn = 0; turn < 4; turn++) assert_in_range(quarter[turn], 60, 140);
}

/* Plans the augmentation of one case with these label names and settings. The orientation of its file is
 * unknown if code is 0. */
static void plan_for(const char *const *names, int32_t code, const char *const *set, u3d_augment *plan)
{
    const int64_t size[3] = {3, 3, 3};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_config config;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_number, voxel_background, NULL);
    for (int32_t i = 0; names[i]; i++) u3d_test_set_name_label(&s, i, names[i]);
    u3d_volume *v = NULL; /* the spacings are equal within 1 %, which permits turns */
    assert_ok(u3d_volume_new(size, (const double[]){1, 1.005, 1}, U3D_F32, 1, &v));
    v->grid.sform_code = v->grid.qform_code = code;
    assert_ok(u3d_volume_write(s.d.cases[0].image[0], v));
    u3d_volume_free(v);
    char *label = s.d.cases[0].label;
    s.d.cases[0].label = NULL;
    u3d_config_default(&config);
    for (; *set; set++) assert_ok(u3d_config_set(&config, *set));
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &(u3d_cases_opts){.dense = true}, &c));
    assert_ok(u3d_augment_plan(&config, c, plan));
    u3d_cases_free(c);
    s.d.cases[0].label = label;
    u3d_test_set_done(&s);
}
#define NAMES(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING_SET ((const char *const[]){NULL})

static void assert_plan(const u3d_augment *p, const char *mirror, const char *turn)
{
    for (int a = 0; a < 3; a++) {
        assert_int_equal(p->mirror[a], strchr(mirror, "zyx"[a]) != NULL);
        assert_int_equal(p->turn[a], strchr(turn, "zyx"[a]) != NULL);
    }
}

static void test_augment_plan(void **state)
{
    (void)state;
    u3d_augment p;
    plan_for(NAMES("background", "cell"), 1, NOTHING_SET, &p);
    assert_plan(&p, "xyz", "");
    plan_for(NAMES("background", "cell"), 0, NOTHING_SET, &p);
    assert_plan(&p, "xyz", "xyz");
    plan_for(NAMES("background", "cell"), 0, NAMES("patch=64x64x32"), &p);
    assert_plan(&p, "xyz", "z");
    plan_for(NAMES("background", "cell"), 0, NAMES("kernel=3x3x1,3x3x3"), &p);
    assert_plan(&p, "xyz", "z");
    plan_for(NAMES("background", "Left_Lung", "lung right"), 1, NOTHING_SET, &p);
    assert_plan(&p, "yz", "");
    plan_for(NAMES("background", "Anterior", "Posterior"), 1, NOTHING_SET, &p);
    assert_plan(&p, "xz", "");
    plan_for(NAMES("background", "kidney_l", "kidney_r", "upper lobe", "lower lobe"), 1, NOTHING_SET, &p);
    assert_plan(&p, "y", "");
    plan_for(NAMES("background", "Anterior", "Posterior"), 0, NOTHING_SET, &p);
    assert_plan(&p, "", "");
    /* "left" and "right" count only as whole words. */
    plan_for(NAMES("background", "leftover", "bright"), 1, NOTHING_SET, &p);
    assert_plan(&p, "xyz", "");
    /* One name suffices: most organs that have a side have a twin, labelled or not. */
    plan_for(NAMES("background", "left atrium"), 1, NOTHING_SET, &p);
    assert_plan(&p, "yz", "");
    plan_for(NAMES("background", "left", "right"), 1, NAMES("mirror=x", "turn=on"), &p);
    assert_plan(&p, "x", "xyz");
    plan_for(NAMES("background", "left", "right"), 0, NAMES("mirror=none", "turn=off"), &p);
    assert_plan(&p, "", "");
}

/* ---- feeding ---- */

enum { FEED_BATCHES = 12, FEED_SAMPLE = 8 * 8 * 8, FEED_OUT = 4 * 4 * 4 };

typedef struct feed_result {
    float image[FEED_BATCHES][2 * FEED_SAMPLE];
    uint8_t label[FEED_BATCHES][2 * FEED_OUT];
} feed_result;

static u3d_feeder_opts feed_opts(int workers, int depth, int64_t first)
{
    return (u3d_feeder_opts){.patch = {.in = {8, 8, 8}, .out = {4, 4, 4}, .foreground_share = 0.3},
                             .augment = {.mirror = {true, true, true}, .turn = {true, true, true}},
                             .batch = 2,
                             .seed = 42,
                             .first = first,
                             .workers = workers,
                             .depth = depth};
}

static void feed(u3d_cases *c, int workers, int depth, int64_t first, feed_result *r)
{
    u3d_feeder *f = NULL;
    u3d_feeder_opts o = feed_opts(workers, depth, first);
    assert_ok(u3d_feeder_open(c, &o, &f));
    for (int64_t k = first; k < FEED_BATCHES; k++) {
        u3d_patch *p = NULL;
        assert_ok(u3d_feeder_next(f, &p));
        assert_int_equal(p->index, k);
        assert_int_equal(p->image->type.dim[0], 2);
        memcpy(r->image[k], p->image->data, sizeof r->image[k]);
        memcpy(r->label[k], p->label->data, sizeof r->label[k]);
        u3d_feeder_return(f, p);
    }
    u3d_feeder_close(f);
}

/* Batches must be the same with any number of workers, any depth, a small memory budget, and if the feeder
 * starts with a later batch. */
static void test_feeder_determinism(void **state)
{
    (void)state;
    static feed_result expected, got;
    const int64_t size[3] = {6, 7, 5};
    int64_t live = u3d_mem_live();
    u3d_test_set s;
    u3d_test_set_new(&s);
    for (int i = 0; i < 4; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "c%d", i);
        u3d_test_set_add(&s, id, size, 1, i % 2 ? voxel_marked : voxel_number,
                         i % 2 ? voxel_background : voxel_classes, NULL);
    }
    static const struct {
        int workers, depth;
        uint64_t cap;
        int64_t first;
    } runs[] = {{1, 2, 0, 0}, {1, 5, 0, 0}, {3, 4, 0, 0}, {8, 9, 0, 0}, {4, 12, 1, 0}, {2, 3, 0, 7}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        u3d_cases *c = NULL;
        const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 9, .memory_cap = runs[i].cap};
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
        memset(&got, 0, sizeof got);
        feed(c, runs[i].workers, runs[i].depth, runs[i].first, i ? &got : &expected);
        for (int64_t k = runs[i].first; i > 0 && k < FEED_BATCHES; k++) {
            assert_memory_equal(got.image[k], expected.image[k], sizeof got.image[k]);
            assert_memory_equal(got.label[k], expected.label[k], sizeof got.label[k]);
        }
        u3d_cases_free(c);
    }
    assert_memory_not_equal(expected.image[0], expected.image[1], sizeof expected.image[0]);
    assert_memory_not_equal(expected.image[0], &expected.image[0][FEED_SAMPLE], sizeof(float) * FEED_SAMPLE);

    /* Labels must belong to the image: a grey value is the number of a voxel, from which its class follows.
     * Grey values of cases without foreground have a fraction. */
    for (int k = 0; k < FEED_BATCHES; k++)
        for (int v = 0; v < 2 * FEED_OUT; v++) {
            int n = v / FEED_OUT, z = v / 16 % 4 + 2, y = v / 4 % 4 + 2, x = v % 4 + 2;
            double number = (double)expected.image[k][n * FEED_SAMPLE + (z * 8 + y) * 8 + x];
            int whole = (int)number;
            int value = (int)voxel_classes(whole / 10000, whole / 100 % 100, whole % 100, NULL);
            int class = number != whole ? 0 : value == 9 ? U3D_UNLABELED : value;
            assert_int_equal(expected.label[k][v], class);
        }
    u3d_test_set_done(&s);
    assert_int_equal(u3d_mem_live(), live);
}

/* If a case cannot be read again, the batches before it must come in order, and then the error, however often
 * the next batch is requested. */
static void test_feeder_failure(void **state)
{
    (void)state;
    const int64_t size[3] = {6, 7, 5};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_number, voxel_classes, NULL);
    u3d_test_set_add(&s, "b", size, 1, voxel_number, voxel_classes, NULL);
    int failed_at[2];
    for (int run = 0; run < 2; run++) {
        u3d_cases *c = NULL;
        u3d_feeder *f = NULL;
        u3d_patch *p = NULL;
        const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 9, .memory_cap = 1};
        u3d_feeder_opts fo = feed_opts(run ? 4 : 1, 6, 0);
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
        char *away = u3d_format("%s.away", s.d.cases[1].image[0]);
        assert_int_equal(rename(s.d.cases[1].image[0], away), 0);
        assert_ok(u3d_feeder_open(c, &fo, &f));
        u3d_status status = U3D_OK;
        for (failed_at[run] = 0; failed_at[run] < 100; failed_at[run]++) {
            status = u3d_feeder_next(f, &p);
            if (status != U3D_OK) break;
            u3d_feeder_return(f, p);
        }
        assert_int_equal(status, U3D_E_IO);
        assert_non_null(strstr(u3d_error_text(), "'b'"));
        assert_status(u3d_feeder_next(f, &p), U3D_E_IO);
        u3d_feeder_close(f);
        u3d_cases_free(c);
        assert_int_equal(rename(away, s.d.cases[1].image[0]), 0);
        u3d_free(away);
    }
    assert_int_equal(failed_at[0], failed_at[1]);
    u3d_test_set_done(&s);
}

static void test_feeder_edges(void **state)
{
    (void)state;
    const int64_t size[3] = {6, 7, 5};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_feeder *f = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_number, NULL, NULL);
    u3d_feeder_opts o = feed_opts(2, 3, 0);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &blank_is_9, &c));
    assert_status(u3d_feeder_open(c, &o, &f), U3D_E_ARG);
    u3d_cases_free(c);
    u3d_test_set_add(&s, "b", size, 1, voxel_number, voxel_classes, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &blank_is_9, &c));
    assert_int_equal(u3d_feeder_bytes(&o, 1), 3 * 2 * (4 * FEED_SAMPLE + FEED_OUT) + 2 * 4 * FEED_SAMPLE);
    int64_t live = u3d_mem_live();
    /* If an allocation fails, nothing may leak. Nor may it if a feeder is closed while batches are waiting or
     * lent. */
    for (int64_t n = 1;; n++) {
        u3d_patch *p = NULL;
        u3d_mem_fail_at(n);
        u3d_status status = u3d_feeder_open(c, &o, &f);
        u3d_mem_fail_at(0);
        if (status == U3D_OK) assert_ok(u3d_feeder_next(f, &p));
        u3d_feeder_close(f);
        assert_int_equal(u3d_mem_live(), live);
        if (status == U3D_OK) break;
        assert_int_equal(status, U3D_E_NOMEM);
        assert_null(f);
    }
    u3d_feeder_close(NULL);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mirror_index),       cmocka_unit_test(test_cut),
        cmocka_unit_test(test_choose_uniform),     cmocka_unit_test(test_choose_foreground),
        cmocka_unit_test(test_choose_rare),        cmocka_unit_test(test_choose_inside),
        cmocka_unit_test(test_choose_roaming),     cmocka_unit_test(test_augment_together),
        cmocka_unit_test(test_augment_alone),      cmocka_unit_test(test_augment_plan),
        cmocka_unit_test(test_feeder_determinism), cmocka_unit_test(test_feeder_failure),
        cmocka_unit_test(test_feeder_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
