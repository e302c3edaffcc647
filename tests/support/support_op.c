/* Inputs for single ops, the oracle's results, and watched runs (runs that detect stray writes).
 *
 * Inputs are random floats. The oracle gets the same numbers converted to double, so that only the arithmetic
 * differs. If an input is the output of another op (stats of a norm, sums of Dice), the oracle of that op
 * computes it, because an implementation may rely on inputs that fit together. */
#include "tests/support/support_op.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tests/ref/ref.h"
#include "tests/support/support_numbers.h"

enum { GUARD = 64 }; /* bytes on each side of an array: one cache line, more than any vector */

/* ---- inputs ---- */

static void fill_floats(u3d_rng *r, u3d_op_fill kind, float *p, int64_t n)
{
    u3d_test_normal(r, p, n);
    for (int64_t e = 0; e < n; e++) switch (kind) {
        case U3D_FILL_TIES: p[e] = (float)u3d_rng_below(r, 3) - 1; break;
        case U3D_FILL_OFFSET: p[e] += 30; break;
        case U3D_FILL_EXTREME: p[e] = fminf(fmaxf(100 * p[e], -200), 200); break;
        case U3D_FILL_ZERO: p[e] = 0; break;
        case U3D_FILL_DEFAULT:
        case U3D_FILL_SPARSE:
        case U3D_FILL_IGNORED: break;
        }
}

static void fill_uniform(u3d_rng *r, float *p, int64_t n, double low, double high)
{
    for (int64_t e = 0; e < n; e++) p[e] = (float)(low + (high - low) * u3d_rng_uniform(r));
}

/* Labels of all classes, with one voxel in six ignored. If there is only one voxel, it is not ignored (unless
 * `kind` is U3D_FILL_IGNORED). */
static void fill_labels(u3d_rng *r, u3d_op_fill kind, const u3d_op_desc *d, uint8_t *p)
{
    int64_t n = u3d_type_elems(&d->in[1]), n_classes = d->in[0].dim[4];
    for (int64_t v = 0; v < n; v++) {
        bool ignored = kind == U3D_FILL_IGNORED || (n > 1 && u3d_rng_below(r, 6) == 0);
        p[v] = (uint8_t)(ignored ? d->attr.loss.ignore_label : u3d_rng_below(r, n_classes));
    }
}

/* Labels of seven classes. Enough of them are ignored that some windows are labelled completely, some partly
 * and some not at all. */
static void fill_label_map(u3d_rng *r, u3d_op_fill kind, const u3d_op_desc *d, uint8_t *p)
{
    const int64_t ignored_of_ten = kind == U3D_FILL_IGNORED ? 10 : kind == U3D_FILL_SPARSE ? 9 : 2;
    for (int64_t v = 0; v < u3d_type_elems(&d->in[0]); v++) {
        bool ignored = u3d_rng_below(r, 10) < ignored_of_ten;
        p[v] = (uint8_t)(ignored ? d->attr.subsample.ignore_label : u3d_rng_below(r, 7));
    }
}

/* Class weights are positive, except that with more than three classes the last class has weight 0. */
static void fill_class_weight(u3d_rng *r, float *p, int64_t n)
{
    fill_uniform(r, p, n, 0.5, 2);
    if (n > 3) p[n - 1] = 0;
}

static void fill_hyper(u3d_op op, float *p)
{
    const float sgd[8] = {0.1F, 0.9F, 0.01F, 0.5F, 1};
    const float adam[8] = {0.01F, 0.9F, 0.99F, 1e-6F, 0.01F, 0.5F, 1 - 0.9F * 0.9F, 1 - 0.99F * 0.99F};
    memcpy(p, op == U3D_OP_SGD_STEP ? sgd : adam, 8 * sizeof *p);
}

