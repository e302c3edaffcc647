/* Tests of resampling in training and prediction: cases of different spacings, their memory and held-out
 * slices, and the model's metadata. The last test checks the purpose of resampling: a network must tell small
 * balls from large ones although the size of a voxel differs between volumes.
 *
 * A volume is a box of 32 x 32 x 32 mm with four equally bright balls in noise: two with a radius of 3.2 mm
 * (label 1) and two with a radius of 6 mm (label 2). */
#include "tests/support/support_cases.h"

#include <math.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "io/path.h"
#include "net/volume/metrics.h"
#include "net/predict/predict.h"
#include "net/train/train.h"

enum { N_CASES = 6, EDGE_MM = 32, SLICE_MM = 4 };

typedef struct scene {
    double spacing[3], centre[4][3];
    uint64_t seed;
} scene;

static const double radius[4] = {3.2, 6, 3.2, 6};

/* Places one ball near the middle of each of four columns of the box. */
static scene scene_of(uint64_t seed, const double spacing[3])
{
    scene s = {.seed = seed};
    u3d_rng r = u3d_rng_at(seed, U3D_RNG_TEST, 11);
    memcpy(s.spacing, spacing, sizeof s.spacing);
    const int64_t turn = u3d_rng_below(&r, 4);
    for (int i = 0; i < 4; i++) {
        const int64_t column = (i + turn) % 4;
        s.centre[i][0] = 9 + 14 * u3d_rng_uniform(&r);
        s.centre[i][1] = (column / 2 ? 24.5 : 7.5) + u3d_rng_uniform(&r) - 0.5;
        s.centre[i][2] = (column % 2 ? 24.5 : 7.5) + u3d_rng_uniform(&r) - 0.5;
    }
    return s;
}

static double label_at(int64_t z, int64_t y, int64_t x, const void *user)
{
    const scene *s = user;
    const int64_t at[3] = {z, y, x};
    for (int i = 0; i < 4; i++) {
        double d = 0;
        for (int a = 0; a < 3; a++) {
            const double u = ((double)at[a] + 0.5) * s->spacing[a] - s->centre[i][a];
            d += u * u;
        }
        if (d < radius[i] * radius[i]) return radius[i] > 4 ? 2 : 1;
    }
    return 0;
}

static double image_at(int64_t z, int64_t y, int64_t x, const void *user)
{
    const scene *s = user;
    u3d_rng r = u3d_rng_at(s->seed, U3D_RNG_TEST, (uint64_t)((z * 997 + y) * 997 + x));
    return (label_at(z, y, x, user) > 0 ? 1 : 0) + 0.15 * u3d_rng_normal(&r);
}

/* Labels only on single slices across z, SLICE_MM apart; 255 in all other voxels. */
static double sparse_at(int64_t z, int64_t y, int64_t x, const void *user)
{
    const int64_t step = llround(SLICE_MM / ((const scene *)user)->spacing[0]);
    return z % step == step / 2 ? label_at(z, y, x, user) : 255;
}

static void add_case(u3d_test_set *s, uint64_t seed, const double spacing[3], u3d_test_voxel label)
{
    const scene sc = scene_of(seed, spacing);
    int64_t size[3];
    char id[24];
    for (int a = 0; a < 3; a++) size[a] = llround(EDGE_MM / spacing[a]);
    memcpy(s->spacing, spacing, sizeof s->spacing);
    (void)snprintf(id, sizeof id, "balls_%d", (int)seed);
    u3d_test_set_add(s, id, size, 1, image_at, label, &sc);
}

static const double MIXED[N_CASES][3] = {{1, 1, 1},     {1, 1, 1},       {2, 1, 1},
                                         {1, 0.8, 0.8}, {1.28, 1.28, 1}, {1, 1, 1.005}};

static void mixed_set(u3d_test_set *s, u3d_test_voxel label)
{
    u3d_test_set_new(s);
    for (int i = 0; i < N_CASES; i++) add_case(s, (uint64_t)i, MIXED[i], label);
    u3d_test_set_name_label(s, 0, "background");
    u3d_test_set_name_label(s, 1, "small");
    u3d_test_set_name_label(s, 2, "large");
}

