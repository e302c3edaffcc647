/* Op rules: the table is complete, shape rules give the right shapes, and refuse malformed ones with both
 * numbers in the message. */
#include "tests/support.h"

#include <string.h>

#include "engine/op.h"

#define OP_NAME(id, text) text,
static const char *const op_names[] = {U3D_OP_LIST(OP_NAME)};

static void test_op_table(void **state)
{
    (void)state;
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        const u3d_op_info *info = u3d_op_info_get((u3d_op)op);
        assert_string_equal(info->name, op_names[op]);
        assert_non_null(info->infer);
    }
}

/* Counts that no op has, and an accumulate bit that no output has, must be refused and never followed. */
static void test_op_refuses_counts(void **state)
{
    (void)state;
    static const int32_t counts[][2] = {{-1, 1}, {U3D_MAX_IN + 1, 1},  {INT32_MAX, 1}, {1, -1},
                                        {1, 0},  {1, U3D_MAX_OUT + 1}, {6, 4}};
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            u3d_op_desc d = {.op = (u3d_op)op, .n_in = counts[i][0], .n_out = counts[i][1]};
            assert_status(u3d_op_info_get(d.op)->infer(&d), U3D_E_ARG);
        }
    }
}

typedef struct shape_case {
    u3d_op op;
    u3d_attr attr;
    int32_t n_in, n_out;
    int64_t in[3][5];
    u3d_status status;
    const char *expect; /* type of out[0], or part of the message */
} shape_case;

#define CONV(k, s, p)                                                                                        \
    {                                                                                                        \
        .conv = { {k, k, k}, {s, s, s}, {p, p, p} }                                                          \
    }