/* Runs the oracle of `op` on the inputs of d whose numbers are in `from`, and stores out[which] in p. */
static u3d_status fill_from_op(u3d_op_data *d, u3d_op op, const int *from, int n_from, int n_out, int which,
                               void *p)
{
    u3d_status status = U3D_OK;
    u3d_op_desc f = {.op = op, .attr = d->desc.attr, .n_in = n_from, .n_out = n_out};
    if (op == U3D_OP_NORM) f.attr.norm.act = false; /* only norm_back has a fused activation */
    double *in[U3D_MAX_IN] = {NULL}, *out[U3D_MAX_OUT] = {NULL};
    for (int i = 0; i < n_from; i++) f.in[i] = d->desc.in[from[i]];
    U3D_GO(u3d_op_info_get(op)->infer(&f));
    for (int i = 0; i < n_from; i++) {
        in[i] = u3d_test_widen(&f.in[i], d->in[from[i]]);
        if (!in[i]) U3D_GO(U3D_E_NOMEM);
    }
    for (int i = 0; i < n_out; i++) {
        out[i] = u3d_new((size_t)u3d_type_elems(&f.out[i]), sizeof(double));
        if (!out[i]) U3D_GO(U3D_E_NOMEM);
    }
    u3d_ref_run(&f, (const double *const *)in, out);
    u3d_test_narrow(&f.out[which], out[which], p);
done:
    for (int i = 0; i < U3D_MAX_IN; i++) u3d_free(in[i]);
    for (int i = 0; i < U3D_MAX_OUT; i++) u3d_free(out[i]);
    return status;
}

/* Makes a table that fits stats and gain. The random numbers in its second row serve as the bias. */
static void fill_act_table(const u3d_op_data *d)
{
    const float *gain = d->in[2], *stats = d->in[3];
    float *table = d->in[4];
    int64_t sets = d->desc.in[3].dim[0], channels = d->desc.in[3].dim[2];
    for (int64_t s = 0; s < sets; s++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t at_mean = (s * 2 + 0) * channels + c, at_rstd = (s * 2 + 1) * channels + c;
            double scale = (double)gain[c] * (double)stats[at_rstd];
            table[at_mean] = (float)scale;
            table[at_rstd] = (float)((double)table[at_rstd] - (double)stats[at_mean] * scale);
        }
}

/* Fills the second row of statistics [S, 2, C] or [2, C] with variances, which are positive. */
static void fill_variances(u3d_rng *r, const u3d_type *t, float *p)
{
    int64_t channels = t->dim[t->rank - 1], sets = u3d_type_elems(t) / (2 * channels);
    for (int64_t s = 0; s < sets; s++) fill_uniform(r, p + (s * 2 + 1) * channels, channels, 0.2, 3);
}

/* Corrects the random inputs of the norm ops: makes variances positive, stats fit x, and tables fit stats. */
static u3d_status fill_norm(u3d_op_data *d, u3d_rng *r)
{
    const u3d_op_desc *s = &d->desc;
    if (s->op == U3D_OP_NORM_TABLE) fill_variances(r, &s->in[0], d->in[0]);
    if (s->op == U3D_OP_NORM && s->attr.norm.use_running) fill_variances(r, &s->in[3], d->in[3]);
    if (s->op != U3D_OP_NORM_BACK) return U3D_OK;
    /* norm requires a bias, which norm_back does not have. The gain takes its place; stats need neither. */
    U3D_TRY(fill_from_op(d, U3D_OP_NORM, (const int[]){1, 2, 2}, 3, 2, 1, d->in[3]));
    if (s->attr.norm.act) fill_act_table(d);
    return U3D_OK;
}

static u3d_status fill_loss(u3d_op_data *d, u3d_op_fill kind, u3d_rng *r)
{
    const u3d_op_desc *s = &d->desc;
    fill_labels(r, kind, s, d->in[1]);
    fill_class_weight(r, d->in[2], s->in[2].dim[0]);
    if (s->op == U3D_OP_SOFTMAX_XENT_BACK)
        return fill_from_op(d, U3D_OP_SOFTMAX_XENT, (const int[]){0, 1, 2}, 3, 2, 1, d->in[3]);
    if (s->op == U3D_OP_DICE_BACK)
        return fill_from_op(d, U3D_OP_DICE, (const int[]){0, 1, 2}, 3, 2, 1, d->in[3]);
    return U3D_OK;
}

