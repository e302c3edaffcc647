/* Tests that results do not depend on how files store their voxels: training and prediction give the same
 * bits for each of the 48 orders of axes, labels are brought onto the grids of their images, and models of
 * earlier versions, which saw axes as stored, still get what they were trained on. */
#include "tests/support/support_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/predict/predict.h"
#include "net/volume/labels.h"

/* Tilts the image and the labels of a case, so that its files are oblique. */
static void tilt(const char *path, u3d_volume_kind kind, double degrees)
{
    u3d_volume *v = NULL;
    const double c = cos(degrees * M_PI / 180), s = sin(degrees * M_PI / 180);
    assert_ok(u3d_volume_read(path, kind, &v));
    for (int column = 0; column < 4; column++) {
        const double x = v->voxel_to_world[0][column], z = v->voxel_to_world[2][column];
        v->voxel_to_world[0][column] = c * x - s * z;
        v->voxel_to_world[2][column] = s * x + c * z;
    }
    u3d_volume_new_grid(v);
    assert_ok(u3d_volume_write(path, v));
    u3d_volume_free(v);
}

static u3d_model *train_model(u3d_test_run *f, uint64_t *weights)
{
    u3d_train_result r;
    char *path = u3d_test_path(f->out, "model.safetensors");
    u3d_model *m = NULL;
    /* A volume is one patch, so that the 48 predictions are fast. */
    static const char *const more[] = {"mirror=none",    "padding=same", "base=2",
                                       "patch=20x20x20", "batch=1",      "lr=0.03"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) f->options[f->o.n_set++] = more[i];
    f->o.net = "paper-bn";
    f->o.iterations = 30;
    f->o.validate_every = -1;
    assert_ok(u3d_test_run_train(f, 1, &r));
    assert_ok(u3d_model_load(path, &m));
    if (weights) assert_int_equal(sscanf(r.fingerprint, "%16lx", weights), 1);
    u3d_free(path);
    return m;
}

static u3d_volume *predicted(u3d_predictor *p, const u3d_model *m, const char *image, const char *out)
{
    char *images[1] = {u3d_strdup(image)};
    const u3d_case c = {.id = "case", .image = images, .n_images = 1};
    u3d_volume *v = NULL;
    assert_ok(u3d_predict_case(p, m, &c, out, NULL));
    assert_ok(u3d_volume_read(out, U3D_VOLUME_LABEL, &v));
    u3d_free(images[0]);
    return v;
}

static void test_prediction_of_48_storages(void **state)
{
    (void)state;
    u3d_test_run f;
    u3d_test_run_new(&f, 2, u3d_test_ball);
    u3d_model *m = train_model(&f, NULL);
    u3d_backend *b = u3d_test_backend("cpu", NULL, 1);
    u3d_predictor *p = NULL;
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    char *in = u3d_test_path(f.set.dir, "in.nii"), *out = u3d_test_path(f.set.dir, "out.nii");
    assert_ok(u3d_predictor_open(b, (const u3d_model *const *)&m, 1, &o, &p));
    static const double degrees[] = {0, 25, 45};
    u3d_log_set_level(U3D_LOG_ERROR); /* the tilted volume has other spacings than the training data */
    for (int tilted = 0; tilted < 3; tilted++) {
        const char *image = f.set.d.cases[1].image[0];
        u3d_volume *first = NULL;
        if (degrees[tilted] > 0) tilt(image, U3D_VOLUME_IMAGE, degrees[tilted] - degrees[tilted - 1]);
        for (int s = 0; s < U3D_TEST_STORAGES; s++) {
            u3d_volume *stored = NULL, *got;
            u3d_test_store(image, U3D_VOLUME_IMAGE, s, in);
            got = predicted(p, m, in, out);
            assert_ok(u3d_volume_probe(in, &stored));
            assert_memory_equal(got->grid.sform, stored->grid.sform, sizeof got->grid.sform);
            assert_memory_equal(got->stored, stored->stored, sizeof got->stored);
            u3d_volume_free(stored);
            if (!first) {
                int64_t inside = 0;
                for (int64_t i = 0; i < u3d_volume_voxels(got); i++) inside += ((int32_t *)got->data)[i];
                assert_in_range(inside, 50, 4000); /* neither nothing nor everything */
                first = got;
                continue;
            }
            assert_memory_equal(got->size, first->size, sizeof got->size);
            assert_memory_equal(got->data, first->data, (size_t)u3d_volume_voxels(got) * sizeof(int32_t));
            u3d_volume_free(got);
        }
        u3d_volume_free(first);
    }
    u3d_log_set_level(U3D_LOG_WARN);
    u3d_predictor_free(p);
    u3d_backend_close(b);
    u3d_model_free(m);
    u3d_free(in);
    u3d_free(out);
    u3d_test_run_done(&f);
}

