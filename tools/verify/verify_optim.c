/* Compares the optimizer on one backend with the formulas of engine/run/optim.h, computed in double precision
 * over the same flat blocks of parameters. */
#include <math.h>
#include <stdio.h>

#include "engine/base/mem.h"
#include "net/train/train.h"
#include "tests/ref/ref.h"
#include "tests/support/support_trial.h"
#include "tools/verify/verify.h"

enum { N_HYPER = 8, N_STEPS = 2 /* the second step starts from moments that are not zero */ };

typedef struct snapshot { /* the blocks of one segment, as doubles */
    double *block[U3D_BLOCK_COUNT];
    int64_t n;
} snapshot;

static void snapshot_free(snapshot *s)
{
    for (int k = 0; k < U3D_BLOCK_COUNT; k++) {
        u3d_free(s->block[k]);
        s->block[k] = NULL;
    }
}

static u3d_status block_fetch(u3d_params *p, u3d_block block, int segment, float **out, int64_t *n)
{
    const u3d_span span = u3d_params_span(p, block, segment, n);
    *out = u3d_new_uninit((size_t)*n, sizeof(float));
    if (!*out) return U3D_E_NOMEM;
    return *n ? u3d_backend_download(u3d_params_backend(p), *out, span, (uint64_t)*n * sizeof(float))
              : U3D_OK;
}

static u3d_status snapshot_take(u3d_params *p, int segment, snapshot *s)
{
    for (int k = 0; k < U3D_BLOCK_COUNT; k++) {
        float *narrow = NULL;
        if (!u3d_params_has(p, (u3d_block)k)) continue;
        u3d_status status = block_fetch(p, (u3d_block)k, segment, &narrow, &s->n);
        const u3d_type t = u3d_type_f32(1, &s->n);
        s->block[k] = status == U3D_OK && s->n ? u3d_test_widen(&t, narrow) : NULL;
        u3d_free(narrow);
        U3D_TRY(status);
        if (s->n && !s->block[k]) return U3D_E_NOMEM;
    }
    return U3D_OK;
}

/* ---- the oracle's step ---- */

static void hyper_fill(const u3d_optim_opts *o, int64_t step, double grad_scale, bool decay,
                       double h[N_HYPER])
{
    const double t = (double)(step + 1), lr = u3d_optim_lr(o, step),
                 weight_decay = decay ? o->weight_decay : 0;
    const double sgd[N_HYPER] = {lr, o->momentum, weight_decay, grad_scale, o->nesterov ? 1 : 0};
    const double adam[N_HYPER] = {
        lr, o->beta1, o->beta2, o->eps, weight_decay, grad_scale, 1 - pow(o->beta1, t), 1 - pow(o->beta2, t)};
    for (int i = 0; i < N_HYPER; i++) /* rounded to float, because the device gets floats */
        h[i] = (double)(float)(o->kind == U3D_OPTIM_ADAM ? adam[i] : sgd[i]);
}

static u3d_status describe(u3d_op op, int64_t n, u3d_op_desc *d)
{
    *d = (u3d_op_desc){.op = op,
                       .n_in = 2,
                       .n_out = op == U3D_OP_ADAM_STEP  ? 3
                                : op == U3D_OP_SGD_STEP ? 2
                                                        : 1};
    d->in[0] = u3d_type_f32(1, &n);
    d->in[1] = op == U3D_OP_LERP ? u3d_type_scalar() : u3d_type_f32(1, &(int64_t){N_HYPER});
    return u3d_op_info_get(op)->infer(d);
}

static u3d_status oracle_step(const u3d_optim_opts *o, int64_t step, double grad_scale, int segment,
                              snapshot *s)
{
    u3d_op_desc d;
    double hyper[N_HYPER];
    if (!s->n) return U3D_OK;
    hyper_fill(o, step, grad_scale, segment == 0, hyper);
    U3D_TRY(describe(o->kind == U3D_OPTIM_ADAM ? U3D_OP_ADAM_STEP : U3D_OP_SGD_STEP, s->n, &d));
    u3d_ref_run(&d, (const double *const[]){s->block[U3D_BLOCK_GRAD], hyper},
                (double *const[]){s->block[U3D_BLOCK_VALUE], s->block[U3D_BLOCK_M], s->block[U3D_BLOCK_V]});
    if (!(o->average > 0)) return U3D_OK;
    /* The decay of the average is (1 + step) / (10 + step) until that exceeds the setting. */
    const double decay = fmin(o->average, (1.0 + (double)step) / (10.0 + (double)step));
    U3D_TRY(describe(U3D_OP_LERP, s->n, &d));
    u3d_ref_run(&d, (const double *const[]){s->block[U3D_BLOCK_VALUE], &(double){(double)(float)(1 - decay)}},
                (double *const[]){s->block[U3D_BLOCK_AVERAGE]});
    return U3D_OK;
}

