/* Tests of the rules of ops (engine/ops/): the table is complete; shape rules infer the right shapes and
 * refuse wrong ones with a message that contains both the found and the expected number. */
#include "tests/support/support.h"

#include <string.h>

#include "engine/ops/op.h"

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

/* Numbers of inputs and outputs that no op has must be refused before any array is indexed with them. */
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
    int64_t in[U3D_MAX_IN][5]; /* dimensions of each input; the first 0 ends them */
    u3d_status status;
    const char *expect; /* part of the type of out[0], or of the error message */
} shape_case;

#define CONV(k, s, p)                                                                                        \
    {                                                                                                        \
        .conv = {.kernel = {k, k, k}, .stride = {s, s, s}, .pad = {p, p, p} }                                \
    }

/* All inputs are f32. */
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
     {.crop = {.up_channels = 8, .skip_size = {8, 4, 6}}},
     1,
     2,
     {{1, 4, 4, 4, 11}},
     U3D_OK,
     "f32 [1, 4, 4, 4, 8]"},
    {U3D_OP_CROP_CONCAT_BACK,
     {.crop = {.up_channels = 11, .skip_size = {8, 4, 6}}},
     1,
     2,
     {{1, 4, 4, 4, 11}},
     U3D_E_SHAPE,
     "11 of dy's 11"},
    {U3D_OP_CROP_CONCAT_BACK,
     {.crop = {.up_channels = 1, .skip_size = {INT64_MIN, 4, 6}}},
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

/* Fused forms. FUSED gives kernel and stride on all axes and further members of attr.conv; LAZY gives .lazy
 * of x (or up) and of skip. X, W, UP, SKIP and DY are types of inputs that fit together: map, 3x3x3 weight,
 * the two parts of a joined map with the channels of X, and the gradient of the output. */
#define FUSED(k, s, ...)                                                                                     \
    {                                                                                                        \
        .conv = {.kernel = {k, k, k}, .stride = {s, s, s}, __VA_ARGS__ }                                     \
    }
#define LAZY(...) .lazy = {__VA_ARGS__}
#define CROP_PART(p)                                                                                         \
    {                                                                                                        \
        .crop = {.up_channels = 8, .skip_size = {8, 4, 6}, .part = p }                                       \
    }
#define X                                                                                                    \
    {                                                                                                        \
        2, 5, 6, 7, 3                                                                                        \
    }
#define W                                                                                                    \
    {                                                                                                        \
        3, 3, 3, 3, 4                                                                                        \
    }
#define UP                                                                                                   \
    {                                                                                                        \
        2, 5, 6, 7, 2                                                                                        \
    }
#define SKIP                                                                                                 \
    {                                                                                                        \
        2, 7, 6, 9, 1                                                                                        \
    }
#define DY                                                                                                   \
    {                                                                                                        \
        2, 3, 4, 5, 4                                                                                        \
    }

/* clang-format off */
static const shape_case fused_cases[] = {
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true)), 3, 1, {X, W, {1, 2, 3}}, U3D_OK, "f32 [2, 3, 4, 5, 4]"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true)), 4, 1, {X, W, {4}, {2, 2, 3}}, U3D_OK, "f32 [2, 3, 4, 5, 4]"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true)), 4, 1, {X, W, {2, 2, 3}, {4}}, U3D_E_SHAPE, "the table of x is f32 [4], expected f32 [2, 2, 3]"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true)), 3, 1, {X, W, {3, 2, 3}}, U3D_E_SHAPE, "the table of x is f32 [3, 2, 3], expected f32 [2, 2, 3]"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true)), 3, 1, {X, W, {1, 2, 4}}, U3D_E_SHAPE, "expected f32 [1, 2, 3]"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true)), 2, 1, {X, W}, U3D_E_ARG, "2 inputs, expected 3 to 4"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(true), .slope = -1), 3, 1, {X, W, {1, 2, 3}}, U3D_E_ARG, "slope of a lazy map is -1"},
    {U3D_OP_CONV3D, FUSED(3, 1, LAZY(false, true)), 3, 1, {X, W, {1, 2, 3}}, U3D_E_ARG, "part 1 is lazy, but the map has 1 part"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true), 3, 1, {UP, W, SKIP}, U3D_OK, "f32 [2, 3, 4, 5, 4]"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true, LAZY(true, true)), 6, 1, {UP, W, {4}, SKIP, {1, 2, 2}, {2, 2, 1}}, U3D_OK, "f32 [2, 3, 4, 5, 4]"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true, LAZY(true, true)), 6, 1, {UP, W, {4}, SKIP, {1, 2, 2}, {2, 2, 2}}, U3D_E_SHAPE, "the table of skip is f32 [2, 2, 2], expected f32 [2, 2, 1]"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true, LAZY(false, true)), 4, 1, {UP, W, SKIP, {1, 2, 1}}, U3D_OK, "f32 [2, 3, 4, 5, 4]"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true), 3, 1, {UP, W, {2, 7, 6, 8, 1}}, U3D_E_SHAPE, "skip has size 8 along x, up has 7"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true), 3, 1, {UP, W, {1, 7, 6, 9, 1}}, U3D_E_SHAPE, "up has batch size 2, skip has 1"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true), 3, 1, {UP, W, {2, 7, 6, 9, 2}}, U3D_E_SHAPE, "x has 4 channels, the weight expects 3"},
    {U3D_OP_CONV3D, FUSED(3, 1, .joined = true), 2, 1, {UP, W}, U3D_E_ARG, "2 inputs, expected 3 to 4"},
    {U3D_OP_CONV3D, FUSED(3, 1, .moments = true), 2, 2, {X, W}, U3D_OK, "f32 [2, 3, 4, 5, 4]"},
    {U3D_OP_CONV3D, FUSED(3, 1, .moments = true), 2, 1, {X, W}, U3D_E_ARG, "1 outputs, expected 2 to 2"},
    {U3D_OP_CONV3D, FUSED(3, 1), 2, 2, {X, W}, U3D_E_ARG, "2 outputs, expected 1 to 1"},
    {U3D_OP_CONV3D_DX, FUSED(3, 1, .joined = true), 2, 1, {DY, W}, U3D_E_ARG, "not a joined one of 2"},
    {U3D_OP_CONV3D_DX, FUSED(3, 1, LAZY(true)), 2, 1, {DY, W}, U3D_E_ARG, "input 0 cannot be a lazy map"},
    {U3D_OP_CONV3D_DX, FUSED(3, 1, LAZY(false, true)), 2, 1, {DY, W}, U3D_E_ARG, "part 1 is lazy"},
    {U3D_OP_CONV3D_DX, FUSED(3, 1, .moments = true), 2, 1, {DY, W}, U3D_E_ARG, "only conv3d has moments"},
    {U3D_OP_CONV3D_DX, FUSED(3, 1, .strict = true), 2, 1, {DY, W}, U3D_OK, "f32 [2, 5, 6, 7, 3]"},
    {U3D_OP_CONV3D_DW, FUSED(3, 1, .joined = true, LAZY(true, true)), 5, 2, {UP, DY, SKIP, {2, 2, 2}, {1, 2, 1}}, U3D_OK, "f32 [3, 3, 3, 3, 4]"},
    {U3D_OP_CONV3D_DW, FUSED(3, 1, LAZY(true)), 3, 2, {X, DY, {1, 2, 3}}, U3D_OK, "f32 [3, 3, 3, 3, 4]"},
    {U3D_OP_CONV3D_DW, FUSED(3, 1, LAZY(true)), 2, 2, {X, DY}, U3D_E_ARG, "2 inputs, expected 3 to 3"},
    {U3D_OP_CONV3D_DW, FUSED(3, 1, .moments = true), 2, 2, {X, DY}, U3D_E_ARG, "only conv3d has moments"},
    {U3D_OP_UPCONV3D, FUSED(2, 2, LAZY(true)), 4, 1, {X, {2, 2, 2, 3, 4}, {4}, {1, 2, 3}}, U3D_OK, "f32 [2, 10, 12, 14, 4]"},
    {U3D_OP_UPCONV3D, FUSED(2, 2, .joined = true), 3, 1, {UP, {2, 2, 2, 3, 4}, SKIP}, U3D_E_ARG, "not a joined one of 2"},
    {U3D_OP_UPCONV3D, FUSED(2, 2, .moments = true), 2, 1, {X, {2, 2, 2, 3, 4}}, U3D_E_ARG, "only conv3d has moments"},
    {U3D_OP_UPCONV3D_DW, FUSED(2, 2, LAZY(true)), 3, 1, {X, {2, 10, 12, 14, 4}, {2, 2, 3}}, U3D_OK, "f32 [2, 2, 2, 3, 4]"},
    {U3D_OP_UPCONV3D_DX, FUSED(2, 2, LAZY(true)), 2, 1, {{2, 10, 12, 14, 4}, {2, 2, 2, 3, 4}}, U3D_E_ARG, "input 0 cannot be a lazy map"},
    {U3D_OP_MAXPOOL3D, FUSED(2, 2, LAZY(true)), 2, 2, {{2, 4, 6, 8, 3}, {2, 2, 3}}, U3D_OK, "f32 [2, 2, 3, 4, 3]"},
    {U3D_OP_MAXPOOL3D, FUSED(2, 2, LAZY(true)), 1, 2, {{2, 4, 6, 8, 3}}, U3D_E_ARG, "1 inputs, expected 2 to 2"},
    {U3D_OP_MAXPOOL3D, FUSED(2, 2, .joined = true), 2, 2, {{2, 4, 6, 8, 3}, {2, 4, 6, 8, 3}}, U3D_E_ARG, "not a joined one of 2"},
    {U3D_OP_NORM, {.norm = {.eps = 1, .act = true}}, 3, 2, {X, {3}, {3}}, U3D_E_ARG, "only norm_back accepts an activation"},
    {U3D_OP_NORM_BACK, {.norm = {.eps = 1, .act = true}}, 5, 3, {X, X, {3}, {1, 2, 3}, {1, 2, 3}}, U3D_OK, "f32 [2, 5, 6, 7, 3]"},
    {U3D_OP_NORM_BACK, {.norm = {.eps = 1, .act = true}}, 4, 3, {X, X, {3}, {1, 2, 3}}, U3D_E_ARG, "4 inputs, expected 5 to 5"},
    {U3D_OP_NORM_BACK, {.norm = {.eps = 1}}, 5, 3, {X, X, {3}, {1, 2, 3}, {1, 2, 3}}, U3D_E_ARG, "5 inputs, expected 4 to 4"},
    {U3D_OP_NORM_BACK, {.norm = {.eps = 1, .act = true}}, 5, 3, {X, X, {3}, {1, 2, 3}, {2, 2, 3}}, U3D_E_SHAPE, "the table is f32 [2, 2, 3], expected f32 [1, 2, 3]"},
    {U3D_OP_NORM_BACK, {.norm = {.eps = 1, .act = true, .slope = -2}}, 5, 3, {X, X, {3}, {1, 2, 3}, {1, 2, 3}}, U3D_E_ARG, "slope is -2"},
    {U3D_OP_MOMENTS, {.norm = {.per_instance = true}}, 1, 1, {X}, U3D_OK, "f32 [2, 2, 3]"},
    {U3D_OP_MOMENTS, {.norm = {.per_instance = false}}, 1, 1, {X}, U3D_OK, "f32 [1, 2, 3]"},
    {U3D_OP_MOMENTS, {.norm = {.per_instance = false}}, 1, 1, {{4}}, U3D_E_SHAPE, "x is f32 [4]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .voxels = 5}}, 3, 2, {{1, 2, 3}, {3}, {3}}, U3D_OK, "f32 [1, 2, 3]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .per_instance = true, .voxels = 5}}, 3, 2, {{4, 2, 3}, {3}, {3}}, U3D_OK, "f32 [4, 2, 3]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .voxels = 5}}, 3, 2, {{4, 2, 3}, {3}, {3}}, U3D_E_SHAPE, "moments is f32 [4, 2, 3], expected f32 [1, 2, 3]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .voxels = 5}}, 3, 2, {{1, 2, 3}, {4}, {4}}, U3D_E_SHAPE, "expected f32 [1, 2, 4]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .voxels = 5}}, 3, 2, {{1, 2, 3}, {3}, {4}}, U3D_E_SHAPE, "bias is f32 [4], expected f32 [3]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1}}, 3, 2, {{1, 2, 3}, {3}, {3}}, U3D_E_ARG, "0 voxels per mean, expected at least 1"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .keep_running = true, .voxels = 1}}, 3, 3, {{1, 2, 3}, {3}, {3}}, U3D_E_ARG, "1 voxels per mean, expected at least 2"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .keep_running = true, .voxels = 2}}, 3, 2, {{1, 2, 3}, {3}, {3}}, U3D_E_ARG, "2 outputs, expected 3 to 3"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .use_running = true}}, 3, 1, {{2, 3}, {3}, {3}}, U3D_OK, "f32 [1, 2, 3]"},
    {U3D_OP_NORM_TABLE, {.norm = {.eps = 1, .use_running = true}}, 3, 1, {{1, 2, 3}, {3}, {3}}, U3D_E_SHAPE, "running is f32 [1, 2, 3], expected f32 [2, 3]"},
    {U3D_OP_CROP_CONCAT_BACK, CROP_PART(U3D_CROP_UP), 1, 1, {{1, 4, 4, 4, 11}}, U3D_OK, "f32 [1, 4, 4, 4, 8]"},
    {U3D_OP_CROP_CONCAT_BACK, CROP_PART(U3D_CROP_SKIP), 1, 1, {{1, 4, 4, 4, 11}}, U3D_OK, "f32 [1, 8, 4, 6, 3]"},
    {U3D_OP_CROP_CONCAT_BACK, CROP_PART(U3D_CROP_UP), 1, 2, {{1, 4, 4, 4, 11}}, U3D_E_ARG, "2 outputs, expected 1 to 1"},
    {U3D_OP_CROP_CONCAT_BACK, CROP_PART((u3d_crop_part)3), 1, 1, {{1, 4, 4, 4, 11}}, U3D_E_ARG, "part 3, expected 0 to 2"},
};
/* clang-format on */

