/* Tests that results do not depend on how files store their voxels: training and prediction give the same
 * bits for each of the 48 orders of axes, labels are brought onto the grids of their images, and models of
 * earlier versions, which saw axes as stored, still get what they were trained on. */
#include "tests/support/support_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/evaluate/evaluate.h"
#include "net/predict/predict.h"
#include "net/volume/labels.h"

enum { STORAGES = 48 };

/* The axes of storage s, as for u3d_volume_turn. */
static void storage_axes(int s, int axis[3])
{
    static const int orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    for (int a = 0; a < 3; a++) axis[a] = s >> a & 1 ? -orders[s / 8][a] : orders[s / 8][a];
}

/* Stores a file again with other axes. The volume stays where it is. */
static void store(const char *from, u3d_volume_kind kind, int s, const char *to)
{
    u3d_volume *v = NULL;
    int axis[3];
    storage_axes(s, axis);
    assert_ok(u3d_nifti_read(from, kind, &v));
    assert_ok(u3d_volume_turn(v, axis));
    u3d_volume_new_grid(v);
    assert_ok(u3d_nifti_write(to, v));
    u3d_volume_free(v);
}

/* Tilts the image and the labels of a case, so that its files are oblique. */
static void tilt(const char *path, u3d_volume_kind kind, double degrees)
{
    u3d_volume *v = NULL;
    const double c = cos(degrees * M_PI / 180), s = sin(degrees * M_PI / 180);
    assert_ok(u3d_nifti_read(path, kind, &v));
    for (int column = 0; column < 4; column++) {
        const double x = v->voxel_to_world[0][column], z = v->voxel_to_world[2][column];
        v->voxel_to_world[0][column] = c * x - s * z;
        v->voxel_to_world[2][column] = s * x + c * z;
    }
    u3d_volume_new_grid(v);
    assert_ok(u3d_nifti_write(path, v));
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
    assert_ok(u3d_nifti_read(out, U3D_VOLUME_LABEL, &v));
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
        for (int s = 0; s < STORAGES; s++) {
            u3d_volume *stored = NULL, *got;
            store(image, U3D_VOLUME_IMAGE, s, in);
            got = predicted(p, m, in, out);
            assert_ok(u3d_nifti_probe(in, &stored));
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
            store(c->image[0], U3D_VOLUME_IMAGE, 7 + 11 * i, c->image[0]);
            store(c->label, U3D_VOLUME_LABEL, 40 - 13 * i, c->label);
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
    assert_ok(u3d_nifti_read(image, U3D_VOLUME_IMAGE, &v));
    for (int w = 0; w < 2; w++) v->voxel_to_world[w][w] *= -1;
    u3d_volume_new_grid(v);
    assert_ok(u3d_nifti_write(in, v));
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
    u3d_volume_free(v);
    u3d_volume_free(wanted);
    u3d_predictor_free(p);
    u3d_backend_close(b);
    u3d_model_free(m);
    u3d_free(in);
    u3d_free(out);
    u3d_test_run_done(&f);
}

/* ---- labels on other grids ---- */

static double blocks(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return (double)(1 + (z / 2 + y / 2 + x / 2) % 3);
}

typedef struct label_case { /* what happens with the labels of the only case */
    u3d_test_set set;
    u3d_cases_opts o;
    u3d_cases *cases;
    u3d_status status;
} label_case;

static void open_run(void *user)
{
    label_case *c = user;
    c->status = u3d_test_set_open(&c->set, U3D_INTENSITY_NONE, &c->o, &c->cases);
}

static char *label_case_open(label_case *c)
{
    char *said = u3d_test_stderr_of(open_run, c);
    assert_ok(c->status);
    return said;
}

static void label_case_new(label_case *c)
{
    memset(c, 0, sizeof *c);
    u3d_test_set_new(&c->set);
    u3d_test_set_add(&c->set, "a", (int64_t[]){8, 10, 12}, 1, u3d_test_voxel_mix, blocks, NULL);
}

static void label_case_done(label_case *c)
{
    u3d_cases_free(c->cases);
    u3d_test_set_done(&c->set);
}

/* Cuts a box out of the labels and stores it in another order. */
static void crop_labels(const label_case *c)
{
    const char *path = c->set.d.cases[0].label;
    u3d_volume *all = NULL, *box = NULL;
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &all));
    assert_ok(u3d_volume_new_box(all, (int64_t[]){2, 3, 4}, (int64_t[]){4, 5, 6}, U3D_I32, 1, &box));
    for (int64_t z = 0, i = 0; z < 4; z++)
        for (int64_t y = 0; y < 5; y++)
            for (int64_t x = 0; x < 6; x++, i++)
                ((int32_t *)box->data)[i] = (int32_t)blocks(z + 2, y + 3, x + 4, NULL);
    assert_ok(u3d_nifti_write(path, box));
    store(path, U3D_VOLUME_LABEL, 29, path);
    u3d_volume_free(all);
    u3d_volume_free(box);
}

