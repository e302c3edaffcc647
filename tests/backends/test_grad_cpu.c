/* Compares gradients of the CPU backend with central differences of its own loss, forcing every
 * implementation of the convolutions in turn. (test_grad does the same for the oracle, without a backend.)
 *
 * The loss is a float, so the steps must be long: a step changes the loss by about CHANGE, but the element by
 * at most LONGEST_STEP times the rms of its parameter. Differences of two lengths are combined so that the
 * error depends only on the fifth and higher derivatives. This requires smooth graphs, without maxima and
 * ReLU. For each parameter, the test checks the largest element of the gradient and a few random ones. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run/exec.h"
#include "engine/base/mem.h"

/* Rounding a loss of about 2 causes an error of 1e-7, which is 1e-5 of CHANGE. */
static const double CHANGE = 0.01, LONGEST_STEP = 0.4, TOLERANCE = 3e-4;
enum { SAMPLES = 6 };

static u3d_backend *backend;
static double worst;

/* ---- graphs ---- */

static u3d_val map_of(u3d_graph *g, int64_t n, const int64_t size[3], int64_t c)
{
    return u3d_param(g, "x", u3d_type_map(n, size, c), U3D_INIT_ZERO, 1, 1, true);
}

static u3d_val conv(u3d_graph *g, const char *name, u3d_val x, int32_t channels_out, int32_t kernel,
                    int32_t pad)
{
    u3d_layer_conv l = {
        .attr = {.kernel = {kernel, kernel, kernel}, .stride = {1, 1, 1}, .pad = {pad, pad, pad}},
        .channels_out = channels_out,
        .bias = true,
        .init_gain = 1};
    return u3d_layer_conv3d(g, name, x, &l);
}

/* Channel counts that do not fill a vector. */
static u3d_val build_ragged(u3d_graph *g)
{
    return conv(g, "conv", map_of(g, 1, (const int64_t[]){5, 6, 9}, 5), 3, 3, 1);
}

static u3d_val build_chain(u3d_graph *g)
{
    u3d_val y = conv(g, "conv1", map_of(g, 2, (const int64_t[]){5, 6, 7}, 3), 16, 3, 0);
    y = u3d_layer_norm(g, "norm", y, (u3d_norm_attr){.eps = 1e-3F});
    return conv(g, "conv2", y, 4, 3, 1);
}

static u3d_val build_up(u3d_graph *g)
{
    u3d_layer_conv l = {.attr = {.kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}},
                        .channels_out = 8,
                        .bias = true,
                        .init_gain = 1};
    u3d_val y = u3d_layer_upconv3d(g, "up", map_of(g, 1, (const int64_t[]){2, 3, 4}, 9), &l);
    return conv(g, "head", conv(g, "conv", y, 16, 3, 1), 3, 1, 0);
}

typedef u3d_val build_fn(u3d_graph *g);
static build_fn *const builds[] = {build_ragged, build_chain, build_up};
enum { N_BUILDS = sizeof builds / sizeof *builds };

/* ---- a graph on the backend ---- */

typedef struct machine {
    u3d_graph *graph;
    u3d_val loss, labels, weight;
    u3d_plan *plan;
    u3d_arena *arena;
    u3d_params *params;
    u3d_exec *exec;
} machine;

static u3d_tensor *random_tensor(const u3d_type *t, uint64_t index)
{
    u3d_tensor *out;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, index);
    assert_ok(u3d_tensor_new("", *t, &out));
    int64_t n = u3d_type_elems(t);
    if (t->dtype == U3D_F32) u3d_test_normal(&r, u3d_tensor_f32(out), n);
    for (int64_t i = 0; t->dtype == U3D_U8 && i < n; i++)
        u3d_tensor_u8(out)[i] = (uint8_t)u3d_rng_below(&r, 3);
    return out;
}

static void feed(machine *m, u3d_val v)
{
    const u3d_type *t = &u3d_graph_value(m->graph, v)->type;
    u3d_tensor *data = random_tensor(t, (uint64_t)v);
    if (t->dtype == U3D_F32)
        for (int64_t i = 0; i < u3d_type_elems(t); i++) u3d_tensor_f32(data)[i] = 1 + 0.5F * (float)i;
    assert_ok(u3d_exec_feed(m->exec, v, data));
    u3d_tensor_free(data);
}

