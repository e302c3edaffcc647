/* Measures the error of a whole forward pass in float arithmetic, compared with double precision, for both
 * values of the setting `precision`.
 *
 * The rms error with "fast" (Winograd F(4)) must stay below 1e-4 of the rms of the logits, and "strict" must
 * be no worse than direct convolution. */
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "engine/run/exec.h"
#include "engine/base/mem.h"
#include "engine/base/rng.h"
#include "net/model/unet3d.h"
#include "tests/support/support_eval.h"
#include "tests/support/support_machine.h"

static const double FAST_LIMIT = 1e-4;

/* "strict" and direct convolution add in different orders, so their rounding errors differ a little. */
static const double STRICT_MARGIN = 1.1;

static const char *const nets[][12] = {
    {"norm=instance", "activation=leaky", "levels=4", "base=16", "patch=32x32x32", NULL},
    {"padding=valid", "norm=batch", "norm_statistics=tile", "activation=relu", "double=before-pool",
     "levels=3", "base=8", "patch=44x44x44", NULL},
};
enum { N_NETS = sizeof nets / sizeof *nets };

static void config_of(const char *const *settings, const char *precision, u3d_config *c)
{
    u3d_config_default(c);
    c->labels = 3;
    c->channels = 1;
    for (int i = 0; settings[i]; i++) assert_ok(u3d_config_set(c, settings[i]));
    assert_ok(u3d_config_set(c, precision));
    assert_ok(u3d_config_check(c));
}

static u3d_tensor *image_of(const u3d_graph *g, u3d_val v)
{
    u3d_tensor *t;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    assert_ok(u3d_tensor_new("image", u3d_graph_value(g, v)->type, &t));
    for (int64_t i = 0; i < u3d_type_elems(&t->type); i++) u3d_tensor_f32(t)[i] = (float)u3d_rng_normal(&r);
    return t;
}

/* Computes the logits on the CPU; the caller frees them. */
static u3d_tensor *run_float(const char *const *settings, const char *precision)
{
    u3d_backend *b = u3d_test_cpu();
    u3d_config c;
    u3d_test_machine m;
    u3d_tensor *logits;
    config_of(settings, precision, &c);
    assert_ok(u3d_unet3d_build(&c, b, U3D_MODE_INFER, 1, c.patch, false, &m.net));
    u3d_graph_output(m.net.graph, m.net.logits, "logits");
    u3d_test_machine_open(b, &(u3d_plan_opts){0}, 1U << U3D_BLOCK_VALUE, 7, &m);
    u3d_tensor *image = image_of(m.net.graph, m.net.image);
    assert_ok(u3d_exec_feed(m.exec, m.net.image, image));
    assert_ok(u3d_exec_run(m.exec));
    assert_ok(u3d_tensor_new("logits", u3d_graph_value(m.net.graph, m.net.logits)->type, &logits));
    assert_ok(u3d_exec_fetch(m.exec, m.net.logits, logits));
    u3d_tensor_free(image);
    u3d_test_machine_close(&m);
    u3d_backend_close(b);
    return logits;
}

/* Gives the oracle the same weights as the CPU. */
static void set_values(const u3d_graph *g, u3d_test_eval *e)
{
    u3d_backend *b = u3d_test_cpu();
    u3d_params *params;
    assert_ok(u3d_params_new(b, g, 1U << U3D_BLOCK_VALUE, 7, &params));
    for (int i = 0; i < u3d_params_count(params); i++) {
        const u3d_param_info *info = u3d_params_info(params, i);
        u3d_tensor *t;
        assert_ok(u3d_tensor_new(info->name, info->type, &t));
        assert_ok(u3d_params_download(params, U3D_BLOCK_VALUE, i, t));
        double *to = e->value[u3d_graph_find(g, info->name)];
        for (int64_t k = 0; k < u3d_type_elems(&t->type); k++) to[k] = (double)u3d_tensor_f32(t)[k];
        u3d_tensor_free(t);
    }
    u3d_params_free(params);
    u3d_backend_close(b);
}

/* Computes the logits with the oracle, from the graph without fusion; the caller frees them. */
static double *run_double(const char *const *settings, int64_t *n)
{
    u3d_config c;
    u3d_unet3d net;
    u3d_test_eval e;
    config_of(settings, "precision=strict", &c);
    assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_INFER, 1, c.patch, false, &net));
    assert_ok(u3d_test_eval_new(&e, net.graph));
    set_values(net.graph, &e);
    u3d_tensor *image = image_of(net.graph, net.image);
    for (int64_t i = 0; i < u3d_type_elems(&image->type); i++)
        e.value[net.image][i] = (double)u3d_tensor_f32(image)[i];
    u3d_test_eval_run(&e, false);
    *n = u3d_type_elems(&u3d_graph_value(net.graph, net.logits)->type);
    double *logits = u3d_new((size_t)*n, sizeof *logits);
    assert_non_null(logits);
    memcpy(logits, e.value[net.logits], (size_t)*n * sizeof *logits);
    u3d_tensor_free(image);
    u3d_test_eval_done(&e);
    u3d_unet3d_done(&net);
    return logits;
}

/* Rms error of the logits, relative to the rms of the logits. */
static double error_of(const char *const *settings, const char *precision, const double *want, int64_t n)
{
    u3d_tensor *got = run_float(settings, precision);
    assert_int_equal(u3d_type_elems(&got->type), n);
    const double rms = u3d_test_compare(u3d_tensor_f32(got), want, n).rms;
    u3d_tensor_free(got);
    return rms;
}

static void whole_forward_pass(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        int64_t n;
        double *want = run_double(nets[i], &n);
        const double fast = error_of(nets[i], "precision=fast", want, n);
        const double strict = error_of(nets[i], "precision=strict", want, n);
        setenv("U3D_IMPL", "conv3d=direct", 1);
        const double direct = error_of(nets[i], "precision=fast", want, n);
        unsetenv("U3D_IMPL");
        print_message("%s: rms error of the logits: direct %.2e, strict %.2e, fast %.2e\n", nets[i][0],
                      direct, strict, fast);
        assert_true(fast < FAST_LIMIT);
        assert_true(strict <= STRICT_MARGIN * direct);
        assert_true(strict < fast);
        u3d_free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_forward_pass)};
    u3d_test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
