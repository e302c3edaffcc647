/* Tests of post-processing, which keeps only the largest component of a label: when training decides for it,
 * how the model stores the decision, and that prediction carries it out. test_components tests the components
 * themselves. */
#include "tests/support/support_run.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/volume/components.h"
#include "net/model/model.h"
#include "net/model/postprocess.h"
#include "net/predict/predict.h"

/* Predicts the first case with the model of the run, and returns the number of components of label 1 in the
 * file that is written. */
static int64_t predicted_pieces(const u3d_test_run *f)
{
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    const bool wanted[2] = {false, true};
    char *path = u3d_test_path(f->set.dir, "prediction.nii.gz");
    u3d_kept kept[2];
    u3d_model *m;
    u3d_predictor *p;
    u3d_volume *file, *classes;
    u3d_backend *b = u3d_test_cpu();
    assert_ok(u3d_model_load(f->out, &m));
    assert_ok(u3d_predictor_open(b, (const u3d_model *const *)&m, 1, &o, &p));
    assert_ok(u3d_predict_case(p, m, &f->set.d.cases[0], path, NULL));
    assert_ok(u3d_volume_read(path, U3D_VOLUME_LABEL, &file));
    assert_ok(u3d_labels_to_classes(&m->labels, file, path, &classes));
    assert_ok(u3d_components_keep_largest(classes, wanted, 2, kept));
    u3d_volume_free(file);
    u3d_volume_free(classes);
    u3d_predictor_free(p);
    u3d_model_free(m);
    u3d_backend_close(b);
    u3d_free(path);
    return kept[1].components;
}

static bool keeps_largest(const u3d_test_run *f)
{
    u3d_model *m;
    assert_ok(u3d_model_load(f->out, &m));
    bool keeps = m->keep_largest[1];
    assert_false(m->keep_largest[0]);
    u3d_model_free(m);
    return keeps;
}

/* With postprocess=auto, the labels of at least three volumes decide, and of 25 volumes, 3 are held out of
 * training, so that the decision is checked by their Dice. */
static void what_is_decided(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        int n;
        u3d_test_voxel label;
        bool keeps;
    } rows[] = {
        {"postprocess=auto", 25, u3d_test_ball, true},
        {"postprocess=auto", 25, u3d_test_ball_satellite, false}, /* the labels have two components */
        {"postprocess=auto", 3, u3d_test_ball, true},        /* the labels have one, nothing is held out */
        {"postprocess=auto", 2, u3d_test_ball, false},       /* too few volumes to tell */
        {"postprocess=auto", 5, u3d_test_ball_sparse, true}, /* so do pseudo-labels and annotation */
        {"postprocess=auto", 1, u3d_test_ball_sparse, false},
        {"postprocess=largest", 1, u3d_test_ball_satellite, true},
        {"postprocess=none", 1, u3d_test_ball_satellite, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        u3d_test_run f;
        u3d_train_result r;
        u3d_test_run_new(&f, rows[i].n, rows[i].label);
        f.options[f.o.n_set++] = rows[i].setting;
        f.o.iterations = 80;
        f.o.validate_every = 1000; /* volumes are held out, but not evaluated before the end */
        assert_ok(u3d_test_run_train(&f, 2, &r));
        if (keeps_largest(&f) != rows[i].keeps)
            fail_msg("row %d: the model's keep_largest of label 1 is not as expected", (int)i);
        int64_t pieces = predicted_pieces(&f);
        if (rows[i].keeps ? pieces != 1 : pieces < 1 + (rows[i].label == u3d_test_ball_satellite))
            fail_msg("row %d: the prediction has %lld components of label 1, which does not fit the decision",
                     (int)i, (long long)pieces);
        u3d_test_run_done(&f);
    }
}

/* If predicting three volumes would take more than its share of a short time budget, the labels decide alone.
 */
static void a_short_budget_predicts_nothing(void **state)
{
    (void)state;
    u3d_test_run f;
    u3d_train_result r;
    u3d_test_run_new(&f, 25, u3d_test_ball);
    f.options[f.o.n_set++] = "postprocess=auto";
    f.o.iterations = 0;
    f.o.time_s = 1;
    f.o.validate_every = 1000;
    f.o.started = u3d_clock();
    assert_ok(u3d_test_run_train(&f, 1, &r));
    assert_true(keeps_largest(&f));
    u3d_test_run_done(&f);
}

/* ---- the model's metadata ---- */

static void model_new(u3d_model *m)
{
    memset(m, 0, sizeof *m);
    u3d_config_default(&m->config);
    m->config.labels = m->labels.n = 4;
    m->config.channels = m->facts.channels = 1;
    m->labels.background = true;
    for (int k = 0; k < 4; k++) m->labels.value[k] = 10 * k;
    strcpy(m->labels.name[3], "spleen");
    m->intensity.kind[0] = U3D_INTENSITY_ZSCORE;
    m->intensity.channels = 1;
}

static u3d_status read_back(const u3d_model *m, const char *instead, u3d_model *out)
{
    u3d_checkpoint *c;
    assert_ok(u3d_checkpoint_new(&c));
    assert_ok(u3d_model_describe(m, c));
    if (instead) assert_ok(u3d_checkpoint_set(c, "u3d.postprocess", instead));
    memset(out, 0, sizeof *out);
    u3d_status status = u3d_model_from_checkpoint(c, "test", out);
    u3d_checkpoint_free(c);
    return status;
}

static void models_remember(void **state)
{
    (void)state;
    u3d_model m, back;
    char text[100];
    model_new(&m);
    assert_ok(read_back(&m, NULL, &back));
    assert_string_equal(u3d_postprocess_text(&back, text, sizeof text), "none");
    m.keep_largest[1] = m.keep_largest[3] = true;
    assert_ok(read_back(&m, NULL, &back));
    assert_memory_equal(back.keep_largest, m.keep_largest, sizeof m.keep_largest);
    assert_string_equal(u3d_postprocess_text(&back, text, sizeof text), "10, 30 spleen");
    assert_false(back.keep_foreground);
    m.keep_foreground = true;
    assert_ok(read_back(&m, NULL, &back));
    assert_true(back.keep_foreground);
    assert_string_equal(u3d_postprocess_text(&back, text, sizeof text),
                        "the foreground as a whole, 10, 30 spleen");
    assert_ok(read_back(&m, "{\"keep_largest\": [10]}", &back)); /* as version 0.1 wrote it */
    assert_true(back.keep_largest[1] && !back.keep_foreground);

    static const char *const wrong[] = {"{}",
                                        "[]",
                                        "{\"keep_largest\": 10}",
                                        "{\"keep_largest\": [0]}",
                                        "{\"keep_largest\": [10, 11]}",
                                        "{\"keep_largest\": [], \"keep_foreground\": 1}",
                                        "{\"keep_largest\": [\"10\"]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_status(read_back(&m, wrong[i], &back), U3D_E_FORMAT);
        assert_non_null(strstr(u3d_error_text(), "u3d.postprocess"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_decided),
        cmocka_unit_test(a_short_budget_predicts_nothing),
        cmocka_unit_test(models_remember),
    };
    u3d_log_set_level(U3D_LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
