/* Tests of fusion (engine/rewrite/fuse.h): a fused graph computes the same as the plain graph, and ops are
 * fused only if the backend accepts every fused form that is needed.
 *
 * The oracle runs both graphs in double precision, and the results must agree far more closely than float
 * rounding would allow, so that a wrong table, a forgotten shift or an addition to a value that was never
 * written cannot go unnoticed. Most tests use backends that only answer queries and compute nothing; in
 * addition, the CPU runs both graphs. */
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

#include "engine/run/exec.h"
#include "engine/rewrite/fuse.h"
#include "engine/base/mem.h"
#include "net/model/unet3d.h"
#include "tests/support/support_eval.h"
#include "tests/support/support_machine.h"

static const double SAME = 1e-9; /* relative; allows for two orders of summation in double */

/* ---- backends that only answer queries ---- */

typedef enum answer { TAKES_ALL, NO_MOMENTS, REFUSES_FUSED, NO_LAZY_POOL, NO_SKIP_PART } answer;

typedef struct answering {
    u3d_backend base;
    answer answer;
} answering;

static bool is_fused(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    switch ((int)d->op) {
    case U3D_OP_CONV3D:
    case U3D_OP_CONV3D_DW:
    case U3D_OP_UPCONV3D:
    case U3D_OP_UPCONV3D_DW:
    case U3D_OP_MAXPOOL3D: return a->joined || a->lazy[0] || a->lazy[1] || a->moments;
    case U3D_OP_NORM_BACK: return d->attr.norm.act;
    case U3D_OP_CROP_CONCAT_BACK: return d->attr.crop.part != U3D_CROP_BOTH;
    case U3D_OP_MOMENTS:
    case U3D_OP_NORM_TABLE: return true;
    default: return false;
    }
}

static bool is_refused(answer a, const u3d_op_desc *d)
{
    switch (a) {
    case NO_MOMENTS: return d->op == U3D_OP_CONV3D && d->attr.conv.moments;
    case REFUSES_FUSED: return is_fused(d);
    case NO_LAZY_POOL: return d->op == U3D_OP_MAXPOOL3D && d->attr.conv.lazy[0];
    case NO_SKIP_PART: return d->op == U3D_OP_CROP_CONCAT_BACK && d->attr.crop.part == U3D_CROP_SKIP;
    default: return false;
    }
}

static u3d_status answering_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out)
{
    *out = (u3d_need){.impl = "none"};
    return is_refused(((const answering *)b)->answer, d) ? u3d_fail(U3D_E_UNSUPPORTED, "no") : U3D_OK;
}

static const char *answering_impl(const u3d_backend *b, u3d_op op, int i)
{
    (void)b, (void)op, (void)i;
    return NULL;
}

static const u3d_backend_vt answering_vt = {
    .api = U3D_BACKEND_API, .name = "answering", .impl = answering_impl, .query = answering_query};

/* ---- networks ---- */

typedef struct net_case {
    const char *name;
    const char *set[12];
    int64_t batch;
    u3d_mode mode;
} net_case;

static const net_case net_cases[] = {
    {"valid, batch norm, running",
     {"padding=valid", "norm=batch", "norm_statistics=running", "activation=relu", "patch=20x20x20",
      "double=before-pool", NULL},
     1,
     U3D_MODE_TRAIN},
    {"same, per instance, leaky",
     {"norm=instance", "activation=leaky", "patch=8x8x8", NULL},
     2,
     U3D_MODE_TRAIN},
    {"same, batch norm of the tile, three levels",
     {"norm=batch", "norm_statistics=tile", "levels=3", "patch=8x8x8", NULL},
     2,
     U3D_MODE_TRAIN},
    {"flat", {"norm=batch", "kernel=3x3x1", "pool=2x2x1", "patch=8x8x1", NULL}, 2, U3D_MODE_TRAIN},
    {"deep supervision",
     {"levels=4", "norm=instance", "activation=leaky", "patch=16x8x16", "deep_supervision=on", NULL},
     1,
     U3D_MODE_TRAIN},
    {"without norm", {"norm=none", "patch=8x8x8", NULL}, 1, U3D_MODE_TRAIN},
    {"prediction with running statistics",
     {"norm=batch", "norm_statistics=running", "patch=8x8x8", NULL},
     1,
     U3D_MODE_INFER},
    {"prediction per instance", {"norm=instance", "patch=8x8x8", NULL}, 1, U3D_MODE_INFER},
};
enum { N_NETS = sizeof net_cases / sizeof *net_cases };

