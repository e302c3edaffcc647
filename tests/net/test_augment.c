/* Tests of samples with augmentation (net/sample/): a sample without random changes is the plain patch,
 * labels stay valid, a patch shows the annotation that it was chosen for, the number of workers changes
 * nothing, and running out of memory is survived. Also tests which axes count as coarse, and where a box that
 * is cut from a volume lies in space. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/sample/feeder.h"
#include "net/sample/sample.h"
#include "net/sample/warp.h"

/* ---- whole samples ---- */

static double voxel_smooth(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return 50 + 20 * sin(0.4 * (double)z) + 15 * cos(0.3 * (double)y) + (double)x;
}

/* 2 inside a box, 0 outside of it, and 9 (unlabelled) in the slice y = 4. */
static double voxel_label(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    if (y == 4) return 9;
    return z > 3 && z < 9 && y > 2 && y < 9 && x > 3 && x < 10 ? 2 : 0;
}

enum { IN = 12, OUT = 8, N_IN = IN * IN * IN * 2, N_OUT = OUT * OUT * OUT, SAMPLES = 60 };

static void open_cases(u3d_test_set *s, u3d_cases **c)
{
    const int64_t size[3] = {13, 14, 15};
    u3d_test_set_new(s);
    u3d_test_set_add(s, "a", size, 2, voxel_smooth, voxel_label, NULL);
    u3d_test_set_add(s, "b", size, 2, voxel_smooth, voxel_label, NULL);
    assert_ok(u3d_test_set_open(s, U3D_INTENSITY_ZSCORE,
                                &(u3d_cases_opts){.unlabeled_given = true, .unlabeled = 9}, c));
}

static const u3d_patch_opts patch = {.in = {IN, IN, IN}, .out = {OUT, OUT, OUT}, .foreground_share = 0.5};

/* Some samples have no random change, and their image is the plain patch, bit for bit. All samples have only
 * classes that exist, and no image contains NaN or infinity. */
static void test_samples(void **state)
{
    (void)state;
    static float image[N_IN], plain[N_IN];
    static uint8_t label[N_OUT], plain_label[N_OUT];
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_sampler *full = NULL, *cut = NULL;
    u3d_augment a = u3d_test_augment_everything();
    const u3d_augment none = {.spacing = {1, 1, 1}};
    int same = 0, other_label = 0;
    open_cases(&s, &c);
    a.set.p_elastic = 0.2;
    assert_ok(u3d_sampler_new(&patch, &a, 2, &full));
    assert_ok(u3d_sampler_new(&patch, &none, 2, &cut));
    for (int64_t k = 0; k < SAMPLES; k++) {
        u3d_warp_draw draw;
        const bool warped = u3d_warp_choose(&a, 11, k, &draw);
        assert_ok(u3d_sampler_fill(full, c, 11, k, image, label, NULL, NULL, NULL));
        assert_ok(u3d_sampler_fill(cut, c, 11, k, plain, plain_label, NULL, NULL, NULL));
        for (int i = 0; i < N_IN; i++) assert_true(isfinite(image[i]));
        for (int i = 0; i < N_OUT; i++) assert_true(label[i] <= 1 || label[i] == U3D_UNLABELED);
        if (!warped) assert_memory_equal(label, plain_label, sizeof label);
        other_label += memcmp(label, plain_label, sizeof label) != 0;
        if (memcmp(image, plain, sizeof image) == 0) {
            same++;
            assert_false(warped);
        }
    }
    /* Expected shares: (1 - 0.2)^3 times the probability that no grey value changes; 1 - (1 - 0.2)^3. */
    assert_in_range(same, 2, SAMPLES / 3);
    assert_in_range(other_label, SAMPLES / 4, SAMPLES * 3 / 4);
    u3d_sampler_free(full);
    u3d_sampler_free(cut);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

static double voxel_cube(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return llabs(z - 5) <= 1 && llabs(y - 30) <= 1 && llabs(x - 34) <= 1 ? 1 : 255;
}

/* A patch must show the annotation that it was chosen for, wherever the annotation lies in the patch and
 * however the patch is rotated and scaled. */
static void test_annotation_stays(void **state)
{
    (void)state;
    enum { EDGE = 16, N = EDGE * EDGE * EDGE };
    static float image[N];
    static uint8_t label[N];
    const int64_t size[3] = {40, 40, 40};
    const u3d_patch_opts roaming = {
        .in = {EDGE, EDGE, EDGE}, .out = {EDGE, EDGE, EDGE}, .border = U3D_BORDER_ZERO, .roam = true};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_sampler *sampler = NULL;
    u3d_augment a = u3d_test_augment_everything();
    a.set.p_rotation = a.set.p_scaling = 1;
    a.set.p_elastic = 0;
    a.mirror[0] = a.mirror[2] = true;
    for (int axis = 0; axis < 3; axis++) a.turn[axis] = true;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_smooth, voxel_cube, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE,
                                &(u3d_cases_opts){.unlabeled_given = true, .unlabeled = 255}, &c));
    assert_ok(u3d_sampler_new(&roaming, &a, 1, &sampler));
    for (int64_t k = 0; k < 400; k++) {
        int shown = 0;
        assert_ok(u3d_sampler_fill(sampler, c, u3d_test_seed(), k, image, label, NULL, NULL, NULL));
        for (int i = 0; i < N; i++) shown += label[i] != U3D_UNLABELED;
        assert_true(shown > 0);
    }
    u3d_sampler_free(sampler);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* Five classes in boxes; the image of class k is 100 k. */