/* Inputs are f32 of rank 5, or rank 1 where only the first axis is given. */
static const shape_case shape_cases[] = {
    {U3D_OP_CONV3D,
     CONV(3, 1, 0),
     3,
     1,
     {{1, 8, 9, 10, 2}, {3, 3, 3, 2, 4}, {4}},
     U3D_OK,
     "f32 [1, 6, 7, 8, 4]"},
    {U3D_OP_CONV3D, CONV(3, 2, 1), 2, 1, {{2, 9, 5, 7, 2}, {3, 3, 3, 2, 4}}, U3D_OK, "f32 [2, 5, 3, 4, 4]"},
    {U3D_OP_CONV3D,
     CONV(3, 2, 1),
     2,
     1,
     {{2, 8, 5, 7, 2}, {3, 3, 3, 2, 4}},
     U3D_E_SHAPE,
     "size 8 along z leaves 1"},
    {U3D_OP_CONV3D, CONV(3, 1, 0), 2, 1, {{1, 8, 2, 8, 2}, {3, 3, 3, 2, 4}}, U3D_E_SHAPE, "size 2 along y"},
    {U3D_OP_CONV3D,
     CONV(3, 1, 0),
     2,
     1,
     {{1, 8, 8, 8, 5}, {3, 3, 3, 2, 4}},
     U3D_E_SHAPE,
     "x has 5 channels, the weight expects 2"},
    {U3D_OP_CONV3D,
     CONV(3, 1, 0),
     2,
     1,
     {{1, 8, 8, 8, 2}, {3, 3, 1, 2, 4}},
     U3D_E_SHAPE,
     "expected f32 [3, 3, 3, 2, 4]"},
    {U3D_OP_CONV3D,
     CONV(3, 1, 0),
     3,
     1,
     {{1, 8, 8, 8, 2}, {3, 3, 3, 2, 4}, {5}},
     U3D_E_SHAPE,
     "bias is f32 [5], expected f32 [4]"},
    {U3D_OP_CONV3D,
     CONV(3, 1, 3),
     2,
     1,
     {{1, 8, 8, 8, 2}, {3, 3, 3, 2, 4}},
     U3D_E_ARG,
     "padding 3 along z must be 0 to 2"},
    {U3D_OP_CONV3D, CONV(0, 1, 0), 2, 1, {{1, 8, 8, 8, 2}, {3, 3, 3, 2, 4}}, U3D_E_ARG, "kernel 0"},
    {U3D_OP_CONV3D, CONV(3, 1, 0), 2, 1, {{1, 8, 8, 8, 2}, {4}}, U3D_E_SHAPE, "the weight is f32 [4]"},
    {U3D_OP_CONV3D,
     CONV(1, 1, 0),
     2,
     1,
     {{1, 1LL << 31, 1, 1, 1}, {1, 1, 1, 1, 1}},
     U3D_E_SHAPE,
     "below 2^31"},
    {U3D_OP_CONV3D_DX,
     CONV(3, 2, 1),
     2,
     1,
     {{2, 5, 3, 4, 4}, {3, 3, 3, 2, 4}},
     U3D_OK,
     "f32 [2, 9, 5, 7, 2]"},
    {U3D_OP_CONV3D_DX, CONV(3, 1, 2), 2, 1, {{1, 2, 8, 8, 4}, {3, 3, 3, 2, 4}}, U3D_E_SHAPE, "map of size 0"},
    {U3D_OP_CONV3D_DX,
     CONV(3, INT32_MAX, 2),
     2,
     1,
     {{1, INT32_MAX, 8, 8, 4}, {3, 3, 3, 2, 4}},
     U3D_E_SHAPE,
     "along z"},
    {U3D_OP_CONV3D_DW,
     CONV(3, 2, 1),
     2,
     2,
     {{2, 9, 5, 7, 2}, {2, 5, 3, 4, 4}},
     U3D_OK,
     "f32 [3, 3, 3, 2, 4]"},
    {U3D_OP_CONV3D_DW,
     CONV(3, 2, 1),
     2,
     2,
     {{2, 9, 5, 7, 2}, {1, 5, 3, 4, 4}},
     U3D_E_SHAPE,
     "dy is f32 [1, 5, 3, 4, 4], expected f32 [2,"},
    {U3D_OP_UPCONV3D,
     CONV(2, 2, 0),
     2,
     1,
     {{1, 3, 4, 5, 6}, {2, 2, 2, 6, 7}},
     U3D_OK,
     "f32 [1, 6, 8, 10, 7]"},
    {U3D_OP_UPCONV3D,
     CONV(3, 2, 0),
     2,
     1,
     {{1, 3, 4, 5, 6}, {3, 3, 3, 6, 7}},
     U3D_E_UNSUPPORTED,
     "kernel equal to stride"},
    {U3D_OP_UPCONV3D_DX,
     CONV(2, 2, 0),
     2,
     1,
     {{1, 6, 8, 10, 7}, {2, 2, 2, 6, 7}},
     U3D_OK,
     "f32 [1, 3, 4, 5, 6]"},
    {U3D_OP_UPCONV3D_DX,
     CONV(2, 2, 0),
     2,
     1,
     {{1, 6, 8, 9, 7}, {2, 2, 2, 6, 7}},
     U3D_E_SHAPE,
     "size 9 along x"},
    {U3D_OP_UPCONV3D_DW,
     CONV(2, 2, 0),
     2,
     2,
     {{1, 3, 4, 5, 6}, {1, 6, 8, 10, 7}},
     U3D_OK,
     "f32 [2, 2, 2, 6, 7]"},
    {U3D_OP_MAXPOOL3D, CONV(2, 2, 0), 1, 2, {{1, 6, 8, 10, 3}}, U3D_OK, "f32 [1, 3, 4, 5, 3]"},
    {U3D_OP_MAXPOOL3D, CONV(2, 2, 0), 1, 2, {{1, 6, 7, 10, 3}}, U3D_E_SHAPE, "size 7 along y"},
    {U3D_OP_MAXPOOL3D, CONV(7, 7, 0), 1, 2, {{1, 7, 7, 7, 3}}, U3D_E_UNSUPPORTED, "more than 256"},
    {U3D_OP_MAXPOOL3D_DX,
     CONV(2, 2, 0),
     2,
     1,
     {{1, 3, 4, 5, 3}, {1, 3, 4, 5, 3}},
     U3D_E_SHAPE,
     "expected u8"},
    {U3D_OP_NORM, {.norm = {.eps = 1e-5F}}, 3, 2, {{2, 3, 4, 5, 6}, {6}, {6}}, U3D_OK, "f32 [2, 3, 4, 5, 6]"},
    {U3D_OP_NORM,
     {.norm = {.eps = 1e-5F}},
     3,
     2,
     {{2, 3, 4, 5, 6}, {6}, {7}},
     U3D_E_SHAPE,
     "bias is f32 [7], expected f32 [6]"},
    {U3D_OP_NORM, {.norm = {.eps = 0}}, 3, 2, {{2, 3, 4, 5, 6}, {6}, {6}}, U3D_E_ARG, "eps is 0"},
    {U3D_OP_NORM,
     {.norm = {.eps = 1, .keep_running = true}},
     3,
     3,
     {{1, 1, 1, 1, 6}, {6}, {6}},
     U3D_E_SHAPE,
     "at least 2"},
    {U3D_OP_RELU, {.relu = {-1}}, 1, 1, {{1, 2, 2, 2, 2}}, U3D_E_ARG, "slope is -1"},
    {U3D_OP_ADD, {.relu = {0}}, 2, 1, {{7}, {8}}, U3D_E_SHAPE, "b is f32 [8], expected f32 [7]"},
    {U3D_OP_CROP_CONCAT,
     {.relu = {0}},
     2,
     1,
     {{1, 4, 4, 4, 8}, {1, 8, 4, 6, 3}},
     U3D_OK,
     "f32 [1, 4, 4, 4, 11]"},
    {U3D_OP_CROP_CONCAT,
     {.relu = {0}},
     2,
     1,
     {{1, 4, 4, 4, 8}, {1, 7, 4, 6, 3}},
     U3D_E_SHAPE,
     "skip has size 7 along z, up has 4"},
    {U3D_OP_CROP_CONCAT,
     {.relu = {0}},
     2,
     1,
     {{1, 4, 4, 4, 8}, {1, 4, 4, 2, 3}},
     U3D_E_SHAPE,
     "skip has size 2 along x, up has 4"},
    {U3D_OP_CROP_CONCAT_BACK,
     {.crop = {8, {8, 4, 6}}},
     1,
     2,
     {{1, 4, 4, 4, 11}},
     U3D_OK,
     "f32 [1, 4, 4, 4, 8]"},
    {U3D_OP_CROP_CONCAT_BACK,
     {.crop = {11, {8, 4, 6}}},
     1,
     2,
     {{1, 4, 4, 4, 11}},
     U3D_E_SHAPE,
     "11 of dy's 11"},
    {U3D_OP_CROP_CONCAT_BACK,
     {.crop = {1, {INT64_MIN, 4, 6}}},
     1,
     2,
     {{1, 4, 4, 4, 11}},
     U3D_E_SHAPE,
     "along z"},
    {U3D_OP_SOFTMAX_XENT,
     {.loss = {.ignore_label = 255}},
     3,
     2,
     {{1, 2, 2, 2, 3}, {8}, {3}},
     U3D_E_SHAPE,
     "expected u8 [1, 2, 2, 2]"},
    {U3D_OP_SGD_STEP, {.relu = {0}}, 2, 2, {{100}, {8}}, U3D_OK, "f32 [100]"},
    {U3D_OP_ADAM_STEP, {.relu = {0}}, 2, 3, {{100}, {7}}, U3D_E_SHAPE, "hyper is f32 [7], expected f32 [8]"},
    {U3D_OP_SUM_SQUARES, {.relu = {0}}, 1, 1, {{100}}, U3D_OK, "f32 []"},
};