static void net_build(const net_case *c, u3d_unet3d *net)
{
    u3d_config config;
    u3d_config_default(&config);
    config.labels = 3;
    config.channels = 2;
    assert_ok(u3d_config_set(&config, "levels=2"));
    assert_ok(u3d_config_set(&config, "base=3"));
    for (int i = 0; c->set[i]; i++) assert_ok(u3d_config_set(&config, c->set[i]));
    assert_ok(u3d_config_check(&config));
    assert_ok(u3d_unet3d_build(&config, NULL, c->mode, c->batch, config.patch, false, net));
}

static void fuse_for(answer a, u3d_graph *g)
{
    answering b = {{&answering_vt}, a};
    assert_ok(u3d_graph_fuse(g, &b.base));
}

static int count_op(const u3d_graph *g, u3d_op op)
{
    int n = 0;
    for (int i = 0; i < u3d_graph_n_nodes(g); i++) n += u3d_graph_node(g, i)->op == op;
    return n;
}

/* ---- consistency of a graph ---- */

static int uses_of(const u3d_graph *g, u3d_val v)
{
    int n = 0;
    for (int i = 0; i < u3d_graph_n_nodes(g); i++) {
        const u3d_node *node = u3d_graph_node(g, i);
        bool reads = false;
        for (int k = 0; k < node->n_in; k++) reads = reads || node->in[k] == v;
        n += reads;
    }
    return n;
}

static int producer_of(const u3d_graph *g, u3d_val v)
{
    u3d_role role = u3d_graph_value(g, v)->role;
    for (int i = 0; role != U3D_ROLE_STATE && role != U3D_ROLE_PARAM && i < u3d_graph_n_nodes(g); i++)
        for (int k = 0; k < u3d_graph_node(g, i)->n_out; k++)
            if (u3d_graph_node(g, i)->out[k] == v) return i;
    return U3D_NONE;
}

/* Checks that every node fits the types of its values, that n_uses and producer of each value agree with the
 * nodes, and that a temporary is first written with = and after that only with +=. */
static void check_graph(const u3d_graph *g)
{
    for (int i = 0; i < u3d_graph_n_nodes(g); i++) {
        const u3d_node *n = u3d_graph_node(g, i);
        u3d_op_desc d, inferred;
        u3d_graph_desc(g, i, &d);
        inferred = d;
        assert_ok(u3d_op_info_get(d.op)->infer(&inferred));
        for (int k = 0; k < d.n_out; k++) assert_true(u3d_type_equal(&inferred.out[k], &d.out[k]));
        assert_memory_equal(&inferred.attr, &d.attr, sizeof d.attr);
        for (int k = 0; k < n->n_out; k++) {
            const u3d_value *v = u3d_graph_value(g, n->out[k]);
            if (v->role != U3D_ROLE_STATE) assert_int_equal(n->accumulate >> k & 1U, v->producer != i);
        }
    }
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++) {
        assert_int_equal(u3d_graph_value(g, v)->n_uses, uses_of(g, v));
        assert_int_equal(u3d_graph_value(g, v)->producer, producer_of(g, v));
    }
}

/* ---- both graphs run by the oracle ---- */