static const u3d_cases_opts resampled = {.dense = true, .resampling = {.on = true}};

/* ---- cases ---- */

static void cases_come_on_one_spacing(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *on, *off;
    uint64_t bytes = 0;
    mixed_set(&s, label_at);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &resampled, &on));
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &(u3d_cases_opts){.dense = true}, &off));
    const u3d_resampling *r = u3d_cases_resampling(on);
    const u3d_data_facts *f = u3d_cases_facts(on);
    for (int a = 0; a < 3; a++) {
        u3d_test_close(r->spacing[a], 1, 1e-6);
        assert_true(f->spacing[a] == r->spacing[a]);
        u3d_test_close(f->size[a], 32, 0);
    }
    assert_non_null(strstr(f->spacing_why, "median of 6"));
    assert_string_equal(u3d_cases_facts(off)->spacing_why, "");
    for (int i = 0; i < N_CASES; i++) {
        const u3d_case_data *a, *b;
        const bool same = i < 2 || i == 5;
        assert_int_equal(u3d_cases_is_resampled(on, i), !same);
        assert_ok(u3d_cases_acquire(on, i, &a));
        assert_ok(u3d_cases_acquire(off, i, &b));
        for (int axis = 0; axis < 3; axis++) {
            assert_int_equal(a->image->size[axis], 32);
            assert_int_equal(a->label->size[axis], 32);
            assert_int_equal(u3d_cases_size(on, i)[axis], 32);
            assert_int_equal(u3d_cases_own_size(on, i)[axis], b->image->size[axis]);
        }
        bytes += 32 * 32 * 32 * 5;
        if (same) {
            assert_memory_equal(a->image->data, b->image->data, 32 * 32 * 32 * sizeof(float));
            assert_memory_equal(a->label->data, b->label->data, 32 * 32 * 32);
        } else { /* nearly the same labels as if the scene had been drawn at 1 mm */
            const scene sc = scene_of((uint64_t)i, (double[]){1, 1, 1});
            int64_t wrong = 0, v = 0;
            for (int64_t z = 0; z < 32; z++)
                for (int64_t y = 0; y < 32; y++)
                    for (int64_t x = 0; x < 32; x++, v++)
                        wrong += ((uint8_t *)a->label->data)[v] != (uint8_t)label_at(z, y, x, &sc);
            assert_true(wrong < 300); /* the balls have about 2100 voxels */
        }
        u3d_volume *own;
        assert_ok(u3d_cases_read_own(on, i, &own));
        assert_memory_equal(own->data, b->label->data, (size_t)u3d_volume_voxels(own));
        u3d_volume_free(own);
        u3d_cases_release(on, i);
        u3d_cases_release(off, i);
    }
    assert_int_equal(u3d_cases_resident_bytes(on), bytes);
    assert_int_equal(u3d_cases_loading_bytes(on), 0);
    u3d_cases_free(on);
    u3d_cases_free(off);
    u3d_test_set_done(&s);
}

/* A spacing with which a volume would not fit into memory must be refused before that memory is allocated. */
static void too_fine_a_spacing_is_refused(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *c;
    mixed_set(&s, label_at);
    u3d_cases_opts o = resampled;
    o.memory_limit = 1000000;
    for (int a = 0; a < 3; a++) o.resampling.spacing[a] = 1e-5; /* (32 / 1e-5)^3 is beyond 64 bits */
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &o, &c), U3D_E_NOMEM);
    u3d_test_says("would become");
    u3d_test_says("0.00 GB are allowed");
    u3d_test_set_done(&s);
}

/* A case that is read again because the memory budget is small must have the same bits as at first, also with
 * CT statistics. */
