/* Checks one training step of a whole network on the backend.
 *
 *   nodes                    each node is compared with the oracle, which gets the node's inputs from the
 *                            backend (verify_node.c)
 *   loss, logits, gradients  compared with the oracle's own run of the plain graph from image to gradients,
 *                            and with the CPU backend
 *   optimizer                two updates from these gradients (verify_optim.c)
 *
 * Errors grow along a chain of nodes. After a jump (a maximum, the kink of an activation), a rounding error
 * can become a large error of a single voxel. Therefore the limits for the whole chain only show whether the
 * parts are connected correctly. Whether each part computes correctly is shown by the nodes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/footprint.h"
#include "net/volume/labels.h"
#include "net/train/train.h"
#include "tests/support/support_eval.h"
#include "tests/support/support_trial.h"
#include "tools/verify/verify.h"

/* Limits of the relative rms error. Loss: a mean over many voxels; the measured error is 1e-6. Logits: the
 * limit is what precision=fast promises (tests/backends/test_precision.c); the measured error is 2e-5.
 * Gradients: all parameters are taken together, so that gradients that cancel to zero have no weight; the
 * measured error is 1e-5, and 6e-3 if one voxel lies on the other side of a kink (three of 36 runs). */
static const double LIMIT_LOSS = 2e-5, LIMIT_LOGITS = 1e-4, LIMIT_GRADIENTS = 2e-2;

typedef struct machine { /* the network on one backend */
    u3d_unet3d net;
    u3d_plan *plan;
    u3d_params *params;
    u3d_arena *arena;
    u3d_exec *exec;
    u3d_tensor *loss, *logits;
    verify_node node;
} machine;

typedef struct inputs {
    u3d_tensor *image, *label, *class_weight;
} inputs;

/* ---- inputs ---- */

static u3d_status tensor_for(const u3d_unet3d *net, u3d_val v, u3d_tensor **out)
{
    const u3d_value *value = u3d_graph_value(net->graph, v);
    return u3d_tensor_new(value->name, value->type, out);
}

/* Makes a random image, random labels of every class with one voxel in six not annotated, and unequal class
 * weights. */
static u3d_status inputs_new(const verify *v, const u3d_unet3d *net, const u3d_config *c, inputs *in)
{
    u3d_rng r = u3d_rng_at(v->seed, U3D_RNG_TEST, 0);
    U3D_TRY(tensor_for(net, net->image, &in->image));
    U3D_TRY(tensor_for(net, net->label, &in->label));
    U3D_TRY(tensor_for(net, net->class_weight, &in->class_weight));
    u3d_test_normal(&r, u3d_tensor_f32(in->image), u3d_type_elems(&in->image->type));
    for (int64_t i = 0; i < u3d_type_elems(&in->label->type); i++)
        u3d_tensor_u8(in->label)[i] =
            (uint8_t)(u3d_rng_below(&r, 6) == 0 ? U3D_UNLABELED : u3d_rng_below(&r, c->labels));
    for (int64_t k = 0; k < c->labels; k++)
        u3d_tensor_f32(in->class_weight)[k] = (float)(0.5 + 1.5 * u3d_rng_uniform(&r));
    return U3D_OK;
}

static void inputs_free(inputs *in)
{
    u3d_tensor_free(in->image);
    u3d_tensor_free(in->label);
    u3d_tensor_free(in->class_weight);
}

/* ---- a run ---- */

