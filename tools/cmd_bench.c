/* u3d bench: the machine's peak, then one inference tile and one training iteration of a network.
 *
 * Each pass runs in a process of its own, so that the peak of resident memory is its own too; the child sends
 * its figures through a pipe. One warm-up run, then --repeat timed ones; best and median are reported.
 * GFLOP/s count direct convolution arithmetic, whatever the implementation does. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/exec.h"
#include "engine/log.h"
#include "engine/mem.h"
#include "engine/rng.h"
#include "io/json.h"
#include "net/train.h"
#include "net/unet3d.h"
#include "tools/net_args.h"

enum { MAX_REPEAT = 100, MAX_ROWS = 1024 };

typedef enum pass_kind { PASS_PEAK, PASS_INFER, PASS_TRAIN } pass_kind;

typedef struct op_row { /* one node, best of the timed runs */
    char name[U3D_NAME_CAP], impl[32];
    double seconds, flops;
} op_row;

typedef struct figures { /* what a child sends */
    u3d_status status;
    char text[512], device[128];
    int32_t threads;
    double peak_gflops, peak_gbytes_s;
    double best, median, gflop;
    uint64_t peak_bytes;
    int64_t parameters, in[3];
    int32_t n_rows;
    op_row rows[MAX_ROWS];
} figures;

typedef struct bench { /* one network, ready to run in one pass */
    u3d_backend *backend;
    u3d_config config;
    u3d_unet3d net;
    u3d_plan *plan;
    u3d_params *params;
    u3d_arena *arena;
    u3d_exec *exec;
    u3d_optim *optim;
    u3d_tensor *image, *label, *weight, *loss;
    double node_start, *node_s; /* seconds of each node in this run */
} bench;

static u3d_status on_node(void *user, u3d_exec *x, int node, bool done)
{
    bench *b = user;
    (void)x;
    if (!done)
        b->node_start = u3d_clock();
    else
        b->node_s[node] = u3d_clock() - b->node_start;
    return U3D_OK;
}

/* Random image and labels: never time zeros. */
static u3d_status inputs_make(bench *b, bool train)
{
    const u3d_graph *g = b->net.graph;
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, 0);
    U3D_TRY(u3d_tensor_new("image", u3d_graph_value(g, b->net.image)->type, &b->image));
    float *v = u3d_tensor_f32(b->image);
    for (int64_t i = u3d_type_elems(&b->image->type); i-- > 0;) v[i] = (float)u3d_rng_uniform(&r) - 0.5f;
    U3D_TRY(u3d_exec_feed(b->exec, b->net.image, b->image));
    if (!train) return U3D_OK;
    U3D_TRY(u3d_tensor_new("label", u3d_graph_value(g, b->net.label)->type, &b->label));
    U3D_TRY(u3d_tensor_new("class_weight", u3d_graph_value(g, b->net.class_weight)->type, &b->weight));
    U3D_TRY(u3d_tensor_new("loss", u3d_type_scalar(), &b->loss));
    uint8_t *l = u3d_tensor_u8(b->label);
    for (int64_t i = u3d_type_elems(&b->label->type); i-- > 0;)
        l[i] = (uint8_t)u3d_rng_below(&r, b->config.labels);
    for (int64_t k = 0; k < b->config.labels; k++) u3d_tensor_f32(b->weight)[k] = 1;
    return U3D_OK;
}

static u3d_status bench_open(bench *b, const args *a, pass_kind kind)
{
    const bool train = kind == PASS_TRAIN;
    const u3d_plan_opts po = {0};
    const u3d_mode mode = train ? U3D_MODE_TRAIN : U3D_MODE_INFER;
    U3D_TRY(net_args_config(a, "bench", a->net ? a->net : "paper-bn", b->backend, &b->config));
    U3D_TRY(net_args_size(a, &b->config));
    U3D_TRY(u3d_unet3d_build(&b->config, b->backend, mode, b->config.batch, b->config.patch, true, &b->net));
    U3D_TRY(u3d_plan_new(b->backend, b->net.graph, &po, &b->plan));
    U3D_TRY(u3d_params_new(b->backend, b->net.graph,
                           train ? u3d_train_blocks(&b->config) : 1u << U3D_BLOCK_VALUE, 1, &b->params));
    U3D_TRY(u3d_arena_new(b->backend, &b->plan, 1, &b->arena));
    U3D_TRY(u3d_exec_new(b->plan, b->params, b->arena, &b->exec));
    b->node_s = u3d_new((size_t)u3d_graph_n_nodes(b->net.graph), sizeof *b->node_s);
    if (!b->node_s) return U3D_E_NOMEM;
    if (a->ops) u3d_exec_set_hook(b->exec, on_node, b);
    if (train) {
        const u3d_optim_opts oo = u3d_train_optim_opts(&b->config, 1000);
        U3D_TRY(u3d_optim_new(b->params, &oo, &b->optim));
    }
    return inputs_make(b, train);
}

