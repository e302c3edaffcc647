/* Training cases: label table, index, memory budget, statistics, unlabelled voxels, held-out slices,
 * failures. */
#include "tests/support_cases.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/log.h"
#include "engine/mem.h"

static const u3d_cases_opts dense = {.dense = true};

static void assert_says(const char *part)
{
    if (!strstr(u3d_error_text(), part)) fail_msg("'%s' does not say '%s'", u3d_error_text(), part);
}

static void assert_close(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance)) fail_msg("got %.9g, expected %.9g", got, expected);
}

/* ---- voxels ---- */

static double voxel_mix(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    uint64_t h = (uint64_t)(z * 73856093 ^ y * 19349663 ^ x * 83492791) * 0x9E3779B97F4A7C15u;
    return (double)(h >> 48);
}

static double voxel_one(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)z, (void)y, (void)x, (void)user;
    return 1;
}

/* Values of a list, in a pattern that uses all of them. */
typedef struct value_list {
    int n;
    int value[8];
} value_list;

static double voxel_of_list(int64_t z, int64_t y, int64_t x, const void *user)
{
    const value_list *l = user;
    return l->value[(uint64_t)voxel_mix(z, y, x, NULL) % (uint64_t)l->n];
}

/* A solid ball of value 1 in 0. */
typedef struct ball {
    double z, y, x, r;
} ball;

static double voxel_ball(int64_t z, int64_t y, int64_t x, const void *user)
{
    const ball *b = user;
    double dz = (double)z - b->z, dy = (double)y - b->y, dx = (double)x - b->x;
    return dz * dz + dy * dy + dx * dx <= b->r * b->r ? 1 : 0;
}

/* Every step-th slice across the chosen axes holds values 1 and 2, the rest `blank`. */
typedef struct slices {
    bool across[3]; /* z, y, x */
    int64_t step;
    int blank;
} slices;

static double voxel_slices(int64_t z, int64_t y, int64_t x, const void *user)
{
    const slices *s = user;
    int64_t half = s->step / 2;
    bool on = (s->across[0] && z % s->step == half) || (s->across[1] && y % s->step == half) ||
              (s->across[2] && x % s->step == half);
    return on ? (double)(1 + (z + y + x) / 5 % 2) : s->blank;
}

/* ---- tests ---- */

static void test_table(void **state)
{
    (void)state;
    const int64_t size[3] = {3, 5, 7};
    const value_list a = {3, {0, 7, 300}}, b = {3, {-2, 7, 255}};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_mix, voxel_of_list, &a);
    u3d_test_set_add(&s, "b", size, 1, voxel_mix, voxel_of_list, &b);
    u3d_test_set_name_label(&s, 7, "seven");
    u3d_test_set_name_label(&s, 9, "absent");
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 255};
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
    const u3d_labels *l = u3d_cases_labels(c);
    const int expected[5] = {-2, 0, 7, 9, 300};
    assert_int_equal(l->n, 5);
    for (int k = 0; k < 5; k++) assert_int_equal(l->value[k], expected[k]);
    assert_string_equal(l->name[2], "seven");
    assert_string_equal(l->name[3], "absent");
    assert_string_equal(l->name[4], "");
    assert_true(l->has_unlabeled);
    assert_int_equal(l->unlabeled, 255);
    assert_false(l->background); /* -2 is class 0 */

    /* classes follow the table in both cases, and counts agree with the voxels */
    for (int i = 0; i < 2; i++) {
        const value_list *list = i ? &b : &a;
        const u3d_case_data *data = NULL;
        int64_t count[256] = {0}, labelled = 0, v = 0;
        assert_ok(u3d_cases_acquire(c, i, &data));
        const uint8_t *class = data->label->data;
        for (int64_t z = 0; z < size[0]; z++)
            for (int64_t y = 0; y < size[1]; y++)
                for (int64_t x = 0; x < size[2]; x++, v++) {
                    int value = (int)voxel_of_list(z, y, x, list);
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

/* Labels that go to classes and back are what they were; JSON keeps the table. */
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
    assert_says("0, 1, 0");
    u3d_volume_free(again);

    l.value[0] = 1, l.value[1] = 5, l.value[2] = 255; /* all fit a byte */
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
    u3d_test_set_add(&s, "an image", size, 1, voxel_mix, voxel_mix, NULL);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    assert_says("254");
    assert_says("an image");
    assert_null(c);
    u3d_test_set_done(&s);
}

static void test_channels(void **state)
{
    (void)state;
    const int64_t size[3] = {2, 3, 4}, other[3] = {2, 3, 5};
    const value_list list = {2, {0, 1}};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "three", size, 3, voxel_mix, voxel_of_list, &list);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c));
    assert_int_equal(u3d_cases_facts(c)->channels, 3);
    assert_ok(u3d_cases_acquire(c, 0, &data));
    for (int64_t v = 0; v < 24; v++)
        for (int ch = 0; ch < 3; ch++) {
            double expected = voxel_mix(v / 12, v / 4 % 3, v % 4, NULL) + 1000 * ch;
            assert_close(((float *)data->image->data)[v * 3 + ch], expected, 0);
        }
    u3d_cases_release(c, 0);
    u3d_cases_free(c);
    u3d_test_set_add(&s, "one", size, 1, voxel_mix, voxel_of_list, &list);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    assert_says("'three'");
    assert_says("'one'");
    u3d_test_set_done(&s);

    /* image and label, or two channels, of different sizes */
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, voxel_mix, voxel_of_list, &list);
    u3d_test_set_add(&s, "b", other, 2, voxel_mix, voxel_of_list, &list);
    char *keep = s.d.cases[0].label;
    s.d.cases[0].label = s.d.cases[1].label;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    assert_says("case 'a'");
    s.d.cases[0].label = keep;
    keep = s.d.cases[0].image[1];
    s.d.cases[0].image[1] = s.d.cases[1].image[1];
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &dense, &c), U3D_E_FORMAT);
    s.d.cases[0].image[1] = keep;
    u3d_test_set_done(&s);
}

