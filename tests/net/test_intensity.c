/* Tests of intensity normalisation per channel: nnU-Net's channel names, the statistics of CT beside another
 * modality, the form in the model (also of models with one kind for all channels), and classes that
 * dataset.json names but no label has. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/cases/cases.h"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        u3d_intensity kind;
    } rows[] = {{"CT", U3D_INTENSITY_CT},         {"ct", U3D_INTENSITY_CT},
                {"noNorm", U3D_INTENSITY_NONE},   {"NONORM", U3D_INTENSITY_NONE},
                {"MRI", U3D_INTENSITY_ZSCORE},    {"zscore", U3D_INTENSITY_ZSCORE},
                {"PET", U3D_INTENSITY_ZSCORE},    {"rescale_to_0_1", U3D_INTENSITY_RESCALE},
                {"rgb_to_0_1", U3D_INTENSITY_RGB}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(u3d_intensity_of_name(rows[i].name), rows[i].kind);
}

/* An image [1, 1, 4] with the same values in every channel. */
static u3d_volume *four_voxels(int32_t channels, const float values[4])
{
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_new((const int64_t[]){1, 1, 4}, (const double[]){1, 1, 1}, U3D_F32, channels, &v));
    for (int i = 0; i < 4; i++)
        for (int ch = 0; ch < channels; ch++) ((float *)v->data)[i * channels + ch] = values[i];
    return v;
}

static void test_kinds(void **state)
{
    (void)state;
    enum { CHANNELS = 5 };
    const u3d_intensity_stats s = {.channels = CHANNELS,
                                   .kind = {U3D_INTENSITY_CT, U3D_INTENSITY_NONE, U3D_INTENSITY_RESCALE,
                                            U3D_INTENSITY_RGB, U3D_INTENSITY_ZSCORE},
                                   .low = {10},
                                   .high = {200},
                                   .mean = {100},
                                   .sd = {50}};
    u3d_volume *v = four_voxels(CHANNELS, (const float[]){0, 51, 102, 255});
    assert_ok(u3d_intensity_normalise(v, &s));
    const float *x = v->data;
    const double sd = sqrt((102.0 * 102 + 51.0 * 51 + 0 + 153.0 * 153) / 4); /* the mean is 102 */
    static const double want[4][4] = {
        {-1.8, 0, 0, 0}, {-0.98, 51, 0.2, 0.2}, {0.04, 102, 0.4, 0.4}, {2, 255, 1, 1}};
    static const double from_mean[4] = {-102, -51, 0, 153};
    for (int i = 0; i < 4; i++) {
        for (int ch = 0; ch < 4; ch++) u3d_test_close((double)x[i * CHANNELS + ch], want[i][ch], 1e-6);
        u3d_test_close((double)x[i * CHANNELS + 4], from_mean[i] / sd, 1e-6);
    }
    u3d_volume_free(v);
    v = four_voxels(1, (const float[]){0, 51, 102, 256});
    const u3d_intensity_stats rgb = {.channels = 1, .kind = {U3D_INTENSITY_RGB}};
    assert_status(u3d_intensity_normalise(v, &rgb), U3D_E_FORMAT);
    u3d_test_says("needs values from 0 to 255");
    u3d_volume_free(v);
    v = four_voxels(1, (const float[]){7, 7, 7, 7});
    const u3d_intensity_stats rescale = {.channels = 1, .kind = {U3D_INTENSITY_RESCALE}};
    assert_ok(u3d_intensity_normalise(v, &rescale));
    assert_true(((const float *)v->data)[3] == 0);
    u3d_volume_free(v);
}

static void assert_round_trip(const u3d_intensity_stats *s)
{
    static u3d_intensity_stats back;
    cJSON *json = NULL;
    assert_ok(u3d_intensity_to_json(s, &json));
    assert_ok(u3d_intensity_from_json(&back, json, "test"));
    assert_memory_equal(s, &back, sizeof back);
    cJSON_Delete(json);
}

static u3d_status from_text(const char *text, u3d_intensity_stats *s)
{
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    const u3d_status status = u3d_intensity_from_json(s, json, "test");
    cJSON_Delete(json);
    return status;
}

static void test_model_form(void **state)
{
    (void)state;
    static u3d_intensity_stats s;
    static const u3d_intensity_stats mixed = {
        .channels = 3,
        .kind = {U3D_INTENSITY_ZSCORE, U3D_INTENSITY_CT, U3D_INTENSITY_RGB},
        .low = {0, 1},
        .high = {0, 5},
        .mean = {0, 2},
        .sd = {0, 3}};
    static const u3d_intensity_stats same = {.channels = 2,
                                             .kind = {U3D_INTENSITY_RESCALE, U3D_INTENSITY_RESCALE}};
    assert_round_trip(&mixed);
    assert_round_trip(&same);
    /* A model that was written when all channels had one kind. */
    assert_ok(
        from_text("{\"kind\": \"ct\", \"channels\": 2, \"low\": [1, 2], \"high\": [3, 4], \"mean\": [2, 3],"
                  " \"sd\": [1, 1]}",
                  &s));
    assert_true(s.kind[0] == U3D_INTENSITY_CT && s.kind[1] == U3D_INTENSITY_CT && s.high[1] == 4);
    assert_ok(from_text("{\"kind\": \"zscore\", \"channels\": 2}", &s));
    assert_true(s.kind[1] == U3D_INTENSITY_ZSCORE);
    assert_status(from_text("{\"kind\": [\"ct\"], \"channels\": 2}", &s), U3D_E_FORMAT);
    assert_status(from_text("{\"kind\": [\"ct\", \"odd\"], \"channels\": 2}", &s), U3D_E_FORMAT);
    assert_status(from_text("{\"kind\": \"auto\", \"channels\": 2}", &s), U3D_E_FORMAT);
    assert_status(from_text("{\"channels\": 2}", &s), U3D_E_FORMAT);
}

