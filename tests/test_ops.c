/* Every op of every backend against the oracle.
 *
 * usage: test_ops [CASE [ISA [IMPL]]]     CASE is "op/tag" or a part of it, "-" and a part leaves cases out; ISA
 *                                        and IMPL are whole names
 *
 * For each case: every instruction set of the CPU that this machine has, every implementation that accepts
 * the case, outputs replaced and added to, apart and in place, with the least, the best and an odd workspace,
 * with one and three threads. Results must be near the oracle and equal to the last bit whatever the number
 * of threads. A failure prints the command that repeats it alone. */
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/cpu_impl.h"
#include "engine/mem.h"
#include "tests/ref/ref.h"
#include "tests/support_op.h"

enum { MIN_CASES = 5, MAX_DEVICES = 16, MAX_REPORTS = 8, N_WORKS = 3, N_THREADS = 2, FEW = 8 };

static const int thread_counts[N_THREADS] = {1, 3};

typedef struct device { /* one backend, opened once per number of threads */
    const char *name, *isa;
    u3d_backend *by_threads[N_THREADS];
} device;

static device devices[MAX_DEVICES];
static int n_devices;
static const char *only_case, *only_isa, *only_impl;
static int n_runs, n_refused, n_failures;

/* ---- one case, one implementation
 * ---------------------------------------------------------------------------- */

typedef struct trial {
    const u3d_op_case *c;
    const u3d_op_data *data;
    const device *dev;
    const char *impl;
    u3d_op_trial t;
    int threads;
    double *want[U3D_MAX_OUT]; /* the oracle's, with `before` where the trial accumulates */
} trial;

static void trial_fail(const trial *r, const char *what)
{
    if (n_failures++ >= MAX_REPORTS) return;
    const char *op = u3d_op_info_get(r->c->op)->name;
    print_error("FAIL %s/%s on %s %s, %s, %d threads, accumulate %u, %s, workspace %llu: %s\n", op, r->c->tag,
                r->dev->name, r->dev->isa, r->impl, r->threads, r->t.accumulate,
                r->t.in_place ? "in place" : "apart", (unsigned long long)r->t.work_bytes, what);
    print_error("  repeat: U3D_SEED=%llu test_ops %s/%s %s %s\n", (unsigned long long)u3d_test_seed(), op,
                r->c->tag, r->dev->isa, r->impl);
}

static void trial_compare_u8(const trial *r, int i, const uint8_t *got)
{
    char text[128];
    for (int64_t e = 0; e < u3d_type_elems(&r->data->desc.out[i]); e++) {
        if (got[e] == (uint8_t)r->want[i][e]) continue;
        snprintf(text, sizeof text, "out[%d] element %lld is %d, expected %d", i, (long long)e, got[e],
                 (int)r->want[i][e]);
        trial_fail(r, text);
        return;
    }
}

/* Size below which an array of n elements is taken for cancelled terms: a few sums of inputs, which have size
 * 1; or gradients of saturated probabilities, of which a voxel has its share of the loss. */
static double trial_least(const trial *r, int64_t n)
{
    if (n < FEW) return 1;
    return r->c->fill == U3D_FILL_EXTREME ? 1.0 / (double)n : 0;
}

static void trial_compare(const trial *r, int i, const void *got)
{
    const u3d_type *type = &r->data->desc.out[i];
    if (type->dtype == U3D_U8) {
        trial_compare_u8(r, i, got);
        return;
    }
    double tol = u3d_op_case_tol(r->c, r->impl);
    int64_t n = u3d_type_elems(type);
    u3d_test_diff d = u3d_test_compare_sized(got, r->want[i], n, trial_least(r, n));
    if (!d.n_bad && d.rms <= tol && d.worst <= U3D_WORST * tol) return;
    char text[256], message[320];
    snprintf(message, sizeof message, "out[%d] %s (limits %.0e, %.0e)", i,
             u3d_test_diff_text(&d, type, text, sizeof text), tol, U3D_WORST * tol);
    trial_fail(r, message);
}

/* Workspace of size class 0 (least), 1 (an odd number between), 2 (best). False: the same as a smaller class.
 */
static bool trial_work(const u3d_need *need, int size_class, uint64_t *bytes)
{
    *bytes = need->work_min;
    if (size_class == 0) return true;
    if (need->work_best <= need->work_min) return false;
    *bytes = need->work_best;
    if (size_class == 2) return true;
    *bytes = (need->work_min + (need->work_best - need->work_min) / 2) | 1;
    return *bytes > need->work_min && *bytes < need->work_best;
}

