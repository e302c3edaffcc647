/* Tests of training runs (net/train/train.h), from data files to the written model: a run learns; the number
 * of threads does not change a bit; a resumed run gives the same bits as an uninterrupted one; wrong requests
 * are refused; a time budget is kept. The data are bright balls in noise (support_run.h). */
#include "tests/support/support_run.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/lock.h"
#include "io/path.h"
#include "net/volume/metrics.h"
#include "net/model/model.h"
#include "net/predict/predict.h"
#include "net/train/train.h"

typedef u3d_test_run fixture;

/* Sanitizers need few iterations to see every line; whether the network has learned is tested without them. */
static int64_t iterations_of(int64_t n)
{
    return u3d_test_brief() ? n / 10 : n;
}

static void assert_dice(const char *of, double dice, double least)
{
    if (!u3d_test_brief() && !(dice > least)) fail_msg("the Dice of %s is only %g", of, dice);
}

static void train_to(fixture *f, const char *name, int threads, u3d_train_result *r)
{
    u3d_free(f->out);
    f->out = u3d_test_path(f->set.dir, name);
    f->o.out = f->out;
    assert_ok(u3d_test_run_train(f, threads, r));
}

static char *in_run(const fixture *f, const char *run_name, const char *file)
{
    char *dir = u3d_test_path(f->set.dir, run_name), *path = u3d_test_path(dir, file);
    u3d_free(dir);
    return path;
}

/* Fails the test unless the checkpoints of two runs have the same tensors, bit for bit. */
static void assert_same_checkpoint(const fixture *f, const char *a, const char *b)
{
    u3d_checkpoint *first, *second;
    char *first_path = in_run(f, a, "checkpoint.safetensors"),
         *second_path = in_run(f, b, "checkpoint.safetensors");
    assert_ok(u3d_checkpoint_load(first_path, &first));
    assert_ok(u3d_checkpoint_load(second_path, &second));
    assert_true(first->n_tensors > 0);
    assert_int_equal(first->n_tensors, second->n_tensors);
    for (int i = 0; i < first->n_tensors; i++) {
        const u3d_tensor *t = first->tensors[i], *other = u3d_checkpoint_find(second, t->name);
        if (!other || memcmp(t->data, other->data, u3d_type_bytes(&t->type)) != 0)
            fail_msg("the checkpoints of the runs %s and %s differ in %s", a, b, t->name);
    }
    u3d_checkpoint_free(first);
    u3d_checkpoint_free(second);
    u3d_free(first_path);
    u3d_free(second_path);
}

/* Number of lines of a log.csv, including the header; 0 if the file does not exist yet. */
static int log_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    int lines = 0, c;
    while (file && (c = fgetc(file)) != EOF) lines += c == '\n';
    if (file) (void)fclose(file);
    return lines;
}

/* ---- learning ---- */

static void test_learns(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 6, u3d_test_ball);
    f.o.validate_given = true;
    f.o.validate = 0.1; /* one of the six volumes */
    const int64_t n = f.o.iterations = iterations_of(200);
    int64_t live = u3d_mem_live();
    assert_ok(u3d_test_run_train(&f, 2, &r));
    assert_int_equal(u3d_mem_live(), live);
    assert_int_equal(r.iterations, n);
    assert_dice("held-out cases", r.val_dice, 0.95);
    assert_true(r.val_iou < r.val_dice);
    assert_int_equal(strlen(r.fingerprint), 16);

    char *log = in_run(&f, "run", "log.csv");
    assert_int_equal(log_lines(log), n + 1);
    u3d_model *m;
    assert_ok(u3d_model_load(f.out, &m));
    assert_string_equal(m->fingerprint, r.fingerprint);
    assert_int_equal(m->labels.n, 2);
    assert_int_equal(m->config.channels, 1);
    assert_int_equal(m->config.iterations, n);
    u3d_model_free(m);
    u3d_free(log);
    u3d_test_run_done(&f);
}