static void machine_open(build_fn *build, machine *m)
{
    assert_ok(u3d_graph_new(&m->graph));
    u3d_graph *g = m->graph;
    u3d_val y = build(g);
    assert_ok(u3d_graph_finish(g));
    u3d_type t = u3d_graph_value(g, y)->type;
    m->labels = u3d_input(g, "labels", u3d_type_of(U3D_U8, 4, t.dim));
    m->weight = u3d_input(g, "weight", u3d_type_f32(1, &t.dim[4]));
    m->loss = u3d_softmax_xent(g, "xent", y, m->labels, m->weight, (u3d_loss_attr){.ignore_label = 255});
    u3d_graph_output(g, m->loss, "loss");
    assert_ok(u3d_graph_finish(g));
    assert_ok(u3d_graph_backward(g, m->loss));
    assert_ok(u3d_graph_finish(g));
    assert_ok(u3d_plan_new(backend, g, &(u3d_plan_opts){0}, &m->plan));
    assert_ok(u3d_arena_new(backend, &m->plan, 1, &m->arena));
    assert_ok(u3d_params_new(backend, g, 1U << U3D_BLOCK_VALUE | 1U << U3D_BLOCK_GRAD, 1, &m->params));
    assert_ok(u3d_exec_new(m->plan, m->params, m->arena, &m->exec));
    int x = u3d_params_find(m->params, "x");
    u3d_tensor *data = random_tensor(&u3d_params_info(m->params, x)->type, 1000);
    assert_ok(u3d_params_upload(m->params, U3D_BLOCK_VALUE, x, data));
    u3d_tensor_free(data);
}

static void machine_run(machine *m)
{
    feed(m, m->labels);
    feed(m, m->weight);
    assert_ok(u3d_exec_run(m->exec));
}

static void machine_close(machine *m)
{
    u3d_exec_free(m->exec);
    u3d_params_free(m->params);
    u3d_arena_free(m->arena);
    u3d_plan_free(m->plan);
    u3d_graph_free(m->graph);
}

/* Number of nodes of `op` that run with `impl`. */
static int count_nodes(const machine *m, u3d_op op, const char *impl)
{
    int n = 0;
    for (int i = 0; i < u3d_graph_n_nodes(m->graph); i++) {
        u3d_plan_node row;
        u3d_plan_node_get(m->plan, i, &row);
        n += u3d_graph_node(m->graph, i)->op == op && strcmp(row.impl, impl) == 0;
    }
    return n;
}

/* ---- differences ---- */

/* The loss after `step` is added to element i of a parameter. */
static double loss_at(machine *m, int param, u3d_tensor *value, int64_t i, double step)
{
    const float keep = u3d_tensor_f32(value)[i];
    u3d_tensor *loss;
    u3d_tensor_f32(value)[i] = (float)((double)keep + step);
    assert_ok(u3d_params_upload(m->params, U3D_BLOCK_VALUE, param, value));
    u3d_tensor_f32(value)[i] = keep;
    machine_run(m);
    assert_ok(u3d_tensor_new("loss", u3d_graph_value(m->graph, m->loss)->type, &loss));
    assert_ok(u3d_exec_fetch(m->exec, m->loss, loss));
    double l = (double)u3d_tensor_f32(loss)[0];
    u3d_tensor_free(loss);
    return l;
}

/* Root mean square; 1 if all elements are zero, as biases initially are. */
static double size_of(const float *p, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)p[i] * (double)p[i];
    return sum > 0 ? sqrt(sum / (double)n) : 1;
}

static double difference(machine *m, int param, u3d_tensor *value, int64_t i, double step)
{
    double near = loss_at(m, param, value, i, step) - loss_at(m, param, value, i, -step);
    double far = loss_at(m, param, value, i, 2 * step) - loss_at(m, param, value, i, -2 * step);
    return (8 * near - far) / (12 * step);
}

