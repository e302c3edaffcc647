/* One pass of u3d bench. It runs in a process of its own, so that its peak resident memory can be measured.
 * The child makes one run to warm up, then the timed runs, and sends its figures through a pipe. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/child.h"
#include "engine/base/clock.h"
#include "engine/run/exec.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "engine/base/rng.h"
#include "net/train/train.h"
#include "tools/bench/bench.h"
#include "tools/cli/net_args.h"

typedef struct bench { /* one network, ready to run in one pass */
    u3d_backend *backend;
    const u3d_config *config;
    u3d_unet3d net;
    u3d_plan *plan;
    u3d_params *params;
    u3d_arena *arena;
    u3d_exec *exec;
    u3d_optim *optim;
    u3d_tensor *image, *label, *weight, *result;
    double node_start, *node_s; /* node_s: seconds of each node in this run */
    double optim_s;
    bool asynchronous; /* the backend returns before its work is done */
} bench;

/* Times each node. The two clock readings take far less than a thousandth of the time of any node that
 * matters. */
static u3d_status on_node(void *user, u3d_exec *x, int node, bool done)
{
    bench *b = user;
    (void)x;
    if (b->asynchronous) U3D_TRY(u3d_backend_sync(b->backend));
    if (!done)
        b->node_start = u3d_clock();
    else
        b->node_s[node] = u3d_clock() - b->node_start;
    return U3D_OK;
}

/* ---- preparation ---- */

static u3d_status tensor_for(const bench *b, const char *name, u3d_val v, u3d_tensor **out)
{
    return u3d_tensor_new(name, u3d_graph_value(b->net.graph, v)->type, out);
}

/* Makes a random image and random labels, because zeros can be faster than real data. */
static u3d_status inputs_make(bench *b, bool train)
{
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, 0);
    U3D_TRY(tensor_for(b, "image", b->net.image, &b->image));
    float *v = u3d_tensor_f32(b->image);
    for (int64_t i = u3d_type_elems(&b->image->type); i-- > 0;) v[i] = (float)u3d_rng_uniform(&r) - 0.5f;
    U3D_TRY(tensor_for(b, "result", train ? b->net.loss : b->net.probability, &b->result));
    if (!train) return U3D_OK;
    U3D_TRY(tensor_for(b, "label", b->net.label, &b->label));
    U3D_TRY(tensor_for(b, "class_weight", b->net.class_weight, &b->weight));
    uint8_t *l = u3d_tensor_u8(b->label);
    for (int64_t i = u3d_type_elems(&b->label->type); i-- > 0;)
        l[i] = (uint8_t)u3d_rng_below(&r, b->config->labels);
    for (int64_t k = 0; k < b->config->labels; k++) u3d_tensor_f32(b->weight)[k] = 1;
    return U3D_OK;
}

static u3d_status bench_open(bench *b, const args *a, bool train, figures *f)
{
    const u3d_config *c = b->config;
    const u3d_mode mode = train ? U3D_MODE_TRAIN : U3D_MODE_INFER;
    const uint32_t blocks = train ? u3d_train_blocks(c) : 1U << U3D_BLOCK_VALUE;
    uint64_t cap;
    U3D_TRY(args_memory(a, &cap));
    U3D_TRY(u3d_unet3d_build(c, b->backend, mode, c->batch, c->patch, true, &b->net));
    U3D_TRY(u3d_footprint_plan(&b->net, b->backend, blocks, cap, &b->plan, &f->again, &f->planned));
    U3D_TRY(u3d_params_new(b->backend, b->net.graph, blocks, 1, &b->params));
    U3D_TRY(u3d_arena_new(b->backend, &b->plan, 1, &b->arena));
    U3D_TRY(u3d_exec_new(b->plan, b->params, b->arena, &b->exec));
    b->node_s = u3d_new((size_t)u3d_graph_n_nodes(b->net.graph), sizeof *b->node_s);
    if (!b->node_s) return U3D_E_NOMEM;
    u3d_caps caps;
    u3d_backend_caps(b->backend, &caps);
    b->asynchronous = !caps.host_memory;
    if (!b->asynchronous) u3d_exec_set_hook(b->exec, on_node, b);
    if (train) {
        const u3d_optim_opts oo = u3d_train_optim_opts(c, 1000);
        U3D_TRY(u3d_optim_new(b->params, &oo, &b->optim));
    }
    return inputs_make(b, train);
}

