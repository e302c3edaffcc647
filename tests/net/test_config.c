/* Tests of settings (net/config/, net/model/config_check.c): the defaults, texts and ranges of the table, the
 * nearest name for a misspelled one, JSON in both directions, presets, combinations that do not fit together,
 * and the sizes of patches that a network accepts. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "net/config/config_impl.h"

static void assert_says(const char *part)
{
    if (!strstr(u3d_error_text(), part)) fail_msg("'%s' does not contain '%s'", u3d_error_text(), part);
}

static void assert_value(const u3d_config *c, const char *key, const char *expected)
{
    char *text = u3d_config_value_text(c, key);
    assert_non_null(text);
    assert_string_equal(text, expected);
    u3d_free(text);
}

static void test_defaults(void **state)
{
    (void)state;
    u3d_config c;
    u3d_config_default(&c);
    for (int i = 0; i < u3d_config_n_keys; i++)
        assert_value(&c, u3d_config_keys[i].name, u3d_config_keys[i].value);
    assert_null(u3d_config_value_text(&c, "no such key"));
    assert_int_equal(c.padding, U3D_PAD_SAME);
    assert_int_equal(c.doubling, U3D_DOUBLE_AT_START);
    assert_int_equal(c.loss, U3D_LOSS_CE_DICE);
    assert_true(c.nesterov);
    assert_ok(u3d_config_check(&c));
}

static void test_set(void **state)
{
    (void)state;
    static const struct {
        const char *set, *key, *text;
    } good[] = {{"levels=3", "levels", "3"},
                {"iterations=1e4", "iterations", "10000"},
                {"lr=3e-4", "lr", "0.0003"},
                {"nesterov=off", "nesterov", "false"},
                {"nesterov=YES", "nesterov", "true"},
                {"loss=dice", "loss", "dice"},
                {"patch=132,100,92", "patch", "132x100x92"},
                {"kernel=3x3x1,3x3x3", "kernel", "3x3x1,3x3x3"},
                {"kernel=5x5x5,5x5x5,5x5x5", "kernel", "5x5x5"},
                {"pool=2x2x1,2x2x2,2x2x1", "pool", "2x2x1,2x2x2,2x2x1"},
                {"mirror=zx", "mirror", "zx"},
                {"class_weights=1,2.5,0", "class_weights", "1,2.5,0"},
                {"fuse=auto", "fuse", "auto"},
                {"intensity=ct", "intensity", "ct"},
                {"scaling=0.8,1", "scaling", "0.8,1"},
                {"rotation=1,2,3", "rotation", "1,2,3"},
                {"rotation=7", "rotation", "7"},
                {"augment=nnunet", "p_gamma", "0.3"},
                {"augment=paper", "p_elastic", "1"},
                {"augment=off", "mirror", "none"}};
    static const char *const bad[] = {"levels=0",
                                      "levels=8",
                                      "levels=2.5",
                                      "levels=",
                                      "levels=3 ",
                                      "lr=0",
                                      "lr=nan",
                                      "lr=inf",
                                      "lr=1e-3x",
                                      "nesterov=perhaps",
                                      "loss=focal",
                                      "patch=64x64",
                                      "patch=64x64x0",
                                      "patch=64x64x64x64",
                                      "patch=-1x2x2",
                                      "kernel=3x3",
                                      "kernel=3x3x3,",
                                      "kernel=3x3x16",
                                      "pool=9x1x1",
                                      "kernel=3,3,3",
                                      "mirror=xx",
                                      "mirror=",
                                      "mirror=w",
                                      "mirror=xyzxyzxyzxyzxyzxyz",
                                      "class_weights=1,,2",
                                      "class_weights=0,0",
                                      "class_weights=-1,2",
                                      "class_weights=some",
                                      "pool=1x1x1,1x1x1,1x1x1,1x1x1,1x1x1,1x1x1,1x1x1",
                                      "scaling=0.8",
                                      "scaling=1.2,0.8",
                                      "scaling=0.8,1,1.2",
                                      "scaling=0.8,100",
                                      "rotation=1,2",
                                      "rotation=190",
                                      "p_blur=1.5",
                                      "augment=all",
                                      "levels",
                                      "=3",
                                      ""};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        u3d_config c;
        u3d_config_default(&c);
        assert_ok(u3d_config_set(&c, good[i].set));
        assert_value(&c, good[i].key, good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        u3d_config c, before;
        u3d_config_default(&c);
        before = c;
        if (u3d_config_set(&c, bad[i]) != U3D_E_ARG) fail_msg("'%s' was accepted", bad[i]);
        assert_memory_equal(&c, &before, sizeof c);
    }
}

/* A word of `augment` sets many keys. Keys that are set after it keep their own values, and in a file they do
 * so in any order. The defaults are those of the word "flips". */
