/* Tests of the networks that settings can describe (net/model/unet3d.h): numbers of parameters, compared with
 * the paper; legal sizes of inputs; names of parameters; operations; networks of other shapes; requests that
 * must be refused; and deep supervision, whose loss and gradients are computed with the oracle. */
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

#include "net/config/config.h"
#include "net/model/unet3d.h"
#include "tests/support/support_eval.h"

static const int64_t PAPER_IN[3] = {116, 132, 132}, PAPER_OUT[3] = {28, 44, 44}; /* z, y, x */

static u3d_config preset(const char *net, int64_t labels, int64_t channels)
{
    u3d_config c;
    assert_ok(u3d_config_preset(&c, net));
    c.labels = labels;
    c.channels = channels;
    return c;
}

static u3d_config defaults(int64_t labels, int64_t channels)
{
    u3d_config c;
    u3d_config_default(&c);
    c.labels = labels;
    c.channels = channels;
    return c;
}

static int64_t count(const u3d_config *c, u3d_mode mode)
{
    u3d_unet3d net;
    assert_ok(u3d_unet3d_build(c, NULL, mode, c->batch, c->patch, true, &net));
    int64_t n = u3d_graph_param_count(net.graph);
    u3d_unet3d_done(&net);
    return n;
}

static void set(u3d_config *c, const char *key_value)
{
    assert_ok(u3d_config_set(c, key_value));
}

/* The paper gives 19,069,955 parameters, which are 19,067,616 weights and 2,339 biases. Batch norm adds a
 * gain and a shift per channel. */
static void test_parameter_counts(void **state)
{
    (void)state;
    u3d_config c = preset("paper", 3, 3);
    assert_int_equal(count(&c, U3D_MODE_TRAIN), 19069955);
    assert_int_equal(count(&c, U3D_MODE_INFER), 19069955);
    c = preset("paper-bn", 3, 3);
    assert_int_equal(count(&c, U3D_MODE_TRAIN), 19074627);
    c = preset("paper2d", 3, 3);
    c.norm = U3D_NORM_NONE;
    assert_int_equal(count(&c, U3D_MODE_TRAIN), 6817091); /* all kernels are 3x3 or 2x2 */
}

/* Compares with a count by hand, level by level: one channel, base=2, levels=2, double=at-start. */
static void test_at_start_count(void **state)
{
    (void)state;
    u3d_config c = defaults(2, 1);
    set(&c, "levels=2"), set(&c, "base=2"), set(&c, "norm=none"), set(&c, "patch=8x8x8");
    int64_t enc0 = (27 * 1 * 2 + 2) + (27 * 2 * 2 + 2), enc1 = (27 * 2 * 4 + 4) + (27 * 4 * 4 + 4);
    int64_t up = 8 * 4 * 2, dec0 = (27 * 4 * 2 + 2) + (27 * 2 * 2 + 2), head = 2 * 2 + 2;
    assert_int_equal(count(&c, U3D_MODE_TRAIN), enc0 + enc1 + up + dec0 + head);
}

static void test_sizes(void **state)
{
    (void)state;
    int64_t out[3], in[3];
    u3d_config c = preset("paper", 3, 3);
    assert_ok(u3d_unet3d_output_size(&c, PAPER_IN, out));
    assert_memory_equal(out, PAPER_OUT, sizeof out);

    /* A length n is legal if n = 4 (mod 8) and n >= 92. */
    for (int64_t n = 80; n < 140; n++) {
        bool fits = u3d_unet3d_output_size(&c, (int64_t[]){n, 92, 92}, out) == U3D_OK;
        assert_int_equal(fits, n >= 92 && n % 8 == 4);
    }
    u3d_unet3d_legal_size(&c, (int64_t[]){1, 92, 93}, in);
    assert_memory_equal(in, ((int64_t[]){92, 92, 100}), sizeof in);

    assert_status(u3d_unet3d_output_size(&c, (int64_t[]){116, 132, 130}, out), U3D_E_SHAPE);
    assert_non_null(strstr(u3d_error_text(), "124 and 132"));
    assert_non_null(strstr(u3d_error_text(), "along x"));

    c = defaults(3, 1);
    u3d_unet3d_legal_size(&c, (int64_t[]){36, 50, 35}, in);
    assert_memory_equal(in, ((int64_t[]){40, 56, 40}), sizeof in);
    assert_ok(u3d_unet3d_output_size(&c, in, out));
    assert_memory_equal(out, in, sizeof out);

    /* If the sizes of a skip connection and an up-convolution differ by an odd number, the skip connection
     * cannot be cropped around its centre. */
    set(&c, "padding=valid"), set(&c, "levels=2"), set(&c, "convs=1"), set(&c, "kernel=2x2x2"),
        set(&c, "pool=3x3x3");
    u3d_unet3d_legal_size(&c, (int64_t[]){16, 16, 16}, in);
    assert_status(u3d_unet3d_build(&c, NULL, U3D_MODE_INFER, 1, in, true, &(u3d_unet3d){0}), U3D_E_SHAPE);
}

