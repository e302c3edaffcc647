/* One optimization step over the flat blocks, station 10 of training; before: gradients; after: new weights.
 * It runs up to four prepared kernels and uploads a few numbers:
 *
 *   norm = sqrt(sum_squares(gradients))     if not finite, the step is skipped but counted
 *   grad_scale = clip / max(norm, clip)     1 without clipping
 *   sgd_step or adam_step on the segment with weight decay, then on the other with weight_decay 0
 *   average += (1 - decay) * (value - average)
 *
 * The numbers that change from step to step are in small device tensors, so that the kernels are prepared
 * only once and a step allocates nothing. One buffer holds them: hyper of segment 0 | hyper of segment 1 | t
 * of lerp | sum of squares | workspace, each in an aligned slot of its own. */
#include "engine/run/optim.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"

enum { N_HYPER = 8, SLOT_T = 2, SLOT_NORM = 3, N_SLOTS = 4, SLOT_BYTES = 64 };

struct u3d_optim {
    u3d_params *params;
    u3d_backend *backend;
    u3d_optim_opts opts;
    int64_t steps;
    u3d_kernel *step[2]; /* per segment; NULL if the segment is empty */
    u3d_kernel *squares; /* NULL if there are no parameters           */
    u3d_kernel *lerp;    /* NULL if there are no averages             */
    u3d_buffer *buf;     /* the slots, and then the workspace         */
    uint64_t slot;       /* bytes of one slot                         */
};

/* ---- settings ---- */

uint32_t u3d_optim_blocks(const u3d_optim_opts *o)
{
    uint32_t blocks = 1u << U3D_BLOCK_VALUE | 1u << U3D_BLOCK_GRAD | 1u << U3D_BLOCK_M;
    if (o->kind == U3D_OPTIM_ADAM) blocks |= 1u << U3D_BLOCK_V;
    if (o->average > 0) blocks |= 1u << U3D_BLOCK_AVERAGE;
    return blocks;
}

/* The schedule runs from the end of the warmup to total_steps. */
double u3d_optim_lr(const u3d_optim_opts *o, int64_t step)
{
    if (step < o->warmup_steps) return o->lr * (double)(step + 1) / (double)(o->warmup_steps + 1);
    int64_t done = step - o->warmup_steps, total = o->total_steps - o->warmup_steps;
    double progress = total > 0 ? fmin((double)done / (double)total, 1.0) : 0.0;
    switch (o->schedule) {
    case U3D_LR_STEP:
        return o->step_size > 0 ? o->lr * pow(o->step_gamma, (double)(done / o->step_size)) : o->lr;
    case U3D_LR_POLY: return o->lr * pow(1.0 - progress, 0.9);
    case U3D_LR_COSINE: return o->lr * 0.5 * (1.0 + cos(acos(-1.0) * progress));
    case U3D_LR_CONSTANT: break;
    }
    return o->lr;
}

static u3d_status optim_check_range(const char *name, double value, double low, double below)
{
    if (value >= low && value < below) return U3D_OK; /* NaN fails both comparisons */
    return u3d_fail(U3D_E_ARG, "optimizer: %s is %g, expected %g <= %s < %g", name, value, low, name, below);
}

static u3d_status optim_check(const u3d_optim_opts *o, const u3d_params *p)
{
    U3D_TRY(optim_check_range("lr", o->lr, 0, INFINITY));
    U3D_TRY(optim_check_range("weight_decay", o->weight_decay, 0, INFINITY));
    U3D_TRY(optim_check_range("clip_norm", o->clip_norm, 0, INFINITY));
    U3D_TRY(optim_check_range("average", o->average, 0, 1));
    if (o->kind == U3D_OPTIM_SGD) {
        U3D_TRY(optim_check_range("momentum", o->momentum, 0, 1));
    } else {
        U3D_TRY(optim_check_range("beta1", o->beta1, 0, 1));
        U3D_TRY(optim_check_range("beta2", o->beta2, 0, 1));
        U3D_TRY(optim_check_range("eps", o->eps, 1e-37, INFINITY)); /* 1e-37 stays above 0 as a float */
    }
    bool ends = o->schedule == U3D_LR_POLY || o->schedule == U3D_LR_COSINE;
    if (o->warmup_steps < 0 || (ends && o->total_steps <= o->warmup_steps))
        return u3d_fail(
            U3D_E_ARG,
            "optimizer: %lld warmup steps of %lld steps in all; the schedule needs steps after the warmup",
            (long long)o->warmup_steps, (long long)o->total_steps);
    if (o->schedule == U3D_LR_STEP && o->step_size < 1)
        return u3d_fail(U3D_E_ARG, "optimizer: the step schedule needs step_size >= 1, not %lld",
                        (long long)o->step_size);
    uint32_t wanted = u3d_optim_blocks(o);
    for (int k = 0; k < U3D_BLOCK_COUNT; k++)
        if ((wanted & (1u << k)) && !u3d_params_has(p, (u3d_block)k))
            return u3d_fail(U3D_E_ARG,
                            "optimizer: the parameters lack block %d; create them with u3d_optim_blocks", k);
    return U3D_OK;
}