static void bench_close(bench *b)
{
    u3d_tensor_free(b->image);
    u3d_tensor_free(b->label);
    u3d_tensor_free(b->weight);
    u3d_tensor_free(b->loss);
    u3d_optim_free(b->optim);
    u3d_exec_free(b->exec);
    u3d_arena_free(b->arena);
    u3d_params_free(b->params);
    u3d_plan_free(b->plan);
    u3d_unet3d_done(&b->net);
    u3d_free(b->node_s);
}

static u3d_status bench_once(bench *b)
{
    u3d_optim_stats stats;
    U3D_TRY(u3d_exec_feed(b->exec, b->net.image, b->image));
    if (!b->optim) {
        U3D_TRY(u3d_exec_run(b->exec));
        return u3d_backend_sync(b->backend);
    }
    U3D_TRY(u3d_exec_feed(b->exec, b->net.label, b->label));
    U3D_TRY(u3d_exec_feed(b->exec, b->net.class_weight, b->weight));
    U3D_TRY(u3d_exec_run(b->exec));
    U3D_TRY(u3d_exec_fetch(b->exec, b->net.loss, b->loss));
    U3D_TRY(u3d_optim_step(b->optim, &stats));
    return u3d_backend_sync(b->backend);
}

static void rows_fill(const bench *b, bool first, figures *f)
{
    const int n = u3d_graph_n_nodes(b->net.graph);
    f->n_rows = n < MAX_ROWS ? n : MAX_ROWS;
    for (int i = 0; i < f->n_rows; i++) {
        u3d_plan_node node;
        op_row *row = &f->rows[i];
        u3d_plan_node_get(b->plan, i, &node);
        if (!first && row->seconds <= b->node_s[i]) continue;
        snprintf(row->name, sizeof row->name, "%s", node.name);
        snprintf(row->impl, sizeof row->impl, "%s", node.impl);
        row->seconds = b->node_s[i];
        row->flops = node.flops;
    }
}