static void check_param(machine *m, int param, const char *forced)
{
    const u3d_param_info *info = u3d_params_info(m->params, param);
    int64_t n = u3d_type_elems(&info->type), largest = 0;
    u3d_tensor *value, *grad;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2000 + (uint64_t)param);
    assert_ok(u3d_tensor_new("value", info->type, &value));
    assert_ok(u3d_tensor_new("grad", info->type, &grad));
    assert_ok(u3d_params_download(m->params, U3D_BLOCK_VALUE, param, value));
    machine_run(m);
    assert_ok(u3d_params_download(m->params, U3D_BLOCK_GRAD, param, grad));
    const float *g = u3d_tensor_f32(grad);
    for (int64_t i = 0; i < n; i++)
        if (fabsf(g[i]) > fabsf(g[largest])) largest = i;
    double size = fabs((double)g[largest]);
    double step = fmin(CHANGE / size, LONGEST_STEP * size_of(u3d_tensor_f32(value), n));
    for (int s = 0; s < SAMPLES; s++) {
        int64_t i = s == 0 ? largest : u3d_rng_below(&r, n);
        double want = difference(m, param, value, i, step), error = fabs((double)g[i] - want) / size;
        worst = fmax(worst, error);
        if (!(error <= TOLERANCE))
            fail_msg("%s: d loss / d %s[%lld] is %.8g, but finite differences give %.8g", forced, info->name,
                     (long long)i, (double)g[i], want);
    }
    assert_ok(u3d_params_upload(m->params, U3D_BLOCK_VALUE, param, value));
    u3d_tensor_free(value);
    u3d_tensor_free(grad);
}

/* Tells whether a parameter is a bias that is followed by a norm. The norm removes such a bias, so its
 * gradient consists of rounding errors only. */
static bool is_idle(const machine *m, const u3d_param_info *info)
{
    return strcmp(info->name, "conv1.bias") == 0 && u3d_params_find(m->params, "norm.weight") >= 0;
}

/* ---- tests ---- */

static void check_impl(u3d_op op, const char *impl)
{
    char forced[128];
    int n_used = 0;
    (void)snprintf(forced, sizeof forced, "%s=%s", u3d_op_info_get(op)->name, impl);
    setenv("U3D_IMPL", forced, 1);
    worst = 0;
    for (int b = 0; b < N_BUILDS; b++) {
        machine m = {0};
        machine_open(builds[b], &m);
        n_used += count_nodes(&m, op, impl);
        for (int i = 0; i < u3d_params_count(m.params); i++)
            if (!is_idle(&m, u3d_params_info(m.params, i))) check_param(&m, i, forced);
        machine_close(&m);
    }
    unsetenv("U3D_IMPL");
    if (n_used == 0) fail_msg("no graph of this test has a node that runs with %s", forced);
    print_message("%s: %d nodes, worst error %.1e times the largest gradient\n", forced, n_used, worst);
}

static void test_op(void **state)
{
    const u3d_op op = *(const u3d_op *)*state;
    const char *impl;
    for (int i = 0; (impl = u3d_backend_impl(backend, op, i)) != NULL; i++) check_impl(op, impl);
}

static int open_backend(void **state)
{
    (void)state;
    backend = u3d_test_cpu();
    return 0;
}

static int close_backend(void **state)
{
    (void)state;
    u3d_backend_close(backend);
    return 0;
}

int main(void)
{
    static u3d_op ops[] = {U3D_OP_CONV3D,   U3D_OP_CONV3D_DX,   U3D_OP_CONV3D_DW,
                           U3D_OP_UPCONV3D, U3D_OP_UPCONV3D_DX, U3D_OP_UPCONV3D_DW};
    enum { N_OPS = sizeof ops / sizeof *ops };
    struct CMUnitTest tests[N_OPS];
    for (int i = 0; i < N_OPS; i++)
        tests[i] = (struct CMUnitTest){
            .name = u3d_op_info_get(ops[i])->name, .test_func = test_op, .initial_state = &ops[i]};
    u3d_test_seed();
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
