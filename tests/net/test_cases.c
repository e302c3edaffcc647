/* Tests of opening training cases (net/cases/cases.h): the table of labels, channels, the index that finds
 * the voxels of a class, warnings, single annotated slices, slices across one axis for 2D networks, and
 * labels for which nothing says whether 0 means background or unlabelled.
 *
 * test_cases_data tests what happens to the cases afterwards: intensities, memory, held-out slices. */
#include "tests/support/support_cases.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"

static const u3d_cases_opts dense = {.dense = true};

/* ---- voxels ---- */

static double voxel_one(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)z, (void)y, (void)x, (void)user;
    return 1;
}

/* 1 inside a ball, 0 outside. */
typedef struct ball {
    double z, y, x, r;
} ball;

static double voxel_ball(int64_t z, int64_t y, int64_t x, const void *user)
{
    const ball *b = user;
    double dz = (double)z - b->z, dy = (double)y - b->y, dx = (double)x - b->x;
    return dz * dz + dy * dy + dx * dx <= b->r * b->r ? 1 : 0;
}

/* ---- tests ---- */

static void test_table(void **state)
{
    (void)state;
    const int64_t size[3] = {3, 5, 7};
    const u3d_test_list a = {3, {0, 7, 300}}, b = {3, {-2, 7, 255}};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &a);
    u3d_test_set_add(&s, "b", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &b);
    u3d_test_set_name_label(&s, 7, "seven");
    u3d_test_set_name_label(&s, 9, "absent");
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 255};
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
    const u3d_labels *l = u3d_cases_labels(c);
    const int expected[5] = {0, -2, 7, 9, 300};
    assert_int_equal(l->n, 5);
    for (int k = 0; k < 5; k++) assert_int_equal(l->value[k], expected[k]);
    assert_string_equal(l->name[2], "seven");
    assert_string_equal(l->name[3], "absent");
    assert_string_equal(l->name[4], "");
    assert_true(l->has_unlabeled);
    assert_int_equal(l->unlabeled, 255);
    assert_true(l->background); /* 0, although it is not the smallest value */

    /* In both cases the classes must follow the table, and the counts must agree with the voxels. */
    for (int i = 0; i < 2; i++) {
        const u3d_test_list *list = i ? &b : &a;
        const u3d_case_data *data = NULL;
        int64_t count[256] = {0}, labelled = 0, v = 0;
        assert_ok(u3d_cases_acquire(c, i, &data));
        const uint8_t *class = data->label->data;
        for (int64_t z = 0; z < size[0]; z++)
            for (int64_t y = 0; y < size[1]; y++)
                for (int64_t x = 0; x < size[2]; x++, v++) {
                    int value = (int)u3d_test_voxel_of_list(z, y, x, list);
                    if (value == 255)
                        assert_int_equal(class[v], U3D_UNLABELED);
                    else
                        assert_int_equal(l->value[class[v]], value);
                    count[class[v]]++;
                    labelled += value != 255;
                }
        u3d_cases_release(c, i);
        for (int k = 0; k < l->n; k++) assert_int_equal(u3d_cases_voxels(c, i, k), count[k]);
        assert_int_equal(u3d_cases_voxels(c, i, -1), labelled);
    }
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

/* Label values that are converted to classes and back must not change. Nor may the table of labels change
 * when it is written to JSON and read again. */
