/* Tests plans and executions on the CPU backend with one small training graph: convolution, normalisation
 * with running statistics, ReLU, pooling, a second block, up-convolution, a skip connection, loss, and the
 * gradients.
 *
 * Sharing memory must not change a bit; each check must detect its kind of error; calls to feed, run and
 * fetch in a wrong order must be errors and never return stale numbers; a failed allocation must not leak
 * memory. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run/exec.h"
#include "engine/run/exec_impl.h"
#include "engine/base/mem.h"

enum { N_LABELS = 3, SIDE = 8, CHANNELS = 4, TYPE_CAP = 80 };

typedef struct net {
    u3d_backend *backend;
    u3d_graph *graph;
    u3d_val image, label, weight, loss, logits;
    u3d_tensor *image_t, *label_t, *weight_t, *loss_t;
} net;

static const u3d_conv_attr conv3 = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}};
static const u3d_conv_attr pool2 = {.kernel = {2, 2, 2}, .stride = {2, 2, 2}};
static const u3d_conv_attr up2 = {.kernel = {2, 2, 2}, .stride = {2, 2, 2}};
static const u3d_conv_attr conv1 = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}};

/* The network: image [1, 8, 8, 8, 2] -> block -> pool -> block -> up -> concatenation with the output of the
 * first block -> 1x1x1 convolution -> loss. This is one block: convolution, norm, leaky ReLU. */
static u3d_val build_block(u3d_graph *g, const char *scope, u3d_val x)
{
    const u3d_norm_attr norm = {.eps = 1e-5f, .momentum = 0.1f, .keep_running = true};
    u3d_scope_push(g, "%s", scope);
    x = u3d_layer_conv3d(g, "conv", x, &(u3d_layer_conv){conv3, CHANNELS, true, 1.0f});
    x = u3d_layer_norm(g, "norm", x, norm);
    x = u3d_relu(g, "relu", x, 0.01f);
    u3d_scope_pop(g);
    return x;
}

static u3d_tensor *random_tensor(const u3d_graph *g, u3d_val v, uint64_t index)
{
    const u3d_value *value = u3d_graph_value(g, v);
    u3d_tensor *t;
    assert_ok(u3d_tensor_new(value->name, value->type, &t));
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, index);
    int64_t n = u3d_type_elems(&t->type);
    if (t->type.dtype == U3D_F32) u3d_test_normal(&r, u3d_tensor_f32(t), n);
    for (int64_t i = 0; t->type.dtype == U3D_U8 && i < n; i++)
        u3d_tensor_u8(t)[i] = (uint8_t)u3d_rng_below(&r, N_LABELS);
    return t;
}

static net net_new(void)
{
    net s = {.backend = u3d_test_cpu()};
    const int64_t size[3] = {SIDE, SIDE, SIDE};
    assert_ok(u3d_graph_new(&s.graph));
    u3d_graph *g = s.graph;
    s.image = u3d_input(g, "image", u3d_type_map(1, size, 2));
    s.label = u3d_input(g, "label", u3d_type_of(U3D_U8, 4, (const int64_t[]){1, SIDE, SIDE, SIDE}));
    s.weight = u3d_input(g, "class_weight", u3d_type_f32(1, (const int64_t[]){N_LABELS}));
    u3d_val skip = build_block(g, "enc0", s.image);
    u3d_val x = u3d_maxpool3d(g, "pool", skip, pool2);
    x = build_block(g, "enc1", x);
    x = u3d_layer_upconv3d(g, "up", x, &(u3d_layer_conv){up2, CHANNELS, true, 1.0f});
    x = u3d_crop_concat(g, "concat", x, skip);
    s.logits = u3d_layer_conv3d(g, "head", x, &(u3d_layer_conv){conv1, N_LABELS, true, 1.0f});
    s.loss = u3d_softmax_xent(g, "loss", s.logits, s.label, s.weight, (u3d_loss_attr){.ignore_label = 255});
    u3d_graph_output(g, s.loss, "loss");
    assert_ok(u3d_graph_backward(g, s.loss));
    assert_ok(u3d_graph_finish(g));
    s.image_t = random_tensor(g, s.image, 1);
    s.label_t = random_tensor(g, s.label, 2);
    s.weight_t = random_tensor(g, s.weight, 3);
    for (int k = 0; k < N_LABELS; k++) u3d_tensor_f32(s.weight_t)[k] = 1.0f + (float)k;
    assert_ok(u3d_tensor_new("loss", u3d_type_scalar(), &s.loss_t));
    return s;
}

