/* Compares every op of every backend with the oracle.
 *
 * usage: test_ops [CASE [ISA [IMPL]]]
 *
 * CASE is "op/tag" or a part of it; "-" followed by a part excludes the cases that contain it. ISA is the
 * name of an instruction set of the CPU or of another backend, or "cpu" for all instruction sets. IMPL is the name of an implementation.
 *
 * Each case runs on every instruction set of the CPU that this machine supports and on every other backend
 * that has a device, with every implementation that accepts the case: outputs replaced and added to, in
 * separate memory and in place, with the smallest, the largest useful and an odd workspace in between.
 * Results must be close to the oracle's. A second run must give the same bits: on the CPU it uses three
 * threads instead of one; on other backends it is required if the device claims to be deterministic, and
 * cases that take long are repeated only in the first of these ways. A failure prints the command that
 * repeats only that case. */
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "backends/cpu/cpu_impl.h"
#include "tests/ref/ref.h"
#include "tests/support/support_trial.h"

enum { MIN_CASES = 5, MAX_DEVICES = 16, MAX_IMPLS = 16, MAX_REPORTS = 8, TWINS = 2 };

static const int thread_counts[TWINS] = {1, 3};

/* A device with two backends that must give the same bits: CPU backends with two numbers of threads, or twice
 * the same backend. twin[1] is NULL if the bits may differ. */
typedef struct device {
    const char *name, *isa;
    u3d_backend *twin[TWINS];
    int n_cases[MAX_IMPLS]; /* cases of the op under test that each implementation has run */
} device;

static device devices[MAX_DEVICES];
static int n_devices;
static const char *only_case, *only_isa, *only_impl;
static int n_runs, n_refused, n_failures;

/* ---- one case, one implementation ---- */

typedef struct trial {
    const u3d_op_case *c;
    const u3d_op_data *data;
    const device *dev;
    const char *impl;
} trial;

static void trial_fail(const trial *r, const u3d_op_way *way, int twin, uint64_t work_bytes, const char *what)
{
    if (n_failures++ >= MAX_REPORTS) return;
    const char *op = u3d_op_info_get(r->c->op)->name;
    print_error("FAIL %s/%s on %s %s, %s, run %d, accumulate %u, %s, workspace %llu: %s\n", op, r->c->tag,
                r->dev->name, r->dev->isa, r->impl, twin, way->accumulate,
                way->in_place ? "in place" : "not in place", (unsigned long long)work_bytes, what);
    print_error("  repeat with: U3D_SEED=%llu test_ops %s/%s %s %s\n", (unsigned long long)u3d_test_seed(),
                op, r->c->tag, r->dev->isa, r->impl);
}

/* Runs a case once and stores the results in out. Returns false if there are no results. */
static bool trial_run(const trial *r, const u3d_op_way *way, int twin, void *const *out)
{
    u3d_op_finding f;
    u3d_status status = u3d_op_try(r->dev->twin[twin], r->c, r->data, r->impl, way, out, &f);
    if (status != U3D_OK)
        trial_fail(r, way, twin, f.work_bytes, u3d_error_text());
    else if (!f.ok)
        trial_fail(r, way, twin, f.work_bytes, f.text);
    n_runs += f.ran;
    return f.ran;
}

static void trial_twins(const trial *r, const u3d_op_way *way, void *out[TWINS][U3D_MAX_OUT])
{
    bool ran = true;
    if (u3d_test_brief()) { /* threads would wait for each other at every counted line of the plain loops */
        const int only = r->dev->twin[1] && strcmp(r->impl, "plain") != 0;
        trial_run(r, way, only, out[only]);
        return;
    }
    for (int t = 0; t < TWINS && r->dev->twin[t]; t++) ran = trial_run(r, way, t, out[t]) && ran;
    for (int i = 0; ran && r->dev->twin[1] && i < r->data->desc.n_out; i++)
        if (memcmp(out[0][i], out[1][i], (size_t)u3d_type_bytes(&r->data->desc.out[i])) != 0)
            trial_fail(r, way, 1, 0, "the result differs from that of the first run");
}

/* The plain loops would take seconds. */
static bool is_long(const u3d_op_desc *d)
{
    const u3d_op_info *info = u3d_op_info_get(d->op);
    return info->flops && info->flops(d) > 1e8;
}

static bool adds_to_all(const trial *r, const u3d_op_way *way)
{
    const u3d_op_desc *d = &r->data->desc;
    return way->accumulate == (u3d_op_info_get(d->op)->accumulates & ((1U << d->n_out) - 1U));
}

static void trial_all(const trial *r)
{
    u3d_op_way ways[U3D_MAX_WAYS];
    void *out[TWINS][U3D_MAX_OUT];
    for (int t = 0; t < TWINS; t++) assert_true(u3d_op_outputs_new(&r->data->desc, out[t]));
    int n_ways = u3d_op_ways(&r->data->desc, ways);
    for (int i = 0; i < n_ways; i++) {
        if (u3d_test_brief() && ways[i].accumulate != 0 && !adds_to_all(r, &ways[i])) continue;
        if (i > 0 && r->dev->twin[1] == r->dev->twin[0] && is_long(&r->data->desc))
            trial_run(r, &ways[i], 0, out[0]);
        else
            trial_twins(r, &ways[i], out);
    }
    for (int t = 0; t < TWINS; t++) u3d_op_outputs_free(&r->data->desc, out[t]);
}

/* ---- cases and devices ---- */

static bool case_selected(const u3d_op_case *c)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", u3d_op_info_get(c->op)->name, c->tag);
    if (only_case && only_case[0] == '-') return !strstr(name, only_case + 1);
    return !only_case || strstr(name, only_case);
}

