/* Runs one op with one implementation in one way, and compares the results with the oracle. The tolerances
 * are those of op_cases.c. */
#include "tests/support/support_trial.h"

#include <math.h>
#include <stdio.h>

#include "engine/base/mem.h"

enum { FEW = 8 };

int u3d_op_ways(const u3d_op_desc *d, u3d_op_way ways[U3D_MAX_WAYS])
{
    const u3d_op_info *info = u3d_op_info_get(d->op);
    uint32_t can_add = info->accumulates & ((1U << d->n_out) - 1U);
    int n = 0;
    for (uint32_t add = 0; add <= can_add; add++) {
        if (add & ~can_add) continue;
        for (int work = U3D_WORK_LEAST; work <= U3D_WORK_BEST; work++)
            ways[n++] = (u3d_op_way){.accumulate = add, .work = (u3d_op_work)work};
    }
    if (info->in_place && u3d_type_equal(&d->in[0], &d->out[0])) {
        ways[n++] = (u3d_op_way){.in_place = true, .work = U3D_WORK_LEAST};
        ways[n++] = (u3d_op_way){.in_place = true, .work = U3D_WORK_BEST};
    }
    return n;
}

/* Returns false if the workspace would be the same as a smaller class of workspace. */
static bool work_bytes_of(const u3d_need *need, u3d_op_work work, uint64_t *bytes)
{
    *bytes = need->work_min;
    if (work == U3D_WORK_LEAST) return true;
    if (need->work_best <= need->work_min) return false;
    *bytes = need->work_best;
    if (work == U3D_WORK_BEST) return true;
    *bytes = (need->work_min + (need->work_best - need->work_min) / 2) | 1;
    return *bytes > need->work_min && *bytes < need->work_best;
}

double u3d_op_excess(const u3d_test_diff *d, double tol)
{
    if (d->n_bad) return INFINITY;
    double most = fmax(d->rms, d->worst / U3D_WORST);
    if (tol > 0) return most / tol;
    return most > 0 ? INFINITY : 0;
}

const char *u3d_op_axes(const u3d_op_desc *d, int output)
{
    bool dw = d->op == U3D_OP_CONV3D_DW || d->op == U3D_OP_UPCONV3D_DW;
    switch (d->out[output].rank) {
    case 5: return dw ? "kz,ky,kx,ci,co" : "n,z,y,x,c";
    case 3: return "set,row,c";
    default: return "";
    }
}

bool u3d_op_outputs_new(const u3d_op_desc *d, void **out)
{
    for (int i = 0; i < d->n_out; i++) out[i] = NULL;
    for (int i = 0; i < d->n_out; i++) {
        out[i] = u3d_new((size_t)u3d_type_bytes(&d->out[i]), 1);
        if (out[i]) continue;
        u3d_op_outputs_free(d, out);
        return false;
    }
    return true;
}

void u3d_op_outputs_free(const u3d_op_desc *d, void **out)
{
    for (int i = 0; i < d->n_out; i++) {
        u3d_free(out[i]);
        out[i] = NULL;
    }
}

/* Smallest scale by which the errors of an array of n elements are divided, because its terms may cancel: 1
 * if there are few elements, which are then sums of inputs of size 1; a voxel's share of the loss, 1 / n, for
 * gradients of saturated probabilities. */
static double least_size(const u3d_op_case *c, int64_t n)
{
    if (n < FEW) return 1;
    return c->fill == U3D_FILL_EXTREME ? 1.0 / (double)n : 0;
}

/* Expected contents of output i: the oracle's result, plus the contents before the op if the trial
 * accumulates. */
static double *wanted(const u3d_op_data *data, const u3d_op_way *way, int i)
{
    const u3d_type *t = &data->desc.out[i];
    bool adds = way->accumulate >> i & 1U;
    const float *before = data->before[i];
    double *want = u3d_new_uninit((size_t)u3d_type_elems(t), sizeof *want);
    for (int64_t e = 0; want && e < u3d_type_elems(t); e++)
        want[e] = data->want[i][e] + (adds ? (double)before[e] : 0);
    return want;
}

static u3d_status judge(const u3d_op_case *c, const u3d_op_data *data, const u3d_op_way *way,
                        void *const *out, u3d_op_finding *f)
{
    double most = -1;
    for (int i = 0; i < data->desc.n_out; i++) {
        const u3d_type *t = &data->desc.out[i];
        int64_t n = u3d_type_elems(t);
        double *want = wanted(data, way, i);
        if (!want) return U3D_E_NOMEM;
        u3d_test_diff d = t->dtype == U3D_U8 ? u3d_test_compare_u8(out[i], want, n)
                                             : u3d_test_compare_sized(out[i], want, n, least_size(c, n));
        u3d_free(want);
        double excess = u3d_op_excess(&d, f->tol);
        if (excess <= most) continue;
        most = excess;
        f->output = i;
        f->diff = d;
    }
    f->ok = most <= 1;
    return U3D_OK;
}

u3d_status u3d_op_try(u3d_backend *b, const u3d_op_case *c, const u3d_op_data *data, const char *impl,
                      const u3d_op_way *way, void *const *out, u3d_op_finding *f)
{
    const char *trouble;
    u3d_need need;
    u3d_op_desc desc = data->desc;
    desc.impl = impl;
    desc.accumulate = way->accumulate;
    *f = (u3d_op_finding){.tol = u3d_op_case_tol(c, impl), .ok = true};
    U3D_TRY(u3d_backend_query(b, &desc, &need));
    if (!work_bytes_of(&need, way->work, &f->work_bytes)) return U3D_OK;
    u3d_op_trial t = {
        .impl = impl, .accumulate = way->accumulate, .work_bytes = f->work_bytes, .in_place = way->in_place};
    U3D_TRY(u3d_op_data_run(b, data, &t, out, &trouble));
    f->ran = true;
    U3D_TRY(judge(c, data, way, out, f));
    if (!f->ok) {
        char text[256];
        snprintf(f->text, sizeof f->text, "out[%d] %s (limits %.0e, %.0e)", f->output,
                 u3d_test_diff_text(&f->diff, &desc.out[f->output], u3d_op_axes(&desc, f->output), text,
                                    sizeof text),
                 f->tol, U3D_WORST * f->tol);
    } else if (trouble) {
        f->ok = false;
        snprintf(f->text, sizeof f->text, "%s was changed where the op may not write", trouble);
    }
    return U3D_OK;
}