static void test_labels(void **state)
{
    (void)state;
    static u3d_labels l, back;
    memset(&l, 0, sizeof l);
    l.n = 3;
    l.value[0] = -5, l.value[1] = 0, l.value[2] = 70000;
    (void)snprintf(l.name[2], sizeof l.name[2], "cell \"wall\"");
    l.has_unlabeled = true;
    l.unlabeled = 3;
    cJSON *json = NULL;
    assert_ok(u3d_labels_to_json(&l, &json));
    assert_ok(u3d_labels_from_json(&back, json, "test"));
    assert_memory_equal(&l, &back, sizeof l);
    cJSON_ReplaceItemInArray(cJSON_GetObjectItem(json, "values"), 2, cJSON_CreateNumber(0));
    assert_status(u3d_labels_from_json(&back, json, "test"), U3D_E_FORMAT);
    cJSON_Delete(json);

    const int64_t size[3] = {1, 2, 2};
    const double spacing[3] = {1, 1, 1};
    const int32_t values[4] = {70000, 3, -5, 0};
    u3d_volume *file = NULL, *classes = NULL, *again = NULL;
    assert_ok(u3d_volume_new(size, spacing, U3D_I32, 1, &file));
    memcpy(file->data, values, sizeof values);
    assert_ok(u3d_labels_to_classes(&l, file, "file.nii", &classes));
    assert_memory_equal(classes->data, ((const uint8_t[]){2, U3D_UNLABELED, 0, 1}), 4);
    assert_ok(u3d_labels_to_values(&l, classes, &again));
    assert_int_equal(again->dtype, U3D_I32);
    assert_memory_equal(again->data, values, sizeof values);
    ((int32_t *)file->data)[2] = 4;
    u3d_volume *none = NULL;
    assert_status(u3d_labels_to_classes(&l, file, "file.nii", &none), U3D_E_FORMAT);
    u3d_test_says("0, 1, 0");
    u3d_volume_free(again);

    l.value[0] = 1, l.value[1] = 5, l.value[2] = 255; /* every value fits in a byte, so the volume is U8 */
    assert_ok(u3d_labels_to_values(&l, classes, &again));
    assert_int_equal(again->dtype, U3D_U8);
    assert_memory_equal(again->data, ((const uint8_t[]){255, 3, 1, 5}), 4);
    l.has_unlabeled = false;
    assert_status(u3d_labels_to_values(&l, classes, &none), U3D_E_FORMAT);
    u3d_volume_free(again);
    u3d_volume_free(classes);
    u3d_volume_free(file);
}

static void test_too_many_labels(void **state)
{
    (void)state;
    const int64_t size[3] = {8, 8, 8};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "an image", size, 1, u3d_test_voxel_mix, u3d_test_voxel_mix, NULL);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    u3d_test_says("254");
    u3d_test_says("an image");
    assert_null(c);
    u3d_test_set_done(&s);
}

static void test_channels(void **state)
{
    (void)state;
    const int64_t size[3] = {2, 3, 4}, other[3] = {2, 3, 5};
    const u3d_test_list list = {2, {0, 1}};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "three", size, 3, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c));
    assert_int_equal(u3d_cases_facts(c)->channels, 3);
    assert_ok(u3d_cases_acquire(c, 0, &data));
    for (int64_t v = 0; v < 24; v++)
        for (int ch = 0; ch < 3; ch++) {
            double expected = u3d_test_voxel_mix(v / 12, v / 4 % 3, v % 4, NULL) + 1000 * ch;
            u3d_test_close(((float *)data->image->data)[v * 3 + ch], expected, 0);
        }
    u3d_cases_release(c, 0);
    u3d_cases_free(c);
    u3d_test_set_add(&s, "one", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    u3d_test_says("'three'");
    u3d_test_says("'one'");
    u3d_test_set_done(&s);

    /* The label, then the second channel of case "a" differs from the image in size. */
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    u3d_test_set_add(&s, "b", other, 2, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    char *keep = s.d.cases[0].label;
    s.d.cases[0].label = s.d.cases[1].label;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    u3d_test_says("case 'a'");
    s.d.cases[0].label = keep;
    keep = s.d.cases[0].image[1];
    s.d.cases[0].image[1] = s.d.cases[1].image[1];
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    s.d.cases[0].image[1] = keep;
    u3d_test_set_done(&s);
}

/* Compares u3d_cases_locate with a walk over the voxels, for every voxel of every class. */
static void test_locate(void **state)
{
    (void)state;
    const int64_t size[3] = {5, 4, 6};
    const u3d_test_slices some = {.across = {true, false, true}, .step = 4, .blank = 0};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 0};
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_slices, &some);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &o, &c));
    assert_ok(u3d_cases_acquire(c, 0, &data));
    const uint8_t *class = data->label->data;
    for (int k = -1; k < u3d_cases_labels(c)->n; k++) {
        int64_t r = 0;
        for (int64_t v = 0; v < 120; v++) {
            if (k < 0 ? class[v] == U3D_UNLABELED : class[v] != k) continue;
            int64_t pos[3];
            assert_ok(u3d_cases_locate(c, 0, k, r++, pos));
            assert_int_equal((pos[0] * size[1] + pos[1]) * size[2] + pos[2], v);
        }
        assert_int_equal(u3d_cases_voxels(c, 0, k), r);
        assert_true(r > 0);
    }
    assert_int_equal(u3d_cases_voxels(c, 0, 7), 0);
    u3d_cases_release(c, 0);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

