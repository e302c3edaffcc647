/* Tests of the layer graph and of automatic differentiation: names, sticky failures, and which nodes
 * differentiation appends in which order. These tests need no backend. */
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "engine/graph/graph.h"
#include "engine/base/mem.h"

/* ---- graph ---- */

static const u3d_layer_conv conv3 = {
    .attr = {{3, 3, 3}, {1, 1, 1}, {1, 1, 1}}, .channels_out = 4, .bias = true, .init_gain = 1};
static const u3d_layer_conv up2 = {
    .attr = {{2, 2, 2}, {2, 2, 2}, {0, 0, 0}}, .channels_out = 4, .bias = true, .init_gain = 1};

static u3d_graph *new_graph(void)
{
    u3d_graph *g = NULL;
    assert_ok(u3d_graph_new(&g));
    return g;
}

static u3d_val map_input(u3d_graph *g, const char *name, int64_t size, int64_t channels)
{
    return u3d_input(g, name, u3d_type_map(1, (const int64_t[]){size, size, size}, channels));
}

static void test_graph_names_and_parameters(void **state)
{
    (void)state;
    u3d_graph *g = new_graph();
    u3d_val x = map_input(g, "image", 8, 2);
    u3d_scope_push(g, "enc%d", 0);
    u3d_val y = u3d_layer_conv3d(g, "conv1", x, &conv3);
    u3d_val up = u3d_layer_upconv3d(g, "up", y, &up2);
    u3d_norm_attr keep = {.keep_running = true, .eps = 1e-5F, .momentum = 0.1F};
    u3d_layer_norm(g, "norm1", y, keep);
    u3d_scope_pop(g);
    u3d_graph_output(g, up, "result");
    assert_ok(u3d_graph_finish(g));

    assert_string_equal(u3d_graph_value(g, y)->name, "enc0.conv1.out");
    assert_string_equal(u3d_graph_node(g, 0)->name, "enc0.conv1");
    assert_int_equal(u3d_graph_value(g, y)->n_uses, 2);
    assert_int_equal(u3d_graph_find(g, "result"), up);
    assert_int_equal(u3d_graph_value(g, up)->role, U3D_ROLE_OUTPUT);
    const u3d_value *w = u3d_graph_value(g, u3d_graph_find(g, "enc0.conv1.weight"));
    assert_int_equal(w->fan_in, 2 * 27);
    assert_true(w->decay && w->init == U3D_INIT_HE_NORMAL);
    assert_false(u3d_graph_value(g, u3d_graph_find(g, "enc0.conv1.bias"))->decay);
    assert_int_equal(u3d_graph_value(g, u3d_graph_find(g, "enc0.up.weight"))->fan_in, 4);
    const u3d_value *running = u3d_graph_value(g, u3d_graph_find(g, "enc0.norm1.running"));
    assert_int_equal(running->role, U3D_ROLE_STATE);
    assert_int_equal(running->producer, U3D_NONE);
    assert_int_equal(u3d_graph_param_count(g), 27 * 2 * 4 + 4 + 8 * 4 * 4 + 4 + 4 + 4);
    double conv = 2.0 * 512 * 4 * 2 * 27, upconv = 2.0 * 512 * 4 * 4 * 8;
    assert_true(u3d_graph_flops(g, false) == conv + upconv);
    u3d_graph_free(g);
}

static void expect_failure(u3d_graph *g, u3d_status status, const char *part)
{
    int n = u3d_graph_n_nodes(g);
    u3d_fail(U3D_E_IO, "something else went wrong meanwhile");
    assert_int_equal(map_input(g, "later", 8, 2), U3D_NONE);
    assert_int_equal(u3d_graph_finish(g), status);
    assert_non_null(strstr(u3d_error_text(), part));
    assert_int_equal(u3d_graph_n_nodes(g), n);
    u3d_graph_free(g);
}