/* ---- kernels ---- */

static u3d_op_desc optim_desc(u3d_op op, int64_t n)
{
    u3d_op_desc d;
    memset(&d, 0, sizeof d);
    d.op = op;
    d.in[0] = u3d_type_f32(1, &n);
    switch (op) {
    case U3D_OP_SUM_SQUARES: d.n_in = 1, d.n_out = 1; break;
    case U3D_OP_LERP: d.n_in = 2, d.n_out = 1, d.in[1] = u3d_type_scalar(); break;
    default:
        d.n_in = 2, d.n_out = op == U3D_OP_ADAM_STEP ? 3 : 2, d.in[1] = u3d_type_f32(1, &(int64_t){N_HYPER});
        break;
    }
    return d;
}

static u3d_status optim_prepare(u3d_optim *o, u3d_op op, int64_t n, uint64_t *work_most, u3d_kernel **out)
{
    u3d_op_desc d = optim_desc(op, n);
    u3d_need need;
    U3D_TRY(u3d_op_info_get(op)->infer(&d));
    U3D_TRY(u3d_backend_query(o->backend, &d, &need));
    if (need.work_best > *work_most) *work_most = need.work_best;
    return u3d_backend_prepare(o->backend, &d, need.work_best, out);
}

static u3d_status optim_prepare_all(u3d_optim *o)
{
    u3d_op step = o->opts.kind == U3D_OPTIM_ADAM ? U3D_OP_ADAM_STEP : U3D_OP_SGD_STEP;
    uint64_t work = 0;
    int64_t n;
    for (int segment = 0; segment < 2; segment++) {
        u3d_params_span(o->params, U3D_BLOCK_VALUE, segment, &n);
        if (n > 0) U3D_TRY(optim_prepare(o, step, n, &work, &o->step[segment]));
    }
    u3d_params_span(o->params, U3D_BLOCK_VALUE, -1, &n);
    if (n > 0) U3D_TRY(optim_prepare(o, U3D_OP_SUM_SQUARES, n, &work, &o->squares));
    if (n > 0 && o->opts.average > 0) U3D_TRY(optim_prepare(o, U3D_OP_LERP, n, &work, &o->lerp));

    u3d_caps caps;
    u3d_backend_caps(o->backend, &caps);
    o->slot = caps.align > SLOT_BYTES ? caps.align : SLOT_BYTES;
    return u3d_backend_alloc(o->backend, N_SLOTS * o->slot + work, &o->buf);
}

u3d_status u3d_optim_new(u3d_params *p, const u3d_optim_opts *opts, u3d_optim **out)
{
    *out = NULL;
    U3D_TRY(optim_check(opts, p));
    u3d_optim *o = u3d_new(1, sizeof *o);
    if (!o) return U3D_E_NOMEM;
    o->params = p;
    o->backend = u3d_params_backend(p);
    o->opts = *opts;
    u3d_status status = optim_prepare_all(o);
    if (status != U3D_OK) {
        u3d_optim_free(o);
        return status;
    }
    *out = o;
    return U3D_OK;
}

void u3d_optim_free(u3d_optim *o)
{
    if (!o) return;
    for (int segment = 0; segment < 2; segment++) u3d_backend_discard(o->backend, o->step[segment]);
    u3d_backend_discard(o->backend, o->squares);
    u3d_backend_discard(o->backend, o->lerp);
    u3d_backend_release(o->backend, o->buf);
    u3d_free(o);
}

/* ---- the step ---- */