typedef struct opening {
    const u3d_test_set *s;
    const u3d_cases_opts *o;
    u3d_status status;
} opening;

static void open_and_close(void *user)
{
    opening *a = user;
    u3d_cases *c = NULL;
    a->status = u3d_test_set_open(a->s, U3D_INTENSITY_NONE, a->o, &c);
    u3d_cases_free(c);
}

/* A warning is printed once for a data set, however many cases it concerns. */
static void test_warnings(void **state)
{
    (void)state;
    const int64_t size[3] = {4, 4, 4};
    const u3d_test_list list = {2, {1, 2}};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    u3d_test_set_add(&s, "b", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    u3d_test_set_name_label(&s, 0, "background");
    u3d_test_set_name_label(&s, 1, "one");
    opening a = {.s = &s, .o = &dense};
    char *text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(a.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "no background voxel"), 1);
    assert_int_equal(u3d_test_count_text(text, "without a name"), 1);
    assert_int_equal(u3d_test_count_text(text, "--unlabeled"), 0);
    u3d_free(text);

    const u3d_cases_opts zero = {.unlabeled_given = true, .unlabeled = 0};
    a.o = &zero;
    text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(a.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "gives every voxel one of the labels 1, 2; if none"), 1);
    assert_int_equal(u3d_test_count_text(text, "no voxel has that value"), 1);
    u3d_free(text);

    /* The labels of the first case are shifted by 0.05 voxels, those of the second by 0.1. */
    for (int i = 0; i < 2; i++) {
        u3d_volume *v = NULL;
        assert_ok(u3d_volume_read(s.d.cases[i].label, U3D_VOLUME_LABEL, &v));
        v->grid.sform[0][3] += 0.05 * (i + 1);
        v->grid.qoffset[0] += 0.05 * (i + 1);
        assert_ok(u3d_volume_write(s.d.cases[i].label, v));
        u3d_volume_free(v);
    }
    a.o = &dense;
    text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(a.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "differ by more than 0.01 voxel in 2 of 2 cases, most in 'b'"),
                     1);
    u3d_free(text);
    u3d_test_set_done(&s);
}

/* Label 2 in the plane x = *user, label 1 in the rest of the planes z = 1 and z = 3, 255 elsewhere. */
static double voxel_planes(int64_t z, int64_t y, int64_t x, const void *user)
{
    const int *at = user;
    (void)y;
    return x == *at ? 2 : z == 1 || z == 3 ? 1 : 255;
}

/* If only one slice of all cases shows a label, a warning names the label and the slice. There is no warning
 * if two slices or two cases show it. */
static void test_single_slice(void **state)
{
    (void)state;
    const int64_t size[3] = {5, 6, 7}, flat[3] = {1, 6, 7};
    const int second = 2, none = -1;
    const u3d_cases_opts sparse = {.unlabeled_given = true, .unlabeled = 255};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, voxel_planes, &second);
    u3d_test_set_add(&s, "b", size, 1, u3d_test_voxel_mix, voxel_planes, &none);
    opening a = {.s = &s, .o = &sparse};
    char *text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(a.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "in one slice only"), 1);
    assert_int_equal(u3d_test_count_text(text, "label 2 is annotated in one slice only (x = 2 of case 'a'"),
                     1);
    u3d_free(text);

    u3d_test_set_add(&s, "c", size, 1, u3d_test_voxel_mix, voxel_planes, &second);
    text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(u3d_test_count_text(text, "in one slice only"), 0);
    u3d_free(text);
    u3d_test_set_done(&s);

    u3d_test_set_new(&s); /* a flat image has only one slice across z, which is no reason for a warning */
    u3d_test_set_add(&s, "flat", flat, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list,
                     &(u3d_test_list){2, {1, 255}});
    text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(a.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "in one slice only"), 0);
    u3d_free(text);
    u3d_test_set_done(&s);
}

