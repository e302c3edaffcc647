/* Station 4 of prediction; before: a tile of the volume; after: its probabilities, the mean over models and
 * mirrored copies. Also makes the networks ready: graph, plan and weights.
 *
 * All networks share one arena, because they run one after the other. If the memory limit demands it, the
 * planner chooses smaller workspaces, which are slower but give the same labels. */
#include "net/predict/predict_impl.h"

#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/footprint.h"

/* With o.tta there is one mirrored copy for every subset of the axes along which training mirrored
 * patches. */
static void flips_choose(u3d_predictor *p)
{
    int allowed = 0;
    const char *mirror = p->model->config.mirror;
    if (p->o.tta && strcmp(mirror, "auto") != 0 && strcmp(mirror, "none") != 0)
        for (const char *c = mirror; *c; c++) allowed |= *c == 'z' ? 1 : *c == 'y' ? 2 : *c == 'x' ? 4 : 0;
    if (p->o.tta && !allowed)
        U3D_WARN("predict", "--tta changes nothing: this model was trained without mirroring");
    p->n_flips = 0;
    for (int f = 0; f < 8; f++)
        if ((f & ~allowed) == 0) p->flips[p->n_flips++] = f;
}

/* Allocates the tensors around the network. */
static u3d_status predictor_buffers(u3d_predictor *p)
{
    flips_choose(p);
    u3d_type in = u3d_type_map(1, p->in, p->channels), out = u3d_type_map(1, p->out, p->labels);
    U3D_TRY(u3d_tensor_new("tile", in, &p->tile));
    U3D_TRY(u3d_tensor_new("probability", out, &p->result));
    p->bytes += u3d_type_bytes(&in) + u3d_type_bytes(&out);
    if (p->n_flips * (p->n_nets ? p->n_nets : 1) > 1) {
        p->mean = u3d_new((size_t)u3d_type_elems(&out), sizeof(float));
        if (!p->mean) return U3D_E_NOMEM;
        p->bytes += u3d_type_bytes(&out);
    }
    return U3D_OK;
}

u3d_status u3d_predictor_borrow(u3d_exec *x, const u3d_unet3d *net, const u3d_model *m,
                                const u3d_predict_opts *o, u3d_predictor **out)
{
    *out = NULL;
    u3d_predictor *p = u3d_new(1, sizeof *p);
    if (!p) return U3D_E_NOMEM;
    p->o = *o;
    p->model = m;
    p->exec = x;
    p->image = net->image;
    p->probability = net->probability;
    memcpy(p->in, net->in, sizeof p->in);
    memcpy(p->out, net->out, sizeof p->out);
    p->channels = (int32_t)m->config.channels;
    p->labels = (int32_t)m->config.labels;
    u3d_status status = predictor_buffers(p);
    if (status != U3D_OK) {
        u3d_predictor_free(p);
        return status;
    }
    *out = p;
    return U3D_OK;
}

/* Whether two models resample to the same spacing. The target spacings of folds may differ by rounding; the
 * first model's is used. */
static bool resampled_alike(const u3d_config *a, const u3d_config *b)
{
    u3d_resampling ra, rb;
    u3d_resampling_of(a, &ra);
    u3d_resampling_of(b, &rb);
    bool alike = ra.on == rb.on && (!ra.on || ra.how == rb.how);
    for (int axis = 0; axis < 3 && ra.on && alike; axis++)
        alike = fabs(rb.spacing[axis] - ra.spacing[axis]) <= U3D_RESAMPLE_TOLERANCE * ra.spacing[axis];
    return alike;
}

/* Images are normalised once, for all models, with the statistics of the first one. */
static u3d_status normalised_alike(const u3d_intensity_stats *a, const u3d_intensity_stats *b, int i)
{
    bool alike = true;
    if (memcmp(a->kind, b->kind, (size_t)a->channels * sizeof a->kind[0]) != 0)
        return u3d_fail(
            U3D_E_ARG,
            "averaging models: model %d normalises intensities differently from the first; predict with "
            "each model and compare the results instead",
            i + 1);
    for (int32_t ch = 0; ch < a->channels; ch++)
        alike = alike && (a->kind[ch] != U3D_INTENSITY_CT ||
                          (a->low[ch] == b->low[ch] && a->high[ch] == b->high[ch] &&
                           a->mean[ch] == b->mean[ch] && a->sd[ch] == b->sd[ch]));
    if (!alike)
        U3D_WARN(
            "predict",
            "averaging models: model %d was trained with other CT statistics; those of the first model are "
            "used (the folds of u3d crossval share them)",
            i + 1);
    return U3D_OK;
}