static u3d_status machine_open(verify *v, u3d_backend *b, const u3d_config *c, uint64_t cap, machine *m)
{
    u3d_recomputed again;
    u3d_footprint planned;
    const uint32_t blocks = u3d_train_blocks(c);
    U3D_TRY(u3d_unet3d_build(c, b, U3D_MODE_TRAIN, c->batch, c->patch, true, &m->net));
    U3D_TRY(u3d_footprint_plan(&m->net, b, blocks, cap, &m->plan, &again, &planned));
    U3D_TRY(u3d_params_new(b, m->net.graph, blocks, v->seed, &m->params));
    U3D_TRY(u3d_arena_new(b, &m->plan, 1, &m->arena));
    U3D_TRY(u3d_exec_new(m->plan, m->params, m->arena, &m->exec));
    U3D_TRY(tensor_for(&m->net, m->net.loss, &m->loss));
    U3D_TRY(tensor_for(&m->net, m->net.logits, &m->logits));
    m->node.v = v;
    m->node.keep = m->net.logits;
    m->node.kept = m->logits;
    return U3D_OK;
}

static void machine_close(machine *m)
{
    verify_node_done(&m->node);
    u3d_tensor_free(m->loss);
    u3d_tensor_free(m->logits);
    u3d_exec_free(m->exec);
    u3d_arena_free(m->arena);
    u3d_params_free(m->params);
    u3d_plan_free(m->plan);
    u3d_unet3d_done(&m->net);
}

/* A u3d_hook. Copies the logits when they are computed, because their memory is reused later. */
static u3d_status keep_logits(void *user, u3d_exec *x, int node, bool done)
{
    machine *m = user;
    const u3d_node *at = u3d_graph_node(m->net.graph, node);
    if (!done || at->out[0] != m->net.logits) return U3D_OK;
    return u3d_exec_fetch(x, m->net.logits, m->logits);
}

static u3d_status machine_run(machine *m, const inputs *in, u3d_hook hook, void *user)
{
    u3d_exec_set_hook(m->exec, hook, user);
    U3D_TRY(u3d_exec_feed(m->exec, m->net.image, in->image));
    U3D_TRY(u3d_exec_feed(m->exec, m->net.label, in->label));
    if (m->net.pseudo != U3D_NONE) U3D_TRY(u3d_exec_feed(m->exec, m->net.pseudo, in->label));
    U3D_TRY(u3d_exec_feed(m->exec, m->net.class_weight, in->class_weight));
    U3D_TRY(u3d_exec_run(m->exec));
    return u3d_exec_fetch(m->exec, m->net.loss, m->loss);
}

/* ---- the oracle's run of the whole graph ---- */

static u3d_status set_value(u3d_test_eval *e, u3d_val v, const u3d_tensor *t)
{
    double *wide = u3d_test_widen(&t->type, t->data);
    if (!wide) return U3D_E_NOMEM;
    u3d_free(e->value[v]);
    e->value[v] = wide;
    return U3D_OK;
}

/* Downloads one block of parameter i (its values or its gradient) to a new tensor. */
static u3d_status param_fetch(u3d_params *p, u3d_block block, int i, u3d_tensor **t)
{
    const u3d_param_info *info = u3d_params_info(p, i);
    U3D_TRY(u3d_tensor_new(info->name, info->type, t));
    return u3d_params_download(p, block, i, *t);
}

static u3d_status eval_fill(u3d_test_eval *e, const u3d_unet3d *net, u3d_params *p, const inputs *in)
{
    U3D_TRY(set_value(e, net->image, in->image));
    U3D_TRY(set_value(e, net->label, in->label));
    if (net->pseudo != U3D_NONE) U3D_TRY(set_value(e, net->pseudo, in->label));
    U3D_TRY(set_value(e, net->class_weight, in->class_weight));
    for (int i = 0; i < u3d_params_count(p); i++) {
        u3d_tensor *t = NULL;
        u3d_status status = param_fetch(p, U3D_BLOCK_VALUE, i, &t);
        if (status == U3D_OK)
            status = set_value(e, u3d_graph_find(net->graph, u3d_params_info(p, i)->name), t);
        u3d_tensor_free(t);
        U3D_TRY(status);
    }
    return U3D_OK;
}

/* ---- comparing whole results ---- */