static double voxel_boxes(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return (double)((z / 7 + y / 8 + x / 9) % 5);
}

static double voxel_boxes_image(int64_t z, int64_t y, int64_t x, const void *user)
{
    return 100 * voxel_boxes(z, y, x, user);
}

/* Some lines of those boxes; 255 (unlabelled) elsewhere. */
static double voxel_boxes_lines(int64_t z, int64_t y, int64_t x, const void *user)
{
    return z % 4 == 1 && y % 5 == 2 ? voxel_boxes(z, y, x, user) : 255;
}

/* Whatever is done to a sample, its pseudo-labels go where the image goes, labels take precedence, and
 * samples before the given one have no pseudo-labels yet. */
static void test_pseudo_labels(void **state)
{
    (void)state;
    enum { EDGE = 20, N = EDGE * EDGE * EDGE, FROM = 8 };
    static float image[N];
    static uint8_t label[N], pseudo[N];
    const int64_t size[3] = {24, 26, 28};
    const u3d_patch_opts roaming = {.in = {EDGE, EDGE, EDGE},
                                    .out = {EDGE, EDGE, EDGE},
                                    .border = U3D_BORDER_ZERO,
                                    .roam = true,
                                    .pseudo = true};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_sampler *sampler = NULL;
    u3d_volume *classes;
    u3d_augment a = u3d_test_augment_everything();
    a.mirror[0] = a.mirror[2] = a.turn[1] = true;
    a.set.p_noise = a.set.p_blur = a.set.p_brightness = a.set.p_contrast = 0;
    a.set.p_low_resolution = a.set.p_gamma = a.set.p_gamma_inverted = 0;
    a.set.p_elastic = 0.3;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_boxes_image, voxel_boxes_lines, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE,
                                &(u3d_cases_opts){.unlabeled_given = true, .unlabeled = 255}, &c));
    assert_ok(u3d_sampler_new(&roaming, &a, 1, &sampler));
    assert_ok(u3d_volume_new(size, (double[]){2, 1, 1}, U3D_U8, 1, &classes));
    for (int64_t i = 0; i < 24LL * 26 * 28; i++)
        ((uint8_t *)classes->data)[i] = (uint8_t)voxel_boxes(i / (26 * 28), i / 28 % 26, i % 28, NULL);
    u3d_cases_set_pseudo(c, 0, classes, FROM);
    int64_t labelled = 0, added = 0, warped = 0;
    for (int64_t k = 0; k < SAMPLES; k++) {
        u3d_warp_draw draw;
        warped += u3d_warp_choose(&a, 5, k, &draw);
        memset(pseudo, 77, sizeof pseudo);
        assert_ok(u3d_sampler_fill(sampler, c, 5, k, image, label, pseudo, NULL, NULL));
        if (k < FROM) assert_memory_equal(pseudo, label, sizeof pseudo);
        for (int i = 0; i < N; i++) {
            if (label[i] != U3D_UNLABELED) assert_int_equal(pseudo[i], label[i]);
            labelled += label[i] != U3D_UNLABELED;
            if (k < FROM || label[i] != U3D_UNLABELED || pseudo[i] == U3D_UNLABELED) continue;
            added++;
            /* Interpolation mixes the values of neighbouring boxes, but two equal neighbours along x are
             * inside of one. */
            if (i % EDGE && fabsf(image[i] - image[i - 1]) < 1e-3F && pseudo[i] == pseudo[i - 1] &&
                fmodf(image[i], 100) < 1e-3F && (int)lroundf(image[i] / 100) != pseudo[i])
                fail_msg("sample %lld: image %g, pseudo-label %d", (long long)k, (double)image[i], pseudo[i]);
        }
    }
    assert_true(labelled > 0 && added > 10 * labelled && warped > SAMPLES / 4 && warped < SAMPLES);
    u3d_sampler_free(sampler);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* Label 1 in the middle, and label 2 at a distance from it that the user gives. */
typedef struct apart {
    int z, y, x;
} apart;