static void test_augment_words(void **state)
{
    (void)state;
    u3d_config c, flips;
    u3d_config_default(&c);
    flips = c;
    assert_ok(u3d_config_set(&c, "augment=nnunet"));
    assert_ok(u3d_config_set(&c, "p_noise=0.7"));
    assert_value(&c, "p_rotation", "0.2");
    assert_value(&c, "p_noise", "0.7");
    cJSON *json = NULL;
    assert_ok(u3d_config_to_json(&c, &json));
    u3d_config read = flips;
    assert_ok(u3d_config_from_json(&read, json, "here"));
    assert_memory_equal(&read, &c, sizeof c);
    cJSON_Delete(json);
    assert_ok(
        u3d_json_parse("{\"scaling\": [0.9, 1.2], \"p_blur\": 0.5, \"augment\": \"nnunet\"}", "here", &json));
    assert_ok(u3d_config_from_json(&read, json, "here"));
    assert_value(&read, "scaling", "0.9,1.2");
    assert_value(&read, "p_blur", "0.5");
    assert_value(&read, "p_noise", "0.1");
    cJSON_Delete(json);
    assert_ok(u3d_config_set(&c, "augment=paper"));
    assert_value(&c, "p_noise", "0");
    assert_ok(u3d_config_set(&flips, "augment=flips"));
    u3d_config_default(&c);
    assert_memory_equal(&flips, &c, sizeof c);

    assert_ok(u3d_config_set(&c, "curve_slope=3,4"));
    assert_ok(u3d_config_check(&c)); /* p_curve is 0, so curve_slope is not used */
    assert_ok(u3d_config_set(&c, "p_curve=0.5"));
    assert_status(u3d_config_check(&c), U3D_E_ARG);
    assert_says("curve_slope");
}

static void test_axes_order(void **state)
{
    (void)state;
    u3d_config c;
    u3d_config_default(&c);
    assert_ok(u3d_config_set(&c, "rotation=10,20,30"));
    assert_true(c.augment.rotation[0] == 30 && c.augment.rotation[2] == 10);
    assert_ok(u3d_config_set(&c, "patch=10x20x30"));
    assert_ok(u3d_config_set(&c, "kernel=1x3x5,7x7x7"));
    assert_int_equal(c.patch[0], 30);
    assert_int_equal(c.patch[2], 10);
    assert_int_equal(c.kernel[0][0], 5);
    assert_int_equal(c.kernel[0][2], 1);
    assert_int_equal(c.kernel[U3D_MAX_LEVELS - 1][1], 7);
    int64_t zyx[3];
    assert_ok(u3d_parse_size("1x2x3", "--input", zyx));
    assert_int_equal(zyx[0], 3);
    assert_int_equal(zyx[2], 1);
    assert_status(u3d_parse_size("1x2,3", "--input", zyx), U3D_E_ARG);
    assert_status(u3d_parse_size("99999999999999999999x1x1", "--input", zyx), U3D_E_ARG);
    assert_says("--input");
}