static void bench_close(bench *b)
{
    u3d_tensor_free(b->image);
    u3d_tensor_free(b->label);
    u3d_tensor_free(b->weight);
    u3d_tensor_free(b->result);
    u3d_optim_free(b->optim);
    u3d_exec_free(b->exec);
    u3d_arena_free(b->arena);
    u3d_params_free(b->params);
    u3d_plan_free(b->plan);
    u3d_unet3d_done(&b->net);
    u3d_free(b->node_s);
}

/* ---- runs ---- */

static u3d_status bench_once(bench *b)
{
    u3d_optim_stats stats;
    U3D_TRY(u3d_exec_feed(b->exec, b->net.image, b->image));
    if (b->optim) {
        U3D_TRY(u3d_exec_feed(b->exec, b->net.label, b->label));
        if (b->net.pseudo != U3D_NONE) U3D_TRY(u3d_exec_feed(b->exec, b->net.pseudo, b->label));
        U3D_TRY(u3d_exec_feed(b->exec, b->net.class_weight, b->weight));
    }
    U3D_TRY(u3d_exec_run(b->exec));
    U3D_TRY(u3d_exec_fetch(b->exec, b->optim ? b->net.loss : b->net.probability, b->result));
    const double start = u3d_clock();
    if (b->optim) U3D_TRY(u3d_optim_step(b->optim, &stats));
    U3D_TRY(u3d_backend_sync(b->backend));
    b->optim_s = b->optim ? u3d_clock() - start : 0;
    return U3D_OK;
}

static bench_kind kind_of(u3d_op op)
{
    switch (op) {
    case U3D_OP_CONV3D: return BENCH_CONV;
    case U3D_OP_CONV3D_DX: return BENCH_CONV_DX;
    case U3D_OP_CONV3D_DW: return BENCH_CONV_DW;
    case U3D_OP_UPCONV3D:
    case U3D_OP_UPCONV3D_DX:
    case U3D_OP_UPCONV3D_DW: return BENCH_UPCONV;
    case U3D_OP_NORM:
    case U3D_OP_NORM_BACK:
    case U3D_OP_MOMENTS:
    case U3D_OP_NORM_TABLE:
    case U3D_OP_RELU:
    case U3D_OP_RELU_BACK: return BENCH_NORM;
    case U3D_OP_MAXPOOL3D:
    case U3D_OP_MAXPOOL3D_DX: return BENCH_POOL;
    case U3D_OP_CROP_CONCAT:
    case U3D_OP_CROP_CONCAT_BACK:
    case U3D_OP_ADD:
    case U3D_OP_COPY: return BENCH_JOIN;
    case U3D_OP_FILL:
    case U3D_OP_SCALE:
    case U3D_OP_SUBSAMPLE:
    case U3D_OP_SOFTMAX:
    case U3D_OP_SOFTMAX_XENT:
    case U3D_OP_SOFTMAX_XENT_BACK:
    case U3D_OP_DICE:
    case U3D_OP_DICE_BACK: return BENCH_LOSS;
    case U3D_OP_SGD_STEP:
    case U3D_OP_ADAM_STEP:
    case U3D_OP_LERP:
    case U3D_OP_SUM_SQUARES: return BENCH_OPTIMIZER;
    case U3D_OP_COUNT: break;
    }
    return BENCH_OTHER;
}

static void kinds_fill(const bench *b, double seconds, figures *f)
{
    double rest = seconds - b->optim_s;
    memset(f->kind_s, 0, sizeof f->kind_s);
    for (int i = 0; i < u3d_graph_n_nodes(b->net.graph); i++) {
        f->kind_s[kind_of(u3d_graph_node(b->net.graph, i)->op)] += b->node_s[i];
        rest -= b->node_s[i];
    }
    f->kind_s[BENCH_OPTIMIZER] += b->optim_s;
    f->kind_s[BENCH_OTHER] += rest;
}

static void rows_fill(const bench *b, bool first, figures *f)
{
    const int n = u3d_graph_n_nodes(b->net.graph);
    f->n_rows = n < BENCH_MAX_ROWS ? n : BENCH_MAX_ROWS;
    for (int i = 0; i < f->n_rows; i++) {
        u3d_plan_node node;
        bench_row *row = &f->rows[i];
        u3d_plan_node_get(b->plan, i, &node);
        if (!first && row->seconds <= b->node_s[i]) continue;
        snprintf(row->name, sizeof row->name, "%s", node.name);
        snprintf(row->impl, sizeof row->impl, "%s", node.impl);
        row->seconds = b->node_s[i];
        row->flops = node.flops;
    }
}

/* Measures the time of each node on a device that works asynchronously: one more run waits for the device
 * after each node. All times are then scaled down by the same factor, so that they add up to the best run
 * without waiting. */
