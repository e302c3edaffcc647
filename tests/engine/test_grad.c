/* Compares gradient rules and backward references with central differences, all in double precision.
 *
 * Each case is a small graph that ends in a loss. The oracle's loops run it forward and backward. Then every
 * element of every parameter is changed by STEP and by -STEP, the graph runs forward again, and
 *
 *   (loss(p + STEP) - loss(p - STEP)) / (2 STEP)   must equal the gradient of p.
 *
 * For losses of about 1, the truncation error is about STEP^2 = 1e-10, and the rounding error is about
 * 1e-16 / STEP = 1e-11. The elements of a parameter are the points of a grid in random order. They differ
 * from each other and from 0 by more than STEP, so that no step moves a maximum to another element or changes
 * the sign of the input of a ReLU. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/graph.h"
#include "engine/base/mem.h"
#include "tests/support/support_eval.h"

static const double STEP = 1e-5, TOLERANCE = 1e-6;

static bool op_covered[U3D_OP_COUNT];

/* ---- running a graph with the oracle ---- */

static void eval_run(u3d_test_eval *e, bool backward_too)
{
    for (int i = 0; i < u3d_graph_n_nodes(e->g); i++)
        if (backward_too || !u3d_graph_node(e->g, i)->backward)
            op_covered[u3d_graph_node(e->g, i)->op] = true;
    u3d_test_eval_run(e, backward_too);
}

/* Stores n distinct numbers in (-1.5, 1.5), none of them 0, in random order. */
static void fill_grid(u3d_rng *r, double *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = 3 * ((double)i + 0.3) / (double)n - 1.5;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = u3d_rng_below(r, i + 1);
        double keep = p[i];
        p[i] = p[k];
        p[k] = keep;
    }
}

static void eval_fill(u3d_test_eval *e)
{
    for (u3d_val v = 0; v < u3d_graph_n_values(e->g); v++) {
        const u3d_value *value = u3d_graph_value(e->g, v);
        int64_t n = u3d_type_elems(&value->type);
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, (uint64_t)v);
        if (value->role == U3D_ROLE_PARAM) fill_grid(&r, e->value[v], n);
        if (value->role == U3D_ROLE_STATE)
            for (int64_t i = 0; i < n; i++) e->value[v][i] = 1;
        if (value->role != U3D_ROLE_INPUT) continue;
        bool labels = value->type.dtype == U3D_U8;
        for (int64_t i = 0; i < n; i++)
            e->value[v][i] = !labels ? 0.5 + (double)i : i % 5 == 4 ? 255 : (double)u3d_rng_below(&r, 2);
    }
}