static void test_nearest_key(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *meant;
    } cases[] = {{"leves=3", "'levels'"},
                 {"weightdecay=0", "'weight_decay'"},
                 {"learning_rate=1", "did you mean"},
                 {"momentun=0.9", "'momentum'"},
                 {"Patch=1x1x1", "'patch'"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        u3d_config c;
        u3d_config_default(&c);
        assert_status(u3d_config_set(&c, cases[i].typed), U3D_E_ARG);
        assert_says(cases[i].meant);
    }
}

/* Settings of every kind that are written as JSON text and read again must be the same to the bit. */
static void test_json_round_trip(void **state)
{
    (void)state;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    for (int trial = 0; trial < 200; trial++) {
        u3d_config c, back;
        cJSON *json = NULL, *parsed = NULL;
        u3d_config_default(&c);
        assert_ok(u3d_config_preset(&c, trial % 2 ? "paper2d" : "auto"));
        c.lr = exp(-20 * u3d_rng_uniform(&r));
        c.momentum = u3d_rng_uniform(&r) * 0.99;
        c.weight_decay = 0.1 + 0.2;
        c.iterations = 1 + u3d_rng_below(&r, 1000000000);
        c.turn = (u3d_switch)u3d_rng_below(&r, 3);
        c.kernel[1 + u3d_rng_below(&r, 5)][1] = (int32_t)(1 + u3d_rng_below(&r, 7));
        c.patch[0] = 1 + u3d_rng_below(&r, 300);
        (void)snprintf(c.class_weights, sizeof c.class_weights, "%.17g,2", u3d_rng_uniform(&r));
        assert_ok(u3d_config_to_json(&c, &json));
        char *text = cJSON_PrintUnformatted(json);
        assert_ok(u3d_json_parse(text, "test", &parsed));
        u3d_config_default(&back);
        assert_ok(u3d_config_from_json(&back, parsed, "test"));
        assert_memory_equal(&c, &back, sizeof c);
        assert_int_equal(cJSON_GetArraySize(json), u3d_config_n_keys);
        cJSON_Delete(json);
        cJSON_Delete(parsed);
        cJSON_free(text);
    }
}

static u3d_status from_text(u3d_config *c, const char *text)
{
    cJSON *json = NULL;
    assert_ok(u3d_json_parse(text, "file.json", &json));
    u3d_status status = u3d_config_from_json(c, json, "file.json");
    cJSON_Delete(json);
    return status;
}

static void test_json_forms(void **state)
{
    (void)state;
    u3d_config c;
    u3d_config_default(&c);
    assert_ok(from_text(&c,
                        "{\"patch\": [132, 100, 92], \"kernel\": [[3, 3, 1], [3, 3, 3]], \"levels\": \"3\","
                        " \"class_weights\": [1, 0.5], \"nesterov\": false, \"lr\": 1e-3}"));
    assert_value(&c, "patch", "132x100x92");
    assert_value(&c, "kernel", "3x3x1,3x3x3");
    assert_value(&c, "class_weights", "1,0.5");
    assert_int_equal(c.levels, 3);
    u3d_config before = c;
    assert_status(from_text(&c, "{\"levels\": 2, \"levls\": 3}"), U3D_E_ARG);
    assert_says("file.json");
    assert_says("'levels'");
    assert_memory_equal(&c, &before, sizeof c); /* after an error no setting has changed */
    assert_status(from_text(&c, "{\"levels\": null}"), U3D_E_ARG);
    assert_status(from_text(&c, "{\"levels\": {\"a\": 1}}"), U3D_E_ARG);
    assert_status(from_text(&c, "{\"kernel\": [[[3,3,3]]]}"), U3D_E_ARG);
    assert_status(from_text(&c, "[1]"), U3D_E_FORMAT);
    char *text = u3d_format("{\"mirror\": \"%0600d\"}", 1);
    assert_status(from_text(&c, text), U3D_E_ARG);
    u3d_free(text);
}

