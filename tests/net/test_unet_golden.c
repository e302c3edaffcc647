/* Compares whole networks with PyTorch. The files that golden/make_golden.py has written contain initial
 * weights, logits, losses, all gradients, and the weights after five steps of Adam and of SGD, computed in
 * float64. They also contain the settings from which the networks are built. Weights are loaded and read back
 * through net/model/model.h, so that names and the order of axes are tested as well.
 *
 * A bias before a norm has a gradient that is zero except for rounding, because the norm subtracts the mean.
 * Adam divides by the size of the gradient and therefore makes steps of full length from that rounding. The
 * steps of such a bias, called idle below, must only stay within their bounds. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run/exec.h"
#include "engine/base/mem.h"
#include "engine/run/optim.h"
#include "io/checkpoint.h"
#include "net/model/model.h"
#include "net/model/unet3d.h"

/* The implementations of the convolutions, each with limits of the relative rms error that fit its
 * arithmetic. The errors of direct convolution are about those of PyTorch in float32, whose steps are
 * within 1.1e-4 of the files, relative to the step. If a gradient is 0 because its terms cancel, Winograd
 * leaves a rounding error; Adam divides it by its own size, so that it moves the weight. */
typedef struct way {
    const char *impl;
    double logit, gradient, sgd, adam, probability;
} way;

static const way ways[] = {{"direct", 5e-6, 1e-4, 1e-3, 1e-3, 2e-5},
                           {"winograd-f2", 5e-6, 1e-4, 1e-3, 2e-2, 2e-5},
                           {"winograd-f4", 5e-5, 1e-3, 1e-3, 5e-2, 1e-4}};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* ---- the golden file ---- */

typedef struct golden {
    u3d_checkpoint *file;
    u3d_config config;
    int64_t in[3];
    bool skip_background;
    u3d_backend *backend;
    bool fused; /* graphs are built with the fused ops of the backend */
    const way *tol;
} golden;

static double meta_number(const golden *t, const char *key)
{
    const char *text = u3d_checkpoint_get(t->file, key);
    if (!text) fail_msg("the golden file has no metadata %s", key);
    return strtod(text, NULL);
}

static const u3d_tensor *wanted(const golden *t, const char *name)
{
    const u3d_tensor *found = u3d_checkpoint_find(t->file, name);
    if (!found) fail_msg("the golden file has no tensor %s", name);
    return found;
}

static void golden_open(golden *t, const char *variant)
{
    char *path = u3d_format("%s/golden/%s.safetensors", TESTS_DIR, variant);
    assert_non_null(path);
    assert_ok(u3d_checkpoint_load(path, &t->file));
    u3d_free(path);
    u3d_config_default(&t->config);
    const char *settings = u3d_checkpoint_get(t->file, "settings");
    assert_non_null(settings);
    char *lines = u3d_strdup(settings), *rest = lines;
    assert_non_null(lines);
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (*line) assert_ok(u3d_config_set(&t->config, line));
    u3d_free(lines);
    memcpy(t->in, t->config.patch, sizeof t->in);
    t->skip_background = meta_number(t, "skip_background") != 0;
    t->backend = u3d_test_cpu();
}

static void golden_close(golden *t)
{
    u3d_checkpoint_free(t->file);
    u3d_backend_close(t->backend);
}

/* ---- a network on the device ---- */

typedef struct machine { /* a graph ready to run */
    u3d_unet3d net;
    u3d_plan *plan;
    u3d_arena *arena;
    u3d_exec *exec;
} machine;

static void machine_open(const golden *t, u3d_mode mode, u3d_loss_kind loss, machine *m)
{
    u3d_config c = t->config;
    c.loss = loss;
    assert_ok(u3d_unet3d_build(&c, t->fused ? t->backend : NULL, mode, c.batch, t->in, t->skip_background,
                               &m->net));
    if (mode == U3D_MODE_TRAIN) u3d_graph_output(m->net.graph, m->net.logits, "logits");
    assert_ok(u3d_graph_finish(m->net.graph));
    assert_ok(u3d_plan_new(t->backend, m->net.graph, &(u3d_plan_opts){0}, &m->plan));
    assert_ok(u3d_arena_new(t->backend, &m->plan, 1, &m->arena));
}

static void machine_start(u3d_params *p, machine *m)
{
    assert_ok(u3d_exec_new(m->plan, p, m->arena, &m->exec));
}

static void machine_run(const golden *t, machine *m)
{
    assert_ok(u3d_exec_feed(m->exec, m->net.image, wanted(t, "input")));
    if (m->net.label >= 0) {
        assert_ok(u3d_exec_feed(m->exec, m->net.label, wanted(t, "label")));
        assert_ok(u3d_exec_feed(m->exec, m->net.class_weight, wanted(t, "class_weight")));
    }
    assert_ok(u3d_exec_run(m->exec));
}