/* Every rank of every class against a walk over the voxels. */
static void test_locate(void **state)
{
    (void)state;
    const int64_t size[3] = {5, 4, 6};
    const slices some = {.across = {true, false, true}, .step = 4, .blank = 0};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 0};
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_mix, voxel_slices, &some);
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

/* Warnings come once for a data set, however many cases are concerned. */
static void test_warnings(void **state)
{
    (void)state;
    const int64_t size[3] = {4, 4, 4};
    const value_list list = {2, {1, 2}};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_mix, voxel_of_list, &list);
    u3d_test_set_add(&s, "b", size, 1, voxel_mix, voxel_of_list, &list);
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
    assert_int_equal(
        u3d_test_count_text(text, "no background voxel is annotated: the network knows only the labels 1, 2"),
        1);
    assert_int_equal(u3d_test_count_text(text, "no voxel has that value"), 1);
    u3d_free(text);

    /* labels shifted by a twentieth of a voxel, in both cases */
    for (int i = 0; i < 2; i++) {
        u3d_volume *v = NULL;
        assert_ok(u3d_nifti_read(s.d.cases[i].label, U3D_VOLUME_LABEL, &v));
        v->grid.sform[0][3] += 0.05 * (i + 1);
        v->grid.qoffset[0] += 0.05 * (i + 1);
        assert_ok(u3d_nifti_write(s.d.cases[i].label, v));
        u3d_volume_free(v);
    }
    a.o = &dense;
    text = u3d_test_stderr_of(open_and_close, &a);
    assert_int_equal(a.status, U3D_OK);
    assert_int_equal(u3d_test_count_text(text, "apart by more than 0.01 voxel in 2 of 2 cases, most in 'b'"),
                     1);
    u3d_free(text);
    u3d_test_set_done(&s);
}