static double voxel_pair(int64_t z, int64_t y, int64_t x, const void *user)
{
    const apart *by = user;
    if (llabs(z - 10) <= 1 && llabs(y - 10) <= 1 && llabs(x - 10) <= 1) return 1;
    return llabs(z - 10 - by->z) <= 1 && llabs(y - 10 - by->y) <= 1 && llabs(x - 10 - by->x) <= 1 ? 2 : 0;
}

/* mirror=auto leaves out the axes along which label 2 is on the same side of label 1 in every volume, if
 * there are enough of them. */
static void test_labels_on_one_side(void **state)
{
    (void)state;
    static const struct {
        int n, flips; /* volumes, and how many of them have label 2 on the other side along x */
        bool told;    /* x */
    } rows[] = {{10, 0, true}, {7, 0, false}, {10, 1, false}};
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        u3d_test_set s;
        u3d_cases *c = NULL;
        u3d_augment plan;
        u3d_config config;
        u3d_test_set_new(&s);
        for (int i = 0; i < rows[row].n; i++) {
            const apart by = {
                .z = i % 2 ? 4 : -4, .y = 2 + 2 * (i % 4) - 5, .x = i < rows[row].flips ? -6 : 6 + i % 2};
            char id[24];
            (void)snprintf(id, sizeof id, "v%d", i);
            u3d_test_set_add(&s, id, (int64_t[]){21, 21, 21}, 1, voxel_smooth, voxel_pair, &by);
        }
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &(u3d_cases_opts){.dense = true}, &c));
        assert_ok(u3d_config_preset(&config, "auto"));
        assert_ok(u3d_augment_plan(&config, c, &plan));
        assert_true(plan.mirror[0] && plan.mirror[1]);
        assert_int_equal(plan.mirror[2], !rows[row].told);
        u3d_cases_free(c);
        u3d_test_set_done(&s);
    }
}

/* Batches must be the same with any number of workers, and must contain the same samples that a sampler makes
 * on its own. */