/* ---- comparing ---- */

/* The parameter that element `at` of a segment belongs to. */
static const char *owner_of(const u3d_params *p, int segment, int64_t at)
{
    int64_t first = 0;
    if (segment == 1) u3d_params_span(p, U3D_BLOCK_VALUE, 0, &first);
    for (int i = 0; i < u3d_params_count(p); i++) {
        const u3d_param_info *info = u3d_params_info(p, i);
        const int64_t from = (int64_t)info->off - first;
        if (!info->state && at >= from && at < from + u3d_type_elems(&info->type)) return info->name;
    }
    return "padding";
}

static u3d_status compare(u3d_params *p, int segment, const u3d_optim_opts *o, const snapshot *s,
                          verify_row *row)
{
    static const char *const names[U3D_BLOCK_COUNT] = {"value", "gradient", "first moment", "second moment",
                                                       "average"};
    const u3d_op_desc step = {.op = o->kind == U3D_OPTIM_ADAM ? U3D_OP_ADAM_STEP : U3D_OP_SGD_STEP};
    const double tol = u3d_op_tol(&step, "");
    for (int k = 0; s->n && k < U3D_BLOCK_COUNT; k++) {
        float *got = NULL;
        int64_t n;
        if (!s->block[k]) continue;
        const u3d_status status = block_fetch(p, (u3d_block)k, segment, &got, &n);
        if (status == U3D_OK) {
            char text[256];
            const u3d_type t = u3d_type_f32(1, &n);
            const u3d_test_diff d = u3d_test_compare(got, s->block[k], n);
            const char *owner = owner_of(p, segment, d.worst_at);
            verify_count(row, owner, u3d_op_excess(&d, tol), fmax(d.rms, d.worst / U3D_WORST), tol);
            if (u3d_op_excess(&d, tol) > 1)
                verify_wrong(row, "%s of %s after an update: %s (limits %.0e, %.0e)", names[k], owner,
                             u3d_test_diff_text(&d, &t, "block", text, sizeof text), tol, U3D_WORST * tol);
        }
        u3d_free(got);
        U3D_TRY(status);
    }
    return U3D_OK;
}

/* Compares the norm of the gradients that the device reports with that of the oracle, and returns the
 * latter. */
static double compare_norm(const snapshot s[2], const u3d_optim_stats *stats, verify_row *row)
{
    const u3d_op_desc squares = {.op = U3D_OP_SUM_SQUARES};
    const double tol = u3d_op_tol(&squares, "");
    double sum = 0;
    for (int segment = 0; segment < 2; segment++)
        for (int64_t i = 0; i < s[segment].n; i++)
            sum += s[segment].block[U3D_BLOCK_GRAD][i] * s[segment].block[U3D_BLOCK_GRAD][i];
    const double norm = sqrt(sum), error = norm > 0 ? fabs(stats->grad_norm - norm) / norm : stats->grad_norm;
    verify_count(row, "norm of the gradients", error / tol, error, tol);
    if (!(error <= tol) || stats->skipped)
        verify_wrong(row, "norm of the gradients: got %.9g, want %.9g (limit %.0e)", stats->grad_norm, norm,
                     tol);
    return norm;
}

static u3d_status one_step(u3d_params *p, u3d_optim *optim, const u3d_optim_opts *o, verify_row *row)
{
    u3d_status status = U3D_OK;
    snapshot s[2] = {{.n = 0}};
    u3d_optim_stats stats;
    const int64_t step = u3d_optim_steps(optim);
    for (int segment = 0; segment < 2; segment++) U3D_GO(snapshot_take(p, segment, &s[segment]));
    U3D_GO(u3d_optim_step(optim, &stats));
    const double norm = compare_norm(s, &stats, row);
    const double scale = o->clip_norm > 0 ? o->clip_norm / fmax(norm, o->clip_norm) : 1;
    for (int segment = 0; segment < 2; segment++) {
        U3D_GO(oracle_step(o, step, scale, segment, &s[segment]));
        U3D_GO(compare(p, segment, o, &s[segment], row));
    }
done:
    for (int segment = 0; segment < 2; segment++) snapshot_free(&s[segment]);
    return status;
}

u3d_status verify_optim(u3d_params *p, const u3d_config *c, verify_row *row)
{
    const u3d_optim_opts o = u3d_train_optim_opts(c, 1000);
    u3d_optim *optim;
    U3D_TRY(u3d_optim_new(p, &o, &optim));
    u3d_status status = U3D_OK;
    for (int i = 0; status == U3D_OK && i < N_STEPS; i++) status = one_step(p, optim, &o, row);
    u3d_optim_free(optim);
    return status;
}