static void machine_close(machine *m)
{
    u3d_exec_free(m->exec);
    u3d_arena_free(m->arena);
    u3d_plan_free(m->plan);
    u3d_unet3d_done(&m->net);
}

/* ---- comparing ---- */

/* Tells whether a parameter is idle: the bias of a convolution before a norm. */
static bool is_idle(const golden *t, const char *name)
{
    size_t n = strlen(name);
    return t->config.norm != U3D_NORM_NONE && strstr(name, ".conv") && n > 5 &&
           strcmp(name + n - 5, ".bias") == 0;
}

static bool is_state(const char *name)
{
    return strstr(name, ".running") != NULL;
}

static void compare_value(const golden *t, machine *m, u3d_val v, const char *name, double tol)
{
    const u3d_tensor *want = wanted(t, name);
    u3d_tensor *got;
    assert_ok(u3d_tensor_new(name, u3d_graph_value(m->net.graph, v)->type, &got));
    assert_ok(u3d_exec_fetch(m->exec, v, got));
    int64_t n = u3d_type_elems(&got->type);
    assert_int_equal(n, u3d_type_elems(&want->type));
    u3d_test_near(name, u3d_tensor_f32(got), u3d_tensor_f32(want), n, tol);
    u3d_tensor_free(got);
}

/* Reads all tensors of a block and names them PREFIX followed by their name. Fails the test unless the file
 * has the same names with this prefix, with the same types. */
static u3d_checkpoint *read_block(const golden *t, u3d_params *p, u3d_block block, const char *prefix)
{
    u3d_checkpoint *got;
    int n_wanted = 0;
    assert_ok(u3d_checkpoint_new(&got));
    assert_ok(u3d_params_to_checkpoint(p, block, prefix, got));
    for (int i = 0; i < t->file->n_tensors; i++)
        if (strncmp(t->file->tensors[i]->name, prefix, strlen(prefix)) == 0) n_wanted++;
    assert_int_equal(got->n_tensors, n_wanted);
    for (int i = 0; i < got->n_tensors; i++)
        assert_true(u3d_type_equal(&got->tensors[i]->type, &wanted(t, got->tensors[i]->name)->type));
    return got;
}

static void compare_gradients(const golden *t, u3d_params *p, const char *prefix)
{
    u3d_checkpoint *got = read_block(t, p, U3D_BLOCK_GRAD, prefix);
    for (int i = 0; i < got->n_tensors; i++) {
        const char *name = got->tensors[i]->name;
        const float *g = u3d_tensor_f32(got->tensors[i]), *want = u3d_tensor_f32(wanted(t, name));
        int64_t n = u3d_type_elems(&got->tensors[i]->type);
        if (!is_idle(t, name))
            u3d_test_near(name, g, want, n, t->tol->gradient);
        else
            for (int64_t e = 0; e < n; e++) assert_true(fabsf(g[e]) < 1e-5F);
    }
    u3d_checkpoint_free(got);
}

/* Compares how far the weights have moved since init/NAME with how far they should have moved. `reach` is the
 * bound for idle biases. */
static void compare_steps(const golden *t, u3d_params *p, const char *prefix, double reach, double tol)
{
    u3d_checkpoint *got = read_block(t, p, U3D_BLOCK_VALUE, prefix);
    for (int i = 0; i < got->n_tensors; i++) {
        const char *name = got->tensors[i]->name;
        char start_name[2 * U3D_NAME_CAP];
        snprintf(start_name, sizeof start_name, "init/%s", name + strlen(prefix));
        const float *start = u3d_tensor_f32(wanted(t, start_name)), *want = u3d_tensor_f32(wanted(t, name));
        float *now = u3d_tensor_f32(got->tensors[i]);
        int64_t n = u3d_type_elems(&got->tensors[i]->type);
        float *want_step = u3d_new((size_t)n, sizeof *want_step);
        assert_non_null(want_step);
        for (int64_t e = 0; e < n; e++) {
            now[e] -= start[e];
            want_step[e] = want[e] - start[e];
            if (is_idle(t, name) && !(fabs((double)now[e]) <= reach))
                fail_msg("the idle bias %s has moved too far, by %g", name, (double)now[e]);
        }
        /* A running mean moves together with an idle bias, so under Adam it is as arbitrary as the bias. */
        bool shifted = strcmp(prefix, "adam/") == 0 && is_state(name);
        if (!is_idle(t, name) && !shifted) u3d_test_near(name, now, want_step, n, tol);
        u3d_free(want_step);
    }
    u3d_checkpoint_free(got);
}