/* Cases for a 2D network (slices_only): of sparsely annotated labels only the annotated slices across one
 * axis count, of dense labels all voxels. This also holds when a case is read again from its file. If no
 * slice across the axis is annotated, an error says so. */
static void test_slices_only(void **state)
{
    (void)state;
    const int64_t size[3] = {20, 24, 28};
    const u3d_test_slices all = {{true, true, true}, 9, 255}, none = {{false, true, false}, 9, 255};
    const u3d_test_list whole = {2, {1, 2}};
    for (int across = 0; across < 3; across++)
        for (int reread = 0; reread < 2; reread++) {
            const int64_t slices = (size[across] + 4) / 9, area = 20 * 24 * 28 / size[across];
            u3d_test_set s;
            u3d_cases *c;
            const u3d_case_data *data;
            u3d_cases_opts o = {.unlabeled_given = true,
                                .unlabeled = 255,
                                .slices_only = true,
                                .across = across,
                                .memory_cap = reread ? 1 : 0};
            u3d_test_set_new(&s);
            u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_slices, &all);
            assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
            assert_int_equal(u3d_cases_voxels(c, 0, -1), slices * area);
            assert_ok(u3d_cases_acquire(c, 0, &data));
            const uint8_t *v = data->label->data;
            int64_t labelled = 0;
            for (int64_t i = 0; i < u3d_volume_voxels(data->label); i++) labelled += v[i] != U3D_UNLABELED;
            assert_int_equal(labelled, slices * area);
            u3d_cases_release(c, 0);
            u3d_cases_free(c);
            u3d_test_set_done(&s);

            u3d_test_set_new(&s);
            u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &whole);
            assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
            assert_int_equal(u3d_cases_voxels(c, 0, -1), 20 * 24 * 28);
            u3d_cases_free(c);
            u3d_test_set_done(&s);
        }
    u3d_test_set s;
    u3d_cases *c;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_slices, &none);
    assert_status(u3d_test_set_open(
                      &s, U3D_INTENSITY_NONE,
                      &(u3d_cases_opts){.unlabeled_given = true, .unlabeled = 255, .slices_only = true}, &c),
                  U3D_E_ARG);
    u3d_test_says("no slice across z is annotated");
    u3d_test_set_done(&s);
}

/* 0 and 1 on every nineteenth row, and 4 in all other voxels, as in scribbles. */
static double voxel_scribbles(int64_t z, int64_t y, int64_t x, const void *user)
{
    return (z * 28 + y) % 19 == 0 ? voxel_ball(z, y, x, user) : 4;
}

/* Scribbles fill neighbouring slices alike, so u3d cannot be sure; but it must not be silent. */
static void test_nearly_everywhere(void **state)
{
    (void)state;
    const int64_t size[3] = {24, 28, 30};
    const ball large = {12, 14, 15, 11};
    static const u3d_cases_opts nothing = {0}, given = {.unlabeled_given = true, .unlabeled = 4};
    const u3d_cases_opts *options[] = {&dense, &given, &nothing};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_one, voxel_scribbles, &large);
    u3d_test_set_add(&s, "b", size, 1, voxel_one, voxel_scribbles, &large);
    u3d_test_set_name_label(&s, 0, "background");
    for (int i = 0; i < 3; i++) {
        opening a = {.s = &s, .o = options[i]};
        char *text = u3d_test_stderr_of(open_and_close, &a);
        assert_int_equal(a.status, U3D_OK);
        assert_int_equal(u3d_test_count_text(text, "have the label 4"), options[i] == &nothing ? 1 : 0);
        u3d_free(text);
    }
    u3d_test_set_done(&s);
}