static u3d_span optim_slot(const u3d_optim *o, int slot)
{
    return (u3d_span){o->buf, (uint64_t)slot * o->slot};
}

static u3d_span optim_block(const u3d_optim *o, u3d_block block, int segment)
{
    return u3d_params_span(o->params, block, segment, NULL);
}

static u3d_status optim_grad_norm(const u3d_optim *o, double *norm)
{
    *norm = 0;
    if (!o->squares) return U3D_OK;
    float squares;
    u3d_span grad = optim_block(o, U3D_BLOCK_GRAD, -1), sum = optim_slot(o, SLOT_NORM);
    U3D_TRY(u3d_backend_run(o->backend, o->squares, &grad, &sum, optim_slot(o, N_SLOTS)));
    U3D_TRY(u3d_backend_download(o->backend, &squares, sum, sizeof squares));
    *norm = sqrt((double)squares);
    return U3D_OK;
}

/* The eight numbers of hyper (optim.h) for one segment. */
static void optim_hyper(const u3d_optim *o, double lr, double grad_scale, bool decay, float h[N_HYPER])
{
    const u3d_optim_opts *opts = &o->opts;
    double t = (double)(o->steps + 1), weight_decay = decay ? opts->weight_decay : 0;
    const double sgd[N_HYPER] = {lr, opts->momentum, weight_decay, grad_scale, opts->nesterov ? 1 : 0};
    const double adam[N_HYPER] = {lr,
                                  opts->beta1,
                                  opts->beta2,
                                  opts->eps,
                                  weight_decay,
                                  grad_scale,
                                  1 - pow(opts->beta1, t),
                                  1 - pow(opts->beta2, t)};
    for (int i = 0; i < N_HYPER; i++) h[i] = (float)(opts->kind == U3D_OPTIM_ADAM ? adam[i] : sgd[i]);
}

static u3d_status optim_run_segment(const u3d_optim *o, int segment, double lr, double grad_scale)
{
    if (!o->step[segment]) return U3D_OK;
    float hyper[N_HYPER];
    optim_hyper(o, lr, grad_scale, segment == 0, hyper);
    u3d_span in[2] = {optim_block(o, U3D_BLOCK_GRAD, segment), optim_slot(o, segment)};
    u3d_span out[3] = {optim_block(o, U3D_BLOCK_VALUE, segment), optim_block(o, U3D_BLOCK_M, segment),
                       optim_block(o, U3D_BLOCK_V, segment)};
    U3D_TRY(u3d_backend_upload(o->backend, in[1], hyper, sizeof hyper));
    return u3d_backend_run(o->backend, o->step[segment], in, out, optim_slot(o, N_SLOTS));
}

/* The decay grows with the steps up to opts.average, so that the average soon forgets the random initial
 * values. */
static u3d_status optim_run_average(const u3d_optim *o)
{
    if (!o->lerp) return U3D_OK;
    double decay = fmin(o->opts.average, (1.0 + (double)o->steps) / (10.0 + (double)o->steps));
    float t = (float)(1 - decay);
    u3d_span in[2] = {optim_block(o, U3D_BLOCK_VALUE, -1), optim_slot(o, SLOT_T)};
    u3d_span out = optim_block(o, U3D_BLOCK_AVERAGE, -1);
    U3D_TRY(u3d_backend_upload(o->backend, in[1], &t, sizeof t));
    return u3d_backend_run(o->backend, o->lerp, in, &out, optim_slot(o, N_SLOTS));
}

u3d_status u3d_optim_step(u3d_optim *o, u3d_optim_stats *out)
{
    memset(out, 0, sizeof *out);
    out->lr = u3d_optim_lr(&o->opts, o->steps);
    U3D_TRY(optim_grad_norm(o, &out->grad_norm));
    out->skipped = !isfinite(out->grad_norm);
    if (!out->skipped) {
        double clip = o->opts.clip_norm, scale = clip > 0 ? clip / fmax(out->grad_norm, clip) : 1;
        for (int segment = 0; segment < 2; segment++) U3D_TRY(optim_run_segment(o, segment, out->lr, scale));
        U3D_TRY(optim_run_average(o));
    }
    o->steps++;
    return U3D_OK;
}

int64_t u3d_optim_steps(const u3d_optim *o)
{
    return o->steps;
}

void u3d_optim_set_steps(u3d_optim *o, int64_t steps)
{
    o->steps = steps;
}