/* CT beside PET: channel 0 is clipped and scaled by the foreground of the set, channel 1 by its own volume.
 */
static void test_ct_beside_pet(void **state)
{
    (void)state;
    const int64_t size[3] = {10, 10, 10};
    const double sd = sqrt((1000.0 * 1000 - 1) / 12); /* of 0..999 */
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, u3d_test_voxel_ramp, u3d_test_voxel_half, NULL);
    u3d_test_set_name_channel(&s, "CT");
    u3d_test_set_name_channel(&s, "PET");
    for (int pass = 0; pass < 3;
         pass++) { /* 0: in memory; 1: read for each use; 2: as in a resumed run */
        const u3d_intensity_stats as = {.channels = 2, .kind = {U3D_INTENSITY_NONE, U3D_INTENSITY_NONE}};
        const u3d_cases_opts o = {
            .dense = true, .memory_cap = pass == 1 ? 1 : 0, .stats = pass == 2 ? &as : NULL};
        u3d_cases *c = NULL;
        const u3d_case_data *data = NULL;
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_AUTO, &o, &c));
        const u3d_intensity_stats *t = u3d_cases_intensity(c);
        assert_int_equal(t->kind[0], pass == 2 ? U3D_INTENSITY_NONE : U3D_INTENSITY_CT);
        assert_int_equal(t->kind[1], pass == 2 ? U3D_INTENSITY_NONE : U3D_INTENSITY_ZSCORE);
        assert_ok(u3d_cases_acquire(c, 0, &data));
        const float *v = data->image->data;
        u3d_test_close((double)v[2 * 700], pass == 2 ? 700 : (700 - t->mean[0]) / t->sd[0], 1e-5);
        u3d_test_close((double)v[2 * 700 + 1], pass == 2 ? 1700 : (700 - 499.5) / sd, 1e-5);
        if (pass < 2) u3d_test_close(t->mean[0], 749.5, 1e-9);
        u3d_cases_release(c, 0);
        u3d_cases_free(c);
    }
    u3d_test_set_done(&s);
}

typedef struct opening {
    const u3d_test_set *s;
    u3d_intensity kind; /* of the first channel, after opening */
} opening;

static void open_and_close(void *user)
{
    opening *o = user;
    const u3d_cases_opts dense = {.dense = true};
    u3d_cases *c = NULL;
    assert_ok(u3d_test_set_open(o->s, U3D_INTENSITY_AUTO, &dense, &c));
    o->kind = u3d_cases_intensity(c)->kind[0];
    u3d_cases_free(c);
}

/* More names than channels: they count if they agree, and otherwise a warning says that they do not. */
static void test_names_without_channels(void **state)
{
    (void)state;
    const int64_t size[3] = {10, 10, 10};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_ramp, u3d_test_voxel_half, NULL);
    u3d_test_set_name_channel(&s, "CT");
    u3d_test_set_name_channel(&s, "CT");
    opening o = {.s = &s};
    char *text = u3d_test_stderr_of(open_and_close, &o);
    assert_int_equal(o.kind, U3D_INTENSITY_CT);
    assert_int_equal(u3d_test_count_text(text, "the names are ignored"), 0);
    u3d_free(text);
    u3d_test_set_name_channel(&s, "PET");
    text = u3d_test_stderr_of(open_and_close, &o);
    assert_int_equal(o.kind, U3D_INTENSITY_ZSCORE);
    assert_int_equal(u3d_test_count_text(text, "names 3 channels, but the images have 1"), 1);
    u3d_free(text);
    u3d_test_set_done(&s);
}

static void test_absent_classes(void **state)
{
    (void)state;
    const int64_t size[3] = {10, 10, 10};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_ramp, u3d_test_voxel_half, NULL);
    u3d_test_set_add(&s, "b", size, 1, u3d_test_voxel_ramp, u3d_test_voxel_half, NULL);
    u3d_test_set_name_label(&s, 0, "background");
    u3d_test_set_name_label(&s, 1, "kidney");
    opening o = {.s = &s};
    char *text = u3d_test_stderr_of(open_and_close, &o);
    assert_int_equal(u3d_test_count_text(text, "in no label"), 0);
    u3d_free(text);
    u3d_test_set_name_label(&s, 2, "cyst");
    text = u3d_test_stderr_of(open_and_close, &o);
    assert_int_equal(u3d_test_count_text(text, "1 named class occurs in no label"), 1);
    assert_int_equal(u3d_test_count_text(text, "cannot learn it: cyst (2)"), 1);
    u3d_free(text);
    u3d_test_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_kinds),
                                       cmocka_unit_test(test_model_form),
                                       cmocka_unit_test(test_ct_beside_pet),
                                       cmocka_unit_test(test_names_without_channels),
                                       cmocka_unit_test(test_absent_classes)};
    u3d_log_set_level(U3D_LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