/* Trains on one volume with a few annotated slices, of which some are held out, and reports on two others. */
static void test_sparse_and_report(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 3, u3d_test_ball_sparse);
    static const int report[] = {1, 2};
    f.o.n_train = 1;
    f.o.report = report;
    f.o.n_report = 2;
    f.o.validate_given = f.o.validate_slices = true;
    f.o.validate = 0.1;
    f.o.iterations = iterations_of(200); /* after 100, one of eight seeds has a Dice of only 0.89 on the other volumes */
    assert_ok(u3d_test_run_train(&f, 2, &r));
    assert_dice("held-out slices", r.val_dice, 0.9);
    assert_dice("other volumes", r.report_dice, 0.9);
    u3d_test_run_done(&f);
}

static void test_valid_paper_family(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 1, u3d_test_ball);
    static const char *const more[] = {"padding=valid",           "deep_supervision=off",
                                       "double=before-pool",      "norm=batch",
                                       "norm_statistics=running", "convs=1",
                                       "class_weights=auto",      "loss=ce"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) f.options[f.o.n_set++] = more[i];
    f.o.iterations = iterations_of(100);
    f.o.validate_every = -1;
    assert_ok(u3d_test_run_train(&f, 2, &r));
    assert_true(isnan(r.val_dice));
    assert_true(r.loss < 0.3 || u3d_test_brief());
    u3d_test_run_done(&f);
}

/* ---- repeating ---- */

static void test_threads_give_the_same_bits(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result one, two, other;
    u3d_test_run_new(&f, 5, u3d_test_ball);
    train_to(&f, "one", 1, &one);
    train_to(&f, "two", 2, &two);
    assert_string_equal(one.fingerprint, two.fingerprint);
    assert_same_checkpoint(&f, "one", "two");
    f.o.seed = 4;
    train_to(&f, "other", 2, &other);
    assert_string_not_equal(one.fingerprint, other.fingerprint);
    u3d_test_run_done(&f);
}

/* Sets *stop when the log has this many lines. */
typedef struct stopper {
    const char *log;
    int lines;
    volatile int *stop;
} stopper;

static void *stopper_run(void *user)
{
    const stopper *s = user;
    for (int i = 0; i < 60000 && log_lines(s->log) < s->lines; i++)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    *s->stop = 1;
    return NULL;
}

/* Trains and interrupts the run when its log has this many lines. Returns the number of iterations in the
 * log. */
static int64_t interrupt_after(fixture *f, const char *name, int lines)
{
    volatile int stop = 0;
    u3d_train_result r;
    pthread_t thread;
    char *log = in_run(f, name, "log.csv");
    stopper s = {log, lines, &stop};
    u3d_free(f->out);
    f->out = u3d_test_path(f->set.dir, name);
    f->o.out = f->out;
    f->o.stop = &stop;
    assert_int_equal(pthread_create(&thread, NULL, stopper_run, &s), 0);
    assert_status(u3d_test_run_train(f, 2, &r), U3D_E_CANCELLED);
    pthread_join(thread, NULL);
    assert_non_null(strstr(u3d_error_text(), "--resume"));
    f->o.stop = NULL;
    int done = log_lines(log) - 1;
    u3d_free(log);
    return done;
}

