/* Trains and predicts on the CPU and on an OpenCL device: the two runs may differ only by rounding.
 *
 * Skipped if there is no OpenCL device. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/model.h"
#include "net/predict/predict.h"
#include "net/train/train.h"

enum { SIZE = 24, N_CASES = 3, STEPS = 20, BRIEF_STEPS = 6, RELAYS = 4 };

/* Largest relative difference of the loss in each of the first 20 iterations. Measured with PoCL: at most
 * 4e-4 with batch norm (because there are only 128 voxels at the coarsest level), 1e-6 with instance norm and
 * Adam. A loss that really diverges differs by tenths. */
static const double LIMIT_LOSS = 5e-3;
static const double LIMIT_LABELS = 1e-3; /* largest fraction of voxels that may get a different label */

static const char *const nets[][16] = {
    {"levels=3", "base=4", "norm=batch", "norm_statistics=running", "activation=relu", "loss=ce", "lr=0.01",
     "momentum=0.9", NULL},
    {"levels=2", "base=6", "optimizer=adam", "lr=0.003", "momentum=0.9", "average=0.9", NULL},
};
enum { N_NETS = sizeof nets / sizeof *nets };

/* ---- data: volumes with a bright ball and noise ---- */

static double inside(int64_t z, int64_t y, int64_t x, const void *user)
{
    const double r = *(const double *)user, dz = (double)z - 11, dy = (double)y - 13, dx = (double)x - 12;
    return dz * dz + dy * dy + dx * dx < r * r ? 1 : 0;
}

static double bright(int64_t z, int64_t y, int64_t x, const void *user)
{
    u3d_rng r = u3d_rng_at(7, U3D_RNG_TEST, (uint64_t)((z * SIZE + y) * SIZE + x));
    return inside(z, y, x, user) + 0.3 * u3d_rng_normal(&r);
}

static void data_new(u3d_test_set *set)
{
    const int64_t size[3] = {SIZE, SIZE, SIZE};
    u3d_test_set_new(set);
    for (int i = 0; i < N_CASES; i++) {
        const double radius = 5 + i;
        char id[16];
        snprintf(id, sizeof id, "ball_%d", i);
        u3d_test_set_add(set, id, size, 1, bright, inside, &radius);
    }
    u3d_test_set_name_label(set, 0, "background");
    u3d_test_set_name_label(set, 1, "ball");
}

/* ---- runs ---- */

typedef enum run_length { WHOLE, ONE_STEP } run_length;

static int steps(void)
{
    return u3d_test_brief() ? BRIEF_STEPS : STEPS;
}

/* Trains in the folder <set>/<name>. If `net` is NULL, resumes from the checkpoint in that folder. With
 * ONE_STEP, the request to stop is already set at the start, so training stops after one iteration. */
static void train(const u3d_test_set *set, const char *backend, const char *name, const char *const *net,
                  run_length length)
{
    volatile int stop = 1;
    static const int which[N_CASES] = {0, 1, 2};
    const char *set_keys[24] = {"patch=16x16x16", "batch=2", "turn=off"};
    u3d_train_result r;
    char *out = u3d_test_path(set->dir, name);
    u3d_train_opts o = {.out = out,
                        .resume = !net,
                        .data = &set->d,
                        .train = which,
                        .n_train = N_CASES,
                        .net = net ? "auto" : NULL,
                        .iterations = net ? steps() : 0,
                        .started = u3d_clock(),
                        .seed = 3,
                        .memory_cap = 2000000000,
                        .dense = true,
                        .validate_every = -1,
                        .stop = length == ONE_STEP ? &stop : NULL,
                        .command_json = "{\"data\": \"balls\"}"};
    if (net) o.n_set = 3;
    for (; net && *net; net++) set_keys[o.n_set++] = *net;
    o.set = set_keys;
    u3d_backend *b = u3d_test_backend(backend, NULL, 2);
    assert_status(u3d_train(b, &o, &r), length == ONE_STEP ? U3D_E_CANCELLED : U3D_OK);
    u3d_backend_close(b);
    u3d_free(out);
}