/* Image and labels of each case are stored in different orders; the weights must be the same to the bit. */
static void test_training_on_other_storages(void **state)
{
    (void)state;
    uint64_t weights[2];
    for (int restored = 0; restored < 2; restored++) {
        u3d_test_run f;
        u3d_test_run_new(&f, 3, u3d_test_ball_sparse);
        for (int i = 0; i < 3 && restored; i++) {
            const u3d_case *c = &f.set.d.cases[i];
            u3d_test_store(c->image[0], U3D_VOLUME_IMAGE, 7 + 11 * i, c->image[0]);
            u3d_test_store(c->label, U3D_VOLUME_LABEL, 40 - 13 * i, c->label);
        }
        u3d_model *m = train_model(&f, &weights[restored]);
        assert_int_equal(m->facts.orientation[0], 1);
        assert_int_equal(m->facts.orientation[1], 2);
        assert_int_equal(m->facts.orientation[2], 3);
        u3d_model_free(m);
        u3d_test_run_done(&f);
    }
    assert_true(weights[0] == weights[1]);
}

/* A model of an earlier version learned from axes as stored, here LPS; one that was trained on volumes
 * without a place in space still uses axes as stored. Both must see the array that they saw before. */
static void test_models_with_other_axes(void **state)
{
    (void)state;
    static const int lps[3] = {-1, -2, 3};
    u3d_test_run f;
    u3d_test_run_new(&f, 2, u3d_test_ball);
    u3d_model *m = train_model(&f, NULL);
    u3d_backend *b = u3d_test_backend("cpu", NULL, 1);
    u3d_predictor *p = NULL;
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    const char *image = f.set.d.cases[1].image[0];
    char *in = u3d_test_path(f.set.dir, "in.nii"), *out = u3d_test_path(f.set.dir, "out.nii");
    assert_ok(u3d_predictor_open(b, (const u3d_model *const *)&m, 1, &o, &p));

    /* The file holds the array of the original, but says that its axes are LPS. */
    u3d_volume *v = NULL, *wanted = predicted(p, m, image, out);
    assert_ok(u3d_volume_read(image, U3D_VOLUME_IMAGE, &v));
    for (int w = 0; w < 2; w++) v->voxel_to_world[w][w] *= -1;
    u3d_volume_new_grid(v);
    assert_ok(u3d_volume_write(in, v));
    for (int old = 0; old < 2; old++) {
        if (old == 0)
            memcpy(m->facts.orientation, lps, sizeof lps);
        else
            memset(m->facts.orientation, 0, sizeof m->facts.orientation);
        u3d_volume *got = predicted(p, m, in, out);
        assert_ok(u3d_volume_turn_to_file(got));
        assert_memory_equal(got->data, wanted->data, (size_t)u3d_volume_voxels(got) * sizeof(int32_t));
        u3d_volume_free(got);
    }
    /* Without a place in space, the array is used as stored by every model. */
    memcpy(m->facts.orientation, lps, sizeof lps);
    v->grid.sform_code = 0;
    assert_ok(u3d_volume_write(in, v));
    u3d_volume *got = predicted(p, m, in, out);
    assert_memory_equal(got->data, wanted->data, (size_t)u3d_volume_voxels(got) * sizeof(int32_t));
    u3d_volume_free(got);
    u3d_volume_free(v);
    u3d_volume_free(wanted);
    u3d_predictor_free(p);
    u3d_backend_close(b);
    u3d_model_free(m);
    u3d_free(in);
    u3d_free(out);
    u3d_test_run_done(&f);
}