static void fill(u3d_test_eval *e)
{
    for (u3d_val v = 0; v < u3d_graph_n_values(e->g); v++) {
        const u3d_value *value = u3d_graph_value(e->g, v);
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, (uint64_t)v);
        bool given =
            value->role == U3D_ROLE_INPUT || value->role == U3D_ROLE_PARAM || value->role == U3D_ROLE_STATE;
        for (int64_t i = 0; given && i < u3d_type_elems(&value->type); i++)
            e->value[v][i] = value->type.dtype == U3D_U8     ? (double)u3d_rng_below(&r, 3)
                             : value->role == U3D_ROLE_STATE ? 0.5 + u3d_rng_uniform(&r)
                                                             : 2 * u3d_rng_uniform(&r) - 1;
    }
}

/* Values that must not change: outputs, gradients of parameters, running statistics. */
static bool is_result(const u3d_value *v)
{
    return v->role == U3D_ROLE_OUTPUT || v->role == U3D_ROLE_GRAD || v->role == U3D_ROLE_STATE;
}

static void compare_values(const u3d_graph *g, u3d_val v, const double *got, const double *want)
{
    int64_t n = u3d_type_elems(&u3d_graph_value(g, v)->type);
    double size = 1; /* not less, because the gradient of a bias before a norm is a sum that cancels to 0 */
    for (int64_t i = 0; i < n; i++) size = fmax(size, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= SAME * size))
            fail_msg("%s[%lld]: the fused graph gives %.12g, the plain graph gives %.12g",
                     u3d_graph_value(g, v)->name, (long long)i, got[i], want[i]);
}

static void compare_graphs(const u3d_graph *plain, const u3d_graph *fused)
{
    u3d_test_eval a, b;
    int n_results = 0;
    assert_ok(u3d_test_eval_new(&a, plain));
    assert_ok(u3d_test_eval_new(&b, fused));
    fill(&a);
    fill(&b); /* fills in the same numbers, because the ids of values do not change */
    u3d_test_eval_run(&a, true);
    u3d_test_eval_run(&b, true);
    for (u3d_val v = 0; v < u3d_graph_n_values(plain); v++) {
        assert_string_equal(u3d_graph_value(plain, v)->name, u3d_graph_value(fused, v)->name);
        if (!is_result(u3d_graph_value(plain, v))) continue;
        compare_values(plain, v, b.value[v], a.value[v]);
        n_results++;
    }
    assert_true(n_results > 0);
    u3d_test_eval_done(&a);
    u3d_test_eval_done(&b);
}

static void check_same(const net_case *c, answer a)
{
    u3d_unet3d plain, fused;
    net_build(c, &plain);
    net_build(c, &fused);
    fuse_for(a, fused.graph);
    check_graph(fused.graph);
    compare_graphs(plain.graph, fused.graph);
    u3d_unet3d_done(&plain);
    u3d_unet3d_done(&fused);
}

static void fused_graphs_compute_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++)
        for (answer a = TAKES_ALL; a <= NO_SKIP_PART; a++) check_same(&net_cases[i], a);
}

/* ---- which nodes are left ---- */

static void norms_activations_and_joins_are_gone(void **state)
{
    (void)state;
    static const u3d_op gone[] = {U3D_OP_NORM, U3D_OP_RELU, U3D_OP_RELU_BACK, U3D_OP_CROP_CONCAT,
                                  U3D_OP_MOMENTS};
    for (int i = 0; i < N_NETS; i++) {
        u3d_unet3d plain, fused;
        net_build(&net_cases[i], &plain);
        net_build(&net_cases[i], &fused);
        fuse_for(TAKES_ALL, fused.graph);
        int n_norms = count_op(plain.graph, U3D_OP_NORM);
        for (size_t k = 0; n_norms > 0 && k < sizeof gone / sizeof *gone; k++)
            assert_int_equal(count_op(fused.graph, gone[k]), 0);
        assert_int_equal(count_op(fused.graph, U3D_OP_NORM_TABLE), n_norms);
        assert_int_equal(count_op(fused.graph, U3D_OP_CROP_CONCAT), 0);
        assert_int_equal(count_op(fused.graph, U3D_OP_RELU),
                         n_norms ? 0 : count_op(plain.graph, U3D_OP_RELU));
        assert_true(u3d_graph_flops(fused.graph, true) == u3d_graph_flops(plain.graph, true));
        int n_nodes = u3d_graph_n_nodes(fused.graph), n_values = u3d_graph_n_values(fused.graph);
        fuse_for(TAKES_ALL, fused.graph); /* a second call must change nothing */
        assert_int_equal(u3d_graph_n_nodes(fused.graph), n_nodes);
        assert_int_equal(u3d_graph_n_values(fused.graph), n_values);
        u3d_unet3d_done(&plain);
        u3d_unet3d_done(&fused);
    }
}

