/* Tests of parameter blocks and the optimizer on the CPU backend: layout and initial values, learning rate
 * schedules, and whole steps, compared with the formulas of engine/run/optim.h, which are computed here in
 * double precision, one scalar at a time. */
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/run/optim.h"

enum { N_PARAMS = 3, MAX_ELEMS = 3 * 3 * 3 * 2 * 5, N_STEPS = 12 };

/* A small set of parameters; the first and the last have weight decay. */
typedef struct fixture {
    u3d_backend *backend;
    u3d_graph *graph;
    u3d_params *params;
    int64_t elems[N_PARAMS];
} fixture;

static const char *const names[N_PARAMS] = {"a.weight", "a.bias", "b.weight"};

static fixture fixture_new(uint32_t blocks, uint64_t seed)
{
    fixture f = {.backend = u3d_test_cpu()};
    const u3d_type type[N_PARAMS] = {
        u3d_type_f32(5, (const int64_t[]){3, 3, 3, 2, 5}),
        u3d_type_f32(1, (const int64_t[]){5}),
        u3d_type_f32(2, (const int64_t[]){7, 3}),
    };
    assert_ok(u3d_graph_new(&f.graph));
    for (int i = 0; i < N_PARAMS; i++) {
        bool weight = i != 1;
        u3d_param(f.graph, names[i], type[i], weight ? U3D_INIT_HE_NORMAL : U3D_INIT_ONE, 1.0f, 54, weight);
        f.elems[i] = u3d_type_elems(&type[i]);
    }
    u3d_state(f.graph, "a.running", u3d_type_f32(2, (const int64_t[]){2, 5}), U3D_INIT_RUNNING);
    assert_ok(u3d_graph_finish(f.graph));
    assert_ok(u3d_params_new(f.backend, f.graph, blocks, seed, &f.params));
    return f;
}

static void fixture_done(fixture *f)
{
    u3d_params_free(f->params);
    u3d_graph_free(f->graph);
    u3d_backend_close(f->backend);
}

static void get(const fixture *f, u3d_block block, int i, float *x)
{
    u3d_tensor *t;
    assert_ok(u3d_tensor_new("t", u3d_params_info(f->params, i)->type, &t));
    assert_ok(u3d_params_download(f->params, block, i, t));
    memcpy(x, t->data, u3d_type_bytes(&t->type));
    u3d_tensor_free(t);
}

static void put(const fixture *f, u3d_block block, int i, const float *x)
{
    u3d_tensor *t;
    assert_ok(u3d_tensor_new("t", u3d_params_info(f->params, i)->type, &t));
    memcpy(t->data, x, u3d_type_bytes(&t->type));
    assert_ok(u3d_params_upload(f->params, block, i, t));
    u3d_tensor_free(t);
}

/* ---- parameters ---- */

static void decayed_parameters_come_first(void **state)
{
    (void)state;
    fixture f = fixture_new(1u << U3D_BLOCK_GRAD, 1);
    assert_int_equal(u3d_params_count(f.params), N_PARAMS + 1);
    int64_t n[2], all;
    u3d_params_span(f.params, U3D_BLOCK_VALUE, 0, &n[0]);
    u3d_span second = u3d_params_span(f.params, U3D_BLOCK_VALUE, 1, &n[1]);
    u3d_params_span(f.params, U3D_BLOCK_VALUE, -1, &all);
    assert_int_equal(n[0], 272 + 32); /* 270 and 21 elements, rounded up to multiples of 16 */
    assert_int_equal(n[1], 16);
    assert_int_equal(all, n[0] + n[1]);
    assert_int_equal(second.off, n[0] * 4);
    assert_int_equal(u3d_params_info(f.params, 1)->off, n[0]);
    assert_int_equal(u3d_params_info(f.params, 2)->off, 272);
    assert_int_equal(u3d_params_bytes(f.params), 2 * (272 + 32 + 16) * 4 + 16 * 4);
    assert_int_equal(u3d_params_find(f.params, "nothing"), -1);
    fixture_done(&f);
}