/* Interrupts a run after `lines` iterations, and resumes it with another number of threads. */
static void check_resume(u3d_test_voxel label, int lines)
{
    fixture f;
    u3d_train_result whole, resumed;
    u3d_test_run_new(&f, 6, label);
    const int64_t n = f.o.iterations = u3d_test_brief() ? 60 : 200;
    train_to(&f, "whole", 2, &whole);
    int64_t done = interrupt_after(&f, "parts", lines);
    assert_true(done >= lines - 1 && done < n);

    f.o.resume = true;
    f.o.iterations = 0;
    f.o.n_set = 0;
    f.o.net = NULL;
    f.o.seed = 99; /* ignored, because a resumed run keeps its own seed */
    assert_ok(u3d_test_run_train(&f, 1, &resumed));
    assert_int_equal(resumed.iterations, n);
    assert_string_equal(whole.fingerprint, resumed.fingerprint);
    assert_same_checkpoint(&f, "whole", "parts");
    char *log = in_run(&f, "parts", "log.csv");
    assert_int_equal(log_lines(log), n + 1);
    u3d_free(log);

    /* Resuming a finished run changes nothing and gives the same result. */
    assert_ok(u3d_test_run_train(&f, 2, &resumed));
    assert_string_equal(whole.fingerprint, resumed.fingerprint);

    f.o.n_train = 5;
    assert_status(u3d_test_run_train(&f, 2, &resumed), U3D_E_ARG);
    assert_non_null(strstr(u3d_error_text(), "data changed"));
    u3d_test_run_done(&f);
}

static void test_resume(void **state)
{
    (void)state;
    check_resume(u3d_test_ball, 20);
}

/* Begins a run with a time budget and stops it at once; user: a fixture. */
static void begin_run(void *user)
{
    fixture *f = user;
    u3d_train_result r;
    volatile int stop = 1;
    f->o.stop = &stop;
    f->o.iterations = 0;
    f->o.time_s = 60;
    f->o.started = u3d_clock();
    u3d_log_set_level(U3D_LOG_INFO);
    assert_status(u3d_test_run_train(f, 2, &r), U3D_E_CANCELLED);
    u3d_log_set_level(U3D_LOG_ERROR);
    f->o.stop = NULL;
}

/* --net auto measures the speed of this machine, unless the user has settled what depends on it or there is hardly
 * any time. What the trial takes is given back. */
static void test_speed(void **state)
{
    (void)state;
    fixture f;
    u3d_test_run_new(&f, 2, u3d_test_ball_sparse);
    char *text = u3d_test_stderr_of(begin_run, &f);
    assert_int_equal(u3d_test_count_text(text, "GFLOP/s, measured with base"), 0); /* base and patch are set */
    u3d_free(text);
    for (int i = 0; i < f.o.n_set; i++)
        if (strcmp(f.options[i], "base=4") == 0) f.options[i] = "convs=1";
    const int64_t live = u3d_mem_live();
    f.o.force = true;
    text = u3d_test_stderr_of(begin_run, &f);
    assert_int_equal(u3d_test_count_text(text, "GFLOP/s, measured with base"), 1);
    u3d_free(text);
    assert_int_equal(u3d_mem_live(), live);
    u3d_test_run_done(&f);
}

/* With eight threads, more batches are prepared ahead. Pseudo-labels are learned from at the same iteration
 * nevertheless. */
static void test_pseudo_threads(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result one, eight;
    u3d_test_run_new(&f, 2, u3d_test_ball_sparse);
    f.o.iterations = 40;
    train_to(&f, "one", 1, &one);
    train_to(&f, "eight", 8, &eight);
    assert_string_equal(one.fingerprint, eight.fingerprint);
    assert_same_checkpoint(&f, "one", "eight");
    char *path = in_run(&f, "one", "checkpoint.safetensors");
    u3d_checkpoint *c;
    assert_ok(u3d_checkpoint_load(path, &c));
    assert_non_null(u3d_checkpoint_find(c, "pseudo/0"));
    u3d_checkpoint_free(c);
    u3d_free(path);
    u3d_test_run_done(&f);
}

/* With sparse labels, the checkpoint also holds pseudo-labels, some of which are not learned from yet. They
 * are made from 30 % of the run on. */
static void test_resume_pseudo(void **state)
{
    (void)state;
    check_resume(u3d_test_ball_sparse, u3d_test_brief() ? 30 : 100);
}

/* ---- deep supervision ---- */

