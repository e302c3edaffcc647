/* Batch and instance normalisation, their gradient, and the two ops that replace them in fused graphs.
 *
 *   norm                 x [N,D,H,W,C], gain [C], bias [C] -> y, stats [S,2,C], (running [2,C])
 *   norm (use_running)   x, gain, bias, running [2,C] -> y
 *   norm_back            dy, x, gain, stats -> dx, dgain, dbias
 *   norm_back (act)      dy, x, gain, stats, table [S,2,C] -> dx, dgain, dbias of act(norm(x))
 *   moments              x -> moments [S,2,C]
 *   norm_table           moments, gain, bias -> table [S,2,C], stats, (running)
 *   norm_table (use_running)   running, gain, bias -> table [1,2,C]
 *
 * S = N with statistics per instance, S = 1 with statistics over the batch. Running statistics exist only in
 * the batch form, because instance statistics are by definition those of the input itself. The forms with
 * use_running are for inference and have no gradient.
 * Sources: Ioffe & Szegedy 2015, arXiv:1502.03167; Ulyanov et al. 2016, arXiv:1607.08022. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/ops/op_grad.h"
#include "engine/ops/op_rules.h"

static u3d_status norm_check_attr(const u3d_op_desc *d)
{
    const u3d_norm_attr *a = &d->attr.norm;
    const char *name = u3d_op_info_get(d->op)->name;
    if (!isfinite(a->eps) || a->eps <= 0.0F) {
        return u3d_fail(U3D_E_ARG, "%s: eps is %g, expected a number above 0", name, (double)a->eps);
    }
    if (a->per_instance && (a->use_running || a->keep_running)) {
        return u3d_fail(U3D_E_ARG,
                        "%s: running statistics exist only for batch statistics, not for statistics per instance",
                        name);
    }
    if (a->use_running && a->keep_running) {
        return u3d_fail(U3D_E_ARG, "%s: running statistics can be used or updated, but not both", name);
    }
    if (a->keep_running && !(a->momentum >= 0.0F && a->momentum <= 1.0F)) {
        return u3d_fail(U3D_E_ARG, "%s: momentum is %g, expected 0 to 1", name, (double)a->momentum);
    }
    if (a->act && d->op != U3D_OP_NORM_BACK) {
        return u3d_fail(U3D_E_ARG, "%s: only norm_back accepts an activation, which here has slope %g", name,
                        (double)a->slope);
    }
    return U3D_OK;
}

/* Clears the fields that this form of the op ignores, so that descriptions of equal work are equal bytes. */
static void norm_clean(u3d_norm_attr *a, bool voxels)
{
    if (!a->act) a->slope = 0.0F;
    if (!voxels) a->voxels = 0;
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
    norm_clean(&d->attr.norm, false);
    U3D_TRY(u3d_op_check_map(d, 0, "x"));
    const u3d_type *x = &d->in[0];
    u3d_type running = u3d_type_f32(2, (const int64_t[]){2, x->dim[4]});
    U3D_TRY(u3d_op_check_vector(d, 1, "gain", x->dim[4]));
    U3D_TRY(u3d_op_check_vector(d, 2, "bias", x->dim[4]));
    if (use) U3D_TRY(u3d_op_check_type(d, 3, "running", running));
    if (keep && u3d_type_elems(x) == x->dim[4]) {
        return u3d_fail(U3D_E_SHAPE, "norm: x has 1 voxel per channel, but a running variance needs at least 2");
    }
    d->out[0] = *x;
    if (!use) d->out[1] = norm_stats_type(d, x);
    if (keep) d->out[2] = running;
    return u3d_op_end(d);
}

static u3d_status norm_back_infer(u3d_op_desc *d)
{
    const u3d_norm_attr *a = &d->attr.norm;
    int32_t n_in = a->act ? 5 : 4;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NORM, n_in, n_in, 3, 3}));
    U3D_TRY(norm_check_attr(d));
    norm_clean(&d->attr.norm, false);
    if (!isfinite(a->slope) || a->slope < 0.0F) {
        return u3d_fail(U3D_E_ARG, "norm_back: slope is %g, expected a finite number >= 0",
                        (double)a->slope);
    }
    U3D_TRY(u3d_op_check_map(d, 0, "dy"));
    const u3d_type *dy = &d->in[0];
    U3D_TRY(u3d_op_check_type(d, 1, "x", *dy));
    U3D_TRY(u3d_op_check_vector(d, 2, "gain", dy->dim[4]));
    U3D_TRY(u3d_op_check_type(d, 3, "stats", norm_stats_type(d, dy)));
    if (a->act) U3D_TRY(u3d_op_check_type(d, 4, "the table", norm_stats_type(d, dy)));
    d->out[0] = *dy;
    d->out[1] = d->out[2] = d->in[2];
    return u3d_op_end(d);
}

