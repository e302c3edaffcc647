/* Tests of recomputation (engine/rewrite/recompute.h): maps are computed again only if memory is short and
 * only if that reduces the peak, and the results do not change by a bit. */
#include "tests/support/support.h"

#include <string.h>

#include "engine/run/exec.h"
#include "engine/base/mem.h"
#include "engine/rewrite/recompute.h"
#include "net/model/unet3d.h"
#include "tests/support/support_machine.h"

static void net_build(u3d_backend *b, const char *const *set, u3d_unet3d *net)
{
    u3d_config c;
    assert_ok(u3d_config_preset(&c, "paper-bn"));
    c.labels = 3;
    c.channels = 2;
    for (int i = 0; set[i]; i++) assert_ok(u3d_config_set(&c, set[i]));
    assert_ok(u3d_config_check(&c));
    assert_ok(u3d_unet3d_build(&c, b, U3D_MODE_TRAIN, c.batch, c.patch, true, net));
}

/* Peak memory of the graph with the smallest workspaces. */
static uint64_t tight_peak(u3d_backend *b, const u3d_graph *g)
{
    const u3d_plan_opts tight = {.least_work = true};
    u3d_plan *plan;
    assert_ok(u3d_plan_new(b, g, &tight, &plan));
    uint64_t peak = u3d_plan_peak_bytes(plan);
    u3d_plan_free(plan);
    return peak;
}

static const char *const valid[] = {"levels=2", "base=8", "patch=36x36x36", NULL};
static const char *const unfused[] = {"levels=2", "base=8", "patch=36x36x36", "fuse=off", NULL};
static const char *const per_instance[] = {"levels=3",      "base=8",  "patch=24x24x24",   "padding=same",
                                           "norm=instance", "batch=2", "activation=leaky", NULL};
static const char *const running[] = {"levels=2", "base=8", "patch=36x36x36", "norm_statistics=running",
                                      NULL};
static const char *const deep[] = {"levels=4",      "base=4",  "patch=32x32x16",      "padding=same",
                                   "norm=instance", "batch=2", "deep_supervision=on", NULL};
static const char *const *const nets[] = {valid, unfused, per_instance, running, deep};
enum { N_NETS = sizeof nets / sizeof *nets };

/* ---- runs ---- */

typedef u3d_test_machine machine;

static void machine_run(u3d_backend *b, machine *m)
{
    const u3d_plan_opts o = {.guard = true};
    u3d_test_machine_open(b, &o, 1U << U3D_BLOCK_VALUE | 1U << U3D_BLOCK_GRAD, 1, m);
    u3d_test_machine_run(m);
}

static void assert_same_block(machine *a, machine *b, u3d_block block)
{
    for (int i = 0; i < u3d_params_count(a->params); i++) {
        const u3d_param_info *info = u3d_params_info(a->params, i);
        u3d_tensor *want, *got;
        if (block == U3D_BLOCK_GRAD && info->state) continue;
        assert_ok(u3d_tensor_new("want", info->type, &want));
        assert_ok(u3d_tensor_new("got", info->type, &got));
        assert_ok(u3d_params_download(a->params, block, i, want));
        assert_ok(u3d_params_download(b->params, block, i, got));
        assert_memory_equal(want->data, got->data, u3d_type_bytes(&info->type));
        u3d_tensor_free(want);
        u3d_tensor_free(got);
    }
}

static void assert_same_loss(machine *a, machine *b)
{
    u3d_tensor *want, *got;
    assert_ok(u3d_tensor_new("want", u3d_type_scalar(), &want));
    assert_ok(u3d_tensor_new("got", u3d_type_scalar(), &got));
    assert_ok(u3d_exec_fetch(a->exec, a->net.loss, want));
    assert_ok(u3d_exec_fetch(b->exec, b->net.loss, got));
    assert_memory_equal(want->data, got->data, sizeof(float));
    u3d_tensor_free(want);
    u3d_tensor_free(got);
}