/* One run; its results into out. False where it failed before there were any. */
static bool trial_run(trial *r, int i_threads, int size_class, bool *skipped, void *const *out)
{
    u3d_need need;
    const char *trouble;
    u3d_backend *b = r->dev->by_threads[i_threads];
    u3d_op_desc desc = r->data->desc;
    desc.impl = r->impl;
    desc.accumulate = r->t.accumulate;
    r->threads = thread_counts[i_threads];
    *skipped = false;
    if (u3d_backend_query(b, &desc, &need) != U3D_OK) {
        trial_fail(r, u3d_error_text()); /* it accepted the case with one thread and without accumulation */
        return false;
    }
    *skipped = !trial_work(&need, size_class, &r->t.work_bytes);
    if (*skipped) return false;
    if (u3d_op_data_run(b, r->data, &r->t, out, &trouble) != U3D_OK) {
        trial_fail(r, u3d_error_text());
        return false;
    }
    n_runs++;
    if (trouble) {
        char text[128];
        snprintf(text, sizeof text, "%s was changed where the op may not write", trouble);
        trial_fail(r, text);
    }
    for (int i = 0; i < desc.n_out; i++) trial_compare(r, i, out[i]);
    return true;
}

/* One and three threads with the same size class of workspace. */
static void trial_threads(trial *r, int size_class, void *const out[N_THREADS][U3D_MAX_OUT])
{
    bool done[N_THREADS], skipped[N_THREADS];
    for (int t = 0; t < N_THREADS; t++) done[t] = trial_run(r, t, size_class, &skipped[t], out[t]);
    for (int i = 0; done[0] && done[1] && i < r->data->desc.n_out; i++)
        if (memcmp(out[0][i], out[1][i], (size_t)u3d_type_bytes(&r->data->desc.out[i])) != 0)
            trial_fail(r, "the bits depend on the number of threads");
}

static void trial_set_want(trial *r)
{
    for (int i = 0; i < r->data->desc.n_out; i++) {
        bool adds = r->t.accumulate >> i & 1U;
        const float *before = r->data->before[i];
        for (int64_t e = 0; e < u3d_type_elems(&r->data->desc.out[i]); e++)
            r->want[i][e] = r->data->want[i][e] + (adds ? (double)before[e] : 0);
    }
}

static void trial_all(trial *r)
{
    const u3d_op_desc *d = &r->data->desc;
    const u3d_op_info *info = u3d_op_info_get(d->op);
    void *out[N_THREADS][U3D_MAX_OUT] = {{NULL}};
    for (int i = 0; i < d->n_out; i++) {
        r->want[i] = u3d_new((size_t)u3d_type_elems(&d->out[i]), sizeof(double));
        assert_non_null(r->want[i]);
        for (int t = 0; t < N_THREADS; t++) {
            out[t][i] = u3d_new((size_t)u3d_type_bytes(&d->out[i]), 1);
            assert_non_null(out[t][i]);
        }
    }
    uint32_t can_add = info->accumulates & ((1U << d->n_out) - 1U);
    for (uint32_t add = 0; add <= can_add; add++) {
        if (add & ~can_add) continue;
        r->t = (u3d_op_trial){.impl = r->impl, .accumulate = add};
        trial_set_want(r);
        for (int size_class = 0; size_class < N_WORKS; size_class++) trial_threads(r, size_class, out);
    }
    if (info->in_place && u3d_type_equal(&d->in[0], &d->out[0])) {
        r->t = (u3d_op_trial){.impl = r->impl, .in_place = true};
        trial_set_want(r);
        trial_threads(r, 0, out);
        trial_threads(r, 2, out);
    }
    for (int i = 0; i < d->n_out; i++) {
        u3d_free(r->want[i]);
        for (int t = 0; t < N_THREADS; t++) u3d_free(out[t][i]);
    }
}

/* ---- cases and devices
 * --------------------------------------------------------------------------------------- */

static bool case_selected(const u3d_op_case *c)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", u3d_op_info_get(c->op)->name, c->tag);
    if (only_case && only_case[0] == '-') return !strstr(name, only_case + 1);
    return !only_case || strstr(name, only_case);
}

