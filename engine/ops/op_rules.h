/* Inside of the op rules (engine/ops): one u3d_op_info per op, and the checks that shape rules share.
 *
 * A shape rule opens with u3d_op_begin, which makes counts, input types and the attribute trustworthy, then
 * checks how the shapes fit each other, fills d->out and closes with u3d_op_end. Messages carry both numbers.
 */
#ifndef U3D_ENGINE_OP_RULES_H
#define U3D_ENGINE_OP_RULES_H

#include "engine/ops/op.h"

/* A missing rule is a link error. */
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

/* How many inputs and outputs an op takes, and which member of u3d_attr is its own. */
typedef struct u3d_op_form {
    u3d_attr_kind attr;
    int32_t in_min, in_max, out_min, out_max;
} u3d_op_form;

/* Checks counts, the accumulate bits and that every input has a legal type. Clears outputs, unused inputs and
 * every attribute byte that is not a field of `form.attr`, so that equal descriptions are equal bytes. */
u3d_status u3d_op_begin(u3d_op_desc *d, u3d_op_form form);
/* Outputs are filled: their sizes must be legal, too. */
u3d_status u3d_op_end(const u3d_op_desc *d);

/* Input i, called `what` in messages ... */
u3d_status u3d_op_check_map(const u3d_op_desc *d, int i,
                            const char *what); /* is f32 [N, D, H, W, C], axes < 2^31 */
u3d_status u3d_op_check_flat(const u3d_op_desc *d, int i, const char *what); /* is f32 [n] */
u3d_status u3d_op_check_type(const u3d_op_desc *d, int i, const char *what, u3d_type expected);
u3d_status u3d_op_check_vector(const u3d_op_desc *d, int i, const char *what,
                               int64_t n); /* is f32 [n], n given */

/* Kernel, stride and padding are possible: kernel, stride >= 1, 0 <= pad < kernel. */
u3d_status u3d_op_check_window(const u3d_op_desc *d);
/* The same, and windows tile the map: kernel == stride, pad 0. */
u3d_status u3d_op_check_tiles(const u3d_op_desc *d);
/* Input 1 is f32 [KD, KH, KW, CI, CO] with the attribute's kernel. */
u3d_status u3d_op_check_weight(const u3d_op_desc *d);
/* Part of a map cropped about its centre: skip is larger than up by an even number, or equal. */
u3d_status u3d_op_check_crop(const u3d_op_desc *d, const int64_t up[3], const int64_t skip[3]);
/* Inputs i_up and i_skip can be joined: maps of one batch whose sizes fit. */
u3d_status u3d_op_check_join(const u3d_op_desc *d, int i_up, int i_skip);

/* What an op can do beyond its plain form (op.h, fused forms). */
enum { U3D_FUSED_JOINED = 1, U3D_FUSED_LAZY = 2, U3D_FUSED_MOMENTS = 4 };
/* How many inputs the attribute adds to those of the plain form. */
int32_t u3d_op_fused_inputs(const u3d_op_desc *d);
/* The attribute asks for nothing but what `can` allows. */
u3d_status u3d_op_check_fused(const u3d_op_desc *d, uint32_t can);
/* Input 0 and the inputs that its form adds; channels as read, the sum over parts. */
u3d_status u3d_op_check_read_map(const u3d_op_desc *d, int64_t *channels);
/* Input i is f32 [S, 2, C]: S is 1 or x's batch size, C its channels. */
u3d_status u3d_op_check_table(const u3d_op_desc *d, int i, const char *what, const u3d_type *x);
/* Inputs logits (0), labels (1), class_weight (2) of a loss, and its attribute. */
u3d_status u3d_op_check_loss(const u3d_op_desc *d);

/* Where windows of the attribute land: (in + 2 pad - kernel) / stride + 1, exact division required ... */
u3d_status u3d_op_window_out(const u3d_op_desc *d, const int64_t in[3], int64_t out[3]);
/* ... and the other way round: the size of the map that gave `out`. */
u3d_status u3d_op_window_in(const u3d_op_desc *d, const int64_t out[3], int64_t in[3]);

int64_t u3d_op_kernel_volume(const u3d_op_desc *d); /* KD * KH * KW */
int u3d_op_text_window(const u3d_op_desc *d, char *buf, size_t cap);
int u3d_op_text_conv(const u3d_op_desc *d, char *buf, size_t cap); /* the window and the fused form */

/* Gradient of y = op(x, w, bias): dx by `dx_op`, dw and dbias by `dw_op`. */
u3d_status u3d_op_grad_conv(u3d_graph *g, const u3d_node *n, u3d_op dx_op, u3d_op dw_op);

#endif