/* Overwrites the inputs that must not be normally distributed. */
static u3d_status fill_special(u3d_op_data *d, u3d_op_fill kind, u3d_rng *r)
{
    const u3d_op_desc *s = &d->desc;
    switch ((int)s->op) {
    case U3D_OP_MAXPOOL3D_DX: {
        const int32_t *k = s->attr.conv.kernel;
        for (int64_t e = 0; e < u3d_type_elems(&s->in[1]); e++)
            ((uint8_t *)d->in[1])[e] = (uint8_t)u3d_rng_below(r, (int64_t)k[0] * k[1] * k[2]);
        return U3D_OK;
    }
    case U3D_OP_NORM:
    case U3D_OP_NORM_TABLE:
    case U3D_OP_NORM_BACK: return fill_norm(d, r);
    case U3D_OP_SOFTMAX_XENT:
    case U3D_OP_SOFTMAX_XENT_BACK:
    case U3D_OP_DICE:
    case U3D_OP_DICE_BACK: return fill_loss(d, kind, r);
    case U3D_OP_SUBSAMPLE: fill_label_map(r, kind, s, d->in[0]); return U3D_OK;
    case U3D_OP_SGD_STEP:
    case U3D_OP_ADAM_STEP: fill_hyper(s->op, d->in[1]); return U3D_OK;
    case U3D_OP_LERP: *(float *)d->in[1] = 0.125F; return U3D_OK;
    default: return U3D_OK;
    }
}

/* Tells whether the fill of a case applies to input i. It applies to the main map of an op, not to its other
 * inputs such as gains and gradients. */
static bool fill_applies(u3d_op op, int i)
{
    switch ((int)op) {
    case U3D_OP_NORM_BACK:
    case U3D_OP_RELU_BACK: return i == 1;
    case U3D_OP_CONV3D:
    case U3D_OP_CONV3D_DW:
    case U3D_OP_NORM:
    case U3D_OP_MAXPOOL3D:
    case U3D_OP_SOFTMAX_XENT_BACK:
    case U3D_OP_DICE_BACK: return i == 0;
    default: return true;
    }
}

/* Contents of an output before the op: random numbers; the second moment of Adam and the running statistics
 * are positive, because a variance cannot be negative. */
static void fill_before(u3d_op_data *d, u3d_rng *r, int i)
{
    int64_t n = u3d_type_elems(&d->desc.out[i]);
    if (d->desc.out[i].dtype != U3D_F32) return;
    u3d_test_normal(r, d->before[i], n);
    if ((d->desc.op == U3D_OP_ADAM_STEP && i == 2) ||
        ((d->desc.op == U3D_OP_NORM || d->desc.op == U3D_OP_NORM_TABLE) && i == 2))
        fill_uniform(r, d->before[i], n, 0.1, 2);
}

static u3d_status data_fill(u3d_op_data *d, const u3d_op_case *c, u3d_rng *r)
{
    u3d_op_desc *s = &d->desc;
    for (int i = 0; i < s->n_in; i++) {
        d->in[i] = u3d_new((size_t)u3d_type_bytes(&s->in[i]), 1);
        if (!d->in[i]) return U3D_E_NOMEM;
        if (s->in[i].dtype == U3D_F32)
            fill_floats(r, fill_applies(s->op, i) ? c->fill : U3D_FILL_DEFAULT, d->in[i],
                        u3d_type_elems(&s->in[i]));
    }
    U3D_TRY(fill_special(d, c->fill, r));
    for (int i = 0; i < s->n_out; i++) {
        d->before[i] = u3d_new((size_t)u3d_type_bytes(&s->out[i]), 1);
        if (!d->before[i]) return U3D_E_NOMEM;
        fill_before(d, r, i);
    }
    return U3D_OK;
}

static u3d_status data_reference(u3d_op_data *d)
{
    u3d_status status = U3D_OK;
    u3d_op_desc *s = &d->desc;
    double *in[U3D_MAX_IN] = {NULL};
    for (int i = 0; i < s->n_in; i++) {
        in[i] = u3d_test_widen(&s->in[i], d->in[i]);
        if (!in[i]) U3D_GO(U3D_E_NOMEM);
    }
    for (int i = 0; i < s->n_out; i++) {
        d->want[i] = u3d_test_widen(&s->out[i], d->before[i]);
        if (!d->want[i]) U3D_GO(U3D_E_NOMEM);
    }
    u3d_ref_run(s, (const double *const *)in, d->want);
done:
    for (int i = 0; i < U3D_MAX_IN; i++) u3d_free(in[i]);
    return status;
}