static void test_op_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shape_cases / sizeof *shape_cases; i++) {
        const shape_case *c = &shape_cases[i];
        char text[160];
        u3d_op_desc d = {.op = c->op, .attr = c->attr, .n_in = c->n_in, .n_out = c->n_out};
        for (int k = 0; k < c->n_in; k++) d.in[k] = u3d_type_f32(c->in[k][1] ? 5 : 1, c->in[k]);
        u3d_status status = u3d_op_info_get(c->op)->infer(&d);
        const char *found = status == U3D_OK ? u3d_type_text(&d.out[0], text, sizeof text) : u3d_error_text();
        if (status != c->status || !strstr(found, c->expect)) {
            fail_msg("case %zu, %s: status %d '%s', expected %d '%s'", i, op_names[c->op], status, found,
                     c->status, c->expect);
        }
    }
}

/* Equal descriptions are equal bytes, whatever stood in unused parts before. */
static void test_op_describes_canonically(void **state)
{
    (void)state;
    u3d_op_desc a, b;
    memset(&a, 0x00, sizeof a);
    memset(&b, 0xA5, sizeof b);
    b.impl = NULL;
    memcpy((char *)&b + sizeof b.op, (char *)&a + sizeof a.op, offsetof(u3d_op_desc, attr) - sizeof a.op);
    u3d_op_desc *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        u3d_op_desc *d = both[i];
        d->op = U3D_OP_NORM;
        d->attr.norm.per_instance = true;
        d->attr.norm.use_running = d->attr.norm.keep_running = false;
        d->attr.norm.eps = 1e-5F;
        d->attr.norm.momentum = 0.1F;
        d->n_in = 3;
        d->n_out = 2;
        d->accumulate = 0;
        d->in[0] = u3d_type_map(2, (const int64_t[]){3, 4, 5}, 6);
        d->in[1] = d->in[2] = u3d_type_f32(1, (const int64_t[]){6});
        assert_ok(u3d_op_info_get(d->op)->infer(d));
    }
    assert_memory_equal(&a.attr, &b.attr, sizeof a.attr);
    assert_memory_equal(a.in, b.in, sizeof a.in);
    assert_memory_equal(a.out, b.out, sizeof a.out);
    char text[200];
    assert_string_equal(u3d_op_desc_text(&a, text, sizeof text),
                        "norm f32 [2, 3, 4, 5, 6] * f32 [6] * f32 [6] per instance eps 1e-05");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_op_table),
        cmocka_unit_test(test_op_refuses_counts),
        cmocka_unit_test(test_op_shapes),
        cmocka_unit_test(test_op_describes_canonically),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