/* What happens where nothing was said about unlabelled voxels. */
static void test_sparse(void **state)
{
    (void)state;
    const int64_t size[3] = {24, 28, 30};
    const ball small = {12, 14, 15, 4}, large = {12, 14, 15, 11}, speck = {12, 14, 15, 1};
    const slices z = {{true, false, false}, 8, 0}, zyx = {{true, true, true}, 9, 0},
                 far = {{true, true, true}, 9, 255}, near = {{true, false, false}, 2, 0};
    const value_list one = {1, {0}}, two = {2, {1, 2}};
    static const u3d_cases_opts nothing = {0};
    const struct {
        const char *what;
        u3d_test_voxel voxel;
        const void *user;
        bool stops, stops_named; /* without, and with a name for 0 */
        const char *says;
    } cases[] = {{"small organ", voxel_ball, &small, true, false, "--unlabeled 0"},
                 {"large organ", voxel_ball, &large, false, false, ""},
                 {"speck", voxel_ball, &speck, true, false, "--dense"},
                 {"slices across z", voxel_slices, &z, true, true, "--unlabeled 0"},
                 {"every other slice", voxel_slices, &near, true, true, "--unlabeled 0"},
                 {"slices across all axes", voxel_slices, &zyx, true, true, "single slices"},
                 {"the same, blank 255", voxel_slices, &far, true, true, "--unlabeled 255"},
                 {"all 0", voxel_of_list, &one, false, false, ""},
                 {"no 0", voxel_of_list, &two, false, false, ""}};
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
                fail_msg("%s, named %d: status %d, %s", cases[i].what, named, (int)a.status,
                         u3d_error_text());
            if (stops) assert_says(cases[i].says);
            a.o = &dense;
            open_and_close(&a);
            assert_int_equal(a.status, U3D_OK);
            s.d.has_unlabeled = true; /* the data set says which value */
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
    const value_list list = {2, {0, 1}};
    const u3d_cases_opts both = {.unlabeled_given = true, .unlabeled = 0, .dense = true},
                         five = {.unlabeled_given = true, .unlabeled = 5};
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "case", size, 1, voxel_mix, voxel_of_list, &list);
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &both, &c), U3D_E_ARG);
    s.d.has_unlabeled = true;
    s.d.unlabeled = 3;
    assert_status(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &five, &c), U3D_E_ARG);
    assert_status(u3d_cases_open(&s.d, NULL, 0, U3D_INTENSITY_NONE, &dense, &c), U3D_E_ARG);
    u3d_test_set_done(&s);
}

/* ---- intensities ---- */

static void test_zscore(void **state)
{
    (void)state;
    const int64_t size[3] = {4, 5, 6};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, voxel_mix, NULL, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_AUTO, &dense, &c));
    assert_int_equal(u3d_cases_intensity(c)->kind, U3D_INTENSITY_ZSCORE);
    assert_ok(u3d_cases_acquire(c, 0, &data));
    assert_null(data->label);
    for (int ch = 0; ch < 2; ch++) {
        double sum = 0, squares = 0;
        for (int64_t v = 0; v < 120; v++) {
            double x = (double)((float *)data->image->data)[v * 2 + ch];
            sum += x;
            squares += x * x;
        }
        assert_close(sum / 120, 0, 1e-6);
        assert_close(squares / 120, 1, 1e-6);
    }
    u3d_cases_release(c, 0);
    u3d_cases_free(c);
    u3d_test_set_done(&s);

    u3d_volume *flat = NULL;
    assert_ok(u3d_volume_new(size, (const double[]){1, 1, 1}, U3D_F32, 1, &flat));
    for (int v = 0; v < 120; v++) ((float *)flat->data)[v] = 0.1f;
    const u3d_intensity_stats zscore = {.kind = U3D_INTENSITY_ZSCORE, .channels = 1};
    assert_ok(u3d_intensity_normalise(flat, &zscore));
    for (int v = 0; v < 120; v++) assert_true(((float *)flat->data)[v] == 0.0f);
    u3d_volume_free(flat);
}

static double voxel_ramp(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return (double)((z * 10 + y) * 10 + x);
}

static double voxel_half(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user, (void)y, (void)x;
    return z >= 5 ? 1 : 0;
}

