/* Tests of labels that do not have the grid of their image: stored differently, of a part of the image,
 * without a place in space, on another grid. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/evaluate/evaluate.h"
#include "net/volume/labels.h"
#include "tests/support/support_cases.h"

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
    assert_ok(u3d_volume_read(path, U3D_VOLUME_LABEL, &all));
    assert_ok(u3d_volume_new_box(all, (int64_t[]){2, 3, 4}, (int64_t[]){4, 5, 6}, U3D_I32, 1, &box));
    for (int64_t z = 0, i = 0; z < 4; z++)
        for (int64_t y = 0; y < 5; y++)
            for (int64_t x = 0; x < 6; x++, i++)
                ((int32_t *)box->data)[i] = (int32_t)blocks(z + 2, y + 3, x + 4, NULL);
    assert_ok(u3d_volume_write(path, box));
    u3d_test_store(path, U3D_VOLUME_LABEL, 29, path);
    u3d_volume_free(all);
    u3d_volume_free(box);
}

static void test_labels_of_a_part(void **state)
{
    (void)state;
    static const char *const outside[] = {"count as unlabelled", "count as 0 (--dense)",
                                          "count as 2 (--dense)"};
    for (int dense = 0; dense < 3; dense++) { /* 2: the background is label 2 */
        label_case c;
        const u3d_case_data *data;
        label_case_new(&c);
        crop_labels(&c);
        c.o.dense = dense > 0;
        c.o.background_given = dense == 2;
        c.o.background = 2;
        char *said = label_case_open(&c);
        assert_int_equal(u3d_test_count_text(said, "cover only a part of the image in 1 of 1 cases"), 1);
        assert_int_equal(u3d_test_count_text(said, "6x5x4 of 12x10x8 voxels"), 1);
        assert_int_equal(u3d_test_count_text(said, "one slice only"), 0);
        assert_int_equal(u3d_test_count_text(said, outside[dense]), 1);
        const u3d_labels *l = u3d_cases_labels(c.cases);
        assert_int_equal(l->n, dense == 1 ? 4 : 3);
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
        u3d_test_store(files->image[0], U3D_VOLUME_IMAGE, 21, files->image[0]);
        u3d_test_store(files->label, U3D_VOLUME_LABEL, 21, files->label);
        for (int i = 0; i < 2; i++) {
            const char *path = i ? files->label : files->image[0];
            u3d_volume *v = NULL;
            if (!(which >> i & 1)) continue;
            assert_ok(u3d_volume_read(path, i ? U3D_VOLUME_LABEL : U3D_VOLUME_IMAGE, &v));
            v->grid.sform_code = v->grid.qform_code = 0;
            assert_ok(u3d_volume_write(path, v));
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
                u3d_test_storage(21, axis);
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
    assert_ok(u3d_volume_write(path, fine));
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
    /* Memory is planned for the labels as read: 4 + 1 bytes for each voxel of the file. */
    assert_int_equal(u3d_cases_opening_bytes(c.cases), 8 * 10 * 24 * (4 + 1));
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

/* Sets the unit in the header of a file; its numbers stay as they are. */
static void set_unit(const char *path, u3d_volume_kind kind, int unit)
{
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_read(path, kind, &v));
    v->grid.xyzt_units = unit;
    assert_ok(u3d_volume_write(path, v));
    u3d_volume_free(v);
}

/* Labels without a unit, as nibabel writes them, beside an image in micrometres. */
static void test_labels_without_a_unit(void **state)
{
    (void)state;
    static const struct {
        int image, label, said;
    } units[] = {{3, 0, 1}, {0, 3, 1}, {1, 8, 1}, {2, 0, 0}, {3, 3, 0}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        label_case c;
        label_case_new(&c);
        const u3d_case *files = &c.set.d.cases[0];
        set_unit(files->image[0], U3D_VOLUME_IMAGE, units[i].image);
        set_unit(files->label, U3D_VOLUME_LABEL, units[i].label);
        c.o.dense = true;
        char *said = label_case_open(&c);
        assert_int_equal(u3d_test_count_text(said, "only one of image and label gives its unit"),
                         units[i].said);
        u3d_free(said);
        label_case_done(&c);
    }
    label_case c;
    label_case_new(&c);
    const char *label = c.set.d.cases[0].label, *copy = c.set.d.cases[0].image[0];
    u3d_test_store(label, U3D_VOLUME_LABEL, 0, copy);
    set_unit(copy, U3D_VOLUME_LABEL, 3);
    set_unit(label, U3D_VOLUME_LABEL, 0);
    const u3d_evaluate_opts o = {.prediction = copy, .reference = label, .threads = 1};
    cJSON *json;
    assert_ok(u3d_evaluate(&o, &json));
    const cJSON *mean = cJSON_GetObjectItem(cJSON_GetObjectItem(json, "mean"), "1");
    const double voxels = cJSON_GetNumberValue(cJSON_GetObjectItem(mean, "n_ref"));
    const double volume = cJSON_GetNumberValue(cJSON_GetObjectItem(mean, "volume_ref"));
    u3d_test_close(volume / voxels, 2e-9, 1e-14); /* a voxel of 2 x 1 x 1 micrometres, in mm^3 */
    cJSON_Delete(json);
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
        if (other) u3d_test_store(image, U3D_VOLUME_IMAGE, 8, image); /* x, z, y */
        c.o.dense = c.o.plane = true;
        char *said = label_case_open(&c);
        assert_int_equal(u3d_test_count_text(said, "axis y of file"), other);
        u3d_free(said);
        label_case_done(&c);
    }
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
    u3d_test_store(reference, U3D_VOLUME_LABEL, 35, prediction);
    /* outside of a part nothing counts, whether the options or the model say which value means that */
    const u3d_labels trained = {
        .n = 2, .value = {1, 2}, .background = true, .has_unlabeled = true, .unlabeled = 9};
    for (int part = 0; part < 3; part++) {
        const u3d_evaluate_opts o = {.prediction = prediction,
                                     .reference = reference,
                                     .background_given = true,
                                     .background = 1,
                                     .threads = 1,
                                     .unlabeled_given = part < 2,
                                     .unlabeled = 9,
                                     .trained = &trained};
        if (part == 1) crop_labels(&c);
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
        cmocka_unit_test(test_labels_of_a_part),       cmocka_unit_test(test_labels_without_a_place),
        cmocka_unit_test(test_labels_on_another_grid), cmocka_unit_test(test_labels_without_a_unit),
        cmocka_unit_test(test_planes_of_2d_networks),  cmocka_unit_test(test_evaluation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