static void first_values_depend_on_seed_and_name(void **state)
{
    (void)state;
    float a[MAX_ELEMS], b[MAX_ELEMS], c[MAX_ELEMS];
    fixture f = fixture_new(0, 7), g = fixture_new(1u << U3D_BLOCK_AVERAGE, 7), h = fixture_new(0, 8);
    get(&f, U3D_BLOCK_VALUE, 0, a);
    get(&g, U3D_BLOCK_VALUE, 0, b);
    get(&h, U3D_BLOCK_VALUE, 0, c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    double squares = 0;
    for (int i = 0; i < MAX_ELEMS; i++) squares += (double)a[i] * a[i];
    assert_float_equal((float)sqrt(squares / MAX_ELEMS), (float)sqrt(2.0 / 54), 0.03f);
    get(&g, U3D_BLOCK_AVERAGE, 0, c); /* averages start as copies of the values */
    assert_memory_equal(b, c, sizeof b);
    get(&f, U3D_BLOCK_VALUE, 1, a);
    for (int i = 0; i < 5; i++) assert_true(a[i] == 1.0f);
    get(&f, U3D_BLOCK_VALUE, 3, a); /* running mean and variance */
    for (int i = 0; i < 10; i++) assert_true(a[i] == (i < 5 ? 0.0f : 1.0f));
    fixture_done(&f);
    fixture_done(&g);
    fixture_done(&h);
}

static void wrong_blocks_and_shapes_are_refused(void **state)
{
    (void)state;
    fixture f = fixture_new(0, 1);
    u3d_tensor *bias, *other;
    assert_ok(u3d_tensor_new("t", u3d_params_info(f.params, 1)->type, &bias));
    assert_ok(u3d_tensor_new("t", u3d_params_info(f.params, 3)->type, &other));
    assert_status(u3d_params_download(f.params, U3D_BLOCK_M, 1, bias), U3D_E_ARG);
    assert_status(u3d_params_download(f.params, U3D_BLOCK_AVERAGE, 3, other), U3D_E_ARG);
    assert_status(u3d_params_upload(f.params, U3D_BLOCK_VALUE, 1, other), U3D_E_SHAPE);
    assert_non_null(strstr(u3d_error_text(), "f32 [5]"));
    assert_non_null(strstr(u3d_error_text(), "f32 [2, 5]"));
    u3d_tensor_free(bias);
    u3d_tensor_free(other);
    fixture_done(&f);
}

/* ---- schedules ---- */

static void near(double got, double want)
{
    if (fabs(got - want) > 1e-12 * fmax(1, fabs(want))) fail_msg("got %.17g, expected %.17g", got, want);
}

static void schedules_follow_their_formulas(void **state)
{
    (void)state;
    u3d_optim_opts o = {.lr = 0.5, .schedule = U3D_LR_CONSTANT, .total_steps = 100};
    near(u3d_optim_lr(&o, 0), 0.5);
    near(u3d_optim_lr(&o, 1000), 0.5);
    o.schedule = U3D_LR_POLY;
    near(u3d_optim_lr(&o, 0), 0.5);
    near(u3d_optim_lr(&o, 25), 0.5 * pow(0.75, 0.9));
    near(u3d_optim_lr(&o, 100), 0);
    near(u3d_optim_lr(&o, 101), 0);
    o.schedule = U3D_LR_COSINE;
    near(u3d_optim_lr(&o, 0), 0.5);
    near(u3d_optim_lr(&o, 50), 0.25);
    near(u3d_optim_lr(&o, 100), 0);
    o.schedule = U3D_LR_STEP;
    o.step_size = 10;
    o.step_gamma = 0.1;
    near(u3d_optim_lr(&o, 9), 0.5);
    near(u3d_optim_lr(&o, 10), 0.05);
    near(u3d_optim_lr(&o, 29), 0.005);
}

static void warmup_is_linear_and_shifts_the_schedule(void **state)
{
    (void)state;
    u3d_optim_opts o = {.lr = 1, .schedule = U3D_LR_COSINE, .warmup_steps = 4, .total_steps = 24};
    for (int i = 0; i < 4; i++) near(u3d_optim_lr(&o, i), (i + 1) / 5.0);
    near(u3d_optim_lr(&o, 4), 1);
    near(u3d_optim_lr(&o, 14), 0.5);
    near(u3d_optim_lr(&o, 24), 0);
}

/* ---- steps ---- */

/* The state of one parameter as in optim.h, in double. */
typedef struct model {
    double value[MAX_ELEMS], m[MAX_ELEMS], v[MAX_ELEMS], average[MAX_ELEMS];
} model;

static void model_step(model *s, const float *grad, int64_t n, const u3d_optim_opts *o, bool decay, double lr,
                       double scale, int64_t step)
{
    double weight_decay = decay ? o->weight_decay : 0, t = (double)step + 1;
    for (int64_t i = 0; i < n; i++) {
        double g = grad[i] * scale;
        if (o->kind == U3D_OPTIM_SGD) {
            g += weight_decay * s->value[i];
            s->m[i] = o->momentum * s->m[i] + g;
            s->value[i] -= lr * (o->nesterov ? g + o->momentum * s->m[i] : s->m[i]);
        } else {
            s->m[i] = o->beta1 * s->m[i] + (1 - o->beta1) * g;
            s->v[i] = o->beta2 * s->v[i] + (1 - o->beta2) * g * g;
            double m = s->m[i] / (1 - pow(o->beta1, t)), v = s->v[i] / (1 - pow(o->beta2, t));
            s->value[i] -= lr * (m / (sqrt(v) + o->eps) + weight_decay * s->value[i]);
        }
        double keep = fmin(o->average, (1 + (double)step) / (10 + (double)step));
        s->average[i] += (1 - keep) * (s->value[i] - s->average[i]);
    }
}

static void compare(const fixture *f, u3d_block block, int i, const double *want, const char *what)
{
    float got[MAX_ELEMS];
    char text[160];
    get(f, block, i, got);
    u3d_test_diff d = u3d_test_compare(got, want, f->elems[i]);
    if (d.n_bad || d.rms > 3e-6)
        fail_msg("%s of %s: %s", what, names[i],
                 u3d_test_diff_text(&d, &u3d_params_info(f->params, i)->type, "", text, sizeof text));
}

/* Draws random gradients and returns their norm. They are large only in every third step, so that clipping
 * changes some steps and not others. */
static double random_grads(const fixture *f, uint64_t step, float grad[N_PARAMS][MAX_ELEMS])
{
    double squares = 0;
    for (int i = 0; i < N_PARAMS; i++) {
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, step * N_PARAMS + (uint64_t)i);
        u3d_test_normal(&r, grad[i], f->elems[i]);
        for (int64_t k = 0; k < f->elems[i]; k++) {
            grad[i][k] *= step % 3 == 0 ? 1.0f : 0.01f;
            squares += (double)grad[i][k] * grad[i][k];
        }
        put(f, U3D_BLOCK_GRAD, i, grad[i]);
    }
    return sqrt(squares);
}