/* If convolutions do not compute moments, there is a node `moments` for each norm, except with given
 * statistics, where no moments are needed. */
static void moments_are_nodes_where_convolutions_refuse(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        u3d_unet3d net;
        net_build(&net_cases[i], &net);
        int n_norms = count_op(net.graph, U3D_OP_NORM);
        bool given = net_cases[i].mode == U3D_MODE_INFER && strstr(net_cases[i].name, "running");
        fuse_for(NO_MOMENTS, net.graph);
        assert_int_equal(count_op(net.graph, U3D_OP_MOMENTS), given ? 0 : n_norms);
        if (n_norms) {
            const char *made = given ? "enc0.norm1.table" : "enc0.conv1.moments";
            assert_int_not_equal(u3d_graph_find(net.graph, made), U3D_NONE);
        }
        u3d_unet3d_done(&net);
    }
}

static void assert_same_bytes(const u3d_graph *a, const u3d_graph *b)
{
    assert_int_equal(u3d_graph_n_nodes(a), u3d_graph_n_nodes(b));
    assert_int_equal(u3d_graph_n_values(a), u3d_graph_n_values(b));
    for (int i = 0; i < u3d_graph_n_nodes(a); i++) {
        const u3d_node *m = u3d_graph_node(a, i), *n = u3d_graph_node(b, i);
        u3d_op_desc dm, dn;
        u3d_graph_desc(a, i, &dm);
        u3d_graph_desc(b, i, &dn);
        assert_memory_equal(&dm, &dn, sizeof dm);
        assert_string_equal(m->name, n->name);
        assert_int_equal(m->backward, n->backward);
        for (int k = 0; k < m->n_in; k++) assert_int_equal(m->in[k], n->in[k]);
        for (int k = 0; k < m->n_out; k++) assert_int_equal(m->out[k], n->out[k]);
    }
    for (u3d_val v = 0; v < u3d_graph_n_values(a); v++) {
        const u3d_value *x = u3d_graph_value(a, v), *y = u3d_graph_value(b, v);
        assert_string_equal(x->name, y->name);
        assert_memory_equal(&x->type, &y->type, sizeof *x - offsetof(u3d_value, type));
    }
}

static void a_refusing_backend_changes_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        u3d_unet3d plain, fused;
        net_build(&net_cases[i], &plain);
        net_build(&net_cases[i], &fused);
        fuse_for(REFUSES_FUSED, fused.graph);
        assert_same_bytes(plain.graph, fused.graph);
        u3d_unet3d_done(&plain);
        u3d_unet3d_done(&fused);
    }
}

/* A norm is fused only if all readers of its result accept the fused form: each pooling that cannot read a
 * lazy map keeps the norm before it, and all other norms are fused. */