static void net_done(net *s)
{
    u3d_tensor_free(s->image_t);
    u3d_tensor_free(s->label_t);
    u3d_tensor_free(s->weight_t);
    u3d_tensor_free(s->loss_t);
    u3d_graph_free(s->graph);
    u3d_backend_close(s->backend);
}

/* A network that is ready to run. */
typedef struct ready {
    u3d_plan *plan;
    u3d_arena *arena;
    u3d_params *params;
    u3d_exec *exec;
} ready;

static u3d_status ready_try(const net *s, const u3d_plan_opts *o, ready *r)
{
    memset(r, 0, sizeof *r);
    uint32_t blocks = 1u << U3D_BLOCK_GRAD | 1u << U3D_BLOCK_AVERAGE;
    U3D_TRY(u3d_plan_new(s->backend, s->graph, o, &r->plan));
    U3D_TRY(u3d_arena_new(s->backend, &r->plan, 1, &r->arena));
    U3D_TRY(u3d_params_new(s->backend, s->graph, blocks, 5, &r->params));
    return u3d_exec_new(r->plan, r->params, r->arena, &r->exec);
}

static void ready_done(ready *r)
{
    u3d_exec_free(r->exec);
    u3d_params_free(r->params);
    u3d_arena_free(r->arena);
    u3d_plan_free(r->plan);
}

static ready ready_new(const net *s, u3d_plan_opts o)
{
    ready r;
    assert_ok(ready_try(s, &o, &r));
    return r;
}

static void feed(const net *s, u3d_exec *x)
{
    assert_ok(u3d_exec_feed(x, s->image, s->image_t));
    assert_ok(u3d_exec_feed(x, s->label, s->label_t));
    assert_ok(u3d_exec_feed(x, s->weight, s->weight_t));
}

/* Feeds the inputs, runs the graph, fetches the loss and returns it. */
static float step(const net *s, u3d_exec *x)
{
    feed(s, x);
    assert_ok(u3d_exec_run(x));
    assert_ok(u3d_exec_fetch(x, s->loss, s->loss_t));
    return u3d_tensor_f32(s->loss_t)[0];
}

static void same_block(const ready *a, const ready *b, u3d_block block)
{
    for (int i = 0; i < u3d_params_count(a->params); i++) {
        const u3d_param_info *info = u3d_params_info(a->params, i);
        if (info->state && block != U3D_BLOCK_VALUE) continue;
        u3d_tensor *x, *y;
        assert_ok(u3d_tensor_new("x", info->type, &x));
        assert_ok(u3d_tensor_new("y", info->type, &y));
        assert_ok(u3d_params_download(a->params, block, i, x));
        assert_ok(u3d_params_download(b->params, block, i, y));
        if (memcmp(x->data, y->data, u3d_type_bytes(&info->type)) != 0)
            fail_msg("parameter %s differs", info->name);
        u3d_tensor_free(x);
        u3d_tensor_free(y);
    }
}

/* ---- sharing memory ---- */

static void sharing_memory_changes_no_bit(void **state)
{
    (void)state;
    net s = net_new();
    ready plain = ready_new(&s, (u3d_plan_opts){.no_reuse = true});
    const u3d_plan_opts others[] = {{0}, {.guard = true}, {.guard = true, .no_reuse = true}};
    float loss = step(&s, plain.exec);
    assert_true(isfinite(loss) && loss > 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ready r = ready_new(&s, others[i]);
        assert_true(step(&s, r.exec) == loss);
        same_block(&plain, &r, U3D_BLOCK_GRAD);
        same_block(&plain, &r, U3D_BLOCK_VALUE); /* includes the running statistics */
        assert_int_equal(u3d_arena_bytes(r.arena), u3d_plan_peak_bytes(r.plan));
        if (!others[i].no_reuse)
            assert_true(u3d_plan_peak_bytes(r.plan) < u3d_plan_peak_bytes(plain.plan) / 2);
        ready_done(&r);
    }
    ready_done(&plain);
    net_done(&s);
}

