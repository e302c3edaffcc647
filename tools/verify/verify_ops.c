/* Checks the ops on one backend: runs cases of tests/support/op_cases.c as test_ops does, and compares them
 * with the oracle.
 *
 * By default the check is quick. It takes at most QUICK_CASES cases of each op, spread evenly over its list,
 * and leaves out the cases that exist for their size. Cases with more than SMALL elements run only with the
 * implementation that the backend would choose. Outputs are separate from inputs and are overwritten, so that
 * a third of the kernels need not be compiled; accumulating and in-place outputs occur in the training step.
 * With --full, every case runs with every implementation and in every way. */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/predict/progress.h"
#include "tests/support/support_trial.h"
#include "tools/verify/verify.h"

enum { MAX_IMPLS = 16, MAX_CASES = 512, QUICK_CASES = 16, SMALL = 8192 /* elements of inputs and outputs */ };

typedef struct table { /* one op */
    verify *v;
    verify_row rows[MAX_IMPLS];
    int n_rows; /* one per implementation, and a last one for cases that none supports */
} table;

static bool case_selected(const verify *v, const u3d_op_case *c)
{
    static const char *const for_size[] = {"large", "million", "stream", "unet"};
    for (size_t i = 0; !v->a->full && i < sizeof for_size / sizeof *for_size; i++)
        if (strstr(c->tag, for_size[i])) return false;
    return true;
}

/* Selects the cases of an op and returns how many there are. */
static int select_cases(const verify *v, u3d_op op, const u3d_op_case *out[MAX_CASES])
{
    int n = 0, kept = 0;
    for (int i = 0; i < u3d_op_case_count && n < MAX_CASES; i++)
        if (u3d_op_cases[i].op == op && case_selected(v, &u3d_op_cases[i])) out[n++] = &u3d_op_cases[i];
    if (v->a->full || n <= QUICK_CASES) return n;
    while (kept < QUICK_CASES) {
        out[kept] = out[kept * n / QUICK_CASES];
        kept++;
    }
    return kept;
}

static bool is_small(const u3d_op_desc *d)
{
    int64_t n = 0;
    for (int i = 0; i < d->n_in; i++) n += u3d_type_elems(&d->in[i]);
    for (int i = 0; i < d->n_out; i++) n += u3d_type_elems(&d->out[i]);
    return n <= SMALL;
}

/* ---- one case, one implementation ---- */

static void finding_note(verify_row *r, const u3d_op_case *c, const u3d_op_way *way, const u3d_op_finding *f)
{
    const double worst = f->diff.worst / U3D_WORST, error = f->diff.rms > worst ? f->diff.rms : worst;
    verify_count(r, c->tag, u3d_op_excess(&f->diff, f->tol), error, f->tol);
    if (!f->ok)
        verify_wrong(r, "%s/%s, %s, accumulate %u, %s, workspace %llu: %s", r->name, c->tag, r->part,
                     way->accumulate, way->in_place ? "in place" : "not in place",
                     (unsigned long long)f->work_bytes, f->text);
}

static u3d_status impl_try(const verify *v, const u3d_op_case *c, const u3d_op_data *data, verify_row *r)
{
    u3d_status status = U3D_OK;
    u3d_op_way ways[U3D_MAX_WAYS];
    void *out[U3D_MAX_OUT];
    const int n = u3d_op_ways(&data->desc, ways);
    if (!u3d_op_outputs_new(&data->desc, out)) return U3D_E_NOMEM;
    for (int i = 0; i < n; i++) {
        u3d_op_finding f;
        if (!v->a->full && (ways[i].accumulate || ways[i].in_place)) continue;
        status = u3d_op_try(v->backend, c, data, r->part, &ways[i], out, &f);
        if (status != U3D_OK) {
            status = u3d_wrap(status, "%s/%s, %s", r->name, c->tag, r->part);
            break;
        }
        if (f.ran) finding_note(r, c, &ways[i], &f);
    }
    u3d_op_outputs_free(&data->desc, out);
    return status;
}

/* ---- one case ---- */

static u3d_status case_try(table *t, const u3d_op_case *c, const u3d_op_data *data)
{
    verify *v = t->v;
    u3d_need need;
    const u3d_status chosen = u3d_backend_query(v->backend, &data->desc, &need);
    if (chosen != U3D_OK) {
        if (!u3d_op_case_optional(c))
            verify_wrong(&t->rows[t->n_rows - 1], "%s/%s: no implementation supports this case: %s",
                         t->rows[0].name, c->tag, u3d_error_text());
        return U3D_OK;
    }
    for (int i = 0; i < t->n_rows - 1; i++) {
        u3d_need named;
        u3d_op_desc d = data->desc;
        d.impl = t->rows[i].part;
        if (u3d_backend_query(v->backend, &d, &named) != U3D_OK) continue;
        if (!v->a->full && !is_small(&d) && strcmp(need.impl, d.impl) != 0) continue;
        U3D_TRY(impl_try(v, c, data, &t->rows[i]));
    }
    return U3D_OK;
}

static u3d_status op_try(verify *v, u3d_op op, table *t, u3d_progress *progress, int64_t *n_done)
{
    const char *impl = NULL, *name = u3d_op_info_get(op)->name;
    const u3d_op_case *cases[MAX_CASES];
    const int n_cases = select_cases(v, op, cases);
    *t = (table){.v = v};
    for (int i = 0; i < MAX_IMPLS - 1 && (impl = u3d_backend_impl(v->backend, op, i)) != NULL; i++)
        t->rows[t->n_rows++] = (verify_row){.list = "ops", .name = name, .part = impl};
    t->rows[t->n_rows++] = (verify_row){.list = "ops", .name = name, .part = "-"};
    for (int i = 0; i < n_cases; i++) {
        u3d_op_data *data;
        U3D_TRY(verify_stopped(v));
        U3D_TRY(u3d_op_data_new(cases[i], v->seed, &data));
        const u3d_status status = case_try(t, cases[i], data);
        u3d_op_data_free(data);
        U3D_TRY(status);
        u3d_progress_show(progress, ++*n_done, name);
    }
    for (int i = 0; i < t->n_rows; i++)
        if (t->rows[i].cases > 0 || t->rows[i].n_wrong > 0) U3D_TRY(verify_report(v, &t->rows[i]));
    return U3D_OK;
}

u3d_status verify_ops(verify *v)
{
    int64_t n_cases = 0, n_done = 0;
    table *t = u3d_new(1, sizeof *t);
    if (!t) return U3D_E_NOMEM;
    const u3d_op_case *cases[MAX_CASES];
    for (int op = 0; op < U3D_OP_COUNT; op++) n_cases += select_cases(v, (u3d_op)op, cases);
    u3d_progress progress = u3d_progress_begin("case", 0, n_cases, false);
    u3d_status status = U3D_OK;
    for (int op = 0; status == U3D_OK && op < U3D_OP_COUNT; op++)
        status = op_try(v, (u3d_op)op, t, &progress, &n_done);
    u3d_free(t);
    return status;
}