static u3d_status models_alike(const u3d_model *a, const u3d_model *b, int i)
{
    const u3d_labels *la = &a->labels, *lb = &b->labels;
    if (la->n != lb->n || memcmp(la->value, lb->value, (size_t)la->n * sizeof la->value[0]) != 0)
        return u3d_fail(
            U3D_E_ARG,
            "averaging models: the labels of model %d differ from those of the first; average models of one data set",
            i + 1);
    if (a->config.channels != b->config.channels)
        return u3d_fail(U3D_E_ARG, "averaging models: model %d needs %lld channels, the first one %lld",
                        i + 1, (long long)b->config.channels, (long long)a->config.channels);
    if (memcmp(a->facts.orientation, b->facts.orientation, sizeof a->facts.orientation) != 0)
        return u3d_fail(
            U3D_E_ARG,
            "averaging models: the axes of model %d's training data are oriented differently from those "
            "of the first; predict with each model and compare the results instead",
            i + 1);
    if (memcmp(a->config.patch, b->config.patch, sizeof a->config.patch) != 0 ||
        a->config.padding != b->config.padding)
        return u3d_fail(
            U3D_E_ARG,
            "averaging models: model %d works on patches of %lldx%lldx%lld, the first on %lldx%lldx%lld; "
            "predict with each model and compare the results instead",
            i + 1, (long long)b->config.patch[2], (long long)b->config.patch[1],
            (long long)b->config.patch[0], (long long)a->config.patch[2], (long long)a->config.patch[1],
            (long long)a->config.patch[0]);
    if (memcmp(a->keep_largest, b->keep_largest, sizeof a->keep_largest) != 0 ||
        a->keep_foreground != b->keep_foreground)
        U3D_WARN("predict",
                 "averaging models: model %d keeps the largest components of different labels from the first; "
                 "the first model's choice is used",
                 i + 1);
    if (!resampled_alike(&a->config, &b->config))
        return u3d_fail(
            U3D_E_ARG,
            "averaging models: model %d resamples differently (spacing=%s) from the first (spacing=%s); "
            "predict with each model and compare the results instead",
            i + 1, b->config.spacing, a->config.spacing);
    return normalised_alike(&a->intensity, &b->intensity, i);
}

/* Builds the graph and loads the weights of every network. */
static u3d_status nets_build(u3d_predictor *p, u3d_backend *b, const u3d_model *const *models)
{
    for (int i = 0; i < p->n_nets; i++) {
        u3d_predictor_net *n = &p->nets[i];
        const u3d_model *m = models[i];
        U3D_TRY(models_alike(models[0], m, i));
        U3D_TRY(u3d_unet3d_build(&m->config, b, U3D_MODE_INFER, 1, m->config.patch, m->labels.background,
                                 &n->net));
        U3D_TRY(u3d_params_new(b, n->net.graph, 1u << U3D_BLOCK_VALUE, 0, &n->params));
        U3D_TRY(u3d_model_to_params(m, n->params));
        p->bytes += u3d_params_bytes(n->params);
    }
    return U3D_OK;
}

/* The arena gets the memory that the limit leaves beside the parameters; the planner shrinks workspaces until
 * they fit. */
static u3d_status nets_plan(u3d_predictor *p, u3d_backend *b, u3d_plan **plans)
{
    const uint64_t cap = u3d_footprint_cap(b, p->o.memory_cap);
    if (cap && p->bytes >= cap)
        return u3d_fail(U3D_E_NOMEM,
                        "predicting: the models' weights take %.2f GB, but only %.2f GB are allowed",
                        (double)p->bytes / 1e9, (double)cap / 1e9);
    const u3d_plan_opts po = {.memory_cap = cap ? cap - p->bytes : 0};
    for (int i = 0; i < p->n_nets; i++) {
        U3D_TRY(u3d_plan_new(b, p->nets[i].net.graph, &po, &p->nets[i].plan));
        plans[i] = p->nets[i].plan;
    }
    return u3d_arena_new(b, plans, p->n_nets, &p->arena);
}

static u3d_status nets_ready(u3d_predictor *p, u3d_backend *b, const u3d_model *const *models)
{
    U3D_TRY(nets_build(p, b, models));
    u3d_plan **plans = u3d_new((size_t)p->n_nets, sizeof(u3d_plan *));
    if (!plans) return U3D_E_NOMEM;
    u3d_status status = nets_plan(p, b, plans);
    u3d_free(plans);
    for (int i = 0; status == U3D_OK && i < p->n_nets; i++)
        status = u3d_exec_new(p->nets[i].plan, p->nets[i].params, p->arena, &p->nets[i].exec);
    p->bytes += p->arena ? u3d_arena_bytes(p->arena) : 0;
    return status;
}