static void cases_read_again_are_the_same(void **state)
{
    (void)state;
    u3d_test_set s;
    mixed_set(&s, label_at);
    for (int ct = 0; ct < 2; ct++)
        for (int linear = 0; linear < 2; linear++) {
            u3d_cases_opts o = resampled;
            u3d_cases *large, *small;
            o.resampling.how = linear ? U3D_RESAMPLE_LINEAR : U3D_RESAMPLE_CUBIC;
            assert_ok(u3d_test_set_open(&s, ct ? U3D_INTENSITY_CT : U3D_INTENSITY_ZSCORE, &o, &large));
            o.memory_cap = 200000; /* enough for one case */
            assert_ok(u3d_test_set_open(&s, ct ? U3D_INTENSITY_CT : U3D_INTENSITY_ZSCORE, &o, &small));
            assert_true(u3d_cases_loading_bytes(small) > 0);
            assert_int_equal(u3d_cases_loading_bytes(large) > 0, ct);
            for (int i = 0; i < N_CASES; i++) {
                const u3d_case_data *a, *b;
                assert_ok(u3d_cases_acquire(large, i, &a));
                assert_ok(u3d_cases_acquire(small, i, &b));
                assert_memory_equal(a->image->data, b->image->data, 32 * 32 * 32 * sizeof(float));
                assert_memory_equal(a->label->data, b->label->data, 32 * 32 * 32);
                for (int k = 0; k < 3; k++)
                    assert_int_equal(u3d_cases_voxels(large, i, k), u3d_cases_voxels(small, i, k));
                int64_t pos[3];
                assert_ok(u3d_cases_locate(small, i, 2, u3d_cases_voxels(small, i, 2) - 1, pos));
                u3d_cases_release(large, i);
                u3d_cases_release(small, i);
            }
            u3d_cases_free(large);
            u3d_cases_free(small);
        }
    u3d_test_set_done(&s);
}

/* The slices that are held out of a single volume must be slices of its file. Training must see the others,
 * resampled. */
static void held_slices_are_the_files(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *on, *off;
    u3d_volume *held_on, *held_off;
    char text[256];
    const u3d_case_data *data;
    u3d_test_set_new(&s);
    add_case(&s, 1, (double[]){1, 1, 1}, sparse_at);
    u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 255};
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &o, &off));
    o.resampling = (u3d_resampling){.on = true, .spacing = {0.8, 1.6, 1.6}};
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &o, &on));
    assert_ok(u3d_cases_hold_slices(on, 0.2, &held_on, text, sizeof text));
    assert_ok(u3d_cases_hold_slices(off, 0.2, &held_off, text, sizeof text));
    assert_memory_equal(held_on->size, held_off->size, sizeof held_on->size);
    assert_memory_equal(held_on->data, held_off->data, (size_t)u3d_volume_voxels(held_on));
    assert_ok(u3d_cases_acquire(on, 0, &data));
    assert_true(data->label->size[0] == 40 && data->label->size[1] == 20 && data->label->size[2] == 20);
    int64_t labelled[40] = {0}, planes = 0, held_planes = 0;
    for (int64_t v = 0; v < 40 * 400; v++) labelled[v / 400] += ((uint8_t *)data->label->data)[v] != 255;
    for (int z = 0; z < 40; z++) {
        assert_true(labelled[z] == 0 || labelled[z] == 400);
        planes += labelled[z] > 0;
    }
    for (int64_t z = 0; z < 32; z++) held_planes += ((uint8_t *)held_on->data)[z * 1024] != 255;
    assert_true(held_planes >= 1);
    assert_true(planes >= 8 - held_planes && planes <= 2 * (8 - held_planes));
    assert_int_equal(u3d_cases_voxels(on, 0, -1), 400 * planes);
    u3d_cases_release(on, 0);
    u3d_volume_free(held_on);
    u3d_volume_free(held_off);
    u3d_cases_free(on);
    u3d_cases_free(off);
    u3d_test_set_done(&s);
}

static void open_coarse(void *user)
{
    u3d_cases *c;
    const u3d_cases_opts o = {
        .unlabeled_given = true, .unlabeled = 255, .resampling = {.on = true, .spacing = {6, 1, 1}}};
    assert_ok(u3d_test_set_open(user, U3D_INTENSITY_ZSCORE, &o, &c));
    u3d_cases_free(c);
}