static void assert_in_checkpoint(const char *path, const char *name, bool there)
{
    u3d_checkpoint *c;
    assert_ok(u3d_checkpoint_load(path, &c));
    if ((u3d_checkpoint_find(c, name) != NULL) != there)
        fail_msg("%s: the tensor %s %s", path, name, there ? "is missing" : "should not be there");
    u3d_checkpoint_free(c);
}

/* Predicts the last case with the model, which uses only the head at full resolution, and returns the Dice of
 * label 1. */
static double dice_of_prediction(const fixture *f)
{
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    const u3d_case *last = &f->set.d.cases[f->set.d.n_cases - 1];
    u3d_overlap overlap[2] = {{0}};
    u3d_model *m;
    u3d_predictor *p;
    u3d_volume *image, *label, *reference, *classes;
    u3d_backend *b = u3d_test_cpu();
    assert_ok(u3d_model_load(f->out, &m));
    assert_ok(u3d_predictor_open(b, (const u3d_model *const *)&m, 1, &o, &p));
    assert_ok(u3d_case_read_image(last, &image));
    assert_ok(u3d_intensity_normalise(image, &m->intensity));
    assert_ok(u3d_predict_volume(p, image, &classes, NULL));
    assert_ok(u3d_volume_read(last->label, U3D_VOLUME_LABEL, &label));
    assert_ok(u3d_labels_to_classes(&m->labels, label, last->label, &reference));
    u3d_overlap_add(classes, reference, 2, overlap);
    u3d_volume_free(image);
    u3d_volume_free(label);
    u3d_volume_free(reference);
    u3d_volume_free(classes);
    u3d_predictor_free(p);
    u3d_model_free(m);
    u3d_backend_close(b);
    return u3d_overlap_dice(&overlap[1]);
}

/* With deep supervision on four levels, there are heads at two of them. Both must be trained and saved, a
 * resumed run must continue with both, and prediction must work without the second one. */
static void test_deep_supervision(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result whole, resumed;
    u3d_test_run_new(&f, 2, u3d_test_ball_sparse);
    f.options[0] = "levels=4";
    f.options[f.o.n_set++] = "deep_supervision=on";
    f.o.iterations = 60;
    train_to(&f, "whole", 2, &whole);
    char *checkpoint = in_run(&f, "whole", "checkpoint.safetensors"),
         *model = in_run(&f, "whole", "model.safetensors");
    assert_in_checkpoint(checkpoint, "dec1.head.weight", true);
    assert_in_checkpoint(checkpoint, "m/dec1.head.bias", true);
    assert_in_checkpoint(checkpoint, "dec2.head.weight", false);
    assert_in_checkpoint(model, "dec1.head.weight", true);
    double dice = dice_of_prediction(&f);
    assert_dice("the last case", dice, 0.8);

    interrupt_after(&f, "parts", 10);
    f.o.resume = true;
    f.o.iterations = 0;
    f.o.n_set = 0;
    f.o.net = NULL;
    assert_ok(u3d_test_run_train(&f, 1, &resumed));
    assert_string_equal(whole.fingerprint, resumed.fingerprint);
    assert_same_checkpoint(&f, "whole", "parts");
    u3d_free(checkpoint);
    u3d_free(model);
    u3d_test_run_done(&f);
}

/* ---- refusing ---- */

static void test_folder(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 1, u3d_test_ball);
    f.o.iterations = 2;
    f.o.resume = true;
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_IO); /* nothing to resume */
    f.o.resume = false;
    assert_ok(u3d_test_run_train(&f, 2, &r));
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_ARG);
    assert_non_null(strstr(u3d_error_text(), "--force"));
    f.o.force = true;
    f.o.iterations = 3;
    assert_ok(u3d_test_run_train(&f, 2, &r));
    char *log = in_run(&f, "run", "log.csv"), *config = in_run(&f, "run", "config.json");
    assert_int_equal(log_lines(log), 4);

    cJSON *json;
    assert_ok(u3d_json_read(config, &json));
    assert_int_equal(cJSON_GetObjectItem(json, "iterations")->valueint, 3);
    assert_string_equal(cJSON_GetObjectItem(json, "seed")->valuestring, "3");
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "source"), "data")->valuestring,
                        "balls");
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "settings"), "base"));
    cJSON_Delete(json);

    u3d_lock *lock;
    assert_ok(u3d_lock_take(f.out, &lock));
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_ARG);
    assert_non_null(strstr(u3d_error_text(), "in use"));
    u3d_lock_release(lock);
    u3d_free(log);
    u3d_free(config);
    u3d_test_run_done(&f);
}

