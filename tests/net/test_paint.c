/* Tests of what people paint: a background with a label of its own, and volumes without labels. Also of the
 * label table that the folds of a cross-validation share. */
#include "tests/support/support_cases.h"

#include <string.h>

#include "engine/base/mem.h"

static const int64_t SIZE[3] = {6, 10, 12};

/* ---- the background ---- */

/* 0 is unlabelled; 3 is painted around 1 and 2. The image is 1000 * label + position, see bright. */
static double painted(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    if (z == 2) return 0;
    if (y == 4) return 1;
    return y == 5 && x < 6 ? 2 : 3;
}

static double bright(int64_t z, int64_t y, int64_t x, const void *user)
{
    return 1000 * painted(z, y, x, user) + (double)x;
}

static u3d_cases *open_painted(u3d_test_set *s, u3d_intensity intensity, const u3d_cases_opts *o)
{
    u3d_cases *c = NULL;
    u3d_test_set_new(s);
    u3d_test_set_add(s, "a", SIZE, 1, bright, painted, NULL);
    assert_ok(u3d_test_set_open(s, intensity, o, &c));
    return c;
}

static const u3d_cases_opts zero_unlabelled = {.unlabeled_given = true},
                            background_3 = {
                                .unlabeled_given = true, .background_given = true, .background = 3};

static void the_background_is_class_0(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *c = open_painted(&s, U3D_INTENSITY_NONE, &background_3);
    const u3d_labels *l = u3d_cases_labels(c);
    const u3d_case_data *data;
    const int expected[3] = {3, 1, 2};
    assert_int_equal(l->n, 3);
    assert_true(l->background);
    for (int k = 0; k < 3; k++) assert_int_equal(l->value[k], expected[k]);
    assert_ok(u3d_cases_acquire(c, 0, &data));
    const uint8_t *class = data->label->data;
    int64_t count[256] = {0};
    for (int64_t z = 0; z < SIZE[0]; z++)
        for (int64_t y = 0; y < SIZE[1]; y++)
            for (int64_t x = 0; x < SIZE[2]; x++, class ++) {
                const int value = (int)painted(z, y, x, NULL);
                assert_int_equal(*class, value == 0 ? U3D_UNLABELED : value == 3 ? 0 : value);
                count[*class]++;
            }
    for (int k = 0; k < 3; k++) assert_int_equal(u3d_cases_voxels(c, 0, k), count[k]);

    /* Written as 0, unless 0 is another label; or as it was. */
    static u3d_labels written;
    u3d_volume *file;
    written = *l;
    assert_true(u3d_labels_zero_background(&written));
    assert_ok(u3d_labels_to_values(&written, data->label, &file));
    assert_int_equal(((const uint8_t *)file->data)[0], 0);
    assert_int_equal(((const uint8_t *)file->data)[4 * SIZE[2]], 1);
    u3d_volume_free(file);
    assert_ok(u3d_labels_to_values(l, data->label, &file));
    assert_int_equal(((const uint8_t *)file->data)[0], 3);
    u3d_volume_free(file);
    written = *l;
    written.value[1] = 0;
    assert_false(u3d_labels_zero_background(&written));
    assert_int_equal(written.value[0], 3);
    u3d_cases_release(c, 0);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* Models store the table; those that were written before backgrounds had labels of their own still load. */
static void tables_are_stored(void **state)
{
    (void)state;
    static u3d_labels l, back;
    cJSON *json;
    memset(&l, 0, sizeof l);
    l = (u3d_labels){.n = 3, .value = {5, 1, 7}, .background = true, .has_unlabeled = true};
    assert_ok(u3d_labels_to_json(&l, &json));
    assert_ok(u3d_labels_from_json(&back, json, "test"));
    assert_memory_equal(&l, &back, sizeof l);
    cJSON_ReplaceItemInArray(cJSON_GetObjectItem(json, "values"), 2, cJSON_CreateNumber(5));
    assert_status(u3d_labels_from_json(&back, json, "test"), U3D_E_FORMAT);
    cJSON_Delete(json);
    json = cJSON_Parse("{\"values\": [0, 1, 2], \"names\": [\"\", \"\", \"\"], \"background\": true}");
    assert_ok(u3d_labels_from_json(&back, json, "test"));
    assert_true(back.background && back.value[0] == 0 && back.value[2] == 2);
    cJSON_Delete(json);
}

static void the_background_is_found_by_its_name(void **state)
{
    (void)state;
    static const struct {
        int value;
        const char *name;
        bool found;
    } rows[] = {{3, "background", true},         {3, "BackGround", true}, {1, " Background ", true},
                {3, "background tissue", false}, {3, "bg", false},        {0, "background", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        u3d_test_set s;
        u3d_cases *c = NULL;
        u3d_test_set_new(&s);
        u3d_test_set_add(&s, "a", SIZE, 1, bright, painted, NULL);
        u3d_test_set_name_label(&s, rows[i].value, rows[i].name);
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &zero_unlabelled, &c));
        const u3d_labels *l = u3d_cases_labels(c);
        if (l->background != rows[i].found || l->value[0] != (rows[i].found ? rows[i].value : 1))
            fail_msg("label %d called '%s': class 0 is %d", rows[i].value, rows[i].name, l->value[0]);
        u3d_cases_free(c);
        u3d_test_set_done(&s);
    }
}