static void test_labels_of_a_part(void **state)
{
    (void)state;
    for (int dense = 0; dense < 2; dense++) {
        label_case c;
        const u3d_case_data *data;
        label_case_new(&c);
        crop_labels(&c);
        c.o.dense = dense;
        char *said = label_case_open(&c);
        assert_int_equal(u3d_test_count_text(said, "cover only a part of the image in 1 of 1 cases"), 1);
        assert_int_equal(u3d_test_count_text(said, "6x5x4 of 12x10x8 voxels"), 1);
        assert_int_equal(u3d_test_count_text(said, "one slice only"), 0);
        assert_int_equal(u3d_test_count_text(said, dense ? "count as 0 (--dense)" : "count as unlabelled"),
                         1);
        const u3d_labels *l = u3d_cases_labels(c.cases);
        assert_int_equal(l->n, dense ? 4 : 3);
        assert_int_equal(u3d_cases_voxels(c.cases, 0, -1), dense ? 8 * 10 * 12 : 4 * 5 * 6);
        u3d_volume *own = NULL;
        assert_ok(u3d_cases_acquire(c.cases, 0, &data));
        assert_ok(u3d_cases_read_own(c.cases, 0, &own));
        for (int64_t z = 0, i = 0; z < 8; z++)
            for (int64_t y = 0; y < 10; y++)
                for (int64_t x = 0; x < 12; x++, i++) {
                    const bool in = z >= 2 && z < 6 && y >= 3 && y < 8 && x >= 4 && x < 10;
                    const int class = ((uint8_t *)data->label->data)[i];
                    assert_int_equal(class, ((uint8_t *)own->data)[i]);
                    if (in)
                        assert_int_equal(l->value[class], blocks(z, y, x, NULL));
                    else
                        assert_int_equal(class, dense ? 0 : U3D_UNLABELED);
                }
        u3d_cases_release(c.cases, 0);
        u3d_volume_free(own);
        u3d_free(said);
        label_case_done(&c);
    }
}

