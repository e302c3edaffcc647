/* Prints the results of u3d bench as text or as JSON. */
#include "io/json.h"
#include "tools/bench/bench.h"

static const char *const kind_name[BENCH_KINDS] = {
    [BENCH_CONV] = "convolution",
    [BENCH_CONV_DX] = "its input gradient",
    [BENCH_CONV_DW] = "its weight gradient",
    [BENCH_UPCONV] = "up-convolution",
    [BENCH_NORM] = "norm and activation",
    [BENCH_POOL] = "pooling",
    [BENCH_JOIN] = "concatenation, sums",
    [BENCH_LOSS] = "softmax and loss",
    [BENCH_OPTIMIZER] = "optimizer",
    [BENCH_OTHER] = "feed, fetch, overhead",
};

static const char *const kind_key[BENCH_KINDS] = {
    [BENCH_CONV] = "conv",     [BENCH_CONV_DX] = "conv_dx", [BENCH_CONV_DW] = "conv_dw",
    [BENCH_UPCONV] = "upconv", [BENCH_NORM] = "norm",       [BENCH_POOL] = "pool",
    [BENCH_JOIN] = "join",     [BENCH_LOSS] = "loss",       [BENCH_OPTIMIZER] = "optimizer",
    [BENCH_OTHER] = "other",
};

static double planned_bytes(const figures *f)
{
    return (double)u3d_footprint_sum(&f->planned);
}

/* By how many percent of the measured peak the planned peak is larger. */
static double planned_off(const figures *f)
{
    return 100 * (planned_bytes(f) / (double)f->peak_bytes - 1);
}

static double voxels(const int64_t size[3])
{
    return (double)size[0] * (double)size[1] * (double)size[2];
}

/* ---- text ---- */

static void print_rows(const char *name, const figures *f, double peak)
{
    printf("\n%-28s %-14s %10s %10s %8s\n", name, "implementation", "ms", "GFLOP/s", "peak");
    for (int i = 0; i < f->n_rows; i++) {
        const bench_row *r = &f->rows[i];
        const double speed = r->flops / r->seconds / 1e9;
        printf("%-28s %-14s %10.3f", r->name, r->impl, r->seconds * 1e3);
        if (r->flops > 0) printf(" %10.1f %7.1f%%", speed, 100 * speed / peak);
        printf("\n");
    }
}

static void print_kinds(const figures *f)
{
    for (int k = 0; k < BENCH_KINDS; k++)
        if (f->kind_s[k] > 0)
            printf("  %-22s %9.4f s %6.1f %%\n", kind_name[k], f->kind_s[k], 100 * f->kind_s[k] / f->best);
}

static void print_pass(const char *name, const figures *f, double peak, bool ops)
{
    if (ops) print_rows(name, f, peak);
    printf("\n%s: best %.4g s, median %.4g s, %.0f GFLOP/s (%.0f %% of the peak)\n", name, f->best, f->median,
           f->gflop / f->best, 100 * f->gflop / f->best / peak);
    print_kinds(f);
    printf("  peak memory %.3f GB, planned %.3f GB (%+.1f %%)\n", (double)f->peak_bytes / 1e9,
           planned_bytes(f) / 1e9, planned_off(f));
    if (f->again.n > 0)
        printf("  run again in the backward pass to save memory: %s (%.1f GFLOP more)\n", f->again.names,
               f->again.flops / 1e9);
}

static void print_threads(const bench_results *r)
{
    const bench_step *first = &r->threads[0];
    printf("\n%-16s %12s %9s %12s %9s\n", "threads", "inference s", "speed-up", "training s", "speed-up");
    for (int i = 0; i < r->n_threads; i++) {
        const bench_step *s = &r->threads[i];
        printf("%-16d %12.4f %9.2f %12.4f %9.2f\n", s->threads, s->infer_s, first->infer_s / s->infer_s,
               s->train_s, first->train_s / s->train_s);
    }
}