static void check_param(u3d_test_eval *e, u3d_val loss, u3d_val v)
{
    const u3d_value *value = u3d_graph_value(e->g, v);
    int64_t n = u3d_type_elems(&value->type);
    assert_true(value->grad >= 0);
    double *p = e->value[v], *analytic = u3d_new((size_t)n, sizeof *analytic), largest = 0;
    assert_non_null(analytic);
    for (int64_t i = 0; i < n; i++) {
        analytic[i] = e->value[value->grad][i];
        largest = fmax(largest, fabs(analytic[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        double keep = p[i];
        p[i] = keep + STEP;
        eval_run(e, false);
        double above = e->value[loss][0];
        p[i] = keep - STEP;
        eval_run(e, false);
        double numeric = (above - e->value[loss][0]) / (2 * STEP);
        p[i] = keep;
        if (isfinite(analytic[i]) && fabs(numeric - analytic[i]) <= TOLERANCE * fmax(largest, 1e-3)) continue;
        fail_msg("d loss / d %s[%lld]: the backward ops give %.10g, finite differences give %.10g",
                 value->name, (long long)i, analytic[i], numeric);
    }
    u3d_free(analytic);
}

/* ---- cases ---- */

static u3d_val param_map(u3d_graph *g, const char *name, int64_t n, int64_t d, int64_t h, int64_t w,
                         int64_t c)
{
    int64_t size[3] = {d, h, w};
    return u3d_param(g, name, u3d_type_map(n, size, c), U3D_INIT_ZERO, 1, 1, true);
}

static const u3d_loss_attr loss_attr = {.ignore_label = 255, .smooth = 0.1F};

/* A loss over any map with at least two channels, which gives each element a different gradient. */
static u3d_val loss_over(u3d_graph *g, u3d_val y, u3d_loss_attr a, bool dice)
{
    if (y < 0) return U3D_NONE;
    u3d_type t = u3d_graph_value(g, y)->type;
    u3d_val labels = u3d_graph_find(g, "labels"), weight = u3d_graph_find(g, "weight");
    if (labels < 0) labels = u3d_input(g, "labels", u3d_type_of(U3D_U8, 4, t.dim));
    if (weight < 0) weight = u3d_input(g, "weight", u3d_type_f32(1, &t.dim[4]));
    return dice ? u3d_dice(g, "dice", y, labels, weight, a)
                : u3d_softmax_xent(g, "xent", y, labels, weight, a);
}

static u3d_val over_xent(u3d_graph *g, u3d_val y)
{
    return loss_over(g, y, loss_attr, false);
}

static u3d_val over_conv(u3d_graph *g, u3d_val x, u3d_conv_attr a, int32_t channels_out, bool bias)
{
    u3d_layer_conv l = {.attr = a, .channels_out = channels_out, .bias = bias, .init_gain = 1};
    return over_xent(g, u3d_layer_conv3d(g, "conv", x, &l));
}

static u3d_val over_upconv(u3d_graph *g, u3d_val x, u3d_conv_attr a, int32_t channels_out, bool bias)
{
    u3d_layer_conv l = {.attr = a, .channels_out = channels_out, .bias = bias, .init_gain = 1};
    return over_xent(g, u3d_layer_upconv3d(g, "up", x, &l));
}

static u3d_val case_conv(u3d_graph *g)
{
    const u3d_conv_attr a = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {0, 0, 0}};
    return over_conv(g, param_map(g, "x", 1, 4, 5, 4, 2), a, 3, true);
}

static u3d_val case_conv_same(u3d_graph *g)
{
    const u3d_conv_attr a = {.kernel = {3, 1, 5}, .stride = {1, 1, 1}, .pad = {1, 0, 2}};
    return over_conv(g, param_map(g, "x", 2, 3, 2, 4, 3), a, 2, false);
}

static u3d_val case_conv_stride(u3d_graph *g)
{
    const u3d_conv_attr a = {.kernel = {3, 3, 2}, .stride = {2, 1, 2}, .pad = {1, 1, 0}};
    return over_conv(g, param_map(g, "x", 1, 5, 3, 4, 2), a, 2, true);
}

static u3d_val case_upconv(u3d_graph *g)
{
    const u3d_conv_attr a = {.kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}};
    return over_upconv(g, param_map(g, "x", 2, 2, 1, 2, 3), a, 2, true);
}

static u3d_val case_upconv_flat(u3d_graph *g)
{
    const u3d_conv_attr a = {.kernel = {1, 2, 3}, .stride = {1, 2, 3}, .pad = {0, 0, 0}};
    return over_upconv(g, param_map(g, "x", 1, 2, 2, 1, 2), a, 3, false);
}

static u3d_val case_maxpool(u3d_graph *g)
{
    u3d_conv_attr a = {.kernel = {2, 1, 2}, .stride = {2, 1, 2}, .pad = {0, 0, 0}};
    return over_xent(g, u3d_maxpool3d(g, "pool", param_map(g, "x", 2, 4, 2, 4, 2), a));
}

static u3d_val case_norm(u3d_graph *g)
{
    u3d_norm_attr a = {.eps = 1e-3F};
    return over_xent(g, u3d_layer_norm(g, "norm", param_map(g, "x", 2, 2, 3, 2, 2), a));
}

static u3d_val case_norm_instance(u3d_graph *g)
{
    u3d_norm_attr a = {.per_instance = true, .eps = 1e-3F};
    return over_xent(g, u3d_layer_norm(g, "norm", param_map(g, "x", 2, 2, 3, 2, 3), a));
}

static u3d_val case_norm_running(u3d_graph *g)
{
    u3d_norm_attr a = {.keep_running = true, .eps = 1e-3F, .momentum = 0.1F};
    return over_xent(g, u3d_layer_norm(g, "norm", param_map(g, "x", 1, 2, 3, 2, 2), a));
}

static u3d_val case_relu(u3d_graph *g)
{
    return over_xent(g, u3d_relu(g, "relu", param_map(g, "x", 1, 3, 3, 3, 2), 0));
}

static u3d_val case_relu_leaky(u3d_graph *g)
{
    return over_xent(g, u3d_relu(g, "relu", param_map(g, "x", 1, 3, 3, 3, 3), 0.1F));
}

static u3d_val case_copy(u3d_graph *g)
{
    u3d_val x = param_map(g, "x", 1, 2, 2, 3, 2);
    int32_t node = u3d_graph_append(g, "copy", U3D_OP_COPY, &(u3d_attr){.relu = {0}}, &x, 1, 1, NULL, 0);
    return node < 0 ? U3D_NONE : over_xent(g, u3d_graph_node(g, node)->out[0]);
}

static u3d_val case_add(u3d_graph *g)
{
    return over_xent(g,
                     u3d_add(g, "add", param_map(g, "a", 1, 2, 3, 2, 2), param_map(g, "b", 1, 2, 3, 2, 2)));
}

static u3d_val case_scale(u3d_graph *g)
{
    return over_xent(g, u3d_scale(g, "scale", param_map(g, "x", 1, 2, 3, 2, 2), -0.7F));
}

/* A value with several readers: the gradients must be added up, by ops that can accumulate and by ops that
 * cannot. */
static u3d_val case_shared(u3d_graph *g)
{
    u3d_layer_conv l = {.attr = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}},
                        .channels_out = 2,
                        .bias = true,
                        .init_gain = 1};
    u3d_val x = param_map(g, "x", 2, 2, 3, 2, 2);
    u3d_val normed = u3d_layer_norm(g, "norm", x, (u3d_norm_attr){.eps = 1e-3F});
    u3d_val sum = u3d_add(g, "sum", u3d_add(g, "twice", x, x), u3d_layer_conv3d(g, "conv", x, &l));
    u3d_val again = u3d_add(g, "again", u3d_add(g, "mixed", sum, normed), u3d_relu(g, "relu", x, 0.1F));
    return over_xent(g, u3d_crop_concat(g, "join", again, x));
}