static u3d_status profile(bench *b, figures *f)
{
    u3d_exec_set_hook(b->exec, on_node, b);
    const double start = u3d_clock();
    U3D_TRY(bench_once(b));
    const double seconds = u3d_clock() - start, share = f->best / seconds;
    kinds_fill(b, seconds, f);
    rows_fill(b, true, f);
    for (int k = 0; k < BENCH_KINDS; k++) f->kind_s[k] *= share;
    for (int i = 0; i < f->n_rows; i++) f->rows[i].seconds *= share;
    return U3D_OK;
}

static u3d_status pass_time(bench *b, int64_t repeat, figures *f)
{
    double seconds[BENCH_MAX_REPEAT];
    U3D_TRY(bench_once(b));
    for (int64_t i = 0; i < repeat; i++) {
        const double start = u3d_clock();
        U3D_TRY(bench_once(b));
        seconds[i] = u3d_clock() - start;
        if (!b->asynchronous) rows_fill(b, i == 0, f);
        if (i == 0 || seconds[i] < f->best) {
            f->best = seconds[i];
            if (!b->asynchronous) kinds_fill(b, seconds[i], f);
        }
    }
    qsort(seconds, (size_t)repeat, sizeof seconds[0], u3d_order_double);
    f->median = seconds[repeat / 2];
    f->gflop = (u3d_graph_flops(b->net.graph, true) - f->again.flops) / 1e9;
    f->parameters = u3d_graph_param_count(b->net.graph);
    const uint64_t on_device = u3d_backend_peak_bytes(b->backend);
    f->peak_bytes = on_device ? on_device : u3d_mem_peak_resident();
    return b->asynchronous ? profile(b, f) : U3D_OK;
}

/* Measures the peak of the machine. It also makes the network for the other passes, so that data are read
 * only once and the choices of --net auto are logged only once. */
static u3d_status pass_peak(const args *a, u3d_backend *b, figures *f)
{
    U3D_TRY(net_args_config(a, "bench", a->net ? a->net : "paper-bn", b, &f->config));
    U3D_TRY(net_args_size(a, &f->config));
    return u3d_backend_peak(b, &f->peak_gflops, &f->peak_gbytes_s);
}

static u3d_status pass_run(const args *a, pass_kind kind, const u3d_config *c, figures *f)
{
    u3d_status status = U3D_OK;
    bench b = {.config = c};
    u3d_caps caps;
    int64_t repeat = 3;
    if (a->repeat) U3D_GO(args_int("--repeat", a->repeat, 1, BENCH_MAX_REPEAT, &repeat));
    U3D_GO(args_open_backend(a, &b.backend));
    u3d_backend_caps(b.backend, &caps);
    snprintf(f->device, sizeof f->device, "%s", caps.device);
    f->threads = caps.compute_units;
    if (kind == PASS_PEAK) {
        U3D_GO(pass_peak(a, b.backend, f));
    } else {
        U3D_GO(bench_open(&b, a, kind == PASS_TRAIN, f));
        U3D_GO(pass_time(&b, repeat, f));
    }
done:
    bench_close(&b);
    u3d_backend_close(b.backend);
    return status;
}

/* ---- the process ---- */

typedef struct pass { /* the task of the process, and its answer */
    const args *a;
    pass_kind kind;
    const u3d_config *config;
    int32_t threads;
    figures *f;
} pass;

/* Runs the pass in the child. Only the first pass logs messages about the device and the network. */
static void child_run(void *context)
{
    const pass *p = context;
    char text[16];
    args with = *p->a;
    (void)snprintf(text, sizeof text, "%d", (int)p->threads);
    if (p->threads > 0) with.threads = text;
    if (p->kind != PASS_PEAK && !p->a->verbose) u3d_log_set_level(U3D_LOG_WARN);
    p->f->status = pass_run(&with, p->kind, p->config, p->f);
    if (p->f->status != U3D_OK) snprintf(p->f->text, sizeof p->f->text, "%s", u3d_error_text());
}

u3d_status bench_pass(const args *a, pass_kind kind, const u3d_config *c, int32_t threads, figures *f)
{
    int signal_number;
    pass p = {a, kind, c, threads, f};
    if (!u3d_child_run(child_run, &p, f, sizeof *f, &signal_number))
        return u3d_fail(
            U3D_E_NOMEM,
            "u3d bench: the process of this pass ended without a result, perhaps because memory ran out; "
            "try a smaller --input");
    return f->status == U3D_OK ? U3D_OK : u3d_fail(f->status, "%s", f->text);
}