static void wrong_backgrounds_are_refused(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", SIZE, 1, bright, painted, NULL);
    u3d_cases_opts o = background_3;
    o.background = 8;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c), U3D_E_ARG);
    u3d_test_says("--background 8: no label has this value; the labels are 1, 2, 3");
    o.background = 0;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c), U3D_E_ARG);
    u3d_test_says("0 means unlabelled");
    u3d_test_set_done(&s);
}

/* The statistics of CT are those of the foreground, whose intensities are below 3000. */
static void ct_leaves_the_background_out(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *c = open_painted(&s, U3D_INTENSITY_CT, &background_3);
    assert_true(u3d_cases_intensity(c)->high[0] < 3000);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* ---- volumes without labels ---- */

static double blank(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)z, (void)y, (void)x, (void)user;
    return 0;
}

typedef struct dropping {
    u3d_cases *c;
    bool kept[3];
    u3d_status status;
} dropping;

static void drop(void *user)
{
    dropping *d = user;
    d->status = u3d_cases_drop_unlabelled(d->c, d->kept);
}

static void blank_volumes_are_left_out(void **state)
{
    (void)state;
    dropping d;
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "first", SIZE, 1, bright, painted, NULL);
    u3d_test_set_add(&s, "empty", SIZE, 1, bright, blank, NULL);
    u3d_test_set_add(&s, "last", SIZE, 1, bright, painted, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &zero_unlabelled, &d.c));
    char *text = u3d_test_stderr_of(drop, &d);
    assert_int_equal(d.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "1 of 3 volumes have no labelled voxel"), 1);
    assert_int_equal(u3d_test_count_text(text, "'empty'"), 1);
    assert_true(d.kept[0] && !d.kept[1] && d.kept[2]);
    assert_int_equal(u3d_cases_count(d.c), 2);
    assert_string_equal(u3d_cases_id(d.c, 1), "last");
    u3d_free(text);
    u3d_cases_free(d.c);
    u3d_test_set_done(&s);

    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "one", SIZE, 1, bright, blank, NULL);
    u3d_test_set_add(&s, "two", SIZE, 1, bright, blank, NULL);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &zero_unlabelled, &d.c), U3D_E_ARG);
    u3d_test_says("every voxel is 0, which means unlabelled");
    u3d_test_says("one_label.nii");
    u3d_test_says("two_label.nii");
    u3d_test_set_done(&s);
}

/* ---- what the folds of a cross-validation share ---- */

/* A label table that is given must be used although some of its labels do not occur. */
static void a_given_table_is_used(void **state)
{
    (void)state;
    u3d_test_set s;
    static u3d_labels table;
    table = (u3d_labels){.n = 4, .value = {3, 1, 2, 9}, .background = true, .has_unlabeled = true};
    u3d_cases_opts o = zero_unlabelled;
    o.labels = &table;
    u3d_cases *c = open_painted(&s, U3D_INTENSITY_NONE, &o);
    assert_int_equal(u3d_cases_labels(c)->n, 4);
    assert_int_equal(u3d_cases_voxels(c, 0, 3), 0);
    assert_int_equal(u3d_cases_voxels(c, 0, 2), 5 * 6);
    u3d_cases_free(c);
    table.n = 2;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c), U3D_E_ARG);
    u3d_test_says("contain the value 2");
    u3d_test_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_background_is_class_0),
        cmocka_unit_test(tables_are_stored),
        cmocka_unit_test(the_background_is_found_by_its_name),
        cmocka_unit_test(wrong_backgrounds_are_refused),
        cmocka_unit_test(ct_leaves_the_background_out),
        cmocka_unit_test(blank_volumes_are_left_out),
        cmocka_unit_test(a_given_table_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