static void test_presets(void **state)
{
    (void)state;
    u3d_config c;
    assert_ok(u3d_config_preset(&c, "paper"));
    assert_int_equal(c.levels, 4);
    assert_int_equal(c.base, 32);
    assert_int_equal(c.norm, U3D_NORM_NONE);
    assert_int_equal(c.padding, U3D_PAD_VALID);
    assert_int_equal(c.optimizer, U3D_OPTIM_SGD);
    assert_false(c.nesterov);
    assert_int_equal(c.labels, 0);
    assert_value(&c, "patch", "132x132x116");
    assert_ok(u3d_config_check(&c));
    assert_ok(u3d_config_preset(&c, "paper-bn"));
    assert_int_equal(c.norm, U3D_NORM_BATCH);
    assert_int_equal(c.norm_statistics, U3D_STAT_TILE);
    assert_ok(u3d_config_preset(&c, "paper2d"));
    assert_int_equal(c.kernel[3][0], 1);
    assert_int_equal(c.pool[0][0], 1);
    assert_int_equal(c.patch[0], 1);
    assert_ok(u3d_config_check(&c));
    assert_status(u3d_config_preset(&c, "papier"), U3D_E_ARG);
    assert_says("paper-bn");

    char *dir = u3d_test_dir(), *path = u3d_test_path(dir, "net.json");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("{\"base\": 8, \"patch\": \"32x32x32\"}", f);
    (void)fclose(f);
    assert_ok(u3d_config_preset(&c, path));
    assert_int_equal(c.base, 8);
    assert_int_equal(c.norm, U3D_NORM_INSTANCE); /* a default; c had another value before */
    u3d_free(path);
    u3d_test_dir_done(dir);
}

static u3d_status check_with(const char *preset, const char *const *set)
{
    u3d_config c;
    assert_ok(u3d_config_preset(&c, preset));
    for (; *set; set++) assert_ok(u3d_config_set(&c, *set));
    return u3d_config_check(&c);
}
#define CHECK(preset, ...) check_with(preset, (const char *const[]){__VA_ARGS__, NULL})

static void test_check(void **state)
{
    (void)state;
    assert_status(CHECK("paper", "patch=130x132x116"), U3D_E_ARG);
    assert_says("132x132x116");
    assert_status(CHECK("paper", "patch=132x132x84"), U3D_E_ARG);
    assert_says("132x132x92");
    assert_status(CHECK("auto", "patch=60x64x64"), U3D_E_ARG);
    assert_says("64x64x64");
    assert_status(CHECK("auto", "pool=2x2x1,2x2x2", "patch=64x64x12"), U3D_OK);
    assert_status(CHECK("auto", "kernel=2x3x3"), U3D_E_ARG);
    assert_says("odd");
    assert_status(CHECK("auto", "labels=1"), U3D_E_ARG);
    assert_status(CHECK("auto", "labels=3", "class_weights=1,2"), U3D_E_ARG);
    assert_status(CHECK("auto", "labels=3", "class_weights=1,2,3"), U3D_OK);
    assert_status(CHECK("auto", "norm_statistics=running"), U3D_E_ARG);
    assert_status(CHECK("auto", "norm_statistics=running", "norm=batch"), U3D_OK);
    assert_status(CHECK("auto", "max_width=8"), U3D_E_ARG);
    assert_status(CHECK("auto", "spacing=1,1,2.5"), U3D_OK); /* this preset has resample=auto */
    assert_status(CHECK("paper", "spacing=1,1,2.5"), U3D_E_ARG);
    assert_says("resample=auto");
    assert_status(CHECK("paper", "spacing=1,1,2.5", "resample=auto"), U3D_OK);
    /* The coarsest level has one voxel, which instance norm cannot normalise. With a batch of 2, batch norm
     * has two values. */
    assert_status(CHECK("auto", "patch=8x8x8"), U3D_E_ARG);
    assert_status(CHECK("auto", "patch=8x8x8", "norm=none"), U3D_OK);
    assert_status(CHECK("auto", "patch=8x8x8", "norm=batch"), U3D_OK);
    assert_status(CHECK("auto", "patch=8x8x8", "norm=batch", "batch=1"), U3D_E_ARG);
    assert_status(CHECK("paper", "levels=1", "patch=5x6x7"), U3D_OK);
    assert_status(CHECK("paper", "levels=1", "patch=4x6x7"), U3D_E_ARG);
}