static void results_are_the_same_bits(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    for (int i = 0; i < N_NETS; i++) {
        machine plain = {0}, again = {0};
        u3d_recomputed done;
        net_build(b, nets[i], &plain.net);
        net_build(b, nets[i], &again.net);
        assert_ok(u3d_graph_recompute(again.net.graph, b, 1, &done)); /* 1 byte: recomputes all that helps */
        assert_true(done.n > 0);
        assert_true(done.peak < done.peak_without);
        assert_true(done.peak == tight_peak(b, again.net.graph));
        assert_int_equal(u3d_graph_n_nodes(again.net.graph), u3d_graph_n_nodes(plain.net.graph) + done.n);
        machine_run(b, &plain);
        machine_run(b, &again);
        assert_same_loss(&plain, &again);
        assert_same_block(&plain, &again, U3D_BLOCK_GRAD);
        assert_same_block(&plain, &again, U3D_BLOCK_VALUE); /* running statistics are updated only once */
        u3d_test_machine_close(&plain);
        u3d_test_machine_close(&again);
    }
    u3d_backend_close(b);
}

/* ---- which maps are computed again, and when ---- */

static void nothing_happens_where_memory_suffices(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    u3d_unet3d net;
    u3d_recomputed done;
    net_build(b, valid, &net);
    int n_nodes = u3d_graph_n_nodes(net.graph), n_values = u3d_graph_n_values(net.graph);
    uint64_t peak = tight_peak(b, net.graph);
    const uint64_t caps[] = {0, peak, peak * 2};
    for (int i = 0; i < 3; i++) {
        assert_ok(u3d_graph_recompute(net.graph, b, caps[i], &done));
        assert_int_equal(done.n, 0);
        assert_int_equal(u3d_graph_n_nodes(net.graph), n_nodes);
        assert_int_equal(u3d_graph_n_values(net.graph), n_values);
    }
    u3d_unet3d_done(&net);
    u3d_backend_close(b);
}

/* In the paper's network, the map of the first convolution would be kept until the end of the backward pass,
 * and computing it again costs only 10 of 1590 GFLOP. */
static void the_first_map_of_the_paper_goes(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    u3d_unet3d net;
    u3d_recomputed done;
    net_build(b, (const char *const[]){NULL}, &net);
    uint64_t peak = tight_peak(b, net.graph);
    assert_ok(u3d_graph_recompute(net.graph, b, peak - 1, &done));
    assert_int_equal(done.n, 1);
    assert_string_equal(done.names, "enc0.conv1");
    assert_true(done.peak < peak - 200000000);
    assert_true(done.flops < 0.01 * u3d_graph_flops(net.graph, true));
    u3d_val again = u3d_graph_find(net.graph, "enc0.conv1.out.again");
    assert_int_not_equal(again, U3D_NONE);
    int32_t producer = u3d_graph_value(net.graph, again)->producer;
    const u3d_node *next = u3d_graph_node(net.graph, producer + 1);
    bool reads = false;
    for (int i = 0; i < next->n_in; i++) reads = reads || next->in[i] == again;
    assert_true(reads); /* it is computed immediately before its first use */
    u3d_unet3d_done(&net);
    u3d_backend_close(b);
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    for (int64_t at = 1;; at++) {
        u3d_unet3d net;
        u3d_recomputed done;
        int64_t live = u3d_mem_live();
        net_build(b, valid, &net);
        u3d_mem_fail_at(at);
        u3d_status status = u3d_graph_recompute(net.graph, b, 1, &done);
        u3d_mem_fail_at(0);
        u3d_unet3d_done(&net);
        assert_int_equal(u3d_mem_live(), live);
        if (status == U3D_OK) break;
        assert_status(status, U3D_E_NOMEM);
    }
    u3d_backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_same_bits),
        cmocka_unit_test(nothing_happens_where_memory_suffices),
        cmocka_unit_test(the_first_map_of_the_paper_goes),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