static u3d_status whole_report(verify *v, const char *name, const char *part, const char *where, double error,
                               double limit, const char *text)
{
    verify_row row = {.list = "nets", .name = name, .part = part};
    verify_count(&row, where, error / limit, error, limit);
    if (!(error <= limit)) verify_wrong(&row, "%s of the whole chain: %s (limit %.0e)", where, text, limit);
    return verify_report(v, &row);
}

static u3d_status tensor_compare(verify *v, const char *name, const char *part, const u3d_tensor *got,
                                 const double *want, double limit)
{
    char text[256];
    const u3d_test_diff d = u3d_test_compare(u3d_tensor_f32(got), want, u3d_type_elems(&got->type));
    u3d_test_diff_text(&d, &got->type, got->type.rank == 5 ? "n,z,y,x,c" : "", text, sizeof text);
    return whole_report(v, name, part, got->name, d.rms, limit, text);
}

/* Sums over the gradients of all parameters. */
typedef struct gradient_sum {
    double error, size, worst; /* sums of squares; worst: the largest error of one parameter */
    char text[320];            /* describes the error of that parameter                      */
    char where[U3D_NAME_CAP];  /* its name                                                   */
} gradient_sum;

static void gradient_add(gradient_sum *s, const u3d_tensor *got, const double *want)
{
    const int64_t n = u3d_type_elems(&got->type);
    double error = 0;
    for (int64_t e = 0; e < n; e++) {
        const double off = (double)u3d_tensor_f32(got)[e] - want[e];
        error += off * off;
        s->size += want[e] * want[e];
    }
    s->error += error;
    if (!isnan(s->worst) && (error > s->worst || isnan(error))) {
        char text[256];
        const u3d_test_diff d = u3d_test_compare(u3d_tensor_f32(got), want, n);
        s->worst = error;
        snprintf(s->where, sizeof s->where, "%s", got->name);
        snprintf(s->text, sizeof s->text, "most of it in %s, %s", got->name,
                 u3d_test_diff_text(&d, &got->type, got->type.rank == 5 ? "kz,ky,kx,ci,co" : "", text,
                                    sizeof text));
    }
}

static u3d_status gradient_report(verify *v, const char *name, const char *part, const gradient_sum *s,
                                  double limit)
{
    const double error = s->size > 0 ? sqrt(s->error / s->size) : sqrt(s->error);
    verify_row row = {.list = "nets", .name = name, .part = part};
    verify_count(&row, s->where, error / limit, error, limit);
    if (!(error <= limit))
        verify_wrong(&row, "gradients of the whole chain: rms %.2e (limit %.0e), %s", error, limit, s->text);
    return verify_report(v, &row);
}

static u3d_status against_oracle(verify *v, const char *name, const u3d_config *c, const machine *m,
                                 const inputs *in)
{
    u3d_status status = U3D_OK;
    u3d_unet3d plain = {0};
    u3d_test_eval e = {0};
    gradient_sum sum = {.worst = -1};
    U3D_GO(u3d_unet3d_build(c, NULL, U3D_MODE_TRAIN, c->batch, c->patch, true, &plain));
    U3D_GO(u3d_test_eval_new(&e, plain.graph));
    U3D_GO(eval_fill(&e, &plain, m->params, in));
    u3d_test_eval_run(&e, true);
    U3D_GO(tensor_compare(v, name, "loss/oracle", m->loss, e.value[plain.loss], LIMIT_LOSS));
    U3D_GO(tensor_compare(v, name, "logits/oracle", m->logits, e.value[plain.logits], LIMIT_LOGITS));
    for (int i = 0; i < u3d_params_count(m->params); i++) {
        const u3d_param_info *info = u3d_params_info(m->params, i);
        u3d_tensor *got = NULL;
        const u3d_val param = u3d_graph_find(plain.graph, info->name);
        const u3d_val grad = u3d_graph_value(plain.graph, param)->grad;
        if (info->state || grad == U3D_NONE) continue;
        status = param_fetch(m->params, U3D_BLOCK_GRAD, i, &got);
        if (status == U3D_OK) gradient_add(&sum, got, e.value[grad]);
        u3d_tensor_free(got);
        if (status != U3D_OK) goto done;
    }
    U3D_GO(gradient_report(v, name, "gradients/oracle", &sum, LIMIT_GRADIENTS));
done:
    u3d_test_eval_done(&e);
    u3d_unet3d_done(&plain);
    return status;
}