/* Spacings are written in the order x, y, z. Reading the text again must give the same bits. */
static void test_spacing(void **state)
{
    (void)state;
    u3d_config c;
    double zyx[3], again[3];
    char text[96];
    u3d_config_default(&c);
    assert_int_equal(c.resample, U3D_RESAMPLE_OFF);
    assert_string_equal(c.spacing, "auto");
    assert_ok(u3d_parse_spacing("0.5x1,2.5", zyx));
    assert_true(zyx[0] == 2.5 && zyx[1] == 1 && zyx[2] == 0.5);
    const double odd[3] = {1.0 / 3, (double)1.2f, 1e-9};
    u3d_spacing_text(odd, text, sizeof text);
    assert_ok(u3d_parse_spacing(text, again));
    assert_memory_equal(odd, again, sizeof odd);
    assert_ok(u3d_config_set_key(&c, "spacing", text));
    static const char *const bad[] = {"",        "1",       "1,1",    "1,1,0",   "1,1,-1",
                                      "1,1,1,1", "1,1,nan", "1,1,mm", "1,1,1e99"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(u3d_config_set_key(&c, "spacing", bad[i]), U3D_E_ARG);
        assert_says("three numbers");
    }
    assert_string_equal(c.spacing, text);
    assert_status(u3d_config_set(&c, "resample=on"), U3D_E_ARG);
    assert_says("off, auto");
}

/* The paper's network accepts patches of n voxels along an axis if n = 4 (mod 8) and n >= 92, according to
 * the paper's text and its released files. */
static void test_paper_sizes(void **state)
{
    (void)state;
    for (int n = 1; n < 260; n++) {
        u3d_config c;
        assert_ok(u3d_config_preset(&c, "paper"));
        c.patch[1] = n;
        bool legal = u3d_config_check(&c) == U3D_OK;
        if (legal != (n >= 92 && n % 8 == 4))
            fail_msg("a patch of %d voxels along y is accepted: %d, which is wrong", n, (int)legal);
    }
}

/* Rows as others see them: in the table's order, each in a group, and with the default among the legal values. */
static void test_settings(void **state)
{
    (void)state;
    u3d_setting s;
    const char *group = "";
    int n = 0, n_groups = 0;
    for (; u3d_config_setting(n, &s); n++) {
        assert_string_equal(s.key, u3d_config_keys[n].name);
        assert_string_equal(s.help, u3d_config_keys[n].help);
        n_groups += strcmp(s.group, group) != 0;
        group = s.group;
        bool found = s.words == NULL;
        for (int i = 0; s.words && s.words[i]; i++) found = found || strcmp(s.words[i], s.value) == 0;
        if (!found) fail_msg("%s: '%s' is none of its words", s.key, s.value);
        assert_true(!s.ranged || s.low < s.high);
    }
    assert_int_equal(n, u3d_config_n_keys);
    assert_int_equal(n_groups, 8);
    assert_false(u3d_config_setting(-1, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_set),
        cmocka_unit_test(test_augment_words), cmocka_unit_test(test_axes_order),
        cmocka_unit_test(test_nearest_key),   cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_json_forms),    cmocka_unit_test(test_presets),
        cmocka_unit_test(test_check),         cmocka_unit_test(test_spacing),
        cmocka_unit_test(test_paper_sizes),   cmocka_unit_test(test_settings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