/* CT: statistics over the foreground, here the numbers 500 to 999. */
static void test_ct(void **state)
{
    (void)state;
    const int64_t size[3] = {10, 10, 10};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    static u3d_intensity_stats back;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_ramp, voxel_half, NULL);
    u3d_test_set_add(&s, "b", size, 1, voxel_ramp, voxel_half, NULL);
    u3d_test_set_name_channel(&s, "ct");
    for (int pass = 0; pass < 2; pass++) { /* in memory; read again each time */
        const u3d_cases_opts o = {.dense = true, .memory_cap = pass ? 1 : 0};
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_AUTO, &o, &c));
        const u3d_intensity_stats *t = u3d_cases_intensity(c);
        assert_int_equal(t->kind, U3D_INTENSITY_CT);
        assert_close(t->mean[0], 749.5, 1e-9);
        assert_close(t->sd[0], sqrt((500.0 * 500 - 1) / 12), 1e-9);
        assert_true(t->low[0] >= 502 && t->low[0] <= 503 && t->high[0] >= 996 && t->high[0] <= 997);
        assert_ok(u3d_cases_acquire(c, 1, &data));
        const float *v = data->image->data;
        assert_close(v[0], (t->low[0] - t->mean[0]) / t->sd[0], 1e-6);
        assert_close(v[700], (700 - t->mean[0]) / t->sd[0], 1e-6);
        assert_close(v[999], (t->high[0] - t->mean[0]) / t->sd[0], 1e-6);
        u3d_cases_release(c, 1);
        cJSON *json = NULL;
        assert_ok(u3d_intensity_to_json(t, &json));
        assert_ok(u3d_intensity_from_json(&back, json, "test"));
        assert_memory_equal(t, &back, sizeof back);
        cJSON_Delete(json);
        u3d_cases_free(c);
    }
    u3d_test_set_done(&s);
}

/* ---- memory ---- */

enum { BUDGET_CASES = 6, BUDGET_THREADS = 4 };

static u3d_volume *copy_of(const u3d_volume *v)
{
    u3d_volume *out = NULL;
    assert_ok(u3d_volume_new_like(v, v->dtype, v->channels, &out));
    memcpy(out->data, v->data, (size_t)(u3d_volume_voxels(v) * v->channels) * u3d_dtype_size(v->dtype));
    return out;
}

static bool same_data(const u3d_volume *a, const u3d_volume *b)
{
    return memcmp(a->data, b->data,
                  (size_t)(u3d_volume_voxels(a) * a->channels) * u3d_dtype_size(a->dtype)) == 0;
}

typedef struct borrower {
    u3d_cases *c;
    u3d_volume *const *image;
    int number, wrong;
} borrower;

static void *borrow_at_random(void *user)
{
    borrower *b = user;
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, (uint64_t)b->number);
    for (int round = 0; round < 60; round++) {
        const u3d_case_data *data = NULL;
        int i = (int)u3d_rng_below(&r, BUDGET_CASES);
        if (u3d_cases_acquire(b->c, i, &data) != U3D_OK) {
            b->wrong++;
            continue;
        }
        b->wrong += !same_data(data->image, b->image[i]);
        u3d_cases_release(b->c, i);
    }
    return NULL;
}

/* With room for two of six cases every case is what it is with room for all, from one thread or from four. */
static void test_budget(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *all = NULL, *few = NULL;
    u3d_volume *image[BUDGET_CASES];
    const value_list list = {3, {0, 1, 9}};
    u3d_test_set_new(&s);
    for (int i = 0; i < BUDGET_CASES; i++) {
        const int64_t size[3] = {4, 5, 6 + i};
        char id[8];
        (void)snprintf(id, sizeof id, "c%d", i);
        u3d_test_set_add(&s, id, size, 1, voxel_mix, voxel_of_list, &list);
    }
    const u3d_cases_opts o = {.dense = true, .memory_cap = 2 * 5 * 4 * 5 * 11};
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &dense, &all));
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &o, &few));
    assert_int_equal(u3d_cases_resident_bytes(few), o.memory_cap);
    assert_true(u3d_cases_resident_bytes(all) > o.memory_cap);
    for (int i = 0; i < BUDGET_CASES; i++) {
        const u3d_case_data *a = NULL, *b = NULL;
        assert_ok(u3d_cases_acquire(all, i, &a));
        assert_ok(u3d_cases_acquire(few, i, &b));
        assert_true(same_data(a->image, b->image));
        assert_true(same_data(a->label, b->label));
        image[i] = copy_of(a->image);
        u3d_cases_release(all, i);
        u3d_cases_release(few, i);
    }
    int64_t live = u3d_mem_live();
    pthread_t thread[BUDGET_THREADS];
    borrower b[BUDGET_THREADS];
    for (int i = 0; i < BUDGET_THREADS; i++) {
        b[i] = (borrower){.c = few, .image = image, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, borrow_at_random, &b[i]), 0);
    }
    for (int i = 0; i < BUDGET_THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(b[i].wrong, 0);
    }
    assert_true(u3d_mem_live() <= live + 4 * BUDGET_THREADS); /* at most what was borrowed at once stays */

    /* all borrowed at once: over the budget, but not stuck */
    const u3d_case_data *data[BUDGET_CASES];
    for (int i = 0; i < BUDGET_CASES; i++) assert_ok(u3d_cases_acquire(few, i, &data[i]));
    for (int i = 0; i < BUDGET_CASES; i++) {
        assert_true(same_data(data[i]->image, image[i]));
        u3d_cases_release(few, i);
    }

    u3d_cases_hold_last(all, 2);
    assert_int_equal(u3d_cases_count(all), BUDGET_CASES - 2);
    assert_ok(u3d_cases_acquire(all, BUDGET_CASES - 1, &data[0]));
    u3d_cases_release(all, BUDGET_CASES - 1);
    for (int i = 0; i < BUDGET_CASES; i++) u3d_volume_free(image[i]);
    u3d_cases_free(all);
    u3d_cases_free(few);
    u3d_test_set_done(&s);
}