/* Both files lose their place in space: one of them, the other one, both. */
static void test_labels_without_a_place(void **state)
{
    (void)state;
    for (int which = 1; which <= 3; which++) {
        label_case c;
        label_case_new(&c);
        const u3d_case *files = &c.set.d.cases[0];
        store(files->image[0], U3D_VOLUME_IMAGE, 21, files->image[0]);
        store(files->label, U3D_VOLUME_LABEL, 21, files->label);
        for (int i = 0; i < 2; i++) {
            const char *path = i ? files->label : files->image[0];
            u3d_volume *v = NULL;
            if (!(which >> i & 1)) continue;
            assert_ok(u3d_nifti_read(path, i ? U3D_VOLUME_LABEL : U3D_VOLUME_IMAGE, &v));
            v->grid.sform_code = v->grid.qform_code = 0;
            assert_ok(u3d_nifti_write(path, v));
            u3d_volume_free(v);
        }
        c.o.dense = true;
        char *said = label_case_open(&c);
        assert_int_equal(u3d_test_count_text(said, "matched as stored"), which != 3);
        const u3d_case_data *data;
        assert_ok(u3d_cases_acquire(c.cases, 0, &data));
        /* Each voxel of the image must have the label of the same place before. */
        const int64_t *size = data->image->size;
        const bool placed = which == 2;
        for (int64_t i = 0; i < u3d_volume_voxels(data->image); i++) {
            u3d_volume as_stored = *data->image;
            int64_t at[3] = {i / (size[1] * size[2]), i / size[2] % size[1], i % size[2]};
            if (!placed) { /* as stored: back to the place before */
                int axis[3], from[3] = {(int)at[2], (int)at[1], (int)at[0]};
                storage_axes(21, axis);
                for (int a = 0; a < 3; a++) {
                    const int source = abs(axis[a]) - 1;
                    at[2 - source] = axis[a] < 0 ? as_stored.size[2 - a] - 1 - from[a] : from[a];
                }
            }
            assert_float_equal(((float *)data->image->data)[i], u3d_test_voxel_mix(at[0], at[1], at[2], NULL),
                               0);
            assert_int_equal(u3d_cases_labels(c.cases)->value[((uint8_t *)data->label->data)[i]],
                             blocks(at[0], at[1], at[2], NULL));
        }
        u3d_cases_release(c.cases, 0);
        u3d_free(said);
        label_case_done(&c);
    }
}

/* Labels with half the spacing along x: voxels 2 x and 2 x + 1 have the label of x. */
static void write_fine(const char *path)
{
    u3d_volume *fine = NULL;
    assert_ok(u3d_volume_new((int64_t[]){8, 10, 24}, (double[]){2, 1, 0.5}, U3D_I32, 1, &fine));
    for (int64_t i = 0; i < u3d_volume_voxels(fine); i++)
        ((int32_t *)fine->data)[i] = (int32_t)blocks(i / 240, i / 24 % 10, i % 24 / 2, NULL);
    assert_ok(u3d_nifti_write(path, fine));
    u3d_volume_free(fine);
}

static void test_labels_on_another_grid(void **state)
{
    (void)state;
    label_case c;
    label_case_new(&c);
    write_fine(c.set.d.cases[0].label);
    c.o.dense = true;
    assert_status(u3d_test_set_open(&c.set, U3D_INTENSITY_NONE, &c.o, &c.cases), U3D_E_FORMAT);
    u3d_test_says("--resample-labels");
    c.o.resample_labels = true;
    char *said = label_case_open(&c);
    assert_int_equal(u3d_test_count_text(said, "have another grid than the image in 1 of 1 cases"), 1);
    const u3d_case_data *data;
    assert_ok(u3d_cases_acquire(c.cases, 0, &data));
    const u3d_labels *l = u3d_cases_labels(c.cases);
    for (int64_t i = 0; i < 8 * 10 * 12; i++)
        assert_int_equal(l->value[((uint8_t *)data->label->data)[i]],
                         blocks(i / 120, i / 12 % 10, i % 12, NULL));
    u3d_cases_release(c.cases, 0);
    u3d_free(said);
    label_case_done(&c);
}

/* A 2D network sees planes across z in memory. If the file calls that axis y, u3d says how to get the file's
 * z. */
static void test_planes_of_2d_networks(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        label_case c;
        label_case_new(&c);
        const char *image = c.set.d.cases[0].image[0];
        if (other) store(image, U3D_VOLUME_IMAGE, 8, image); /* x, z, y */
        c.o.dense = c.o.slices_only = true;
        char *said = label_case_open(&c);
        assert_int_equal(u3d_test_count_text(said, "axis y of file"), other);
        u3d_free(said);
        label_case_done(&c);
    }
}