static void run_against_model(const u3d_optim_opts *o)
{
    fixture f = fixture_new(u3d_optim_blocks(o), 3);
    model *models = u3d_new(N_PARAMS, sizeof *models);
    float(*grad)[MAX_ELEMS] = u3d_new(N_PARAMS, sizeof *grad);
    assert_true(models && grad);
    for (int i = 0; i < N_PARAMS; i++) {
        float x[MAX_ELEMS];
        get(&f, U3D_BLOCK_VALUE, i, x);
        for (int64_t k = 0; k < f.elems[i]; k++) models[i].value[k] = models[i].average[k] = x[k];
    }
    u3d_optim *optim;
    assert_ok(u3d_optim_new(f.params, o, &optim));
    int64_t live = u3d_mem_live();
    for (int64_t step = 0; step < N_STEPS; step++) {
        double norm = random_grads(&f, (uint64_t)step, grad), lr = u3d_optim_lr(o, step);
        double scale = o->clip_norm > 0 ? o->clip_norm / fmax(norm, o->clip_norm) : 1;
        u3d_optim_stats stats;
        u3d_mem_fail_at(1); /* a step allocates nothing */
        assert_ok(u3d_optim_step(optim, &stats));
        u3d_mem_fail_at(0);
        assert_false(stats.skipped);
        assert_true(fabs(stats.grad_norm - norm) < 1e-5 * norm);
        near(stats.lr, lr);
        for (int i = 0; i < N_PARAMS; i++)
            model_step(&models[i], grad[i], f.elems[i], o, i != 1, lr, scale, step);
    }
    assert_int_equal(u3d_mem_live(), live);
    assert_int_equal(u3d_optim_steps(optim), N_STEPS);
    for (int i = 0; i < N_PARAMS; i++) {
        compare(&f, U3D_BLOCK_VALUE, i, models[i].value, "value");
        compare(&f, U3D_BLOCK_M, i, models[i].m, "first moment");
        if (o->kind == U3D_OPTIM_ADAM) compare(&f, U3D_BLOCK_V, i, models[i].v, "second moment");
        if (o->average > 0) compare(&f, U3D_BLOCK_AVERAGE, i, models[i].average, "average");
    }
    u3d_optim_free(optim);
    u3d_free(grad);
    u3d_free(models);
    fixture_done(&f);
}

static const u3d_optim_opts sgd = {
    .kind = U3D_OPTIM_SGD, .lr = 0.1, .momentum = 0.9, .schedule = U3D_LR_POLY, .total_steps = 40};
static const u3d_optim_opts adam = {
    .kind = U3D_OPTIM_ADAM, .lr = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6};

static void sgd_steps_match(void **state)
{
    (void)state;
    u3d_optim_opts o = sgd;
    run_against_model(&o);
    o.nesterov = true;
    o.weight_decay = 0.01;
    o.clip_norm = 2;
    o.average = 0.6;
    run_against_model(&o);
    o.momentum = 0;
    o.nesterov = false;
    o.warmup_steps = 5;
    run_against_model(&o);
}