static void gradients_are_there(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    step(&s, r.exec);
    u3d_val w = u3d_graph_find(s.graph, "enc0.conv.weight");
    u3d_tensor *grad = random_tensor(s.graph, w, 9);
    assert_ok(u3d_exec_fetch(r.exec, u3d_graph_value(s.graph, w)->grad, grad));
    double squares = 0;
    for (int64_t i = 0; i < u3d_type_elems(&grad->type); i++)
        squares += (double)u3d_tensor_f32(grad)[i] * u3d_tensor_f32(grad)[i];
    assert_true(isfinite(squares) && squares > 0);
    u3d_tensor_free(grad);
    ready_done(&r);
    net_done(&s);
}

static void in_place_ops_share_a_life(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    int shared = 0;
    for (int node = 0; node < u3d_graph_n_nodes(s.graph); node++) {
        const u3d_node *n = u3d_graph_node(s.graph, node);
        const plan_value *in = n->n_in ? &r.plan->values[n->in[0]] : NULL;
        if (!in || in->life < 0 || in->life != r.plan->values[n->out[0]].life) continue;
        shared++;
        assert_true(u3d_op_info_get(n->op)->in_place);
        assert_int_equal(in->last, node);
    }
    assert_true(shared >= 4); /* ReLU and its gradient, in two blocks */
    ready_done(&r);
    net_done(&s);
}

static void feeding_running_fetching_allocate_nothing(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    step(&s, r.exec);
    u3d_mem_fail_at(1);
    step(&s, r.exec);
    u3d_mem_fail_at(0);
    ready_done(&r);
    net_done(&s);
}

/* ---- order of calls ---- */

static void wrong_tensors_are_refused(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    char text[TYPE_CAP];
    assert_status(u3d_exec_feed(r.exec, s.image, s.label_t), U3D_E_SHAPE);
    assert_non_null(strstr(u3d_error_text(), "image"));
    assert_non_null(strstr(u3d_error_text(), u3d_type_text(&s.label_t->type, text, sizeof text)));
    assert_non_null(strstr(u3d_error_text(), u3d_type_text(&s.image_t->type, text, sizeof text)));
    assert_status(u3d_exec_feed(r.exec, s.loss, s.loss_t), U3D_E_ARG);
    assert_status(u3d_exec_fetch(r.exec, s.loss, s.weight_t), U3D_E_SHAPE);
    ready_done(&r);
    net_done(&s);
}

static void stale_values_are_refused(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    assert_status(u3d_exec_run(r.exec), U3D_E_ARG); /* the inputs were never fed */
    step(&s, r.exec);
    assert_status(u3d_exec_run(r.exec), U3D_E_ARG); /* the inputs were not fed again */
    assert_non_null(strstr(u3d_error_text(), "'image'"));
    step(&s, r.exec);
    u3d_tensor *logits = random_tensor(s.graph, s.logits, 4);
    assert_status(u3d_exec_fetch(r.exec, s.logits, logits), U3D_E_ARG); /* logits is a temporary */
    feed(&s, r.exec);
    assert_status(u3d_exec_fetch(r.exec, s.loss, s.loss_t), U3D_E_ARG); /* inputs may have overwritten it */
    u3d_tensor_free(logits);
    ready_done(&r);
    net_done(&s);
}

static void executions_do_not_mix_in_an_arena(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    u3d_exec *second;
    assert_ok(u3d_exec_new(r.plan, r.params, r.arena, &second));
    float loss = step(&s, r.exec);
    feed(&s, r.exec);
    assert_true(step(&s, second) == loss);
    assert_status(u3d_exec_run(r.exec), U3D_E_ARG); /* the second execution has overwritten its inputs */
    assert_true(step(&s, r.exec) == loss);
    assert_status(u3d_exec_fetch(second, s.loss, s.loss_t), U3D_E_ARG);
    u3d_exec_free(second);
    ready_done(&r);
    net_done(&s);
}

static void swapped_averages_are_used(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    float loss = step(&s, r.exec);
    u3d_val head = u3d_graph_find(s.graph, "head.weight");
    u3d_tensor *w = random_tensor(s.graph, head, 6);
    assert_ok(u3d_params_upload(r.params, U3D_BLOCK_AVERAGE, u3d_params_find(r.params, "head.weight"), w));
    assert_true(step(&s, r.exec) == loss);
    u3d_params_swap_average(r.params);
    assert_true(step(&s, r.exec) != loss);
    u3d_params_swap_average(r.params);
    assert_true(step(&s, r.exec) == loss);
    u3d_tensor_free(w);
    ready_done(&r);
    net_done(&s);
}