static int32_t shape_rank(const int64_t dim[5])
{
    int32_t rank = 0;
    while (rank < 5 && dim[rank] != 0) rank++;
    return rank;
}

static void check_shapes(const shape_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const shape_case *c = &cases[i];
        char text[160];
        u3d_op_desc d = {.op = c->op, .attr = c->attr, .n_in = c->n_in, .n_out = c->n_out};
        for (int k = 0; k < c->n_in; k++) d.in[k] = u3d_type_f32(shape_rank(c->in[k]), c->in[k]);
        u3d_status status = u3d_op_info_get(c->op)->infer(&d);
        const char *found = status == U3D_OK ? u3d_type_text(&d.out[0], text, sizeof text) : u3d_error_text();
        if (status != c->status || !strstr(found, c->expect)) {
            fail_msg("case %zu, %s: got status %d with '%s', expected %d with '%s'", i, op_names[c->op],
                     status, found, c->status, c->expect);
        }
    }
}

static void test_op_shapes(void **state)
{
    (void)state;
    check_shapes(shape_cases, sizeof shape_cases / sizeof *shape_cases);
}

static void test_op_fused_shapes(void **state)
{
    (void)state;
    check_shapes(fused_cases, sizeof fused_cases / sizeof *fused_cases);
}

/* A joined convolution needs as many FLOPs as a plain convolution with all its channels, and its text names
 * the fused forms. */
