/* How fast this machine trains: a few real iterations with random numbers, before --net auto decides how
 * large a network the time allows. The estimate of a backend cannot know the processor's clock, the memory or
 * what else runs, and has been wrong by a factor of two. */
#include "engine/base/clock.h"
#include "engine/base/rng.h"
#include "net/model/footprint.h"
#include "net/train/train_impl.h"

enum { TIMED = 2 };

typedef struct trial {
    u3d_unet3d net;
    u3d_plan *plan;
    u3d_params *params;
    u3d_arena *arena;
    u3d_exec *exec;
    u3d_optim *optim;
    u3d_tensor *image, *label, *weight;
    u3d_footprint planned;
} trial;

static u3d_status tensor_for(const trial *t, u3d_val v, u3d_tensor **out)
{
    const u3d_value *value = u3d_graph_value(t->net.graph, v);
    return u3d_tensor_new(value->name, value->type, out);
}

static u3d_status open_trial(trial *t, const u3d_config *c, u3d_backend *b, uint64_t cap)
{
    u3d_recomputed again;
    const uint32_t blocks = u3d_train_blocks(c);
    const u3d_optim_opts oo = u3d_train_optim_opts(c, 1000);
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, 0);
    U3D_TRY(u3d_unet3d_build(c, b, U3D_MODE_TRAIN, c->batch, c->patch, true, &t->net));
    U3D_TRY(u3d_footprint_plan(&t->net, b, blocks, cap, &t->plan, &again, &t->planned));
    U3D_TRY(u3d_params_new(b, t->net.graph, blocks, 1, &t->params));
    U3D_TRY(u3d_arena_new(b, &t->plan, 1, &t->arena));
    U3D_TRY(u3d_exec_new(t->plan, t->params, t->arena, &t->exec));
    U3D_TRY(u3d_optim_new(t->params, &oo, &t->optim));
    U3D_TRY(tensor_for(t, t->net.image, &t->image));
    U3D_TRY(tensor_for(t, t->net.label, &t->label));
    U3D_TRY(tensor_for(t, t->net.class_weight, &t->weight));
    for (int64_t i = u3d_type_elems(&t->image->type); i-- > 0;)
        u3d_tensor_f32(t->image)[i] = (float)u3d_rng_uniform(&r) - 0.5F;
    for (int64_t i = u3d_type_elems(&t->label->type); i-- > 0;)
        u3d_tensor_u8(t->label)[i] = (uint8_t)u3d_rng_below(&r, c->labels);
    for (int64_t k = 0; k < c->labels; k++) u3d_tensor_f32(t->weight)[k] = 1;
    return U3D_OK;
}

static void close_trial(trial *t)
{
    u3d_tensor_free(t->image);
    u3d_tensor_free(t->label);
    u3d_tensor_free(t->weight);
    u3d_optim_free(t->optim);
    u3d_exec_free(t->exec);
    u3d_arena_free(t->arena);
    u3d_params_free(t->params);
    u3d_plan_free(t->plan);
    u3d_unet3d_done(&t->net);
}

static u3d_status iterate(trial *t)
{
    u3d_optim_stats stats;
    U3D_TRY(u3d_exec_feed(t->exec, t->net.image, t->image));
    U3D_TRY(u3d_exec_feed(t->exec, t->net.label, t->label));
    if (t->net.pseudo != U3D_NONE) U3D_TRY(u3d_exec_feed(t->exec, t->net.pseudo, t->label));
    U3D_TRY(u3d_exec_feed(t->exec, t->net.class_weight, t->weight));
    U3D_TRY(u3d_exec_run(t->exec));
    U3D_TRY(u3d_optim_step(t->optim, &stats));
    return u3d_backend_sync(u3d_params_backend(t->params));
}

u3d_status u3d_training_speed(const u3d_config *c, u3d_backend *b, uint64_t cap, double most_s, double *flops,
                              uint64_t *bytes)
{
    u3d_status status = U3D_OK;
    trial t = {.plan = NULL};
    U3D_GO(open_trial(&t, c, b, cap));
    *bytes = u3d_footprint_sum(&t.planned);
    double from = u3d_clock();
    U3D_GO(iterate(&t)); /* touches memory for the first time; counts only if there is no time for more */
    int timed = 1;
    if (u3d_clock() - from <= most_s) {
        from = u3d_clock();
        for (timed = 0; timed < TIMED; timed++) U3D_GO(iterate(&t));
    }
    *flops = u3d_graph_flops(t.net.graph, true) * timed / (u3d_clock() - from);
done:
    close_trial(&t);
    return status;
}
