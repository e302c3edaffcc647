/* Private to engine/ops: the u3d_op_info of each op, and the checks that shape rules share.
 *
 * A shape rule first calls u3d_op_begin, after which the counts, the input types and the unused bytes of the
 * attribute can be relied on. It then checks the attribute and how the shapes fit each other, fills d->out,
 * and ends with u3d_op_end. A message about a wrong number gives both the number found and the number
 * expected. */
#ifndef U3D_ENGINE_OP_RULES_H
#define U3D_ENGINE_OP_RULES_H

#include "engine/ops/op.h"

/* If the rule of an op is missing, the program does not link. */
#define U3D_RULE_DECLARE(id, text) extern const u3d_op_info u3d_rule_##id;
U3D_OP_LIST(U3D_RULE_DECLARE)
#undef U3D_RULE_DECLARE

typedef enum u3d_attr_kind {
    U3D_ATTR_NONE,
    U3D_ATTR_CONV,
    U3D_ATTR_NORM,
    U3D_ATTR_RELU,
    U3D_ATTR_FILL,
    U3D_ATTR_SCALE,
    U3D_ATTR_SUBSAMPLE,
    U3D_ATTR_CROP,
    U3D_ATTR_LOSS
} u3d_attr_kind;

/* How many inputs and outputs an op has, and which member of u3d_attr it uses. */
typedef struct u3d_op_form {
    u3d_attr_kind attr;
    int32_t in_min, in_max, out_min, out_max;
} u3d_op_form;

/* Checks the counts, the accumulate bits, and that every input has a legal type. Clears the outputs, the
 * unused inputs and every attribute byte that does not belong to a field of `form.attr`, so that equal
 * descriptions are equal bytes. */
u3d_status u3d_op_begin(u3d_op_desc *d, u3d_op_form form);
/* Checks that the types of the outputs, which the rule has filled in, are legal. */
u3d_status u3d_op_end(const u3d_op_desc *d);

/* Each of these checks the type of input i, which messages call `what`. map: f32 [N, D, H, W, C] with every
 * axis below 2^31; flat: f32 [n] with any n; type: exactly `expected`; vector: f32 [n] with the given n. */
u3d_status u3d_op_check_map(const u3d_op_desc *d, int i, const char *what);
u3d_status u3d_op_check_flat(const u3d_op_desc *d, int i, const char *what);
u3d_status u3d_op_check_type(const u3d_op_desc *d, int i, const char *what, u3d_type expected);
u3d_status u3d_op_check_vector(const u3d_op_desc *d, int i, const char *what, int64_t n);

/* Checks the kernel, stride and padding of attr.conv: kernel, stride >= 1, 0 <= pad < kernel. */
u3d_status u3d_op_check_window(const u3d_op_desc *d);
/* Checks the same, and that the windows tile the map: kernel == stride, pad 0. */
u3d_status u3d_op_check_tiles(const u3d_op_desc *d);
/* Checks that input 1 is f32 [KD, KH, KW, CI, CO] with the kernel of attr.conv. */
u3d_status u3d_op_check_weight(const u3d_op_desc *d);
/* Checks that skip can be cropped about its centre to the size of up: on every axis it is larger by an even
 * number, or equal. */
u3d_status u3d_op_check_crop(const u3d_op_desc *d, const int64_t up[3], const int64_t skip[3]);
/* Checks that inputs i_up and i_skip can be joined: maps with the same batch size whose sizes fit
 * (u3d_op_check_crop). */
u3d_status u3d_op_check_join(const u3d_op_desc *d, int i_up, int i_skip);

/* Which fused forms (op.h) an op has in addition to its plain form. */
enum { U3D_FUSED_JOINED = 1, U3D_FUSED_LAZY = 2, U3D_FUSED_MOMENTS = 4 };
/* How many inputs attr.conv adds to those of the plain form. */
int32_t u3d_op_fused_inputs(const u3d_op_desc *d);
/* Checks that attr.conv asks only for fused forms in `can`, and that its slope is legal. */
u3d_status u3d_op_check_fused(const u3d_op_desc *d, uint32_t can);
/* Checks input 0 and the inputs that its fused form adds. *channels is the number of channels that the op
 * reads: for a joined map, those of both parts together. */
u3d_status u3d_op_check_read_map(const u3d_op_desc *d, int64_t *channels);
/* Checks that input i is f32 [S, 2, C], where S is 1 or the batch size of x, and C is its number of
 * channels. */
u3d_status u3d_op_check_table(const u3d_op_desc *d, int i, const char *what, const u3d_type *x);
/* Checks inputs logits (0), labels (1) and class_weight (2) of a loss, and attr.loss. */
u3d_status u3d_op_check_loss(const u3d_op_desc *d);

/* How many windows of attr.conv fit on each axis: out = (in + 2 pad - kernel) / stride + 1. It is an error if
 * the division is not exact. */
u3d_status u3d_op_window_out(const u3d_op_desc *d, const int64_t in[3], int64_t out[3]);
/* The inverse: the size of the map from which u3d_op_window_out gives `out`. */
u3d_status u3d_op_window_in(const u3d_op_desc *d, const int64_t out[3], int64_t in[3]);

int64_t u3d_op_kernel_volume(const u3d_op_desc *d); /* KD * KH * KW */
/* Text of attr.conv for u3d_op_info.text: only the window, or the window and the fused form. */
int u3d_op_text_window(const u3d_op_desc *d, char *buf, size_t cap);
int u3d_op_text_conv(const u3d_op_desc *d, char *buf, size_t cap);

/* How conv3d and upconv3d differ. */
typedef struct u3d_op_conv_rule {
    u3d_status (*check)(const u3d_op_desc *d); /* checks kernel, stride and padding */
    u3d_status (*size_of_y)(const u3d_op_desc *d, const int64_t x[3], int64_t y[3]);
    u3d_status (*size_of_x)(const u3d_op_desc *d, const int64_t y[3], int64_t x[3]);
    uint32_t fused; /* fused forms of y = op(x, w, bias); dw has the same ones except the moments */
} u3d_op_conv_rule;

/* Shape rules of y = op(x, w, bias), of its dx, and of its dw and dbias. */
u3d_status u3d_op_infer_conv(u3d_op_desc *d, const u3d_op_conv_rule *rule);
u3d_status u3d_op_infer_conv_dx(u3d_op_desc *d, const u3d_op_conv_rule *rule);
u3d_status u3d_op_infer_conv_dw(u3d_op_desc *d, const u3d_op_conv_rule *rule);
/* FLOPs of any of the three: a multiplication and an addition for each element of `windows`, which is the map
 * with one voxel per window, for each channel of the other map and each tap. */
double u3d_op_flops_conv(const u3d_op_desc *d, const u3d_type *windows, int64_t channels);
/* Gradient rule of y = op(x, w, bias): appends a node `dx_op` for dx, and a node `dw_op` for dw and dbias. */
u3d_status u3d_op_grad_conv(u3d_graph *g, const u3d_node *n, u3d_op dx_op, u3d_op dw_op);
/* Gradient rule of a loss: appends a node `back_op`, which gives the gradient of the logits. */
u3d_status u3d_op_grad_loss(u3d_graph *g, const u3d_node *n, u3d_op back_op);

#endif