static void test_op_fused_text(void **state)
{
    (void)state;
    char text[320];
    u3d_op_desc d = {.op = U3D_OP_CONV3D,
                     .attr = FUSED(3, 1, .joined = true, LAZY(false, true), .moments = true, .strict = true),
                     .n_in = 4,
                     .n_out = 2,
                     .in = {{U3D_F32, 5, UP}, {U3D_F32, 5, W}, {U3D_F32, 5, SKIP}, {U3D_F32, 3, {1, 2, 1}}}};
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    assert_true(u3d_op_info_get(d.op)->flops(&d) == 2.0 * 2 * 3 * 4 * 5 * 4 * 3 * 27);
    assert_non_null(strstr(u3d_op_desc_text(&d, text, sizeof text), "joined lazy-skip moments strict"));
    d = (u3d_op_desc){.op = U3D_OP_CONV3D_DW,
                      .attr = FUSED(3, 1, .joined = true),
                      .n_in = 3,
                      .n_out = 1,
                      .in = {{U3D_F32, 5, UP}, {U3D_F32, 5, DY}, {U3D_F32, 5, SKIP}}};
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    assert_true(u3d_op_info_get(d.op)->flops(&d) == 2.0 * 2 * 3 * 4 * 5 * 4 * 3 * 27);
    d = (u3d_op_desc){.op = U3D_OP_NORM_BACK,
                      .attr = {.norm = {.eps = 1e-5F, .act = true, .slope = 0.01F}},
                      .n_in = 5,
                      .n_out = 3};
    assert_non_null(strstr(u3d_op_desc_text(&d, text, sizeof text), "act slope 0.01"));
}