static void open_fine(void *user)
{
    u3d_cases *c;
    const u3d_cases_opts o = {
        .unlabeled_given = true, .unlabeled = 255, .resampling = {.on = true, .spacing = {3.9, 1, 1}}};
    assert_ok(u3d_test_set_open(user, U3D_INTENSITY_ZSCORE, &o, &c));
    u3d_cases_free(c);
}

static void slices_that_fall_together_are_told(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_test_set_new(&s);
    add_case(&s, 1, (double[]){1, 1, 1}, sparse_at);
    char *coarse = u3d_test_stderr_of(open_coarse, &s), *fine = u3d_test_stderr_of(open_fine, &s);
    if (!strstr(coarse, "3 of 8 annotated slices across z") || !strstr(coarse, "4 apart and voxels become 6"))
        fail_msg("these warnings do not mention the slices that fall together: %s", coarse);
    assert_null(strstr(fine, "annotated slices across"));
    u3d_free(coarse);
    u3d_free(fine);
    u3d_test_set_done(&s);
}

static void opening_gives_everything_back(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *c;
    mixed_set(&s, label_at);
    const int64_t live = u3d_mem_live();
    for (int64_t n = 1;; n += 3) {
        u3d_mem_fail_at(n);
        const u3d_status status = u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &resampled, &c);
        u3d_mem_fail_at(0);
        if (status == U3D_OK) break;
        assert_int_equal(status, U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_cases_free(c);
    assert_int_equal(u3d_mem_live(), live);
    u3d_test_set_done(&s);
}

/* ---- training and prediction ---- */

/* Trains on cases 0 to 4 and reports on cases 5 and 6. */
static void train_mixed(const u3d_test_set *s, const char *out, const char *resample, u3d_train_result *r)
{
    static const int train[] = {0, 1, 2, 3, 4}, report[] = {5, 6};
    const char *set[] = {"levels=3",       "base=8",   "patch=24x24x24", "batch=2",
                         "optimizer=adam", "lr=0.005", "momentum=0.9",   "average=0.9",
                         "turn=off",       "mirror=x", resample};
    u3d_train_opts o = {.out = out,
                        .data = &s->d,
                        .train = train,
                        .report = report,
                        .n_train = 5,
                        .n_report = 2,
                        .net = "auto",
                        .set = set,
                        .n_set = sizeof set / sizeof set[0],
                        .dense = true,
                        .iterations = u3d_test_brief() ? 8 : 120,
                        .validate_every = u3d_test_brief() ? 4 : 60,
                        .started = u3d_clock(),
                        .seed = 3,
                        .memory_cap = 3000000000};
    u3d_backend *b = u3d_test_cpu();
    assert_ok(u3d_train(b, &o, r));
    u3d_backend_close(b);
}

/* Predicts case i from file to file and returns the mean Dice of both labels. Also checks that the prediction
 * has the grid of the file, and that the probabilities agree with the labels. */
static double predicted_dice(const u3d_test_set *s, int i, const u3d_model *m, const char *name)
{
    char *out = u3d_test_path(s->dir, name), p_name[64];
    const u3d_case *c = &s->d.cases[i];
    const u3d_predict_opts o = {.step = 0.5, .probabilities = true};
    u3d_backend *b = u3d_test_cpu();
    u3d_predictor *p;
    u3d_volume *got, *want, *got_classes, *want_classes, *probabilities;
    double off_by;
    (void)snprintf(p_name, sizeof p_name, "p_%s", name);
    char *p_out = u3d_test_path(s->dir, p_name);
    assert_ok(u3d_predictor_open(b, &m, 1, &o, &p));
    assert_ok(u3d_predict_case(p, m, c, out, p_out));
    assert_ok(u3d_volume_read(out, U3D_VOLUME_LABEL, &got));
    assert_ok(u3d_volume_read(p_out, U3D_VOLUME_IMAGE, &probabilities));
    assert_ok(u3d_volume_read(c->label, U3D_VOLUME_LABEL, &want));
    assert_memory_equal(&got->grid.sform, &want->grid.sform, sizeof got->grid.sform);
    assert_memory_equal(got->size, want->size, sizeof got->size);
    assert_memory_equal(got->spacing, want->spacing, sizeof got->spacing);
    assert_memory_equal(got->voxel_to_world, want->voxel_to_world, sizeof got->voxel_to_world);
    assert_ok(u3d_volume_same_grid(got, "got", probabilities, "probabilities", &off_by));
    assert_true(off_by == 0 && probabilities->channels == 3);
    const int32_t *values = got->data;
    const float *q = probabilities->data;
    for (int64_t v = 0; v < u3d_volume_voxels(got); v++, q += 3) {
        const int best = q[1] > q[0] ? q[2] > q[1] ? 2 : 1 : q[2] > q[0] ? 2 : 0;
        assert_int_equal(values[v], best);
        assert_true(fabs((double)(q[0] + q[1] + q[2]) - 1) < 1e-4);
    }
    u3d_overlap overlap[3] = {{0}};
    assert_ok(u3d_labels_to_classes(&m->labels, got, out, &got_classes));
    assert_ok(u3d_labels_to_classes(&m->labels, want, c->label, &want_classes));
    u3d_overlap_add(got_classes, want_classes, 3, overlap);
    u3d_volume *all[] = {got, want, got_classes, want_classes, probabilities};
    for (int k = 0; k < 5; k++) u3d_volume_free(all[k]);
    u3d_predictor_free(p);
    u3d_backend_close(b);
    u3d_free(out);
    u3d_free(p_out);
    return (u3d_overlap_dice(&overlap[1]) + u3d_overlap_dice(&overlap[2])) / 2;
}

static void size_is_told_at_any_spacing(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_train_result with, without;
    u3d_model *m_with, *m_without;
    mixed_set(&s, label_at);
    add_case(&s, 20, (double[]){0.6, 0.55, 0.55}, label_at); /* case 6: reported and predicted */
    add_case(&s, 21, (double[]){1.7, 1.9, 1.9}, label_at);   /* case 7: predicted              */
    char *on = u3d_test_path(s.dir, "on"), *off = u3d_test_path(s.dir, "off");
    train_mixed(&s, on, "resample=auto", &with);
    train_mixed(&s, off, "resample=off", &without);
    assert_ok(u3d_model_load(on, &m_with));
    assert_ok(u3d_model_load(off, &m_without));

    assert_string_equal(m_with->config.spacing, "1,1,1"); /* the spacing that auto has chosen */
    assert_non_null(strstr(m_with->facts.spacing_why, "median of 5"));
    assert_string_equal(m_without->config.spacing, "auto");
    assert_string_equal(m_without->facts.spacing_why, "");

    const double fine[2] = {predicted_dice(&s, 6, m_with, "fine.nii.gz"),
                            predicted_dice(&s, 6, m_without, "f.nii")};
    const double coarse[2] = {predicted_dice(&s, 7, m_with, "coarse.nii"),
                              predicted_dice(&s, 7, m_without, "c.nii")};
    print_message(
        "Dice with and without resampling: held out %.3f, %.3f; fine voxels %.3f, %.3f; coarse %.3f, %.3f; "
        "report %.3f, %.3f\n",
        with.val_dice, without.val_dice, fine[0], fine[1], coarse[0], coarse[1], with.report_dice,
        without.report_dice);
    if (!u3d_test_brief()) { /* after a few iterations, no network knows anything */
        assert_true(fine[0] > 0.8 && fine[1] < fine[0] - 0.2);
        assert_true(coarse[0] > 0.7);
        assert_true(with.report_dice > without.report_dice + 0.1);
    }
    u3d_free(on);
    u3d_free(off);
    u3d_model_free(m_with);
    u3d_model_free(m_without);
    u3d_test_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_come_on_one_spacing),          cmocka_unit_test(too_fine_a_spacing_is_refused),
        cmocka_unit_test(cases_read_again_are_the_same),      cmocka_unit_test(held_slices_are_the_files),
        cmocka_unit_test(slices_that_fall_together_are_told), cmocka_unit_test(opening_gives_everything_back),
        cmocka_unit_test(size_is_told_at_any_spacing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