static void assert_param(const u3d_graph *g, const char *name, int rank, const int64_t *dim)
{
    u3d_val v = u3d_graph_find(g, name);
    u3d_type want = u3d_type_f32(rank, dim);
    if (v == U3D_NONE) fail_msg("the graph has no value %s", name);
    assert_int_equal(u3d_graph_value(g, v)->role, U3D_ROLE_PARAM);
    assert_true(u3d_type_equal(&u3d_graph_value(g, v)->type, &want));
}

static void test_names(void **state)
{
    (void)state;
    u3d_unet3d net;
    u3d_config c = preset("paper-bn", 3, 3);
    assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 1, PAPER_IN, true, &net));
    const u3d_graph *g = net.graph;
    assert_param(g, "enc0.conv1.weight", 5, (int64_t[]){3, 3, 3, 3, 32});
    assert_param(g, "enc0.conv1.bias", 1, (int64_t[]){32});
    assert_param(g, "enc0.norm1.weight", 1, (int64_t[]){32});
    assert_param(g, "enc3.conv2.weight", 5, (int64_t[]){3, 3, 3, 256, 512});
    assert_param(g, "dec2.up.weight", 5, (int64_t[]){2, 2, 2, 512, 512});
    assert_param(g, "dec2.conv1.weight", 5, (int64_t[]){3, 3, 3, 768, 256});
    assert_param(g, "dec0.norm2.bias", 1, (int64_t[]){64});
    assert_param(g, "head.weight", 5, (int64_t[]){1, 1, 1, 64, 3});
    assert_param(g, "head.bias", 1, (int64_t[]){3});
    assert_int_equal(u3d_graph_find(g, "dec2.up.bias"), U3D_NONE);
    assert_int_equal(u3d_graph_find(g, "enc0.norm1.running"), U3D_NONE);
    u3d_unet3d_done(&net);
}

/* One forward pass of the paper's network takes 533 GFLOP with direct convolution. */
static void test_flops(void **state)
{
    (void)state;
    u3d_unet3d net;
    u3d_config c = preset("paper", 3, 3);
    assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_INFER, 1, PAPER_IN, true, &net));
    double gflop = u3d_graph_flops(net.graph, false) / 1e9;
    assert_true(gflop > 530 && gflop < 540);
    u3d_unet3d_done(&net);
}

/* Networks with other settings can be built for training and for inference, and have the right shapes. */
static void test_family(void **state)
{
    (void)state;
    static const char *const members[][8] = {
        {"patch=16x16x16", NULL},
        {"patch=16x16x16", "loss=ce", "norm=batch", "norm_statistics=running", NULL},
        {"patch=16x16x16", "loss=dice", "norm=none", "activation=relu", "convs=3", NULL},
        {"patch=32x32x1", "kernel=3x3x1", "pool=2x2x1", NULL},                          /* 2D            */
        {"patch=32x32x12", "kernel=3x3x1,3x3x3", "pool=2x2x1,2x2x2", "levels=3", NULL}, /* anisotropic   */
        {"patch=32x32x32", "padding=valid", "levels=2", "convs=1", "double=before-pool", NULL},
        {"patch=64x32x32", "levels=6", "base=8", "max_width=20", NULL},
        {"patch=8x8x8", "levels=1", NULL},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        u3d_config c = defaults(3, 2);
        set(&c, "base=4");
        for (int k = 0; members[i][k]; k++) set(&c, members[i][k]);
        assert_ok(u3d_config_check(&c));
        u3d_unet3d train, infer;
        assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 2, c.patch, true, &train));
        assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_INFER, 1, c.patch, true, &infer));
        assert_int_equal(u3d_graph_param_count(train.graph), u3d_graph_param_count(infer.graph));
        u3d_type probability = u3d_type_map(1, infer.out, 3);
        assert_true(u3d_type_equal(&u3d_graph_value(infer.graph, infer.probability)->type, &probability));
        assert_int_equal(u3d_graph_value(train.graph, train.loss)->type.rank, 0);
        for (int v = 0; v < u3d_graph_n_values(train.graph); v++) { /* every parameter has a gradient */
            const u3d_value *value = u3d_graph_value(train.graph, v);
            if (value->role == U3D_ROLE_PARAM) assert_int_not_equal(value->grad, U3D_NONE);
        }
        u3d_unet3d_done(&train);
        u3d_unet3d_done(&infer);
    }
}