static void test_refused_requests(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 1, u3d_test_ball);
    f.o.memory_cap = 1000000; /* less than the program itself takes */
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_NOMEM);
    assert_non_null(strstr(u3d_error_text(), "GB"));
    f.o.memory_cap = 2000000000;
    f.o.force = true;
    f.options[f.o.n_set++] = "labels=5";
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_ARG);
    f.options[f.o.n_set - 1] = "class_weights=1,2,3";
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_ARG);
    f.options[f.o.n_set - 1] = "lr=100"; /* weights overflow at once */
    f.options[f.o.n_set++] = "clip_norm=0";
    f.options[f.o.n_set++] = "optimizer=sgd";
    f.options[f.o.n_set++] = "norm=none";
    f.o.iterations = 60;
    f.o.validate_every = -1;
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_NUMERIC);
    f.o.time_s = 5; /* cannot be combined with a number of iterations */
    assert_status(u3d_test_run_train(&f, 2, &r), U3D_E_ARG);
    u3d_test_run_done(&f);
}

/* ---- time ---- */

static void test_time_budget(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 6, u3d_test_ball);
    static const int report[] = {0, 1};
    f.o.report = report;
    f.o.n_report = 2;
    f.o.iterations = 0;
    f.o.time_s = 8;
    f.o.started = u3d_clock();
    /* A single thread never waits for another one, so a busy machine only makes it slower. */
    assert_ok(u3d_test_run_train(&f, 1, &r));
    double took = u3d_clock() - f.o.started;
    /* The 2 s beyond the budget allow for a short stall of a machine that is shared. */
    if (!(took <= 10.0 && took >= 4.0)) fail_msg("a run with a budget of 8 s took %.2f s", took);
    assert_true(r.iterations > 10);
    u3d_model *m;
    assert_ok(u3d_model_load(f.out, &m));
    assert_true(m->config.iterations >= r.iterations);
    u3d_model_free(m);
    u3d_test_run_done(&f);
}

/* ---- allocation failures ---- */

/* Lets some of the first 4000 allocations fail, one in each run. The run must return U3D_E_NOMEM and leak
 * nothing. */
static void test_out_of_memory(void **state)
{
    (void)state;
    fixture f;
    u3d_train_result r;
    u3d_test_run_new(&f, 1, u3d_test_ball);
    f.o.iterations = 2;
    f.o.force = true;
    u3d_backend *b = u3d_test_cpu();
    int failures = 0;
    for (int n = 1; n < 4000; n += 1 + n / 6) {
        int64_t live = u3d_mem_live();
        u3d_mem_fail_at(n);
        u3d_status status = u3d_train(b, &f.o, &r);
        u3d_mem_fail_at(0);
        assert_int_equal(u3d_mem_live(), live);
        if (status == U3D_OK) break;
        if (status != U3D_E_NOMEM)
            fail_msg("after allocation %d failed, the status is %d: %s", n, (int)status, u3d_error_text());
        failures++;
    }
    assert_true(failures > 10);
    u3d_backend_close(b);
    u3d_test_run_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_sparse_and_report),
        cmocka_unit_test(test_valid_paper_family),
        cmocka_unit_test(test_threads_give_the_same_bits),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_pseudo),
        cmocka_unit_test(test_pseudo_threads),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_deep_supervision),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_time_budget),
        cmocka_unit_test(test_out_of_memory),
    };
    u3d_log_set_level(U3D_LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