static void test_workers(void **state)
{
    (void)state;
    enum { BATCHES = 10 };
    static float first[BATCHES][2 * N_IN], alone[N_IN];
    static uint8_t first_label[BATCHES][2 * N_OUT], alone_label[N_OUT];
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_sampler *sampler = NULL;
    u3d_augment a = u3d_test_augment_everything();
    open_cases(&s, &c);
    a.mirror[2] = a.turn[0] = true;
    a.set.p_noise = a.set.p_blur = a.set.p_low_resolution = a.set.p_gamma = a.set.p_curve = 0.5;
    assert_ok(u3d_sampler_new(&patch, &a, 2, &sampler));
    for (int workers = 1; workers < 6; workers += 2) {
        u3d_feeder *f = NULL;
        const u3d_feeder_opts o = {
            .patch = patch, .augment = a, .batch = 2, .seed = 3, .workers = workers, .depth = workers + 2};
        assert_ok(u3d_feeder_open(c, &o, &f));
        for (int k = 0; k < BATCHES; k++) {
            u3d_patch *p = NULL;
            assert_ok(u3d_feeder_next(f, &p));
            if (workers == 1) {
                memcpy(first[k], p->image->data, sizeof first[k]);
                memcpy(first_label[k], p->label->data, sizeof first_label[k]);
            }
            assert_memory_equal(first[k], p->image->data, sizeof first[k]);
            assert_memory_equal(first_label[k], p->label->data, sizeof first_label[k]);
            u3d_feeder_return(f, p);
        }
        u3d_feeder_close(f);
    }
    for (int64_t k = 0; k < 2 * BATCHES; k++) {
        assert_ok(u3d_sampler_fill(sampler, c, 3, k, alone, alone_label, NULL, NULL, NULL));
        assert_memory_equal(alone, &first[k / 2][k % 2 * N_IN], sizeof alone);
        assert_memory_equal(alone_label, &first_label[k / 2][k % 2 * N_OUT], sizeof alone_label);
    }
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    u3d_sampler_free(sampler);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* If any allocation of u3d_sampler_new fails, it must return U3D_E_NOMEM and leak nothing. */
static void test_no_memory(void **state)
{
    (void)state;
    const u3d_augment a = u3d_test_augment_everything(), none = {.spacing = {1, 1, 1}};
    const int64_t live = u3d_mem_live();
    for (int64_t n = 1;; n++) {
        u3d_sampler *s = NULL;
        u3d_mem_fail_at(n);
        const u3d_status status = u3d_sampler_new(&patch, &a, 2, &s);
        u3d_mem_fail_at(0);
        u3d_sampler_free(s);
        assert_int_equal(u3d_mem_live(), live);
        if (status == U3D_OK) break;
        assert_int_equal(status, U3D_E_NOMEM);
        assert_null(s);
        assert_in_range(n, 1, 10);
    }
    assert_true(u3d_sampler_bytes(&patch, &none, 2) == N_IN * sizeof(float));
    assert_true(u3d_sampler_bytes(&patch, &a, 2) > N_IN * sizeof(float));
}

/* A box that is cut from a volume must keep its position in space, in memory and in its file, also if it
 * starts at negative indices. */
static void test_box_place(void **state)
{
    (void)state;
    const int64_t size[3] = {5, 6, 7}, start[3] = {-2, 1, 3}, of_box[3] = {3, 2, 4};
    u3d_volume *v = NULL, *box = NULL, *read = NULL;
    char *dir = u3d_test_dir(), *path = u3d_test_path(dir, "box.nii.gz");
    assert_ok(u3d_volume_new(size, (const double[]){3, 2, 1}, U3D_F32, 1, &v));
    v->voxel_to_world[0][1] = 0.5; /* shear, which only an sform can express */
    v->voxel_to_world[1][3] = -40;
    memcpy(v->grid.sform, v->voxel_to_world, sizeof v->grid.sform);
    assert_ok(u3d_volume_new_box(v, start, of_box, U3D_F32, 2, &box));
    assert_ok(u3d_volume_write(path, box));
    assert_ok(u3d_volume_read(path, U3D_VOLUME_IMAGE, &read));
    for (int w = 0; w < 3; w++) {
        const double first = v->voxel_to_world[w][0] * 3 + v->voxel_to_world[w][1] * 1 -
                             v->voxel_to_world[w][2] * 2 + v->voxel_to_world[w][3];
        u3d_test_close(box->voxel_to_world[w][3], first, 1e-9);
        u3d_test_close(read->voxel_to_world[w][3], first, 1e-4);
        for (int axis = 0; axis < 3; axis++)
            u3d_test_close(read->voxel_to_world[w][axis], v->voxel_to_world[w][axis], 1e-6);
    }
    assert_memory_equal(read->size, of_box, sizeof of_box);
    assert_int_equal(read->channels, 2);
    u3d_volume_free(v);
    u3d_volume_free(box);
    u3d_volume_free(read);
    u3d_free(path);
    u3d_test_dir_done(dir);
}

/* ---- which axes are coarse ---- */

/* Finds the coarse axes for one case with this spacing (z, y, x) and these settings. */
static void coarse_for(const double spacing[3], const char *patch_size, const char *in_plane, bool coarse[3])
{
    const int64_t size[3] = {3, 3, 3};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_config config;
    u3d_augment plan;
    u3d_volume *v = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_smooth, voxel_label, NULL);
    assert_ok(u3d_volume_new(size, spacing, U3D_F32, 1, &v));
    assert_ok(u3d_volume_write(s.d.cases[0].image[0], v));
    u3d_volume_free(v);
    char *label = s.d.cases[0].label;
    s.d.cases[0].label = NULL;
    u3d_config_default(&config);
    assert_ok(u3d_config_set_key(&config, "patch", patch_size));
    assert_ok(u3d_config_set_key(&config, "in_plane", in_plane));
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &(u3d_cases_opts){.dense = true}, &c));
    assert_ok(u3d_augment_plan(&config, c, &plan));
    memcpy(coarse, plan.coarse, sizeof plan.coarse);
    u3d_cases_free(c);
    s.d.cases[0].label = label;
    u3d_test_set_done(&s);
}

static void test_coarse(void **state)
{
    (void)state;
    static const struct {
        double spacing[3];
        const char *patch, *in_plane;
        bool coarse[3]; /* z, y, x */
    } c[] = {{{1, 1, 1}, "64x64x64", "auto", {false}},  {{1, 1, 1}, "64x64x16", "auto", {true}},
             {{1, 1, 1}, "96x32x32", "auto", {false}},  {{3, 1, 1}, "64x64x32", "auto", {false}},
             {{3.5, 1, 1}, "64x64x32", "auto", {true}}, {{1, 1, 4}, "32x64x64", "auto", {false, false, true}},
             {{3.5, 1, 1}, "64x64x16", "off", {false}}, {{1, 2, 1}, "64x64x64", "on", {false, true}},
             {{1, 1, 1}, "64x64x64", "on", {true}}};
    for (size_t i = 0; i < sizeof c / sizeof c[0]; i++) {
        bool coarse[3];
        coarse_for(c[i].spacing, c[i].patch, c[i].in_plane, coarse);
        for (int a = 0; a < 3; a++)
            if (coarse[a] != c[i].coarse[a])
                fail_msg("row %d, axis %d (z, y, x): coarse is %d, which is wrong", (int)i, a, coarse[a]);
    }
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),       cmocka_unit_test(test_annotation_stays),
        cmocka_unit_test(test_pseudo_labels), cmocka_unit_test(test_labels_on_one_side),
        cmocka_unit_test(test_workers),       cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_coarse),        cmocka_unit_test(test_box_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