/* ---- hooks ---- */

typedef struct probe {
    const net *s;
    u3d_tensor *logits;
    int calls, stop_at;
} probe;

static u3d_status probe_hook(void *user, u3d_exec *x, int node, bool done)
{
    probe *p = user;
    p->calls++;
    if (p->logits && done && u3d_graph_value(p->s->graph, p->s->logits)->producer == node)
        return u3d_exec_fetch(x, p->s->logits, p->logits);
    if (p->stop_at == node && done) return u3d_fail(U3D_E_CANCELLED, "stopped after node %d", node);
    return U3D_OK;
}

static void hooks_see_temporaries_and_stop_runs(void **state)
{
    (void)state;
    net s = net_new();
    ready plain = ready_new(&s, (u3d_plan_opts){.no_reuse = true}), r = ready_new(&s, (u3d_plan_opts){0});
    u3d_tensor *want = random_tensor(s.graph, s.logits, 4);
    step(&s, plain.exec);
    assert_ok(u3d_exec_fetch(plain.exec, s.logits, want)); /* without reuse, temporaries are kept */

    probe p = {.s = &s, .logits = random_tensor(s.graph, s.logits, 5), .stop_at = -1};
    u3d_exec_set_hook(r.exec, probe_hook, &p);
    step(&s, r.exec);
    assert_int_equal(p.calls, 2 * u3d_graph_n_nodes(s.graph));
    assert_memory_equal(p.logits->data, want->data, u3d_type_bytes(&want->type));

    p.calls = 0;
    p.stop_at = 3;
    feed(&s, r.exec);
    assert_status(u3d_exec_run(r.exec), U3D_E_CANCELLED);
    assert_int_equal(p.calls, 8);
    assert_status(u3d_exec_fetch(r.exec, s.loss, s.loss_t), U3D_E_ARG);
    u3d_tensor_free(p.logits);
    u3d_tensor_free(want);
    ready_done(&r);
    ready_done(&plain);
    net_done(&s);
}

/* ---- checks ---- */

static u3d_status overrun_hook(void *user, u3d_exec *x, int node, bool done)
{
    (void)user;
    if (node != 2 || done) return U3D_OK;
    const u3d_plan *p = x->plan;
    const u3d_life *l = &p->lives[p->values[u3d_graph_node(p->graph, node)->out[0]].life];
    const char byte[1] = {0};
    return u3d_backend_upload(
        x->backend, (u3d_span){x->arena->buf[l->chunk], l->off + l->bytes - p->guard_bytes}, byte, 1);
}

static void guards_see_overruns(void **state)
{
    (void)state;
    net s = net_new();
    setenv("U3D_CHECK", "guard", 1);
    ready r = ready_new(&s, (u3d_plan_opts){0});
    unsetenv("U3D_CHECK");
    step(&s, r.exec);
    u3d_exec_set_hook(r.exec, overrun_hook, NULL);
    feed(&s, r.exec);
    assert_status(u3d_exec_run(r.exec), U3D_E_CHECK);
    assert_non_null(strstr(u3d_error_text(), "node 2 'enc0.relu'"));
    ready_done(&r);
    net_done(&s);
}

static void nan_check_names_node_and_place(void **state)
{
    (void)state;
    net s = net_new();
    setenv("U3D_CHECK", "nan", 1);
    setenv("U3D_IMPL", "conv3d=direct", 1); /* Winograd would spread the NaN over a tile */
    ready r = ready_new(&s, (u3d_plan_opts){0});
    unsetenv("U3D_IMPL");
    unsetenv("U3D_CHECK");
    step(&s, r.exec);
    u3d_tensor_f32(s.image_t)[(2 * SIDE * SIDE + 3 * SIDE + 4) * 2] = NAN; /* z 2, y 3, x 4 */
    feed(&s, r.exec);
    assert_status(u3d_exec_run(r.exec), U3D_E_NUMERIC);
    assert_non_null(strstr(u3d_error_text(), "node 0 'enc0.conv'"));
    assert_non_null(strstr(u3d_error_text(), "[0, 1, 2, 3, 0]")); /* the first output that reads the NaN */
    ready_done(&r);
    net_done(&s);
}

/* ---- planning ---- */