/* Models whose volumes were turned or normalised differently cannot share one prepared volume. */
static void test_models_that_do_not_fit(void **state)
{
    (void)state;
    static const int lps[3] = {-1, -2, 3};
    u3d_test_run f;
    u3d_test_run_new(&f, 1, u3d_test_ball);
    u3d_model *m[2] = {train_model(&f, NULL), NULL};
    char *path = u3d_test_path(f.out, "model.safetensors");
    u3d_backend *b = u3d_test_backend("cpu", NULL, 1);
    u3d_predictor *p = NULL;
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    const u3d_model *const *models = (const u3d_model *const *)m;
    assert_ok(u3d_model_load(path, &m[1]));
    assert_ok(u3d_predictor_open(b, models, 2, &o, &p));
    u3d_predictor_free(p);

    const u3d_model fits = *m[1];
    memcpy(m[1]->facts.orientation, lps, sizeof lps);
    assert_status(u3d_predictor_open(b, models, 2, &o, &p), U3D_E_ARG);
    u3d_test_says("oriented differently");
    m[1]->facts = fits.facts;
    m[1]->intensity.kind[0] =
        fits.intensity.kind[0] == U3D_INTENSITY_NONE ? U3D_INTENSITY_ZSCORE : U3D_INTENSITY_NONE;
    assert_status(u3d_predictor_open(b, models, 2, &o, &p), U3D_E_ARG);
    u3d_test_says("normalises intensities differently");
    for (int i = 0; i < 2; i++) u3d_model_free(m[i]);
    u3d_backend_close(b);
    u3d_free(path);
    u3d_test_run_done(&f);
}

/* Left and right are the ends of x, in whatever order the files have their axes. */
static void test_mirroring(void **state)
{
    (void)state;
    static const u3d_test_list lungs = {2, {1, 2}};
    u3d_test_set set;
    u3d_cases *cases = NULL;
    u3d_config config;
    u3d_augment plan;
    u3d_test_set_new(&set);
    for (int i = 0; i < 2; i++)
        u3d_test_set_add(&set, i ? "b" : "a", (int64_t[]){4, 5, 6}, 1, u3d_test_voxel_mix,
                         u3d_test_voxel_of_list, &lungs);
    u3d_test_store(set.d.cases[1].image[0], U3D_VOLUME_IMAGE, 33, set.d.cases[1].image[0]);
    u3d_test_set_name_label(&set, 1, "left lung");
    u3d_test_set_name_label(&set, 2, "right lung");
    u3d_config_default(&config);
    assert_ok(u3d_test_set_open(&set, U3D_INTENSITY_NONE, &(u3d_cases_opts){.dense = true}, &cases));
    assert_ok(u3d_augment_plan(&config, cases, &plan));
    assert_true(plan.mirror[0] && plan.mirror[1] && !plan.mirror[2]);
    u3d_cases_free(cases);

    u3d_volume *v = NULL; /* one of the images does not say which axis that is */
    assert_ok(u3d_volume_read(set.d.cases[0].image[0], U3D_VOLUME_IMAGE, &v));
    v->grid.sform_code = v->grid.qform_code = 0;
    assert_ok(u3d_volume_write(set.d.cases[0].image[0], v));
    u3d_volume_free(v);
    assert_ok(u3d_test_set_open(&set, U3D_INTENSITY_NONE, &(u3d_cases_opts){.dense = true}, &cases));
    assert_ok(u3d_augment_plan(&config, cases, &plan));
    assert_true(!plan.mirror[0] && !plan.mirror[1] && !plan.mirror[2]);
    u3d_cases_free(cases);
    u3d_test_set_done(&set);
}

/* The files of two channels are stored in different orders. */
static void test_channels(void **state)
{
    (void)state;
    u3d_test_set set;
    u3d_volume *image = NULL;
    u3d_test_set_new(&set);
    u3d_test_set_add(&set, "two", (int64_t[]){3, 4, 5}, 2, u3d_test_voxel_mix, NULL, NULL);
    const u3d_case *c = &set.d.cases[0];
    u3d_test_store(c->image[1], U3D_VOLUME_IMAGE, 37, c->image[1]);
    assert_ok(u3d_case_read_image(c, &image));
    for (int64_t i = 0; i < 60; i++)
        for (int ch = 0; ch < 2; ch++)
            assert_float_equal(((float *)image->data)[2 * i + ch],
                               (float)(u3d_test_voxel_mix(i / 20, i / 5 % 4, i % 5, NULL) + 1000 * ch), 0);
    u3d_volume_free(image);
    u3d_test_set_done(&set);
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prediction_of_48_storages),
        cmocka_unit_test(test_training_on_other_storages),
        cmocka_unit_test(test_models_with_other_axes),
        cmocka_unit_test(test_models_that_do_not_fit),
        cmocka_unit_test(test_mirroring),
        cmocka_unit_test(test_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
