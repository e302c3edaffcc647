/* Batch and instance normalisation and their gradient.
 *
 *   norm                 x [N,D,H,W,C], gain [C], bias [C] -> y, stats [S,2,C], (running [2,C])
 *   norm (use_running)   x, gain, bias, running [2,C] -> y
 *   norm_back            dy, x, gain, stats -> dx, dgain, dbias
 *
 * S = N per instance, 1 over the batch. Running statistics describe the batch form; instance statistics are
 * the input's own by definition. The form with given statistics is for inference and has no gradient.
 * Sources: Ioffe & Szegedy 2015, arXiv:1502.03167; Ulyanov et al. 2016, arXiv:1607.08022. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/graph.h"
#include "engine/op_rules.h"

static u3d_status norm_check_attr(const u3d_op_desc *d)
{
    const u3d_norm_attr *a = &d->attr.norm;
    const char *name = u3d_op_info_get(d->op)->name;
    if (!isfinite(a->eps) || a->eps <= 0.0F) {
        return u3d_fail(U3D_E_ARG, "%s: eps is %g, expected a number above 0", name, (double)a->eps);
    }
    if (a->per_instance && (a->use_running || a->keep_running)) {
        return u3d_fail(U3D_E_ARG,
                        "%s: running statistics belong to the batch form, not to statistics per instance",
                        name);
    }
    if (a->use_running && a->keep_running) {
        return u3d_fail(U3D_E_ARG, "%s: running statistics are either used or updated, not both", name);
    }
    if (a->keep_running && !(a->momentum >= 0.0F && a->momentum <= 1.0F)) {
        return u3d_fail(U3D_E_ARG, "%s: momentum is %g, expected 0 to 1", name, (double)a->momentum);
    }
    return U3D_OK;
}

static u3d_type norm_stats_type(const u3d_op_desc *d, const u3d_type *x)
{
    return u3d_type_f32(3, (const int64_t[]){d->attr.norm.per_instance ? x->dim[0] : 1, 2, x->dim[4]});
}

static u3d_status norm_infer(u3d_op_desc *d)
{
    bool use = d->attr.norm.use_running, keep = d->attr.norm.keep_running;
    int32_t n_in = use ? 4 : 3, n_out = use ? 1 : keep ? 3 : 2;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NORM, n_in, n_in, n_out, n_out}));
    U3D_TRY(norm_check_attr(d));
    U3D_TRY(u3d_op_check_map(d, 0, "x"));
    const u3d_type *x = &d->in[0];
    u3d_type running = u3d_type_f32(2, (const int64_t[]){2, x->dim[4]});
    U3D_TRY(u3d_op_check_vector(d, 1, "gain", x->dim[4]));
    U3D_TRY(u3d_op_check_vector(d, 2, "bias", x->dim[4]));
    if (use) U3D_TRY(u3d_op_check_type(d, 3, "running", running));
    if (keep && u3d_type_elems(x) == x->dim[4]) {
        return u3d_fail(U3D_E_SHAPE, "norm: x has 1 voxel per channel, running variance needs at least 2");
    }
    d->out[0] = *x;
    if (!use) d->out[1] = norm_stats_type(d, x);
    if (keep) d->out[2] = running;
    return u3d_op_end(d);
}

static u3d_status norm_back_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NORM, 4, 4, 3, 3}));
    U3D_TRY(norm_check_attr(d));
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    const u3d_type *dy = &d->in[0];
    U3D_TRY(u3d_op_check_type(d, 1, "x", *dy));
    U3D_TRY(u3d_op_check_vector(d, 2, "gain", dy->dim[4]));
    U3D_TRY(u3d_op_check_type(d, 3, "stats", norm_stats_type(d, dy)));
    d->out[0] = *dy;
    d->out[1] = d->out[2] = d->in[2];
    return u3d_op_end(d);
}

static u3d_status norm_grad(u3d_graph *g, const u3d_node *n)
{
    if (n->attr.norm.use_running) {
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "norm with given statistics has no gradient; train with the batch's own");
    }
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    u3d_val in[] = {dy, n->in[0], n->in[1], n->out[1]};
    return u3d_grad_append(g, n, "back", U3D_OP_NORM_BACK, &n->attr, in, 4, n->in, 3);
}

static int norm_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_norm_attr *a = &d->attr.norm;
    return snprintf(buf, cap, "%s%s eps %g", a->per_instance ? "per instance" : "per batch",
                    a->use_running    ? ", running used"
                    : a->keep_running ? ", running kept"
                                      : "",
                    (double)a->eps);
}

const u3d_op_info u3d_rule_NORM = {
    .name = "norm",
    .infer = norm_infer,
    .grad = norm_grad,
    .text = norm_text,
    .in_place = true,
    .updates = 1U << 2,
};

const u3d_op_info u3d_rule_NORM_BACK = {
    .name = "norm_back",
    .infer = norm_back_infer,
    .text = norm_text,
    .in_place = true,
};