static u3d_status moments_infer(u3d_op_desc *d)
{
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NORM, 1, 1, 1, 1}));
    u3d_norm_attr *a = &d->attr.norm; /* only per_instance matters here */
    a->use_running = a->keep_running = a->act = false;
    a->eps = a->momentum = 0.0F;
    norm_clean(a, false);
    U3D_TRY(u3d_op_check_map(d, 0, "x"));
    d->out[0] = norm_stats_type(d, &d->in[0]);
    return u3d_op_end(d);
}

static u3d_status norm_table_check_voxels(const u3d_norm_attr *a)
{
    int64_t least = a->keep_running ? 2 : 1;
    if (a->use_running || a->voxels >= least) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "norm_table: %" PRId64 " voxels per mean, expected at least %" PRId64 "%s",
                    a->voxels, least, a->keep_running ? " for a running variance" : "");
}

/* Checks input 0: running [2, C] with use_running, otherwise moments [S, 2, C]. */
static u3d_status norm_table_check_statistics(const u3d_op_desc *d, int64_t channels)
{
    const u3d_norm_attr *a = &d->attr.norm;
    if (a->use_running) {
        u3d_type running = u3d_type_f32(2, (const int64_t[]){2, channels});
        return u3d_op_check_type(d, 0, "running", running);
    }
    int64_t sets = a->per_instance && d->in[0].rank == 3 ? d->in[0].dim[0] : 1;
    return u3d_op_check_type(d, 0, "moments", u3d_type_f32(3, (const int64_t[]){sets, 2, channels}));
}

static u3d_status norm_table_infer(u3d_op_desc *d)
{
    const u3d_norm_attr *a = &d->attr.norm;
    int32_t n_out = a->use_running ? 1 : a->keep_running ? 3 : 2;
    U3D_TRY(u3d_op_begin(d, (u3d_op_form){U3D_ATTR_NORM, 3, 3, n_out, n_out}));
    U3D_TRY(norm_check_attr(d));
    norm_clean(&d->attr.norm, !a->use_running);
    U3D_TRY(norm_table_check_voxels(a));
    U3D_TRY(u3d_op_check_flat(d, 1, "gain"));
    int64_t channels = d->in[1].dim[0];
    U3D_TRY(u3d_op_check_vector(d, 2, "bias", channels));
    U3D_TRY(norm_table_check_statistics(d, channels));
    int64_t sets = a->use_running ? 1 : d->in[0].dim[0];
    d->out[0] = u3d_type_f32(3, (const int64_t[]){sets, 2, channels});
    if (!a->use_running) d->out[1] = d->out[0];
    if (a->keep_running) d->out[2] = u3d_type_f32(2, (const int64_t[]){2, channels});
    return u3d_op_end(d);
}

static u3d_status norm_grad(u3d_graph *g, const u3d_node *n)
{
    if (n->attr.norm.use_running) {
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "norm with running statistics has no gradient; train with the statistics of its input");
    }
    u3d_val dy = u3d_graph_value(g, n->out[0])->grad;
    u3d_val in[] = {dy, n->in[0], n->in[1], n->out[1]};
    return u3d_grad_append(g, n, "back", U3D_OP_NORM_BACK, &n->attr, in, 4, n->in, 3);
}

static int norm_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_norm_attr *a = &d->attr.norm;
    char act[40] = "";
    if (a->act) snprintf(act, sizeof act, ", act slope %g", (double)a->slope);
    return snprintf(buf, cap, "%s%s eps %g%s", a->per_instance ? "per instance" : "per batch",
                    a->use_running    ? ", running used"
                    : a->keep_running ? ", running kept"
                                      : "",
                    (double)a->eps, act);
}

static int moments_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    return snprintf(buf, cap, "%s", d->attr.norm.per_instance ? "per instance" : "per batch");
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

const u3d_op_info u3d_rule_MOMENTS = {.name = "moments", .infer = moments_infer, .text = moments_text};

const u3d_op_info u3d_rule_NORM_TABLE = {
    .name = "norm_table",
    .infer = norm_table_infer,
    .text = norm_text,
    .updates = 1U << 2,
};