/* All implementations of the op that take the case. At least one must, unless the backend lacks the op. */
static void case_on_device(const u3d_op_case *c, const u3d_op_data *data, const device *dev)
{
    int n_accept = 0;
    const char *impl;
    trial r = {.c = c, .data = data, .dev = dev, .impl = "any", .threads = 1};
    for (int i = 0; (impl = u3d_backend_impl(dev->by_threads[0], c->op, i)) != NULL; i++) {
        u3d_need need;
        u3d_op_desc desc = data->desc;
        desc.impl = r.impl = impl;
        if (u3d_backend_query(dev->by_threads[0], &desc, &need) != U3D_OK) {
            n_refused++;
            continue;
        }
        n_accept++;
        if (only_impl && strcmp(only_impl, impl) != 0) continue;
        trial_all(&r);
    }
    if (n_accept == 0 && strcmp(dev->name, "cpu") == 0 && !u3d_op_case_optional(c))
        trial_fail(&r, "no implementation of the CPU accepts the case");
}

static void test_op(void **state)
{
    u3d_op op = (u3d_op) * (int *)*state;
    n_failures = 0;
    for (int i = 0; i < u3d_op_case_count; i++) {
        const u3d_op_case *c = &u3d_op_cases[i];
        if (c->op != op || !case_selected(c)) continue;
        u3d_op_data *data;
        assert_ok(u3d_op_data_new(c, u3d_test_seed(), &data));
        for (int v = 0; v < n_devices; v++)
            if (!only_isa || strcmp(only_isa, devices[v].isa) == 0) case_on_device(c, data, &devices[v]);
        u3d_op_data_free(data);
    }
    if (n_failures) fail_msg("%s: %d comparisons failed", u3d_op_info_get(op)->name, n_failures);
}

static void test_coverage(void **state)
{
    (void)state;
    int n[U3D_OP_COUNT] = {0}, n_missing = 0;
    for (int i = 0; i < u3d_op_case_count; i++) {
        n[u3d_op_cases[i].op]++;
        for (int k = 0; k < i; k++)
            if (u3d_op_cases[k].op == u3d_op_cases[i].op &&
                strcmp(u3d_op_cases[k].tag, u3d_op_cases[i].tag) == 0)
                fail_msg("two cases of %s are tagged %s", u3d_op_info_get(u3d_op_cases[i].op)->name,
                         u3d_op_cases[i].tag);
    }
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        if (u3d_ref_get((u3d_op)op) && n[op] >= MIN_CASES) continue;
        print_error("%s has %s reference and %d cases, expected one and at least %d\n",
                    u3d_op_info_get((u3d_op)op)->name, u3d_ref_get((u3d_op)op) ? "a" : "no", n[op],
                    MIN_CASES);
        n_missing++;
    }
    assert_int_equal(n_missing, 0);
}

static void device_add(const char *name, const char *isa, const char *force)
{
    assert_true(n_devices < MAX_DEVICES);
    device *dev = &devices[n_devices++];
    *dev = (device){.name = name, .isa = isa};
    for (int t = 0; t < N_THREADS; t++) dev->by_threads[t] = u3d_test_backend(name, force, thread_counts[t]);
}

static int open_devices(void **state)
{
    (void)state;
    const u3d_backend_vt *vt;
    for (int i = 0; (vt = u3d_backend_at(i)) != NULL; i++) {
        u3d_caps caps;
        int n = 0;
        if (strcmp(vt->name, "cpu") == 0) {
            const cpu_isa *isa;
            for (int k = 0; (isa = cpu_isa_at(k)) != NULL; k++)
                if (isa->usable())
                    device_add("cpu", isa->name, isa->name);
                else
                    print_message("skipped: this machine cannot run the CPU's %s code\n", isa->name);
        } else if (vt->list(&caps, 1, &n) == U3D_OK && n > 0) {
            device_add(vt->name, vt->name, NULL);
        } else {
            print_message("skipped: no device for backend %s\n", vt->name);
        }
    }
    return n_devices ? 0 : -1;
}

static int close_devices(void **state)
{
    (void)state;
    for (int v = 0; v < n_devices; v++)
        for (int t = 0; t < N_THREADS; t++) u3d_backend_close(devices[v].by_threads[t]);
    print_message("%d runs, %d times an implementation declined a case\n", n_runs, n_refused);
    return 0;
}

int main(int argc, char **argv)
{
    static int ops[U3D_OP_COUNT];
    static struct CMUnitTest tests[U3D_OP_COUNT + 1];
    only_case = argc > 1 ? argv[1] : NULL;
    only_isa = argc > 2 ? argv[2] : NULL;
    only_impl = argc > 3 ? argv[3] : NULL;
    u3d_test_seed();
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        ops[op] = op;
        tests[op] = (struct CMUnitTest){
            .name = u3d_op_info_get((u3d_op)op)->name, .test_func = test_op, .initial_state = &ops[op]};
    }
    tests[U3D_OP_COUNT] = (struct CMUnitTest)cmocka_unit_test(test_coverage);
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