/* ---- tests ---- */

static u3d_params *load_initial(const golden *t, machine *m, uint32_t blocks)
{
    u3d_params *p;
    assert_ok(u3d_params_new(t->backend, m->net.graph, blocks | 1U << U3D_BLOCK_VALUE | 1U << U3D_BLOCK_GRAD,
                             1, &p));
    assert_ok(u3d_params_from_checkpoint(t->file, U3D_BLOCK_VALUE, "init/", p, "golden file"));
    return p;
}

static void check_gradients(const golden *t, u3d_loss_kind loss, const char *loss_name, const char *prefix)
{
    machine m = {0};
    machine_open(t, U3D_MODE_TRAIN, loss, &m);
    u3d_params *p = load_initial(t, &m, 0);
    machine_start(p, &m);
    machine_run(t, &m);
    compare_value(t, &m, m.net.logits, "logits", t->tol->logit);
    compare_value(t, &m, m.net.loss, loss_name, t->tol->logit);
    compare_gradients(t, p, prefix);
    machine_close(&m);
    u3d_params_free(p);
}

static void train(const golden *t, machine *m, u3d_params *p, const u3d_optim_opts *o)
{
    u3d_optim *optim;
    u3d_optim_stats stats;
    assert_ok(u3d_optim_new(p, o, &optim));
    for (int step = 0; step < (int)meta_number(t, "steps"); step++) {
        machine_run(t, m);
        assert_ok(u3d_optim_step(optim, &stats));
        assert_false(stats.skipped);
    }
    u3d_optim_free(optim);
}

static void check_adam(const golden *t)
{
    machine m = {0};
    u3d_optim_opts o = {.kind = U3D_OPTIM_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    o.lr = meta_number(t, "adam_lr");
    machine_open(t, U3D_MODE_TRAIN, U3D_LOSS_CE, &m);
    u3d_params *p = load_initial(t, &m, u3d_optim_blocks(&o));
    machine_start(p, &m);
    train(t, &m, p, &o);
    compare_steps(t, p, "adam/", 1.01 * o.lr * meta_number(t, "steps"), t->tol->adam);
    machine_close(&m);
    u3d_params_free(p);
}

/* Predicts with the trained weights. The graph for inference finds them by the names of its parameters. */
static void check_prediction(const golden *t, u3d_params *p)
{
    machine m = {0};
    machine_open(t, U3D_MODE_INFER, U3D_LOSS_CE, &m);
    machine_start(p, &m);
    machine_run(t, &m);
    compare_value(t, &m, m.net.probability, "probability", t->tol->probability);
    machine_close(&m);
}

static void check_sgd(const golden *t)
{
    machine m = {0};
    u3d_optim_opts o = {.kind = U3D_OPTIM_SGD, .nesterov = true};
    o.lr = meta_number(t, "sgd_lr");
    o.momentum = meta_number(t, "momentum");
    machine_open(t, U3D_MODE_TRAIN, U3D_LOSS_CE_DICE, &m);
    u3d_params *p = load_initial(t, &m, u3d_optim_blocks(&o));
    machine_start(p, &m);
    train(t, &m, p, &o);
    compare_steps(t, p, "sgd/", 1e-5, t->tol->sgd);
    machine_close(&m);
    check_prediction(t, p);
    u3d_params_free(p);
}

static void test_variant(void **state)
{
    golden t;
    golden_open(&t, *state);
    for (int i = 0; i < 2 * N_WAYS; i++) {
        char impl[128];
        t.tol = &ways[i / 2];
        t.fused = i % 2 == 1;
        (void)snprintf(impl, sizeof impl, "conv3d=%s,conv3d_dx=%s,conv3d_dw=%s", t.tol->impl, t.tol->impl,
                       t.tol->impl);
        setenv("U3D_IMPL", impl, 1);
        check_gradients(&t, U3D_LOSS_CE, "loss_ce", "grad_ce/");
        check_gradients(&t, U3D_LOSS_CE_DICE, "loss_sum", "grad_sum/");
        check_adam(&t);
        check_sgd(&t);
    }
    unsetenv("U3D_IMPL");
    golden_close(&t);
}

int main(void)
{
    static char plain[] = "valid_plain", batch[] = "valid_batch", instance[] = "same_instance";
    const struct CMUnitTest tests[] = {
        {.name = plain, .test_func = test_variant, .initial_state = plain},
        {.name = batch, .test_func = test_variant, .initial_state = batch},
        {.name = instance, .test_func = test_variant, .initial_state = instance},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