static u3d_status wide_compare(verify *v, const char *name, const char *part, const u3d_tensor *got,
                               const u3d_tensor *want, double limit)
{
    double *wide = u3d_test_widen(&want->type, want->data);
    if (!wide) return U3D_E_NOMEM;
    const u3d_status status = tensor_compare(v, name, part, got, wide, limit);
    u3d_free(wide);
    return status;
}

/* Compares with the same step on the CPU backend. Each side may be off by its limit, so twice the limit is
 * allowed. */
static u3d_status against_cpu(verify *v, const char *name, const u3d_config *c, uint64_t cap,
                              const machine *m, const inputs *in)
{
    u3d_status status = U3D_OK;
    machine cpu = {0};
    gradient_sum sum = {.worst = -1};
    U3D_GO(machine_open(v, v->cpu, c, cap, &cpu));
    U3D_GO(machine_run(&cpu, in, keep_logits, &cpu));
    U3D_GO(wide_compare(v, name, "loss/cpu", m->loss, cpu.loss, 2 * LIMIT_LOSS));
    U3D_GO(wide_compare(v, name, "logits/cpu", m->logits, cpu.logits, 2 * LIMIT_LOGITS));
    for (int i = 0; i < u3d_params_count(m->params); i++) {
        u3d_tensor *got = NULL, *want = NULL;
        if (u3d_params_info(m->params, i)->state) continue;
        status = param_fetch(m->params, U3D_BLOCK_GRAD, i, &got);
        if (status == U3D_OK) status = param_fetch(cpu.params, U3D_BLOCK_GRAD, i, &want);
        double *wide = status == U3D_OK ? u3d_test_widen(&want->type, want->data) : NULL;
        if (wide) gradient_add(&sum, got, wide);
        if (status == U3D_OK && !wide) status = U3D_E_NOMEM;
        u3d_free(wide);
        u3d_tensor_free(got);
        u3d_tensor_free(want);
        if (status != U3D_OK) goto done;
    }
    U3D_GO(gradient_report(v, name, "gradients/cpu", &sum, 2 * LIMIT_GRADIENTS));
done:
    machine_close(&cpu);
    return status;
}

u3d_status verify_net(verify *v, const char *name, const u3d_config *c)
{
    u3d_status status = U3D_OK;
    machine m = {0};
    inputs in = {0};
    uint64_t cap;
    verify_row optim = {.list = "nets", .name = name, .part = "optimizer"};
    m.node.row = (verify_row){.list = "nets", .name = name, .part = "nodes"};
    U3D_GO(args_memory(v->a, &cap));
    U3D_GO(machine_open(v, v->backend, c, cap, &m));
    U3D_INFO("verify", "%s: %d nodes; the oracle computes %.2g GFLOP twice", name,
             u3d_graph_n_nodes(m.net.graph), u3d_graph_flops(m.net.graph, true) / 1e9);
    U3D_GO(inputs_new(v, &m.net, c, &in));
    U3D_GO(machine_run(&m, &in, verify_node_hook, &m.node));
    U3D_GO(verify_report(v, &m.node.row));
    U3D_GO(against_oracle(v, name, c, &m, &in));
    U3D_GO(against_cpu(v, name, c, cap, &m, &in));
    U3D_GO(verify_optim(m.params, c, &optim));
    U3D_GO(verify_report(v, &optim));
done:
    inputs_free(&in);
    machine_close(&m);
    return status;
}