/* Equal descriptions consist of equal bytes, no matter what the unused parts contained before. */
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
        d->attr.norm.act = false; /* slope and voxels are therefore unused */
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

static void test_op_describes_fused_canonically(void **state)
{
    (void)state;
    u3d_op_desc a, b;
    memset(&a, 0x00, sizeof a);
    memset(&b, 0xA5, sizeof b);
    u3d_op_desc *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        u3d_op_desc *d = both[i];
        u3d_conv_attr *c = &d->attr.conv;
        for (int axis = 0; axis < 3; axis++) {
            c->kernel[axis] = 3;
            c->stride[axis] = 1;
            c->pad[axis] = 0;
        }
        c->strict = c->moments = true;
        c->per_instance = c->joined = c->lazy[0] = c->lazy[1] = false; /* slope is therefore unused */
        d->op = U3D_OP_CONV3D;
        d->n_in = d->n_out = 2;
        d->accumulate = 0;
        d->in[0] = u3d_type_map(2, (const int64_t[]){3, 4, 5}, 6);
        d->in[1] = u3d_type_f32(5, (const int64_t[]){3, 3, 3, 6, 7});
        assert_ok(u3d_op_info_get(d->op)->infer(d));
    }
    assert_memory_equal(&a.attr, &b.attr, sizeof a.attr);
    assert_true(a.attr.conv.strict && a.attr.conv.moments && a.attr.conv.slope == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_op_table),
        cmocka_unit_test(test_op_refuses_counts),
        cmocka_unit_test(test_op_shapes),
        cmocka_unit_test(test_op_fused_shapes),
        cmocka_unit_test(test_op_fused_text),
        cmocka_unit_test(test_op_describes_canonically),
        cmocka_unit_test(test_op_describes_fused_canonically),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