static int compare_double(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static u3d_status pass_time(bench *b, const args *a, int64_t repeat, figures *f)
{
    double seconds[MAX_REPEAT];
    U3D_TRY(bench_once(b));
    for (int64_t i = 0; i < repeat; i++) {
        const double start = u3d_clock();
        U3D_TRY(bench_once(b));
        seconds[i] = u3d_clock() - start;
        if (a->ops) rows_fill(b, i == 0, f);
    }
    qsort(seconds, (size_t)repeat, sizeof seconds[0], compare_double);
    f->best = seconds[0];
    f->median = seconds[repeat / 2];
    f->gflop = u3d_graph_flops(b->net.graph, true) / 1e9;
    f->parameters = u3d_graph_param_count(b->net.graph);
    memcpy(f->in, b->net.in, sizeof f->in);
    f->peak_bytes = u3d_mem_peak_resident();
    return U3D_OK;
}

static u3d_status pass_run(const args *a, pass_kind kind, int64_t repeat, figures *f)
{
    u3d_status status = U3D_OK;
    bench b = {0};
    u3d_caps caps;
    U3D_GO(args_open_backend(a, &b.backend));
    u3d_backend_caps(b.backend, &caps);
    snprintf(f->device, sizeof f->device, "%s", caps.device);
    f->threads = caps.compute_units;
    if (kind == PASS_PEAK) {
        U3D_GO(u3d_backend_peak(b.backend, &f->peak_gflops, &f->peak_gbytes_s));
    } else {
        U3D_GO(bench_open(&b, a, kind));
        U3D_GO(pass_time(&b, a, repeat, f));
    }
done:
    bench_close(&b);
    u3d_backend_close(b.backend);
    return status;
}

static bool pipe_write(int fd, const void *data, size_t bytes)
{
    const char *p = data;
    while (bytes) {
        const ssize_t n = write(fd, p, bytes);
        if (n <= 0) return false;
        p += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool pipe_read(int fd, void *data, size_t bytes)
{
    char *p = data;
    while (bytes) {
        const ssize_t n = read(fd, p, bytes);
        if (n <= 0) return false;
        p += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Run one pass in a child; its failure becomes ours. The child never returns into the caller. */
static u3d_status pass_apart(const args *a, pass_kind kind, int64_t repeat, figures *f)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0) return u3d_fail(U3D_E_DEVICE, "u3d bench: no pipe to a child process");
    const pid_t child = fork();
    if (child == 0) {
        f->status = pass_run(a, kind, repeat, f);
        if (f->status != U3D_OK) snprintf(f->text, sizeof f->text, "%s", u3d_error_text());
        _exit(pipe_write(ends[1], f, sizeof *f) ? 0 : 1);
    }
    close(ends[1]);
    const bool read_all = child > 0 && pipe_read(ends[0], f, sizeof *f);
    close(ends[0]);
    if (child > 0) waitpid(child, NULL, 0);
    if (!read_all)
        return u3d_fail(
            U3D_E_NOMEM,
            "u3d bench: the process of this pass ended early (killed for memory?); try a smaller --input");
    return f->status == U3D_OK ? U3D_OK : u3d_fail(f->status, "%s", f->text);
}

static bool rows_json(cJSON *json, const char *name, const figures *f, double peak)
{
    cJSON *list = cJSON_AddArrayToObject(json, name);
    bool ok = list != NULL;
    for (int i = 0; ok && i < f->n_rows; i++) {
        const op_row *r = &f->rows[i];
        cJSON *row = cJSON_CreateObject();
        ok = row && cJSON_AddItemToArray(list, row) && cJSON_AddStringToObject(row, "name", r->name) &&
             cJSON_AddStringToObject(row, "impl", r->impl) &&
             cJSON_AddNumberToObject(row, "seconds", r->seconds) &&
             cJSON_AddNumberToObject(row, "gflops", r->flops / r->seconds / 1e9) &&
             cJSON_AddNumberToObject(row, "share_of_peak", r->flops / r->seconds / 1e9 / peak);
    }
    return ok;
}

static u3d_status print_json(const args *a, const figures *peak, const figures *infer, const figures *train)
{
    cJSON *json = cJSON_CreateObject();
    const double input[3] = {(double)infer->in[2], (double)infer->in[1], (double)infer->in[0]};
    bool ok = json && cJSON_AddStringToObject(json, "backend", a->backend ? a->backend : "auto") &&
              cJSON_AddStringToObject(json, "device", peak->device) &&
              cJSON_AddNumberToObject(json, "threads", peak->threads) &&
              cJSON_AddNumberToObject(json, "peak_gflops", peak->peak_gflops) &&
              cJSON_AddNumberToObject(json, "peak_gbytes_s", peak->peak_gbytes_s) &&
              cJSON_AddItemToObject(json, "input", cJSON_CreateDoubleArray(input, 3)) &&
              cJSON_AddNumberToObject(json, "parameters", (double)infer->parameters) &&
              cJSON_AddNumberToObject(json, "infer_s", infer->best) &&
              cJSON_AddNumberToObject(json, "infer_s_median", infer->median) &&
              cJSON_AddNumberToObject(json, "train_s", train->best) &&
              cJSON_AddNumberToObject(json, "train_s_median", train->median) &&
              cJSON_AddNumberToObject(json, "infer_gflops", infer->gflop / infer->best) &&
              cJSON_AddNumberToObject(json, "train_gflops", train->gflop / train->best) &&
              cJSON_AddNumberToObject(json, "peak_bytes_infer", (double)infer->peak_bytes) &&
              cJSON_AddNumberToObject(json, "peak_bytes_train", (double)train->peak_bytes);
    if (ok && a->ops)
        ok = rows_json(json, "infer_ops", infer, peak->peak_gflops) &&
             rows_json(json, "train_ops", train, peak->peak_gflops);
    u3d_status status =
        ok ? u3d_json_print(stdout, json) : u3d_fail(U3D_E_NOMEM, "printing the figures: out of memory");
    cJSON_Delete(json);
    return status;
}

static void print_pass(const char *name, const figures *f, const figures *peak, bool ops)
{
    if (ops) {
        printf("\n%-28s %-14s %10s %10s %8s\n", name, "implementation", "ms", "GFLOP/s", "peak");
        for (int i = 0; i < f->n_rows; i++) {
            const op_row *r = &f->rows[i];
            printf("%-28s %-14s %10.3f %10.1f %7.1f%%\n", r->name, r->impl, r->seconds * 1e3,
                   r->flops / r->seconds / 1e9, 100 * r->flops / r->seconds / 1e9 / peak->peak_gflops);
        }
        printf("\n");
    }
    printf("%-20s best %.3f s, median %.3f s, %.0f GFLOP/s (%.0f %% of the peak), peak memory %.2f GB\n",
           name, f->best, f->median, f->gflop / f->best, 100 * f->gflop / f->best / peak->peak_gflops,
           (double)f->peak_bytes / 1e9);
}

u3d_status cmd_bench(const args *a)
{
    int64_t repeat = 3;
    if (a->repeat) U3D_TRY(args_int("--repeat", a->repeat, 1, MAX_REPEAT, &repeat));
    figures *f = u3d_new(3, sizeof *f);
    if (!f) return U3D_E_NOMEM;
    figures *peak = &f[PASS_PEAK], *infer = &f[PASS_INFER], *train = &f[PASS_TRAIN];
    u3d_status status = pass_apart(a, PASS_PEAK, repeat, peak);
    if (status == U3D_OK) status = pass_apart(a, PASS_INFER, repeat, infer);
    if (status == U3D_OK) status = pass_apart(a, PASS_TRAIN, repeat, train);
    if (status == U3D_OK && a->json) {
        status = print_json(a, peak, infer, train);
    } else if (status == U3D_OK) {
        printf("%s, %d threads: peak %.0f GFLOP/s, %.1f GB/s\n", peak->device, peak->threads,
               peak->peak_gflops, peak->peak_gbytes_s);
        print_pass("inference tile", infer, peak, a->ops);
        print_pass("training iteration", train, peak, a->ops);
    }
    u3d_free(f);
    return status;
}