static void too_little_memory_is_explained(void **state)
{
    (void)state;
    net s = net_new();
    u3d_plan *plan;
    assert_status(u3d_plan_new(s.backend, s.graph, &(u3d_plan_opts){.memory_cap = 5000}, &plan), U3D_E_NOMEM);
    assert_null(plan);
    assert_non_null(strstr(u3d_error_text(), "GB"));
    assert_non_null(strstr(u3d_error_text(), "enc0"));
    net_done(&s);
}

static const u3d_backend_vt *real_vt;

/* The query of a backend whose ops can use ten times the workspace that they need. */
static u3d_status greedy_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out)
{
    U3D_TRY(real_vt->query(b, d, out));
    out->work_best = 10 * out->work_min;
    return U3D_OK;
}

/* If the limit is too small for the largest useful workspaces, the plan gives smaller ones. It fails only if
 * even the smallest workspaces do not fit. */
static void workspaces_give_way(void **state)
{
    (void)state;
    net s = net_new();
    real_vt = s.backend->vt;
    u3d_backend_vt greedy = *real_vt;
    greedy.query = greedy_query;
    u3d_plan *plan;
    assert_ok(u3d_plan_new(s.backend, s.graph, NULL, &plan));
    uint64_t least = u3d_plan_peak_bytes(plan);
    u3d_plan_free(plan);

    s.backend->vt = &greedy;
    assert_ok(u3d_plan_new(s.backend, s.graph, NULL, &plan));
    uint64_t most = u3d_plan_peak_bytes(plan);
    u3d_plan_free(plan);
    assert_true(most > 5 * least);
    for (uint64_t seventh = 0; seventh <= 7; seventh++) {
        uint64_t cap = least + (most - least) * seventh / 7;
        assert_ok(u3d_plan_new(s.backend, s.graph, &(u3d_plan_opts){.memory_cap = cap}, &plan));
        assert_in_range(u3d_plan_peak_bytes(plan), cap * 3 / 4, cap);
        u3d_plan_free(plan);
    }
    assert_status(u3d_plan_new(s.backend, s.graph, &(u3d_plan_opts){.memory_cap = least - 64}, &plan),
                  U3D_E_NOMEM);
    assert_ok(u3d_plan_new(s.backend, s.graph, &(u3d_plan_opts){.least_work = true}, &plan));
    assert_true(u3d_plan_peak_bytes(plan) == least);
    u3d_plan_free(plan);
    s.backend->vt = real_vt;
    net_done(&s);
}

static void report_lists_every_node(void **state)
{
    (void)state;
    net s = net_new();
    u3d_plan *plan;
    char *text = NULL;
    size_t size;
    assert_ok(u3d_plan_new(s.backend, s.graph, NULL, &plan));
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    assert_ok(u3d_plan_report(plan, f));
    fclose(f);
    for (int node = 0; node < u3d_graph_n_nodes(s.graph); node++) {
        u3d_plan_node row;
        u3d_plan_node_get(plan, node, &row);
        assert_non_null(strstr(text, row.name));
        assert_true(row.impl[0] != '\0');
    }
    assert_non_null(strstr(text, "peak"));
    free(text);
    u3d_plan_free(plan);
    net_done(&s);
}

static void implementations_can_be_forced(void **state)
{
    (void)state;
    net s = net_new();
    u3d_plan *plan;
    u3d_plan_node row;
    int last = 0;
    while (u3d_backend_impl(s.backend, U3D_OP_CONV3D, last + 1)) last++;
    const char *plain = u3d_backend_impl(s.backend, U3D_OP_CONV3D, last);
    char value[64];
    snprintf(value, sizeof value, "conv3d=%s", plain);
    setenv("U3D_IMPL", value, 1);
    assert_ok(u3d_plan_new(s.backend, s.graph, NULL, &plan));
    u3d_plan_node_get(plan, 0, &row);
    assert_string_equal(row.impl, plain);
    u3d_plan_free(plan);
    setenv("U3D_IMPL", "conv3d=best", 1);
    assert_status(u3d_plan_new(s.backend, s.graph, NULL, &plan), U3D_E_ARG);
    assert_non_null(strstr(u3d_error_text(), plain)); /* the message lists the implementations */
    setenv("U3D_IMPL", "conv=plain", 1);
    assert_status(u3d_plan_new(s.backend, s.graph, NULL, &plan), U3D_E_ARG);
    unsetenv("U3D_IMPL");
    net_done(&s);
}