static void groups_are_fused_as_a_whole(void **state)
{
    (void)state;
    u3d_unet3d net;
    net_build(&net_cases[2], &net);
    int n_norms = count_op(net.graph, U3D_OP_NORM), n_pools = count_op(net.graph, U3D_OP_MAXPOOL3D);
    fuse_for(NO_LAZY_POOL, net.graph);
    assert_int_equal(count_op(net.graph, U3D_OP_NORM), n_pools);
    assert_int_equal(count_op(net.graph, U3D_OP_RELU_BACK), n_pools);
    assert_int_equal(count_op(net.graph, U3D_OP_NORM_TABLE), n_norms - n_pools);
    u3d_unet3d_done(&net);
}

/* ---- graphs that are not U-Nets ---- */

static const u3d_layer_conv same_conv = {.attr = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}},
                                         .channels_out = 3,
                                         .bias = true,
                                         .init_gain = 1};

static u3d_val conv_norm_relu(u3d_graph *g, const char *scope, u3d_val x, float slope)
{
    u3d_scope_push(g, "%s", scope);
    u3d_val z = u3d_layer_conv3d(g, "conv", x, &same_conv);
    u3d_val y = u3d_relu(g, "relu", u3d_layer_norm(g, "norm", z, (u3d_norm_attr){.eps = 1e-3F}), slope);
    u3d_scope_pop(g);
    return y;
}

static void finish(u3d_graph *g, u3d_val y)
{
    u3d_type t = u3d_graph_value(g, y)->type;
    u3d_val label = u3d_input(g, "label", u3d_type_of(U3D_U8, 4, t.dim));
    u3d_val weight = u3d_input(g, "weight", u3d_type_f32(1, &t.dim[4]));
    u3d_val loss = u3d_softmax_xent(g, "xent", y, label, weight, (u3d_loss_attr){.ignore_label = 255});
    u3d_graph_output(g, loss, "loss");
    assert_ok(u3d_graph_backward(g, loss));
    assert_ok(u3d_graph_finish(g));
}

/* A residual connection: the inputs a and b of the addition cannot be lazy, but c can, because only a
 * convolution reads it. */
static u3d_val residual(u3d_graph *g, u3d_val x)
{
    u3d_val a = conv_norm_relu(g, "a", x, 0.1F);
    u3d_val b = conv_norm_relu(g, "b", conv_norm_relu(g, "c", a, 0.1F), 0.1F);
    return u3d_layer_conv3d(g, "head", u3d_add(g, "sum", a, b), &same_conv);
}

/* One joined map has the same map as both parts. The parts of the other have different slopes, and because a
 * joined map has only one slope, one of its parts stays plain. */
static u3d_val twice(u3d_graph *g, u3d_val x)
{
    u3d_val a = conv_norm_relu(g, "a", x, 0.1F);
    u3d_val y = u3d_layer_conv3d(g, "mid", u3d_crop_concat(g, "both", a, a), &same_conv);
    u3d_val b = conv_norm_relu(g, "b", y, 0.2F), c = conv_norm_relu(g, "c", y, 0.0F);
    return u3d_layer_conv3d(g, "head", u3d_crop_concat(g, "slopes", b, c), &same_conv);
}

/* The activation `a` is an output and therefore stays. The norm of the image itself is fused. */
static u3d_val fetched(u3d_graph *g, u3d_val x)
{
    u3d_val n = u3d_relu(g, "start", u3d_layer_norm(g, "first", x, (u3d_norm_attr){.eps = 1e-3F}), 0);
    u3d_val a = conv_norm_relu(g, "a", n, 0.1F);
    u3d_val y = u3d_layer_conv3d(g, "head", a, &same_conv);
    u3d_graph_output(g, a, "activation");
    return y;
}

static u3d_graph *odd_graph(u3d_val (*build)(u3d_graph *g, u3d_val x))
{
    u3d_graph *g;
    assert_ok(u3d_graph_new(&g));
    u3d_val x = u3d_input(g, "x", u3d_type_map(2, (const int64_t[]){4, 3, 5}, 2));
    finish(g, build(g, x));
    return g;
}

