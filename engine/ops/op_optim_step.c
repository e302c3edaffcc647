/* Ops over flat blocks: optimizer steps, the running average, the squared norm. None of them has a gradient.
 *
 *   sgd_step      grad [n], hyper [8] -> value [n], velocity [n]
 *   adam_step     grad [n], hyper [8] -> value [n], m [n], v [n]
 *   lerp          x [n], t [] -> y [n]
 *   sum_squares   x [n] -> scalar
 *
 * The first three update their outputs. Numbers that change from step to step are inputs, `hyper` and `t`,
 * and not attributes, because a prepared kernel never changes. engine/run/optim.h lists the numbers in
 * `hyper`. */
#include "engine/ops/op_rules.h"

enum { STEP_HYPER = 8 };

/* Shape rule of both steps: grad, hyper -> n_out blocks of the size of grad. */
static u3d_status step_infer(u3d_op_desc *d, int32_t n_out)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 2, 2, n_out, n_out}));
    U3D_TRY(u3d_op_check_flat(d, 0, "grad"));
    U3D_TRY(u3d_op_check_vector(d, 1, "hyper", STEP_HYPER));
    for (int32_t i = 0; i < n_out; i++) d->out[i] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status sgd_step_infer(u3d_op_desc *d)
{
    return step_infer(d, 2);
}

static u3d_status adam_step_infer(u3d_op_desc *d)
{
    return step_infer(d, 3);
}

static u3d_status lerp_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 2, 2, 1, 1}));
    U3D_TRY(u3d_op_check_flat(d, 0, "x"));
    U3D_TRY(u3d_op_check_type(d, 1, "t", u3d_type_scalar()));
    d->out[0] = d->in[0];
    return u3d_op_end(d);
}

static u3d_status sum_squares_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NONE, 1, 1, 1, 1}));
    U3D_TRY(u3d_op_check_flat(d, 0, "x"));
    d->out[0] = u3d_type_scalar();
    return u3d_op_end(d);
}

const u3d_op_info u3d_rule_SGD_STEP = {.name = "sgd_step", .infer = sgd_step_infer, .updates = 3};

const u3d_op_info u3d_rule_ADAM_STEP = {.name = "adam_step", .infer = adam_step_infer, .updates = 7};

const u3d_op_info u3d_rule_LERP = {.name = "lerp", .infer = lerp_infer, .updates = 1};

const u3d_op_info u3d_rule_SUM_SQUARES = {.name = "sum_squares", .infer = sum_squares_infer};