static void print_size_pass(double seconds, double gflop, const int64_t in[3], uint64_t bytes)
{
    printf(" | %9.4f %9.1f %9.1f %7.3f", seconds, gflop / seconds, seconds * 1e9 / voxels(in),
           (double)bytes / 1e9);
}

static void print_sizes(const bench_results *r)
{
    const char *columns = "        s   GFLOP/s  ns/voxel      GB";
    printf("\n%-16s | %-*s | %s\n", "", 37, "inference", "training");
    printf("%-16s | %s | %s\n", "input", columns, columns);
    for (int i = 0; i < r->n_sizes; i++) {
        const bench_step *s = &r->sizes[i];
        char size[64];
        (void)snprintf(size, sizeof size, "%lldx%lldx%lld", (long long)s->in[2], (long long)s->in[1],
                       (long long)s->in[0]);
        printf("%-16s", size);
        print_size_pass(s->infer_s, s->infer_gflop, s->in, s->infer_bytes);
        print_size_pass(s->train_s, s->train_gflop, s->in, s->train_bytes);
        printf("\n");
    }
}

void bench_print(const args *a, const bench_results *r)
{
    const figures *p = r->peak;
    const int64_t *in = p->config.patch;
    printf("%s, %d threads: peak %.0f GFLOP/s, %.1f GB/s\n", p->device, p->threads, p->peak_gflops,
           p->peak_gbytes_s);
    printf("input %lldx%lldx%lld, batch %lld, %lld parameters\n", (long long)in[2], (long long)in[1],
           (long long)in[0], (long long)p->config.batch, (long long)r->train->parameters);
    print_pass("inference tile", r->infer, p->peak_gflops, a->ops);
    print_pass("training iteration", r->train, p->peak_gflops, a->ops);
    if (r->n_threads > 0) print_threads(r);
    if (r->n_sizes > 0) print_sizes(r);
}

/* ---- JSON ---- */

static bool rows_json(cJSON *json, const char *name, const figures *f, double peak)
{
    cJSON *list = cJSON_AddArrayToObject(json, name);
    bool ok = list != NULL;
    for (int i = 0; ok && i < f->n_rows; i++) {
        const bench_row *r = &f->rows[i];
        cJSON *row = cJSON_CreateObject();
        ok = row && cJSON_AddItemToArray(list, row) && cJSON_AddStringToObject(row, "name", r->name) &&
             cJSON_AddStringToObject(row, "impl", r->impl) &&
             cJSON_AddNumberToObject(row, "seconds", r->seconds);
        if (ok && r->flops > 0)
            ok = cJSON_AddNumberToObject(row, "gflops", r->flops / r->seconds / 1e9) &&
                 cJSON_AddNumberToObject(row, "share_of_peak", r->flops / r->seconds / 1e9 / peak);
    }
    return ok;
}

/* {"conv": seconds, ...} */
static bool kinds_json(cJSON *json, const char *name, const figures *f)
{
    cJSON *kinds = cJSON_AddObjectToObject(json, name);
    bool ok = kinds != NULL;
    for (int k = 0; ok && k < BENCH_KINDS; k++)
        if (f->kind_s[k] > 0) ok = cJSON_AddNumberToObject(kinds, kind_key[k], f->kind_s[k]) != NULL;
    return ok;
}

static cJSON *size_json(const int64_t size[3])
{
    const double xyz[3] = {(double)size[2], (double)size[1], (double)size[0]};
    return cJSON_CreateDoubleArray(xyz, 3);
}