static void test_max_width(void **state)
{
    (void)state;
    u3d_unet3d net;
    u3d_config c = defaults(2, 1);
    set(&c, "base=8"), set(&c, "max_width=12"), set(&c, "patch=16x16x16"), set(&c, "levels=3");
    assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 1, c.patch, true, &net));
    assert_param(net.graph, "enc2.conv1.weight", 5, (int64_t[]){3, 3, 3, 12, 12});
    assert_param(net.graph, "dec0.up.weight", 5, (int64_t[]){2, 2, 2, 12, 8});
    assert_param(net.graph, "dec0.conv1.weight", 5, (int64_t[]){3, 3, 3, 16, 8});
    u3d_unet3d_done(&net);
}

static void test_refusals(void **state)
{
    (void)state;
    u3d_unet3d net;
    u3d_config c = defaults(0, 1);
    assert_status(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 1, c.patch, true, &net), U3D_E_ARG);
    assert_null(net.graph);
    c.labels = 2;
    assert_status(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 1, (int64_t[]){16, 12, 16}, true, &net),
                  U3D_E_SHAPE);
    assert_non_null(strstr(u3d_error_text(), "8 and 16"));
    assert_null(net.graph);
    u3d_unet3d_done(&net); /* accepts a zeroed struct */
}

/* ---- deep supervision ---- */

static int64_t heads_beside_the_first(const u3d_graph *g)
{
    int64_t n = 0;
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++) {
        const u3d_value *value = u3d_graph_value(g, v);
        n += value->role == U3D_ROLE_PARAM && strstr(value->name, "head.weight") &&
             strcmp(value->name, "head.weight") != 0;
    }
    return n;
}

/* With "on", every level of the decoder has a head except the coarsest, to which nnU-Net gives the weight 0.
 * With "all", the coarsest has a head as well. */
static void test_deep_heads(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        int levels = 2 + i / 2, all = i % 2;
        u3d_unet3d net;
        u3d_config c = defaults(3, 1);
        c.levels = levels;
        set(&c, "base=4"), set(&c, "patch=32x32x32");
        int64_t plain = count(&c, U3D_MODE_TRAIN);
        set(&c, all ? "deep_supervision=all" : "deep_supervision=on");
        assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 2, c.patch, true, &net));
        int64_t expected = all ? levels - 2 : levels > 3 ? levels - 3 : 0, params = 0;
        assert_int_equal(heads_beside_the_first(net.graph), expected);
        for (int64_t level = 1; level <= expected; level++) {
            char name[32];
            (void)snprintf(name, sizeof name, "dec%lld.head.weight", (long long)level);
            assert_param(net.graph, name, 5, (int64_t[]){1, 1, 1, 4 << level, 3});
            assert_true(u3d_unet3d_only_trained(name));
            params += (4 << level) * 3 + 3;
        }
        assert_int_equal(u3d_graph_param_count(net.graph), plain + params);
        assert_int_equal(count(&c, U3D_MODE_INFER), plain);
        u3d_unet3d_done(&net);
    }
    static const char *const of_all[] = {"head.weight", "dec0.conv1.weight", "dec1.up.weight",
                                         "dec1.header", "dec.head.weight",   ""};
    for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++)
        assert_false(u3d_unet3d_only_trained(of_all[i]));

    u3d_config c = preset("paper", 3, 3);
    set(&c, "deep_supervision=on");
    assert_status(u3d_config_check(&c), U3D_E_ARG);
    assert_non_null(strstr(u3d_error_text(), "padding=same"));
}

/* Builds a network that is small enough for the oracle. It is smooth except for the maxima of its poolings
 * and the clamp of the sums of Dice. */
static void deep_build(const char *loss, u3d_unet3d *net)
{
    u3d_config c = defaults(3, 1);
    set(&c, "levels=5"), set(&c, "base=2"), set(&c, "max_width=4"), set(&c, "convs=1"), set(&c, "norm=none");
    set(&c, "pool=2x2x1,1x2x2,2x1x2,2x2x2"), set(&c, "kernel=1x1x3,3x1x1,1x3x1");
    set(&c, "leaky_slope=1"), set(&c, "patch=8x16x16"), set(&c, "deep_supervision=on"), set(&c, loss);
    assert_ok(u3d_config_check(&c));
    assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 2, c.patch, true, net));
}