/* The n-th allocation fails, for every n: an error, no leak, no crash. */
static void test_out_of_memory(void **state)
{
    (void)state;
    const int64_t size[3] = {6, 6, 6};
    const slices some = {.across = {true, true, true}, .step = 2, .blank = 0};
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 0};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, voxel_mix, voxel_slices, &some);
    u3d_test_set_add(&s, "b", size, 2, voxel_mix, voxel_slices, &some);
    for (int ct = 0; ct < 2; ct++)
        for (int64_t n = 1;; n++) {
            u3d_cases *c = NULL;
            int64_t live = u3d_mem_live();
            u3d_mem_fail_at(n);
            u3d_status status = u3d_test_set_open(&s, ct ? U3D_INTENSITY_CT : U3D_INTENSITY_ZSCORE, &o, &c);
            u3d_mem_fail_at(0);
            if (status == U3D_OK) {
                u3d_cases_free(c);
                assert_int_equal(u3d_mem_live(), live);
                assert_true(n > 20);
                break;
            }
            assert_int_equal(status, U3D_E_NOMEM);
            assert_null(c);
            assert_int_equal(u3d_mem_live(), live);
        }
    u3d_test_set_done(&s);
}

/* ---- held-out slices ---- */

/* held and rest together are what was there; held voxels lie on whole planes; returns the held share. */
static double check_held(u3d_cases *c, const u3d_volume *before, const u3d_volume *held)
{
    const u3d_case_data *data = NULL;
    assert_ok(u3d_cases_acquire(c, 0, &data));
    const uint8_t *was = before->data, *rest = data->label->data, *taken = held->data;
    int64_t n = u3d_volume_voxels(before), n_taken = 0, n_rest = 0;
    for (int64_t v = 0; v < n; v++) {
        bool in_rest = rest[v] != U3D_UNLABELED, in_taken = taken[v] != U3D_UNLABELED;
        assert_false(in_rest && in_taken);
        if (was[v] == U3D_UNLABELED)
            assert_false(in_rest || in_taken);
        else
            assert_int_equal(in_rest ? rest[v] : taken[v], was[v]);
        n_taken += in_taken;
        n_rest += in_rest;
    }
    assert_int_equal(u3d_cases_voxels(c, 0, -1), n_rest);
    int64_t sum = 0;
    for (int k = 0; k < u3d_cases_labels(c)->n; k++) sum += u3d_cases_voxels(c, 0, k);
    assert_int_equal(sum, n_rest);
    u3d_cases_release(c, 0);
    return (double)n_taken / (double)(n_taken + n_rest);
}

static u3d_volume *class_copy(u3d_cases *c)
{
    const u3d_case_data *data = NULL;
    assert_ok(u3d_cases_acquire(c, 0, &data));
    u3d_volume *copy = copy_of(data->label);
    u3d_cases_release(c, 0);
    return copy;
}