static bool step_json(cJSON *list, const bench_step *s)
{
    cJSON *row = cJSON_CreateObject();
    return row && cJSON_AddItemToArray(list, row) && cJSON_AddNumberToObject(row, "threads", s->threads) &&
           cJSON_AddItemToObject(row, "input", size_json(s->in)) &&
           cJSON_AddNumberToObject(row, "infer_s", s->infer_s) &&
           cJSON_AddNumberToObject(row, "train_s", s->train_s) &&
           cJSON_AddNumberToObject(row, "infer_gflops", s->infer_gflop / s->infer_s) &&
           cJSON_AddNumberToObject(row, "train_gflops", s->train_gflop / s->train_s) &&
           cJSON_AddNumberToObject(row, "infer_ns_per_voxel", s->infer_s * 1e9 / voxels(s->in)) &&
           cJSON_AddNumberToObject(row, "train_ns_per_voxel", s->train_s * 1e9 / voxels(s->in)) &&
           cJSON_AddNumberToObject(row, "peak_bytes_infer", (double)s->infer_bytes) &&
           cJSON_AddNumberToObject(row, "peak_bytes_train", (double)s->train_bytes);
}

static bool steps_json(cJSON *json, const char *name, const bench_step *s, int n)
{
    cJSON *list = cJSON_AddArrayToObject(json, name);
    bool ok = list != NULL;
    for (int i = 0; ok && i < n; i++) ok = step_json(list, &s[i]);
    return ok;
}

static bool machine_json(cJSON *json, const args *a, const figures *p)
{
    return cJSON_AddStringToObject(json, "backend", a->backend ? a->backend : "auto") &&
           cJSON_AddStringToObject(json, "device", p->device) &&
           cJSON_AddNumberToObject(json, "threads", p->threads) &&
           cJSON_AddNumberToObject(json, "peak_gflops", p->peak_gflops) &&
           cJSON_AddNumberToObject(json, "peak_gbytes_s", p->peak_gbytes_s) &&
           cJSON_AddItemToObject(json, "input", size_json(p->config.patch)) &&
           cJSON_AddNumberToObject(json, "batch", (double)p->config.batch);
}

static bool passes_json(cJSON *json, const figures *infer, const figures *train)
{
    return cJSON_AddNumberToObject(json, "parameters", (double)infer->parameters) &&
           cJSON_AddNumberToObject(json, "infer_s", infer->best) &&
           cJSON_AddNumberToObject(json, "infer_s_median", infer->median) &&
           cJSON_AddNumberToObject(json, "train_s", train->best) &&
           cJSON_AddNumberToObject(json, "train_s_median", train->median) &&
           cJSON_AddNumberToObject(json, "infer_gflops", infer->gflop / infer->best) &&
           cJSON_AddNumberToObject(json, "train_gflops", train->gflop / train->best) &&
           cJSON_AddNumberToObject(json, "peak_bytes_infer", (double)infer->peak_bytes) &&
           cJSON_AddNumberToObject(json, "peak_bytes_train", (double)train->peak_bytes) &&
           cJSON_AddNumberToObject(json, "planned_bytes_infer", planned_bytes(infer)) &&
           cJSON_AddNumberToObject(json, "planned_bytes_train", planned_bytes(train)) &&
           cJSON_AddNumberToObject(json, "planned_off_percent_infer", planned_off(infer)) &&
           cJSON_AddNumberToObject(json, "planned_off_percent_train", planned_off(train)) &&
           cJSON_AddNumberToObject(json, "nodes_run_again", train->again.n) &&
           kinds_json(json, "infer_kinds_s", infer) && kinds_json(json, "train_kinds_s", train);
}

u3d_status bench_print_json(const args *a, const bench_results *r)
{
    const double peak = r->peak->peak_gflops;
    cJSON *json = cJSON_CreateObject();
    bool ok = json && machine_json(json, a, r->peak) && passes_json(json, r->infer, r->train);
    if (ok && a->ops)
        ok = rows_json(json, "infer_ops", r->infer, peak) && rows_json(json, "train_ops", r->train, peak);
    if (ok && a->scaling)
        ok = steps_json(json, "thread_scaling", r->threads, r->n_threads) &&
             steps_json(json, "size_scaling", r->sizes, r->n_sizes);
    u3d_status status =
        ok ? u3d_json_print(stdout, json) : u3d_fail(U3D_E_NOMEM, "out of memory while printing the figures");
    cJSON_Delete(json);
    return status;
}