static void check_odd(u3d_val (*build)(u3d_graph *g, u3d_val x), int n_norms, int n_relus)
{
    u3d_graph *plain = odd_graph(build), *fused = odd_graph(build);
    fuse_for(TAKES_ALL, fused);
    check_graph(fused);
    assert_int_equal(count_op(fused, U3D_OP_NORM), n_norms);
    assert_int_equal(count_op(fused, U3D_OP_RELU), n_relus);
    compare_graphs(plain, fused);
    u3d_graph_free(plain);
    u3d_graph_free(fused);
}

static void what_cannot_be_lazy_stays(void **state)
{
    (void)state;
    check_odd(residual, 2, 2);
    check_odd(twice, 1, 1);
    check_odd(fetched, 1, 1);
}

static void fusing_survives_running_out_of_memory(void **state)
{
    (void)state;
    answering b = {{&answering_vt}, TAKES_ALL};
    u3d_status status = U3D_E_NOMEM;
    for (int64_t n = 1; status == U3D_E_NOMEM; n++) {
        u3d_unet3d net;
        net_build(&net_cases[0], &net);
        u3d_mem_fail_at(n);
        status = u3d_graph_fuse(net.graph, &b.base);
        u3d_mem_fail_at(0);
        assert_int_equal(u3d_graph_finish(net.graph), status);
        u3d_unet3d_done(&net);
    }
    assert_int_equal(status, U3D_OK);
}

/* ---- on the CPU ---- */

typedef u3d_test_machine machine;

static void machine_open(u3d_backend *b, const net_case *c, bool fused, machine *m)
{
    const u3d_plan_opts tight = {.least_work = true};
    uint32_t blocks = 1U << U3D_BLOCK_VALUE | (c->mode == U3D_MODE_TRAIN ? 1U << U3D_BLOCK_GRAD : 0);
    net_build(c, &m->net);
    if (fused) assert_ok(u3d_graph_fuse(m->net.graph, b));
    check_graph(m->net.graph);
    u3d_test_machine_open(b, &tight, blocks, 7, m);
}

static void compare_output(machine *a, machine *b)
{
    u3d_val v = a->net.loss != U3D_NONE ? a->net.loss : a->net.probability;
    const u3d_value *value = u3d_graph_value(a->net.graph, v);
    u3d_tensor *want, *got;
    assert_ok(u3d_tensor_new("want", value->type, &want));
    assert_ok(u3d_tensor_new("got", value->type, &got));
    assert_ok(u3d_exec_fetch(a->exec, v, want));
    assert_ok(u3d_exec_fetch(b->exec, v, got));
    u3d_test_near(value->name, u3d_tensor_f32(got), u3d_tensor_f32(want), u3d_type_elems(&value->type), 1e-5);
    u3d_tensor_free(want);
    u3d_tensor_free(got);
}

/* Tells whether a parameter is a bias before a norm. The norm removes it, so its gradient consists of
 * rounding errors only. */
static bool is_idle(const machine *m, const char *name)
{
    return count_op(m->net.graph, U3D_OP_NORM) > 0 && strstr(name, ".conv") && strstr(name, ".bias");
}

static void compare_params(machine *a, machine *b, u3d_block block)
{
    for (int i = 0; u3d_params_has(a->params, block) && i < u3d_params_count(a->params); i++) {
        const u3d_param_info *info = u3d_params_info(a->params, i);
        u3d_tensor *want, *got;
        if (block == U3D_BLOCK_GRAD && (info->state || is_idle(a, info->name))) continue;
        assert_ok(u3d_tensor_new("want", info->type, &want));
        assert_ok(u3d_tensor_new("got", info->type, &got));
        assert_ok(u3d_params_download(a->params, block, i, want));
        assert_ok(u3d_params_download(b->params, block, i, got));
        u3d_test_near(info->name, u3d_tensor_f32(got), u3d_tensor_f32(want), u3d_type_elems(&info->type),
                      3e-4);
        u3d_tensor_free(want);
        u3d_tensor_free(got);
    }
}