/* If neither the options nor the data set say which value is unlabelled, labels that look sparse must be
 * refused with a message that names the option to use. The same labels must be accepted once the options or
 * the data set say it. */
static void test_sparse(void **state)
{
    (void)state;
    const int64_t size[3] = {24, 28, 30};
    const ball small = {12, 14, 15, 4}, large = {12, 14, 15, 11}, speck = {12, 14, 15, 1};
    const u3d_test_slices z = {{true, false, false}, 8, 0}, zyx = {{true, true, true}, 9, 0},
                          far = {{true, true, true}, 9, 255}, near = {{true, false, false}, 2, 0};
    const u3d_test_list one = {1, {0}}, two = {2, {1, 2}};
    static const u3d_cases_opts nothing = {0};
    const struct {
        const char *what;
        u3d_test_voxel voxel;
        const void *user;
        bool stops, stops_named; /* refused if the data set does not name the label 0, or if it does */
        const char *says;        /* part of the message */
    } cases[] = {{"small organ", voxel_ball, &small, true, false, "--unlabeled 0"},
                 {"large organ", voxel_ball, &large, false, false, ""},
                 {"speck", voxel_ball, &speck, true, false, "--dense"},
                 {"slices across z", u3d_test_voxel_slices, &z, true, true, "--unlabeled 0"},
                 {"every other slice", u3d_test_voxel_slices, &near, true, true, "--unlabeled 0"},
                 {"slices across all axes", u3d_test_voxel_slices, &zyx, true, true, "single slices"},
                 {"the same, blank 255", u3d_test_voxel_slices, &far, true, true, "--unlabeled 255"},
                 {"all 0", u3d_test_voxel_of_list, &one, false, false, ""},
                 {"no 0", u3d_test_voxel_of_list, &two, false, false, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int named = 0; named < 2; named++) {
            u3d_test_set s;
            u3d_test_set_new(&s);
            u3d_test_set_add(&s, "case", size, 1, voxel_one, cases[i].voxel, cases[i].user);
            if (named) u3d_test_set_name_label(&s, 0, "background");
            opening a = {.s = &s, .o = &nothing};
            open_and_close(&a);
            bool stops = named ? cases[i].stops_named : cases[i].stops;
            if (a.status != (stops ? U3D_E_ARG : U3D_OK))
                fail_msg("%s (label 0 has a name: %d): the status is %d: %s", cases[i].what, named,
                         (int)a.status, u3d_error_text());
            if (stops) u3d_test_says(cases[i].says);
            a.o = &dense;
            open_and_close(&a);
            assert_int_equal(a.status, U3D_OK);
            s.d.has_unlabeled = true; /* the data set says which value is unlabelled */
            s.d.unlabeled = 77;
            a.o = &nothing;
            open_and_close(&a);
            assert_int_equal(a.status, U3D_OK);
            u3d_test_set_done(&s);
        }
}

static void test_contradictions(void **state)
{
    (void)state;
    const int64_t size[3] = {2, 2, 2};
    const u3d_test_list list = {2, {0, 1}};
    const u3d_cases_opts both = {.unlabeled_given = true, .unlabeled = 0, .dense = true},
                         five = {.unlabeled_given = true, .unlabeled = 5};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "case", size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &both, &c), U3D_E_ARG);
    s.d.has_unlabeled = true;
    s.d.unlabeled = 3;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &five, &c), U3D_E_ARG);
    assert_status(u3d_cases_open(&s.d, NULL, 0, U3D_INTENSITY_NONE, &dense, &c), U3D_E_ARG);
    u3d_test_set_done(&s);
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),           cmocka_unit_test(test_labels),
        cmocka_unit_test(test_too_many_labels), cmocka_unit_test(test_channels),
        cmocka_unit_test(test_locate),          cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_single_slice),    cmocka_unit_test(test_slices_only),
        cmocka_unit_test(test_sparse),          cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_nearly_everywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