static void test_graph_failures_stick(void **state)
{
    (void)state;
    u3d_graph *g = new_graph();
    u3d_val x = map_input(g, "image", 7, 2);
    u3d_val y = u3d_maxpool3d(g, "pool", x,
                              (u3d_conv_attr){.kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}});
    assert_int_equal(y, U3D_NONE);
    assert_int_equal(u3d_relu(g, "relu", y, 0), U3D_NONE);
    assert_int_equal(u3d_graph_backward(g, y), U3D_E_SHAPE);
    expect_failure(g, U3D_E_SHAPE, "node 'pool': maxpool3d: size 7 along z");

    g = new_graph();
    map_input(g, "image", 8, 2);
    map_input(g, "image", 8, 2);
    expect_failure(g, U3D_E_ARG, "two values 'image'");

    g = new_graph();
    u3d_relu(g, "relu", 5, 0);
    expect_failure(g, U3D_E_ARG, "input 0 is value 5");

    g = new_graph();
    u3d_layer_conv wide = conv3;
    wide.attr.kernel[1] = -3;
    u3d_layer_conv3d(g, "conv", map_input(g, "image", 8, 2), &wide);
    expect_failure(g, U3D_E_ARG, "kernel 3x-3x3");

    g = new_graph();
    u3d_scope_push(g, "%s", "a-name-that-does-not-fit-into-the-sixty-four-bytes-that-names-have");
    expect_failure(g, U3D_E_ARG, "expected 1 to 63 bytes");

    g = new_graph();
    u3d_scope_pop(g);
    expect_failure(g, U3D_E_ARG, "none is open");
}

static void test_graph_writes_are_lawful(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        u3d_graph *g = new_graph();
        u3d_val x = map_input(g, "x", 4, 2), none = U3D_NONE;
        u3d_val y = u3d_relu(g, "relu", x, 0);
        u3d_val other = u3d_relu(g, "other", map_input(g, "z", 6, 2), 0);
        switch (i) {
        case 0: u3d_graph_append(g, "copy", U3D_OP_COPY, NULL, &x, 1, 1, &y, 0); break;
        case 1: u3d_graph_append(g, "copy", U3D_OP_COPY, NULL, &x, 1, 1, &none, 1); break;
        case 2: u3d_graph_append(g, "copy", U3D_OP_COPY, NULL, &x, 1, 1, &other, 1); break;
        case 3: u3d_graph_append(g, "copy", U3D_OP_COPY, NULL, &y, 1, 1, &x, 0); break;
        }
        static const char *const parts[] = {"written already", "must be an existing value",
                                            "is f32 [1, 6, 6, 6, 2]", "fed or trained"};
        expect_failure(g, i == 2 ? U3D_E_SHAPE : U3D_E_ARG, parts[i]);
    }
}

/* ---- automatic differentiation ---- */

/* A U-Net of two resolutions: the map of the first convolution goes down (pool, up) and across (skip). */
static u3d_val build_two_branches(u3d_graph *g)
{
    u3d_val x = map_input(g, "image", 8, 2);
    u3d_val skip = u3d_layer_conv3d(g, "enc", x, &conv3);
    u3d_val down = u3d_maxpool3d(g, "pool", skip,
                                 (u3d_conv_attr){.kernel = {2, 2, 2}, .stride = {2, 2, 2}, .pad = {0, 0, 0}});
    u3d_val up = u3d_layer_upconv3d(g, "up", down, &up2);
    u3d_val both = u3d_crop_concat(g, "concat", up, skip);
    u3d_val logits = u3d_relu(g, "act", u3d_layer_conv3d(g, "dec", both, &conv3), 0.01F);
    u3d_val label = u3d_input(g, "label", u3d_type_of(U3D_U8, 4, (const int64_t[]){1, 8, 8, 8}));
    u3d_val weight = u3d_input(g, "class_weight", u3d_type_f32(1, (const int64_t[]){4}));
    u3d_loss_attr a = {.ignore_label = 255, .smooth = 1e-5F};
    u3d_val xent = u3d_softmax_xent(g, "xent", logits, label, weight, a);
    u3d_val loss = u3d_add(g, "sum", xent, u3d_dice(g, "dice", logits, label, weight, a));
    u3d_graph_output(g, loss, "loss");
    return loss;
}