static void the_cpu_computes_the_same(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    for (int i = 0; i < N_NETS; i++) {
        machine plain, fused;
        machine_open(b, &net_cases[i], false, &plain);
        machine_open(b, &net_cases[i], true, &fused);
        if (count_op(plain.net.graph, U3D_OP_NORM)) {
            assert_int_equal(count_op(fused.net.graph, U3D_OP_NORM), 0);
            assert_int_equal(count_op(fused.net.graph, U3D_OP_RELU), 0);
        }
        assert_int_equal(count_op(fused.net.graph, U3D_OP_CROP_CONCAT), 0);
        u3d_test_machine_run(&plain);
        u3d_test_machine_run(&fused);
        compare_output(&plain, &fused);
        compare_params(&plain, &fused, U3D_BLOCK_GRAD);
        compare_params(&plain, &fused, U3D_BLOCK_VALUE); /* includes the running statistics */
        u3d_test_machine_close(&plain);
        u3d_test_machine_close(&fused);
    }
    u3d_backend_close(b);
}

/* In the paper's network, the results of norms and activations are half of the maps that training keeps. */
static void training_needs_less_memory(void **state)
{
    (void)state;
    const u3d_plan_opts tight = {.least_work = true};
    u3d_backend *b = u3d_test_cpu();
    uint64_t peak[2];
    for (int fused = 0; fused < 2; fused++) {
        u3d_config c;
        u3d_unet3d net;
        u3d_plan *plan;
        assert_ok(u3d_config_preset(&c, "paper-bn"));
        c.labels = c.channels = 3;
        assert_ok(u3d_config_set(&c, fused ? "fuse=auto" : "fuse=off"));
        assert_ok(u3d_unet3d_build(&c, b, U3D_MODE_TRAIN, 1, c.patch, true, &net));
        assert_ok(u3d_plan_new(b, net.graph, &tight, &plan));
        peak[fused] = u3d_plan_peak_bytes(plan);
        u3d_plan_free(plan);
        u3d_unet3d_done(&net);
    }
    assert_true(peak[1] < peak[0] / 4 * 3);
    u3d_backend_close(b);
}

/* precision=strict must set attr.conv.strict in every convolution, forward and backward. */
static void strict_reaches_every_convolution(void **state)
{
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        u3d_config c;
        u3d_unet3d net;
        int n_strict = 0, n_convs = 0;
        assert_ok(u3d_config_preset(&c, "paper-bn"));
        c.labels = c.channels = 3;
        assert_ok(u3d_config_set(&c, strict ? "precision=strict" : "precision=fast"));
        assert_ok(u3d_unet3d_build(&c, NULL, U3D_MODE_TRAIN, 1, c.patch, true, &net));
        for (int i = 0; i < u3d_graph_n_nodes(net.graph); i++) {
            const u3d_node *n = u3d_graph_node(net.graph, i);
            if (n->op > U3D_OP_UPCONV3D_DW) continue; /* convolutions come first in the list of ops */
            n_convs++;
            n_strict += n->attr.conv.strict;
        }
        assert_int_equal(n_strict, strict ? n_convs : 0);
        u3d_unet3d_done(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_graphs_compute_the_same),
        cmocka_unit_test(norms_activations_and_joins_are_gone),
        cmocka_unit_test(moments_are_nodes_where_convolutions_refuse),
        cmocka_unit_test(a_refusing_backend_changes_nothing),
        cmocka_unit_test(groups_are_fused_as_a_whole),
        cmocka_unit_test(what_cannot_be_lazy_stays),
        cmocka_unit_test(fusing_survives_running_out_of_memory),
        cmocka_unit_test(the_cpu_computes_the_same),
        cmocka_unit_test(training_needs_less_memory),
        cmocka_unit_test(strict_reaches_every_convolution),
    };
    u3d_test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