static void deep_fill(u3d_test_eval *e)
{
    for (u3d_val v = 0; v < u3d_graph_n_values(e->g); v++) {
        const u3d_value *value = u3d_graph_value(e->g, v);
        if (value->role != U3D_ROLE_PARAM && value->role != U3D_ROLE_INPUT) continue;
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, (uint64_t)v);
        bool labels = value->type.dtype == U3D_U8;
        double sd = value->fan_in > 0 ? 1.0 / sqrt((double)value->fan_in) : 1.0;
        for (int64_t i = 0; i < u3d_type_elems(&value->type); i++)
            e->value[v][i] = labels ? (u3d_rng_below(&r, 4) > 0 ? 255 : (double)u3d_rng_below(&r, 3))
                             : value->type.rank == 1 ? 0.5 + u3d_rng_uniform(&r)
                                                     : sd * u3d_rng_normal(&r);
    }
}

static double value_of(const u3d_test_eval *e, const char *name)
{
    u3d_val v = u3d_graph_find(e->g, name);
    if (v == U3D_NONE) fail_msg("the graph has no value %s", name);
    return e->value[v][0];
}

/* The loss must be the sum of the losses at three levels with the weights 4/7, 2/7 and 1/7. */
static void test_deep_loss_is_the_weighted_sum(void **state)
{
    (void)state;
    static const char *const scopes[] = {"loss", "loss1", "loss2"}, *const kinds[][2] = {
                                                                        {"loss=ce", "xent"},
                                                                        {"loss=dice", "dice"},
                                                                        {"loss=ce+dice", "sum"}};
    for (int k = 0; k < 3; k++) {
        u3d_unet3d net;
        u3d_test_eval e;
        double sum = 0.0;
        deep_build(kinds[k][0], &net);
        assert_ok(u3d_test_eval_new(&e, net.graph));
        deep_fill(&e);
        u3d_test_eval_run(&e, false);
        for (int level = 0; level < 3; level++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%s.%s.out", scopes[level], kinds[k][1]);
            double loss = value_of(&e, name);
            assert_true(loss > 0.01);
            sum += (4 >> level) / 7.0 * loss;
        }
        double total = e.value[net.loss][0];
        if (!(fabs(total - sum) < 1e-6)) fail_msg("%s: the loss is %g, expected %g", kinds[k][0], total, sum);
        u3d_test_eval_done(&e);
        u3d_unet3d_done(&net);
    }
}

/* Compares a few elements of the gradient of every parameter with central differences. The labels are sparse,
 * so that some windows of the coarser heads contain no label, and some have none in the middle. */
static void test_deep_gradients(void **state)
{
    (void)state;
    const double step = 1e-7; /* so short that the maximum of a pooling window hardly ever moves */
    u3d_unet3d net;
    u3d_test_eval e;
    deep_build("loss=ce+dice", &net);
    assert_ok(u3d_test_eval_new(&e, net.graph));
    deep_fill(&e);
    for (u3d_val v = 0; v < u3d_graph_n_values(net.graph); v++) {
        const u3d_value *value = u3d_graph_value(net.graph, v);
        if (value->role != U3D_ROLE_PARAM) continue;
        int64_t n = u3d_type_elems(&value->type), each = n > 3 ? n / 3 : 1;
        for (int64_t i = 0; i < n; i += each) {
            double keep = e.value[v][i], loss[2];
            for (int side = 0; side < 2; side++) {
                e.value[v][i] = keep + (side ? step : -step);
                u3d_test_eval_run(&e, false);
                loss[side] = e.value[net.loss][0];
            }
            e.value[v][i] = keep;
            u3d_test_eval_run(&e, true);
            double got = e.value[value->grad][i], want = (loss[1] - loss[0]) / (2 * step);
            if (!(fabs(got - want) < 1e-6 + 1e-4 * fabs(want)))
                fail_msg("d loss / d %s[%lld] is %.9g, but finite differences give %.9g", value->name,
                         (long long)i, got, want);
        }
    }
    u3d_test_eval_done(&e);
    u3d_unet3d_done(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameter_counts),
        cmocka_unit_test(test_at_start_count),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_flops),
        cmocka_unit_test(test_family),
        cmocka_unit_test(test_max_width),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_deep_heads),
        cmocka_unit_test(test_deep_loss_is_the_weighted_sum),
        cmocka_unit_test(test_deep_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