/* Left and right are the ends of x, in whatever order the files have their axes. */
static void test_mirroring(void **state)
{
    (void)state;
    u3d_test_set set;
    u3d_cases *cases = NULL;
    u3d_config config;
    u3d_augment plan;
    u3d_test_set_new(&set);
    for (int i = 0; i < 2; i++)
        u3d_test_set_add(&set, i ? "b" : "a", (int64_t[]){4, 5, 6}, 1, u3d_test_voxel_mix, blocks, NULL);
    store(set.d.cases[1].image[0], U3D_VOLUME_IMAGE, 33, set.d.cases[1].image[0]);
    u3d_test_set_name_label(&set, 1, "left lung");
    u3d_test_set_name_label(&set, 2, "right lung");
    u3d_config_default(&config);
    assert_ok(u3d_test_set_open(&set, U3D_INTENSITY_NONE, &(u3d_cases_opts){.dense = true}, &cases));
    assert_ok(u3d_augment_plan(&config, cases, &plan));
    assert_true(plan.mirror[0] && plan.mirror[1] && !plan.mirror[2]);
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
    store(c->image[1], U3D_VOLUME_IMAGE, 37, c->image[1]);
    assert_ok(u3d_case_read_image(c, &image));
    for (int64_t i = 0; i < 60; i++)
        for (int ch = 0; ch < 2; ch++)
            assert_float_equal(((float *)image->data)[2 * i + ch],
                               (float)(u3d_test_voxel_mix(i / 20, i / 5 % 4, i % 5, NULL) + 1000 * ch), 0);
    u3d_volume_free(image);
    u3d_test_set_done(&set);
}

/* A reference that is stored differently, in other units or only in part, is compared where it lies. */
static void test_evaluation(void **state)
{
    (void)state;
    label_case c;
    label_case_new(&c);
    const char *reference = c.set.d.cases[0].label;
    char *dir = u3d_test_dir(), *prediction = u3d_test_path(dir, "prediction.nii");
    cJSON *json;
    store(reference, U3D_VOLUME_LABEL, 35, prediction);
    for (int part = 0; part < 2; part++) {
        const u3d_evaluate_opts o = {.prediction = prediction,
                                     .reference = reference,
                                     .background = 1,
                                     .threads = 1,
                                     .unlabeled_given = true,
                                     .unlabeled = 9};
        if (part) crop_labels(&c);
        assert_ok(u3d_evaluate(&o, &json));
        const cJSON *mean = cJSON_GetObjectItem(cJSON_GetObjectItem(json, "mean"), "2");
        assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(mean, "Dice")), 1, 0);
        cJSON_Delete(json);
    }
    label_case_done(&c);

    label_case_new(&c);
    u3d_evaluate_opts o = {.prediction = prediction, .reference = c.set.d.cases[0].label, .threads = 1};
    write_fine(prediction);
    assert_status(u3d_evaluate(&o, &json), U3D_E_FORMAT);
    u3d_test_says("--resample-labels");
    o.resample_labels = true;
    assert_ok(u3d_evaluate(&o, &json));
    const cJSON *mean = cJSON_GetObjectItem(json, "foreground_mean");
    assert_float_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(mean, "Dice")), 1, 0);
    cJSON_Delete(json);
    u3d_free(prediction);
    u3d_test_dir_done(dir);
    label_case_done(&c);
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prediction_of_48_storages),
        cmocka_unit_test(test_training_on_other_storages),
        cmocka_unit_test(test_models_with_other_axes),
        cmocka_unit_test(test_labels_of_a_part),
        cmocka_unit_test(test_labels_without_a_place),
        cmocka_unit_test(test_labels_on_another_grid),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_planes_of_2d_networks),
        cmocka_unit_test(test_mirroring),
        cmocka_unit_test(test_evaluation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