/* Lists the backward nodes, one line each: "name op > output output+"; + marks accumulation. */
static char *backward_text(const u3d_graph *g)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    for (int i = 0; i < u3d_graph_n_nodes(g); i++) {
        const u3d_node *node = u3d_graph_node(g, i);
        if (!node->backward) continue;
        fprintf(f, "%s %s >", node->name, u3d_op_info_get(node->op)->name);
        for (int k = 0; k < node->n_out; k++) {
            fprintf(f, " %s%s", u3d_graph_value(g, node->out[k])->name,
                    node->accumulate >> k & 1U ? "+" : "");
        }
        fputc('\n', f);
    }
    fclose(f);
    return text;
}

static void test_backward_two_branches(void **state)
{
    (void)state;
    u3d_graph *g = new_graph();
    u3d_val loss = build_two_branches(g);
    assert_ok(u3d_graph_backward(g, loss));
    assert_ok(u3d_graph_finish(g));
    char *text = backward_text(g);
    assert_string_equal(text, "loss.seed fill > loss.grad\n"
                              "sum.da copy > xent.out.grad\n"
                              "sum.db copy > dice.out.grad\n"
                              "dice.back dice_back > act.out.grad\n"
                              "xent.back softmax_xent_back > act.out.grad+\n"
                              "act.dx relu_back > dec.out.grad\n"
                              "dec.dx conv3d_dx > concat.out.grad\n"
                              "dec.dw conv3d_dw > dec.weight.grad dec.bias.grad\n"
                              "concat.back crop_concat_back > up.out.grad enc.out.grad\n"
                              "up.dx upconv3d_dx > pool.out.grad\n"
                              "up.dw upconv3d_dw > up.weight.grad up.bias.grad\n"
                              "pool.dx maxpool3d_dx > enc.out.grad+\n"
                              "enc.dw conv3d_dw > enc.weight.grad enc.bias.grad\n");
    free(text);
    u3d_val w = u3d_graph_find(g, "enc.weight"), dw = u3d_graph_value(g, w)->grad;
    assert_int_equal(u3d_graph_value(g, dw)->role, U3D_ROLE_GRAD);
    assert_int_equal(u3d_graph_value(g, dw)->grad_of, w);
    assert_int_equal(u3d_graph_value(g, u3d_graph_find(g, "image"))->grad, U3D_NONE);
    /* The forward pass and each gradient of a convolution cost the same; enc needs no dx. */
    double enc = 2.0 * 512 * 4 * 2 * 27, dec = 2.0 * 512 * 4 * 8 * 27, up = 2.0 * 64 * 4 * 4 * 8;
    assert_true(u3d_graph_flops(g, false) == enc + dec + up);
    assert_true(u3d_graph_flops(g, true) == 2 * enc + 3 * dec + 3 * up);
    assert_int_equal(u3d_graph_backward(g, loss), U3D_E_ARG);
    u3d_graph_free(g);
}

/* Two reasons for temporaries: relu_back cannot accumulate, and a value can be both inputs of one node. */
static void test_backward_through_temporaries(void **state)
{
    (void)state;
    u3d_graph *g = new_graph();
    u3d_val h = u3d_layer_conv3d(g, "conv", map_input(g, "image", 4, 2), &conv3);
    u3d_val a = u3d_relu(g, "a", h, 0), b = u3d_relu(g, "b", h, 0.1F);
    u3d_val twice = u3d_add(g, "twice", a, a), same = u3d_crop_concat(g, "same", b, b);
    u3d_val cat = u3d_crop_concat(g, "cat", twice, same);
    u3d_val label = u3d_input(g, "label", u3d_type_of(U3D_U8, 4, (const int64_t[]){1, 4, 4, 4}));
    u3d_val weight = u3d_input(g, "class_weight", u3d_type_f32(1, (const int64_t[]){12}));
    u3d_val loss = u3d_dice(g, "dice", cat, label, weight, (u3d_loss_attr){.ignore_label = -1});
    assert_ok(u3d_graph_backward(g, loss));
    char *text = backward_text(g);
    assert_string_equal(text, "dice.out.seed fill > dice.out.grad\n"
                              "dice.back dice_back > cat.out.grad\n"
                              "cat.back crop_concat_back > twice.out.grad same.out.grad\n"
                              "same.back crop_concat_back > b.out.grad same.back.out1\n"
                              "same.back.add1 copy > b.out.grad+\n"
                              "twice.da copy > a.out.grad\n"
                              "twice.db copy > a.out.grad+\n"
                              "b.dx relu_back > conv.out.grad\n"
                              "a.dx relu_back > a.dx.out\n"
                              "a.dx.add copy > conv.out.grad+\n"
                              "conv.dw conv3d_dw > conv.weight.grad conv.bias.grad\n");
    free(text);
    u3d_graph_free(g);
}