static void adam_steps_match(void **state)
{
    (void)state;
    u3d_optim_opts o = adam;
    run_against_model(&o);
    o.weight_decay = 0.05;
    o.clip_norm = 2;
    o.average = 0.999;
    o.schedule = U3D_LR_COSINE;
    o.total_steps = 20;
    o.warmup_steps = 3;
    run_against_model(&o);
}

static void set_all_grads(const fixture *f, float all, float one)
{
    float grad[MAX_ELEMS];
    for (int i = 0; i < N_PARAMS; i++) {
        for (int64_t k = 0; k < f->elems[i]; k++) grad[k] = all;
        if (i == 2) grad[20] = one;
        put(f, U3D_BLOCK_GRAD, i, grad);
    }
}

static void broken_gradients_change_nothing(void **state)
{
    (void)state;
    const float broken[] = {NAN, INFINITY, -INFINITY};
    u3d_optim_opts o = adam;
    o.average = 0.9;
    fixture f = fixture_new(u3d_optim_blocks(&o), 3);
    u3d_optim *optim;
    u3d_optim_stats stats;
    assert_ok(u3d_optim_new(f.params, &o, &optim));
    u3d_optim_set_steps(optim, 5);
    for (int i = 0; i < 3; i++) {
        float before[MAX_ELEMS], after[MAX_ELEMS];
        set_all_grads(&f, 0.5f, broken[i]);
        get(&f, U3D_BLOCK_VALUE, 0, before);
        assert_ok(u3d_optim_step(optim, &stats));
        assert_true(stats.skipped);
        assert_int_equal(u3d_optim_steps(optim), 6 + 2 * i);
        get(&f, U3D_BLOCK_VALUE, 0, after);
        assert_memory_equal(before, after, sizeof before);
        get(&f, U3D_BLOCK_AVERAGE, 2, after);
        for (int64_t k = 0; k < f.elems[2]; k++) assert_true(isfinite(after[k]));

        set_all_grads(&f, 0.5f, 0.5f); /* the next step with finite gradients is applied */
        assert_ok(u3d_optim_step(optim, &stats));
        assert_false(stats.skipped);
        get(&f, U3D_BLOCK_VALUE, 0, after);
        assert_memory_not_equal(before, after, sizeof before);
    }
    u3d_optim_free(optim);
    fixture_done(&f);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    fixture f = fixture_new(1u << U3D_BLOCK_GRAD | 1u << U3D_BLOCK_M, 3);
    u3d_optim *optim = NULL;
    u3d_optim_opts o = adam;
    assert_status(u3d_optim_new(f.params, &o, &optim), U3D_E_ARG); /* there is no block of second moments */
    o = sgd;
    o.lr = NAN;
    assert_status(u3d_optim_new(f.params, &o, &optim), U3D_E_ARG);
    o = sgd;
    o.momentum = 1;
    assert_status(u3d_optim_new(f.params, &o, &optim), U3D_E_ARG);
    o = sgd;
    o.total_steps = 0;
    assert_status(u3d_optim_new(f.params, &o, &optim), U3D_E_ARG);
    assert_null(optim);
    fixture_done(&f);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    u3d_optim_opts o = adam;
    o.average = 0.9;
    fixture f = fixture_new(u3d_optim_blocks(&o), 3);
    int64_t live = u3d_mem_live();
    u3d_status status = U3D_E_NOMEM;
    for (int n = 1; status != U3D_OK; n++) {
        u3d_params *params;
        u3d_optim *optim = NULL;
        u3d_mem_fail_at(n);
        status = u3d_params_new(f.backend, f.graph, u3d_optim_blocks(&o), 3, &params);
        if (status == U3D_OK) status = u3d_optim_new(params, &o, &optim);
        u3d_mem_fail_at(0);
        if (status != U3D_OK) assert_int_equal(status, U3D_E_NOMEM);
        u3d_optim_free(optim);
        u3d_params_free(params);
        assert_int_equal(u3d_mem_live(), live);
        assert_true(n < 1000);
    }
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decayed_parameters_come_first),
        cmocka_unit_test(first_values_depend_on_seed_and_name),
        cmocka_unit_test(wrong_blocks_and_shapes_are_refused),
        cmocka_unit_test(schedules_follow_their_formulas),
        cmocka_unit_test(warmup_is_linear_and_shifts_the_schedule),
        cmocka_unit_test(sgd_steps_match),
        cmocka_unit_test(adam_steps_match),
        cmocka_unit_test(broken_gradients_change_nothing),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(failed_allocations_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