u3d_status u3d_predictor_open(u3d_backend *b, const u3d_model *const *models, int n_models,
                              const u3d_predict_opts *o, u3d_predictor **out)
{
    u3d_status status = U3D_OK;
    *out = NULL;
    u3d_predictor *p = u3d_new(1, sizeof *p);
    if (!p) return U3D_E_NOMEM;
    p->o = *o;
    p->model = models[0];
    p->n_nets = n_models;
    p->nets = u3d_new((size_t)n_models, sizeof *p->nets);
    if (!p->nets) {
        status = U3D_E_NOMEM;
        goto done;
    }
    U3D_GO(nets_ready(p, b, models));
    const u3d_unet3d *net = &p->nets[0].net;
    p->image = net->image;
    p->probability = net->probability;
    memcpy(p->in, net->in, sizeof p->in);
    memcpy(p->out, net->out, sizeof p->out);
    p->channels = (int32_t)models[0]->config.channels;
    p->labels = (int32_t)models[0]->config.labels;
    U3D_GO(predictor_buffers(p));
done:
    if (status != U3D_OK) {
        u3d_predictor_free(p);
        return status;
    }
    *out = p;
    return U3D_OK;
}

void u3d_predictor_free(u3d_predictor *p)
{
    if (!p) return;
    for (int i = 0; p->nets && i < p->n_nets; i++) {
        u3d_exec_free(p->nets[i].exec);
        u3d_params_free(p->nets[i].params);
        u3d_plan_free(p->nets[i].plan);
        u3d_unet3d_done(&p->nets[i].net);
    }
    u3d_arena_free(p->arena);
    u3d_tensor_free(p->tile);
    u3d_tensor_free(p->result);
    u3d_free(p->mean);
    u3d_free(p->nets);
    u3d_free(p);
}

void u3d_predictor_set_step(u3d_predictor *p, double step)
{
    p->o.step = step;
}

uint64_t u3d_predictor_bytes(const u3d_predictor *p)
{
    return p->bytes;
}

/* Mirrors a map [D, H, W, C] in place along the axes whose bits are set in `flip`. */
static void map_flip(float *map, const int64_t size[3], int64_t c, int flip)
{
    const int64_t n = size[0] * size[1] * size[2];
    for (int64_t v = 0; v < n; v++) {
        int64_t at[3] = {v / (size[1] * size[2]), v / size[2] % size[1], v % size[2]};
        for (int a = 0; a < 3; a++)
            if (flip >> a & 1) at[a] = size[a] - 1 - at[a];
        const int64_t other = (at[0] * size[1] + at[1]) * size[2] + at[2];
        if (other <= v) continue; /* in the middle, or exchanged already */
        for (int64_t k = 0; k < c; k++) {
            const float keep = map[v * c + k];
            map[v * c + k] = map[other * c + k];
            map[other * c + k] = keep;
        }
    }
}

static u3d_status exec_once(u3d_predictor *p, u3d_exec *x)
{
    U3D_TRY(u3d_exec_feed(x, p->image, p->tile));
    U3D_TRY(u3d_exec_run(x));
    return u3d_exec_fetch(x, p->probability, p->result);
}

u3d_status u3d_predictor_run_tile(u3d_predictor *p, const float **probability)
{
    float *tile = u3d_tensor_f32(p->tile), *result = u3d_tensor_f32(p->result);
    const int n_nets = p->exec ? 1 : p->n_nets;
    const int64_t n = u3d_type_elems(&p->result->type);
    if (!p->mean) {
        *probability = result;
        return exec_once(p, p->exec ? p->exec : p->nets[0].exec);
    }
    memset(p->mean, 0, (size_t)n * sizeof *p->mean);
    const float share = 1.0f / (float)(n_nets * p->n_flips);
    for (int f = 0; f < p->n_flips; f++) {
        map_flip(tile, p->in, p->channels, p->flips[f]);
        for (int i = 0; i < n_nets; i++) {
            U3D_TRY(exec_once(p, p->exec ? p->exec : p->nets[i].exec));
            map_flip(result, p->out, p->labels, p->flips[f]);
            for (int64_t v = 0; v < n; v++) p->mean[v] += share * result[v];
        }
        map_flip(tile, p->in, p->channels, p->flips[f]);
    }
    *probability = p->mean;
    return U3D_OK;
}