/* The plain loops of the last instruction set in the list, the portable one, compiled for another one. */
static bool same_loops(const device *dev, const char *impl)
{
    const bool last = dev + 1 == devices + n_devices || strcmp(dev[1].name, dev->name) != 0;
    return !last && strcmp(impl, "plain") == 0;
}

/* Tries all implementations that accept the case. At least one must, unless the case is optional. */
static void case_on_device(const u3d_op_case *c, const u3d_op_data *data, device *dev)
{
    int n_accept = 0;
    const char *impl;
    trial r = {.c = c, .data = data, .dev = dev, .impl = "any"};
    for (int i = 0; (impl = u3d_backend_impl(dev->twin[0], c->op, i)) != NULL; i++) {
        u3d_need need;
        u3d_op_desc desc = data->desc;
        desc.impl = r.impl = impl;
        if (u3d_backend_query(dev->twin[0], &desc, &need) != U3D_OK) {
            n_refused++;
            continue;
        }
        n_accept++;
        if (only_impl && strcmp(only_impl, impl) != 0) continue;
        if ((u3d_test_brief() || is_long(&desc)) && same_loops(dev, impl)) continue;
        if (u3d_test_brief() && is_long(&desc) && strcmp(impl, "plain") == 0) continue;
        assert_true(i < MAX_IMPLS);
        dev->n_cases[i]++;
        trial_all(&r);
    }
    if (n_accept == 0 && !u3d_op_case_optional(c))
        trial_fail(&r, &(u3d_op_way){0}, 0, 0, "no implementation accepts the case");
}

/* Every implementation that a device lists for the op must have run at least one case. */
static void check_executed(u3d_op op)
{
    const char *impl;
    for (const device *dev = devices; dev < devices + n_devices; dev++)
        for (int i = 0; (impl = u3d_backend_impl(dev->twin[0], op, i)) != NULL; i++)
            if (dev->n_cases[i] == 0 && !(u3d_test_brief() && same_loops(dev, impl)))
                fail_msg("%s: no case reaches the implementation %s on %s %s", u3d_op_info_get(op)->name, impl,
                         dev->name, dev->isa);
}

static void test_op(void **state)
{
    u3d_op op = (u3d_op) * (int *)*state;
    bool every_case = true;
    n_failures = 0;
    for (int v = 0; v < n_devices; v++) memset(devices[v].n_cases, 0, sizeof devices[v].n_cases);
    for (int i = 0; i < u3d_op_case_count; i++) {
        const u3d_op_case *c = &u3d_op_cases[i];
        if (c->op != op) continue;
        every_case = every_case && case_selected(c);
        if (!case_selected(c)) continue;
        u3d_op_data *data;
        assert_ok(u3d_op_data_new(c, u3d_test_seed(), &data));
        for (int v = 0; v < n_devices; v++)
            case_on_device(c, data, &devices[v]);
        u3d_op_data_free(data);
    }
    if (n_failures) fail_msg("%s: %d comparisons failed", u3d_op_info_get(op)->name, n_failures);
    if (every_case && !only_impl) check_executed(op);
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
                fail_msg("two cases of %s have the tag %s", u3d_op_info_get(u3d_op_cases[i].op)->name,
                         u3d_op_cases[i].tag);
    }
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        if (u3d_ref_get((u3d_op)op) && n[op] >= MIN_CASES) continue;
        print_error("%s has %s reference and %d cases; it needs a reference and at least %d cases\n",
                    u3d_op_info_get((u3d_op)op)->name, u3d_ref_get((u3d_op)op) ? "a" : "no", n[op],
                    MIN_CASES);
        n_missing++;
    }
    assert_int_equal(n_missing, 0);
}

static bool selected(const char *name, const char *isa)
{
    return !only_isa || strcmp(only_isa, isa) == 0 || strcmp(only_isa, name) == 0;
}

static device *device_new(const char *name, const char *isa)
{
    assert_true(n_devices < MAX_DEVICES);
    devices[n_devices] = (device){.name = name, .isa = isa};
    return &devices[n_devices++];
}

static void cpu_add(const char *isa)
{
    device *dev = device_new("cpu", isa);
    for (int t = 0; t < TWINS; t++) dev->twin[t] = u3d_test_backend("cpu", isa, thread_counts[t]);
}

/* Opens another backend once. If the device claims to be deterministic, a second run on it must repeat the
 * first. */
static void other_add(const char *name)
{
    u3d_caps caps;
    device *dev = device_new(name, name);
    dev->twin[0] = u3d_test_backend(name, NULL, 0);
    u3d_backend_caps(dev->twin[0], &caps);
    dev->twin[1] = caps.deterministic ? dev->twin[0] : NULL;
    print_message("%s: %s\n", name, caps.device);
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
                if (!selected("cpu", isa->name))
                    continue;
                else if (isa->usable())
                    cpu_add(isa->name);
                else
                    print_message("skipped: this machine does not support %s\n", isa->name);
        } else if (!selected(vt->name, vt->name)) {
            continue;
        } else if (vt->list(&caps, 1, &n) == U3D_OK && n > 0) {
            other_add(vt->name);
        } else {
            print_message("skipped: no device for backend %s\n", vt->name);
        }
    }
    if (n_devices == 0) {
        print_message("skipped: no device for %s\n", only_isa ? only_isa : "any backend");
        exit(77); /* as ctest counts skipped */
    }
    return 0;
}

static int close_devices(void **state)
{
    (void)state;
    for (int v = 0; v < n_devices; v++)
        for (int t = 0; t < TWINS; t++)
            if (t == 0 || devices[v].twin[t] != devices[v].twin[0]) u3d_backend_close(devices[v].twin[t]);
    print_message("%d runs; implementations refused a case %d times\n", n_runs, n_refused);
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