/* Reads the column `loss` of a run's log.csv and returns the number of rows. */
static int losses(const u3d_test_set *set, const char *name, double loss[STEPS])
{
    char *run = u3d_test_path(set->dir, name), *path = u3d_test_path(run, "log.csv"), line[1024];
    FILE *f = fopen(path, "r");
    int n = 0;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    while (n < STEPS && fgets(line, sizeof line, f)) {
        double seconds;
        int iteration;
        assert_int_equal(sscanf(line, "%d,%lf,%lf", &iteration, &seconds, &loss[n]), 3);
        assert_int_equal(iteration, ++n);
    }
    (void)fclose(f);
    u3d_free(path);
    u3d_free(run);
    return n;
}

static void assert_together(const u3d_test_set *set, const char *a, const char *b)
{
    double one[STEPS], two[STEPS], most = 0;
    const int n = steps();
    assert_int_equal(losses(set, a, one), n);
    assert_int_equal(losses(set, b, two), n);
    for (int i = 0; i < n; i++) {
        const double off = fabs(two[i] - one[i]) / fabs(one[i]);
        if (!(off <= LIMIT_LOSS))
            fail_msg("iteration %d: the loss is %.9g in %s and %.9g in %s", i + 1, one[i], a, two[i], b);
        most = fmax(most, off);
    }
    print_message("%s and %s: the loss differs by at most %.1e while it changes from %.4f to %.4f\n", a, b,
                  most, one[0], one[n - 1]);
    assert_true(one[n - 1] < one[0] || u3d_test_brief());
}

/* ---- prediction ---- */

static u3d_volume *predict(const u3d_test_set *set, const char *backend, const char *name)
{
    char *run = u3d_test_path(set->dir, name);
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    u3d_model *m;
    u3d_predictor *p;
    u3d_volume *image, *classes;
    u3d_backend *b = u3d_test_backend(backend, NULL, 2);
    assert_ok(u3d_model_load(run, &m));
    assert_ok(u3d_predictor_open(b, (const u3d_model *const *)&m, 1, &o, &p));
    assert_ok(u3d_case_read_image(&set->d.cases[1], &image));
    assert_ok(u3d_intensity_normalise(image, &m->intensity));
    assert_ok(u3d_predict_volume(p, image, &classes, NULL));
    u3d_volume_free(image);
    u3d_predictor_free(p);
    u3d_model_free(m);
    u3d_backend_close(b);
    u3d_free(run);
    return classes;
}

static void assert_labels_agree(const u3d_test_set *set, const char *name)
{
    u3d_volume *a = predict(set, "cpu", name), *b = predict(set, "opencl", name);
    const int64_t n = u3d_volume_voxels(a);
    int64_t n_off = 0, n_ball = 0;
    for (int64_t i = 0; i < n; i++) {
        n_off += ((const uint8_t *)a->data)[i] != ((const uint8_t *)b->data)[i];
        n_ball += ((const uint8_t *)a->data)[i] == 1;
    }
    print_message("%s: %lld of %lld voxels differ, %lld belong to the ball\n", name, (long long)n_off,
                  (long long)n, (long long)n_ball);
    assert_true((double)n_off <= LIMIT_LABELS * (double)n);
    u3d_volume_free(a);
    u3d_volume_free(b);
}

/* ---- tests ---- */

static u3d_test_set sets[N_NETS];

static void twenty_steps_stay_together(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        train(&sets[i], "cpu", "cpu", nets[i], WHOLE);
        train(&sets[i], "opencl", "opencl", nets[i], WHOLE);
        assert_together(&sets[i], "cpu", "opencl");
        assert_labels_agree(&sets[i], "opencl");
    }
}

/* The first steps alternate between the two backends, and the remaining steps run on one of them. This shows
 * that each backend can resume from the other's checkpoints, including momentum, averages and running
 * statistics. */
static void checkpoints_cross(void **state)
{
    (void)state;
    static const char *const backends[2] = {"cpu", "opencl"};
    for (int i = 0; i < N_NETS; i++) {
        for (int step = 0; step < RELAYS; step++)
            train(&sets[i], backends[(step + i) % 2], "relay", step == 0 ? nets[i] : NULL, ONE_STEP);
        train(&sets[i], backends[i % 2], "relay", NULL, WHOLE);
        assert_together(&sets[i], "cpu", "relay");
    }
}

static int data_open(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) data_new(&sets[i]);
    return 0;
}

static int data_close(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) u3d_test_set_done(&sets[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(twenty_steps_stay_together),
                                       cmocka_unit_test(checkpoints_cross)};
    u3d_test_need_device("opencl");
    u3d_log_set_level(U3D_LOG_WARN);
    return cmocka_run_group_tests(tests, data_open, data_close);
}