static void test_backward_refuses(void **state)
{
    (void)state;
    u3d_graph *g = new_graph();
    u3d_val x = map_input(g, "image", 4, 2);
    u3d_val p = u3d_softmax(g, "prob", u3d_layer_conv3d(g, "conv", x, &conv3));
    u3d_val label = u3d_input(g, "label", u3d_type_of(U3D_U8, 4, (const int64_t[]){1, 4, 4, 4}));
    u3d_val weight = u3d_input(g, "class_weight", u3d_type_f32(1, (const int64_t[]){4}));
    u3d_val loss = u3d_dice(g, "dice", p, label, weight, (u3d_loss_attr){.ignore_label = -1});
    assert_status(u3d_graph_backward(g, loss), U3D_E_UNSUPPORTED);
    expect_failure(g, U3D_E_UNSUPPORTED, "'prob': op softmax has no gradient");

    g = new_graph();
    u3d_val h = u3d_layer_conv3d(g, "conv", map_input(g, "image", 4, 2), &conv3);
    assert_status(u3d_graph_backward(g, h), U3D_E_SHAPE);
    expect_failure(g, U3D_E_SHAPE, "expected f32 []");

    g = new_graph();
    loss = build_two_branches(g);
    u3d_param(g, "idle", u3d_type_scalar(), U3D_INIT_ZERO, 0, 0, false);
    assert_status(u3d_graph_backward(g, loss), U3D_E_ARG);
    expect_failure(g, U3D_E_ARG, "'idle'");
}

static void test_graph_out_of_memory(void **state)
{
    (void)state;
    int64_t before = u3d_mem_live();
    for (int n = 1;; n++) {
        u3d_graph *g;
        u3d_mem_fail_at(n);
        u3d_status status = u3d_graph_new(&g);
        if (status == U3D_OK) {
            u3d_val loss = build_two_branches(g);
            u3d_graph_backward(g, loss);
            status = u3d_graph_finish(g);
        }
        u3d_mem_fail_at(0);
        u3d_graph_free(g);
        assert_int_equal(u3d_mem_live(), before);
        if (status == U3D_OK) {
            assert_true(n > 4); /* at least four allocations failed: graph, values, nodes, marks */
            break;
        }
        assert_int_equal(status, U3D_E_NOMEM);
    }
}

static void test_graph_dot(void **state)
{
    (void)state;
    u3d_graph *g = new_graph();
    assert_ok(u3d_graph_backward(g, build_two_branches(g)));
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    assert_ok(u3d_graph_write_dot(g, f));
    fclose(f);
    assert_memory_equal(text, "digraph u3d {", 13);
    assert_string_equal(text + n - 2, "}\n");
    assert_non_null(strstr(text, "enc\\nconv3d k 3x3x3 s 1x1x1 p 1x1x1"));
    assert_non_null(strstr(text, "pool.dx\\nmaxpool3d_dx k 2x2x2 s 2x2x2 p 0x0x0 +="));
    free(text);
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        assert_status(u3d_graph_write_dot(g, full), U3D_E_OUTPUT);
        fclose(full);
    }
    u3d_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_names_and_parameters),   cmocka_unit_test(test_graph_failures_stick),
        cmocka_unit_test(test_graph_writes_are_lawful),      cmocka_unit_test(test_backward_two_branches),
        cmocka_unit_test(test_backward_through_temporaries), cmocka_unit_test(test_backward_refuses),
        cmocka_unit_test(test_graph_out_of_memory),          cmocka_unit_test(test_graph_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