static void missing_parameters_are_named(void **state)
{
    (void)state;
    net s = net_new();
    ready r = ready_new(&s, (u3d_plan_opts){0});
    u3d_graph *other;
    u3d_params *params;
    u3d_exec *x;
    assert_ok(u3d_graph_new(&other));
    u3d_param(other, "head.bias", u3d_type_f32(1, (const int64_t[]){7}), U3D_INIT_ZERO, 1, 1, false);
    assert_ok(u3d_params_new(s.backend, other, 1u << U3D_BLOCK_GRAD, 1, &params));
    assert_status(u3d_exec_new(r.plan, params, r.arena, &x), U3D_E_SHAPE);
    assert_null(x);
    assert_non_null(strstr(u3d_error_text(), "'enc0.conv.weight' f32 [3, 3, 3, 2, 4] is missing"));
    assert_non_null(strstr(u3d_error_text(), "'head.bias' f32 [3] is of a different shape"));
    u3d_params_free(params);
    u3d_graph_free(other);
    ready_done(&r);
    net_done(&s);
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    net s = net_new();
    int64_t live = u3d_mem_live();
    u3d_status status = U3D_E_NOMEM;
    setenv("U3D_CHECK", "all", 1);
    for (int n = 1; status != U3D_OK; n++) {
        ready r;
        u3d_mem_fail_at(n);
        status = ready_try(&s, NULL, &r);
        u3d_mem_fail_at(0);
        if (status != U3D_OK) assert_int_equal(status, U3D_E_NOMEM);
        ready_done(&r);
        assert_int_equal(u3d_mem_live(), live);
        assert_true(n < 1000);
    }
    unsetenv("U3D_CHECK");
    net_done(&s);
}

/* ---- checks in the wrappers of the backend's functions ---- */

static void bad_spans_are_refused(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    u3d_op_desc d;
    u3d_need need;
    u3d_kernel *k;
    u3d_buffer *buf;
    memset(&d, 0, sizeof d);
    d.op = U3D_OP_COPY;
    d.n_in = d.n_out = 1;
    d.in[0] = u3d_type_f32(1, (const int64_t[]){64});
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    assert_ok(u3d_backend_query(b, &d, &need));
    assert_ok(u3d_backend_prepare(b, &d, need.work_best, &k));
    assert_ok(u3d_backend_alloc(b, 1024, &buf));
    assert_ok(u3d_backend_zero(b, (u3d_span){buf, 0}, 1024));
    const u3d_span none = {0}, at0 = {buf, 0}, at4 = {buf, 4}, at128 = {buf, 128}, at256 = {buf, 256};
    assert_status(u3d_backend_run(b, k, &none, &at256, none), U3D_E_ARG);
    assert_status(u3d_backend_run(b, k, &at4, &at256, none), U3D_E_ARG);
    assert_status(u3d_backend_run(b, k, &at0, &at128, none), U3D_E_ARG); /* 256 bytes each: they overlap */
    assert_status(u3d_backend_upload(b, none, &d, 4), U3D_E_ARG);
    assert_status(u3d_backend_download(b, NULL, at0, 4), U3D_E_ARG);
    assert_status(u3d_backend_alloc(b, 0, &buf), U3D_E_ARG);
    assert_ok(u3d_backend_run(b, k, &at0, &at256, none));
    u3d_backend_discard(b, k);
    u3d_backend_release(b, at0.buf);
    u3d_backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing_memory_changes_no_bit),
        cmocka_unit_test(gradients_are_there),
        cmocka_unit_test(in_place_ops_share_a_life),
        cmocka_unit_test(feeding_running_fetching_allocate_nothing),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(stale_values_are_refused),
        cmocka_unit_test(executions_do_not_mix_in_an_arena),
        cmocka_unit_test(swapped_averages_are_used),
        cmocka_unit_test(hooks_see_temporaries_and_stop_runs),
        cmocka_unit_test(guards_see_overruns),
        cmocka_unit_test(nan_check_names_node_and_place),
        cmocka_unit_test(too_little_memory_is_explained),
        cmocka_unit_test(workspaces_give_way),
        cmocka_unit_test(report_lists_every_node),
        cmocka_unit_test(implementations_can_be_forced),
        cmocka_unit_test(missing_parameters_are_named),
        cmocka_unit_test(failed_allocations_leak_nothing),
        cmocka_unit_test(bad_spans_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