static u3d_val case_crop_concat(u3d_graph *g)
{
    return over_xent(g, u3d_crop_concat(g, "join", param_map(g, "up", 2, 1, 2, 2, 2),
                                        param_map(g, "skip", 2, 3, 2, 4, 1)));
}

static u3d_val case_xent(u3d_graph *g)
{
    return over_xent(g, param_map(g, "x", 2, 2, 3, 2, 4));
}

static u3d_val case_dice(u3d_graph *g)
{
    return loss_over(g, param_map(g, "x", 2, 2, 3, 2, 3), loss_attr, true);
}

static u3d_val case_dice_foreground(u3d_graph *g)
{
    u3d_loss_attr a = loss_attr;
    a.skip_background = true;
    return loss_over(g, param_map(g, "x", 1, 3, 3, 2, 4), a, true);
}

/* Cross entropy plus twice Dice, so that the gradient with respect to a single loss is not always 1. */
static u3d_val case_sum_of_losses(u3d_graph *g)
{
    u3d_val x = param_map(g, "x", 1, 3, 3, 2, 3), dice = loss_over(g, x, loss_attr, true);
    return u3d_add(g, "sum", over_xent(g, x), u3d_add(g, "twice", dice, dice));
}

/* One level of a U-Net: gradients pass through convolutions, norm, pooling, up-convolution and the skip
 * connection. */