u3d_status u3d_op_data_new(const u3d_op_case *c, uint64_t seed, u3d_op_data **out)
{
    u3d_status status = U3D_OK;
    *out = NULL;
    u3d_op_data *d = u3d_new(1, sizeof *d);
    if (!d) return U3D_E_NOMEM;
    uint64_t index = (uint64_t)c->op;
    for (const char *t = c->tag; *t; t++) index = index * 131 + (uint8_t)*t;
    u3d_rng r = u3d_rng_at(seed, U3D_RNG_TEST, index);
    U3D_GO(u3d_op_case_desc(c, &d->desc));
    U3D_GO(data_fill(d, c, &r));
    U3D_GO(data_reference(d));
done:
    if (status == U3D_OK)
        *out = d;
    else
        u3d_op_data_free(d);
    return status;
}

void u3d_op_data_free(u3d_op_data *d)
{
    if (!d) return;
    for (int i = 0; i < U3D_MAX_IN; i++) u3d_free(d->in[i]);
    for (int i = 0; i < U3D_MAX_OUT; i++) {
        u3d_free(d->before[i]);
        u3d_free(d->want[i]);
    }
    u3d_free(d);
}

/* ---- watched runs ---- */

typedef struct watched { /* an array on the device between two guards, and a host copy of all three */
    u3d_span span;
    uint64_t lead, bytes;
    uint8_t *host;
} watched;

static uint64_t watched_total(const watched *w)
{
    return w->lead + w->bytes + GUARD;
}

/* `start` gives the initial contents of the array; if it is NULL, every byte starts as `otherwise`. */
static u3d_status watched_new(u3d_backend *b, watched *w, uint64_t bytes, const void *start, int otherwise)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    w->lead = caps.align > GUARD ? caps.align : GUARD;
    w->bytes = bytes;
    w->host = u3d_new_uninit((size_t)watched_total(w), 1);
    if (!w->host) return U3D_E_NOMEM;
    memset(w->host, 0xFF, (size_t)watched_total(w));
    if (start)
        memcpy(w->host + w->lead, start, (size_t)bytes);
    else
        memset(w->host + w->lead, otherwise, (size_t)bytes);
    U3D_TRY(u3d_backend_alloc(b, watched_total(w), &w->span.buf));
    U3D_TRY(u3d_backend_upload(b, w->span, w->host, watched_total(w)));
    w->span.off = w->lead;
    return U3D_OK;
}

static bool untouched(const uint8_t *guard, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        if (guard[i] != 0xFF) return false;
    return true;
}

static u3d_status watched_fetch(u3d_backend *b, watched *w, bool *intact)
{
    U3D_TRY(u3d_backend_download(b, w->host, (u3d_span){w->span.buf, 0}, watched_total(w)));
    *intact = untouched(w->host, w->lead) && untouched(w->host + w->lead + w->bytes, GUARD);
    return U3D_OK;
}

static void watched_done(u3d_backend *b, watched *w)
{
    if (w->span.buf) u3d_backend_release(b, w->span.buf);
    u3d_free(w->host);
}

typedef struct watched_op {
    watched in[U3D_MAX_IN], out[U3D_MAX_OUT], work;
    u3d_span in_span[U3D_MAX_IN], out_span[U3D_MAX_OUT];
} watched_op;