static void test_hold_slices(void **state)
{
    (void)state;
    const int64_t size[3] = {24, 40, 48};
    const slices painted = {.across = {true, true, true}, .step = 8, .blank = 255};
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 255},
                         tight = {.unlabeled_given = true, .unlabeled = 255, .memory_cap = 1};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_mix, voxel_slices, &painted);
    u3d_test_set_add(&s, "b", size, 1, voxel_mix, voxel_slices, &painted);
    int one = 0;
    for (int pass = 0; pass < 2; pass++) { /* in memory; read again each time, with the same planes hidden */
        u3d_cases *c = NULL;
        u3d_volume *held = NULL;
        char text[256];
        assert_ok(u3d_cases_open(&s.d, &one, 1, U3D_INTENSITY_ZSCORE, pass ? &tight : &o, &c));
        u3d_volume *before = class_copy(c);
        assert_ok(u3d_cases_hold_slices(c, 0.3, &held, text, sizeof text));
        /* 6 annotated across x, 5 across y, 3 across z: 2, 2 and 1 are held */
        if (!strstr(text, "2 of 6 annotated slices across x, 2 of 5 across y, 1 of 3 across z"))
            fail_msg("%s", text);
        double share = check_held(c, before, held);
        assert_true(share > 0.25 && share < 0.5);
        const uint8_t *taken = held->data;
        assert_true(taken[(size_t)12 * 40 * 48 + 1] != U3D_UNLABELED); /* the middle z slice */
        assert_true(taken[(size_t)4 * 40 * 48 + 1] == U3D_UNLABELED);  /* the first is kept  */
        u3d_volume *again = NULL;
        assert_status(u3d_cases_hold_slices(c, 0.3, &again, text, sizeof text), U3D_E_UNSUPPORTED);
        u3d_volume_free(before);
        u3d_volume_free(held);
        u3d_cases_free(c);
    }
    for (int64_t n = 1;; n++) { /* a failed allocation changes nothing */
        u3d_cases *c = NULL;
        u3d_volume *held = NULL;
        char text[256];
        assert_ok(u3d_cases_open(&s.d, &one, 1, U3D_INTENSITY_ZSCORE, &o, &c));
        int64_t live = u3d_mem_live(), labelled = u3d_cases_voxels(c, 0, -1);
        u3d_volume *before = class_copy(c);
        u3d_mem_fail_at(n);
        u3d_status status = u3d_cases_hold_slices(c, 0.3, &held, text, sizeof text);
        u3d_mem_fail_at(0);
        if (status != U3D_OK) {
            u3d_volume *after = class_copy(c);
            assert_int_equal(status, U3D_E_NOMEM);
            assert_true(same_data(before, after));
            assert_int_equal(u3d_cases_voxels(c, 0, -1), labelled);
            u3d_volume_free(after);
        }
        u3d_volume_free(before);
        u3d_volume_free(held);
        if (status != U3D_OK) assert_int_equal(u3d_mem_live(), live);
        u3d_cases_free(c);
        if (status == U3D_OK) break;
    }
    u3d_test_set_done(&s);
}

static u3d_status hold_of(const int64_t size[3], u3d_test_voxel voxel, const void *user, int32_t unlabeled,
                          double *share, char *text, size_t cap)
{
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_volume *held = NULL;
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = unlabeled};
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, voxel_mix, voxel, user);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
    u3d_volume *before = class_copy(c);
    u3d_status status = u3d_cases_hold_slices(c, 0.25, &held, text, cap);
    if (status == U3D_OK) *share = check_held(c, before, held);
    u3d_volume_free(before);
    u3d_volume_free(held);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
    return status;
}

static void test_hold_other(void **state)
{
    (void)state;
    char text[256];
    double share = 0;
    const int64_t size[3] = {20, 24, 24}, flat[3] = {1, 24, 32};
    const value_list full = {2, {0, 1}};
    const slices lone = {.across = {true, true, true}, .step = 16, .blank = 0}; /* 1, 2 and 2 slices */
    assert_ok(hold_of(size, voxel_of_list, &full, 99, &share, text, sizeof text));
    assert_non_null(strstr(text, "slab"));
    assert_true(share > 0.2 && share < 0.31);
    assert_ok(hold_of(flat, voxel_of_list, &full, 99, &share, text, sizeof text));
    assert_true(share > 0.15 && share < 0.35);
    assert_status(hold_of(size, voxel_slices, &lone, 0, &share, text, sizeof text), U3D_E_UNSUPPORTED);
    assert_says("at least 3");
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),           cmocka_unit_test(test_labels),
        cmocka_unit_test(test_too_many_labels), cmocka_unit_test(test_channels),
        cmocka_unit_test(test_locate),          cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_sparse),          cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_zscore),          cmocka_unit_test(test_ct),
        cmocka_unit_test(test_budget),          cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_hold_slices),     cmocka_unit_test(test_hold_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