static u3d_val case_chain(u3d_graph *g)
{
    u3d_layer_conv conv = {.attr = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}},
                           .channels_out = 2,
                           .bias = true,
                           .init_gain = 1};
    u3d_layer_conv up = {.attr = {.kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}},
                         .channels_out = 2,
                         .bias = false,
                         .init_gain = 1};
    u3d_val x = param_map(g, "x", 1, 4, 4, 4, 1);
    u3d_val skip =
        u3d_layer_norm(g, "norm", u3d_layer_conv3d(g, "conv1", x, &conv), (u3d_norm_attr){.eps = 1e-3F});
    u3d_val low = u3d_maxpool3d(g, "pool", skip, up.attr);
    u3d_val high = u3d_layer_upconv3d(g, "up", u3d_layer_conv3d(g, "conv2", low, &conv), &up);
    return over_xent(g, u3d_layer_conv3d(g, "conv3", u3d_crop_concat(g, "join", high, skip), &conv));
}

/* ---- tests ---- */

typedef struct grad_case {
    const char *name;
    u3d_val (*build)(u3d_graph *g);
} grad_case;

static grad_case grad_cases[] = {
    {"conv3d", case_conv},
    {"conv3d same", case_conv_same},
    {"conv3d stride", case_conv_stride},
    {"upconv3d", case_upconv},
    {"upconv3d flat", case_upconv_flat},
    {"maxpool3d", case_maxpool},
    {"norm", case_norm},
    {"norm per instance", case_norm_instance},
    {"norm with running statistics", case_norm_running},
    {"relu", case_relu},
    {"relu leaky", case_relu_leaky},
    {"copy", case_copy},
    {"add", case_add},
    {"scale", case_scale},
    {"shared value", case_shared},
    {"crop_concat", case_crop_concat},
    {"softmax_xent", case_xent},
    {"dice", case_dice},
    {"dice of the foreground", case_dice_foreground},
    {"sum of losses", case_sum_of_losses},
    {"chain", case_chain},
};
enum { N_GRAD_CASES = sizeof grad_cases / sizeof *grad_cases };

static void test_case(void **state)
{
    const grad_case *c = *state;
    u3d_graph *g;
    u3d_test_eval e;
    assert_ok(u3d_graph_new(&g));
    u3d_val loss = c->build(g);
    assert_ok(u3d_graph_finish(g));
    u3d_graph_output(g, loss, "loss");
    assert_ok(u3d_graph_backward(g, loss));
    assert_ok(u3d_graph_finish(g));
    assert_ok(u3d_test_eval_new(&e, g));
    eval_fill(&e);
    eval_run(&e, true);
    assert_true(isfinite(e.value[loss][0]));
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++)
        if (u3d_graph_value(g, v)->role == U3D_ROLE_PARAM) check_param(&e, loss, v);
    u3d_test_eval_done(&e);
    u3d_graph_free(g);
}

/* Every op with a gradient rule must occur in at least one case. */
static void test_coverage(void **state)
{
    (void)state;
    int n_missing = 0;
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        const u3d_op_info *info = u3d_op_info_get((u3d_op)op);
        if (!info->grad || op_covered[op]) continue;
        print_error("%s has a gradient rule but no case in test_grad.c\n", info->name);
        n_missing++;
    }
    assert_int_equal(n_missing, 0);
}

int main(void)
{
    struct CMUnitTest tests[N_GRAD_CASES + 1];
    u3d_test_seed();
    for (int i = 0; i < N_GRAD_CASES; i++)
        tests[i] = (struct CMUnitTest){
            .name = grad_cases[i].name, .test_func = test_case, .initial_state = &grad_cases[i]};
    tests[N_GRAD_CASES] = (struct CMUnitTest)cmocka_unit_test(test_coverage);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