static u3d_status watched_setup(u3d_backend *b, const u3d_op_data *d, const u3d_op_trial *t, watched_op *w)
{
    uint32_t kept = t->accumulate | u3d_op_info_get(d->desc.op)->updates;
    for (int i = 0; i < d->desc.n_in; i++) {
        U3D_TRY(watched_new(b, &w->in[i], u3d_type_bytes(&d->desc.in[i]), d->in[i], 0));
        w->in_span[i] = w->in[i].span;
    }
    for (int i = 0; i < d->desc.n_out; i++) {
        if (i == 0 && t->in_place) w->out_span[0] = w->in_span[0];
        if (i == 0 && t->in_place) continue;
        const void *start = kept >> i & 1U ? d->before[i] : NULL;
        U3D_TRY(watched_new(b, &w->out[i], u3d_type_bytes(&d->desc.out[i]), start, 0xFF));
        w->out_span[i] = w->out[i].span;
    }
    return watched_new(b, &w->work, t->work_bytes, NULL, 0xA5);
}

static u3d_status watched_collect(u3d_backend *b, const u3d_op_data *d, const u3d_op_trial *t, watched_op *w,
                                  void *const *out, const char **trouble)
{
    static const char *const in_text[U3D_MAX_IN] = {"in[0]", "in[1]", "in[2]", "in[3]", "in[4]", "in[5]"};
    static const char *const out_text[U3D_MAX_OUT] = {"out[0]", "out[1]", "out[2]", "out[3]"};
    bool intact;
    *trouble = NULL;
    for (int i = 0; i < d->desc.n_in; i++) {
        uint64_t bytes = w->in[i].bytes;
        U3D_TRY(watched_fetch(b, &w->in[i], &intact));
        bool shared = i == 0 && t->in_place;
        if (!intact) *trouble = in_text[i];
        if (!shared && memcmp(w->in[i].host + w->in[i].lead, d->in[i], (size_t)bytes) != 0)
            *trouble = in_text[i];
    }
    for (int i = 0; i < d->desc.n_out; i++) {
        watched *from = i == 0 && t->in_place ? &w->in[0] : &w->out[i];
        U3D_TRY(watched_fetch(b, from, &intact));
        if (!intact) *trouble = out_text[i];
        memcpy(out[i], from->host + from->lead, (size_t)u3d_type_bytes(&d->desc.out[i]));
    }
    U3D_TRY(watched_fetch(b, &w->work, &intact));
    if (!intact) *trouble = "the workspace";
    return U3D_OK;
}

u3d_status u3d_op_data_run(u3d_backend *b, const u3d_op_data *d, const u3d_op_trial *t, void *const *out,
                           const char **trouble)
{
    u3d_status status = U3D_OK;
    u3d_kernel *kernel = NULL;
    watched_op w = {0};
    u3d_op_desc desc = d->desc;
    desc.impl = t->impl;
    desc.accumulate = t->accumulate;
    U3D_GO(watched_setup(b, d, t, &w));
    U3D_GO(u3d_backend_prepare(b, &desc, t->work_bytes, &kernel));
    U3D_GO(u3d_backend_run(b, kernel, w.in_span, w.out_span, w.work.span));
    U3D_GO(u3d_backend_sync(b));
    U3D_GO(watched_collect(b, d, t, &w, out, trouble));
done:
    if (kernel) u3d_backend_discard(b, kernel);
    for (int i = 0; i < U3D_MAX_IN; i++) watched_done(b, &w.in[i]);
    for (int i = 0; i < U3D_MAX_OUT; i++) watched_done(b, &w.out[i]);
    watched_done(b, &w.work);
    return status;
}

u3d_status u3d_op_once(u3d_backend *b, const u3d_op_desc *d, const void *const *in, void *const *out)
{
    u3d_need need;
    const char *trouble = NULL;
    U3D_TRY(u3d_backend_query(b, d, &need));
    u3d_op_data data = {.desc = *d};
    for (int i = 0; i < d->n_in; i++)
        memcpy(&data.in[i], &in[i], sizeof in[i]); /* inputs are only read, although data.in is not const */
    for (int i = 0; i < d->n_out; i++) data.before[i] = out[i];
    u3d_op_trial t = {.impl = d->impl, .accumulate = d->accumulate, .work_bytes = need.work_best};
    U3D_TRY(u3d_op_data_run(b, &data, &t, out, &trouble));
    return trouble ? u3d_fail(U3D_E_DEVICE, "%s was changed where the op may not write", trouble) : U3D_OK;
}
