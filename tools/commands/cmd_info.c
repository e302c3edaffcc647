/* u3d info: describes a network before training or a trained model. With --plan it prints the memory plan,
 * with --dot it writes the graph. */
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/run/params.h"
#include "io/json.h"
#include "io/path.h"
#include "net/model/footprint.h"
#include "net/model/model.h"
#include "net/model/postprocess.h"
#include "net/train/train.h"
#include "net/model/unet3d.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/net_args.h"
#include "tools/commands/commands.h"

typedef struct description {
    u3d_config config;
    u3d_unet3d net;     /* inference */
    u3d_unet3d trained; /* training; only with --plan train */
    u3d_plan *plan;
    u3d_recomputed again;
    u3d_footprint memory;
    u3d_model *model; /* NULL: a network that is not trained */
} description;

static u3d_status plan_make(const args *a, u3d_backend *b, description *d)
{
    const bool train = strcmp(a->plan, "train") == 0;
    uint64_t cap;
    if (!train && strcmp(a->plan, "infer") != 0)
        return u3d_fail(U3D_E_ARG, "--plan: found '%s', expected train or infer", a->plan);
    U3D_TRY(args_memory(a, &cap));
    if (train)
        U3D_TRY(
            u3d_unet3d_build(&d->config, b, U3D_MODE_TRAIN, d->config.batch, d->net.in, true, &d->trained));
    const uint32_t blocks = train ? u3d_train_blocks(&d->config) : 1U << U3D_BLOCK_VALUE;
    return u3d_footprint_plan(train ? &d->trained : &d->net, b, blocks, cap, &d->plan, &d->again, &d->memory);
}

static bool memory_json(cJSON *json, const description *d)
{
    const u3d_footprint *m = &d->memory;
    return cJSON_AddNumberToObject(json, "peak_bytes", (double)u3d_footprint_sum(m)) &&
           cJSON_AddNumberToObject(json, "activation_bytes", (double)m->arena) &&
           cJSON_AddNumberToObject(json, "parameter_bytes", (double)m->params) &&
           cJSON_AddNumberToObject(json, "tensor_bytes", (double)m->tensors) &&
           cJSON_AddNumberToObject(json, "program_bytes", (double)m->program) &&
           cJSON_AddNumberToObject(json, "nodes_run_again", d->again.n);
}

static cJSON *size_json(const int64_t size[3], int64_t channels)
{
    const double v[4] = {(double)size[2], (double)size[1], (double)size[0], (double)channels};
    return cJSON_CreateDoubleArray(v, 4);
}

static bool keep_largest_json(cJSON *json, const u3d_model *m)
{
    cJSON *list = cJSON_AddArrayToObject(json, "keep_largest");
    for (int k = 0; list && k < m->labels.n; k++)
        if (m->keep_largest[k] && !cJSON_AddItemToArray(list, cJSON_CreateNumber(m->labels.value[k])))
            return false;
    return list && cJSON_AddBoolToObject(json, "keep_foreground", m->keep_foreground);
}

static u3d_status print_json(const description *d)
{
    cJSON *json = cJSON_CreateObject(), *settings = NULL;
    const u3d_graph *g = d->net.graph;
    U3D_TRY(u3d_config_to_json(&d->config, &settings));
    bool ok = json && cJSON_AddNumberToObject(json, "parameters", (double)u3d_graph_param_count(g)) &&
              cJSON_AddItemToObject(json, "input", size_json(d->net.in, d->config.channels)) &&
              cJSON_AddItemToObject(json, "output", size_json(d->net.out, d->config.labels)) &&
              cJSON_AddNumberToObject(json, "gflop", u3d_graph_flops(g, false) / 1e9) &&
              cJSON_AddItemToObject(json, "settings", settings);
    if (ok && d->plan) ok = memory_json(json, d);
    if (ok && d->model) {
        cJSON *labels = NULL, *intensity = NULL;
        ok = u3d_labels_to_json(&d->model->labels, &labels) == U3D_OK &&
             cJSON_AddItemToObject(json, "labels", labels) &&
             u3d_intensity_to_json(&d->model->intensity, &intensity) == U3D_OK &&
             cJSON_AddItemToObject(json, "intensity", intensity) && keep_largest_json(json, d->model) &&
             cJSON_AddStringToObject(json, "fingerprint", d->model->fingerprint) &&
             cJSON_AddStringToObject(json, "spacing_why", d->model->facts.spacing_why);
    }
    u3d_status status =
        ok ? u3d_json_print(stdout, json) : u3d_fail(U3D_E_NOMEM, "out of memory while describing a network");
    cJSON_Delete(json);
    return status;
}

static void print_memory(const description *d)
{
    const u3d_footprint *m = &d->memory;
    if (d->again.n > 0)
        printf("run again in the backward pass: %s; otherwise the activations would take %.3f GB\n",
               d->again.names, (double)d->again.peak_without / 1e9);
    printf(
        "peak resident memory %.3f GB: activations and workspaces %.3f, parameters %.3f, "
        "inputs and outputs %.3f, program %.3f\n",
        (double)u3d_footprint_sum(m) / 1e9, (double)m->arena / 1e9, (double)m->params / 1e9,
        (double)m->tensors / 1e9, (double)m->program / 1e9);
}

static u3d_status print_text(const description *d)
{
    const u3d_unet3d *n = &d->net;
    printf("parameters  %lld\n", (long long)u3d_graph_param_count(n->graph));
    printf("input       %lldx%lldx%lld, %lld channels (x, y, z)\n", (long long)n->in[2], (long long)n->in[1],
           (long long)n->in[0], (long long)d->config.channels);
    printf("output      %lldx%lldx%lld, %lld labels\n", (long long)n->out[2], (long long)n->out[1],
           (long long)n->out[0], (long long)d->config.labels);
    printf("arithmetic  %.1f GFLOP for one forward pass\n", u3d_graph_flops(n->graph, false) / 1e9);
    if (d->model) {
        char text[600];
        const u3d_labels *l = &d->model->labels;
        printf("weights     %s\nlabels     ", d->model->fingerprint);
        for (int32_t k = 0; k < l->n; k++)
            printf(" %d%s%s", l->value[k], l->name[k][0] ? "=" : "", l->name[k]);
        if (l->background && l->value[0] != 0) printf("; %d is the background", l->value[0]);
        printf("\nlargest component kept of: %s", u3d_postprocess_text(d->model, text, sizeof text));
        printf("\nintensity  ");
        for (int32_t ch = 0; ch < d->model->intensity.channels; ch++)
            printf(" %s", u3d_intensity_word(d->model->intensity.kind[ch]));
        printf("\ntrained on  voxels of %.4gx%.4gx%.4g (x, y, z)\n", d->model->facts.spacing[2],
               d->model->facts.spacing[1], d->model->facts.spacing[0]);
        if (d->config.resample == U3D_RESAMPLE_AUTO)
            printf("resampling  images to these voxels (%s), probabilities back to the voxels of the image\n",
                   d->model->facts.spacing_why);
    }
    if (!d->plan) return U3D_OK;
    printf("\n");
    U3D_TRY(u3d_plan_report(d->plan, stdout));
    print_memory(d);
    return U3D_OK;
}

static u3d_status dot_write(const args *a, const description *d)
{
    u3d_outfile *f;
    files named = {0};
    files_read_model(&named, a->model);
    files_read(&named, a->net);
    files_read_volumes(&named, a->data);
    files_write(&named, a->dot, false);
    U3D_TRY(files_check(&named, a));
    U3D_TRY(u3d_outfile_open(a->dot, &f));
    u3d_status status =
        u3d_graph_write_dot(d->trained.graph ? d->trained.graph : d->net.graph, u3d_outfile_stream(f));
    if (status == U3D_OK) return u3d_outfile_commit(f);
    u3d_outfile_abandon(f);
    return status;
}

u3d_status cmd_info(const args *a)
{
    u3d_status status = U3D_OK;
    description d = {0};
    u3d_backend *backend = NULL;
    if (!a->net == !a->model) U3D_GO(u3d_fail(U3D_E_ARG, "u3d info: expected --net or --model"));
    U3D_GO(args_open_backend(a, &backend));
    if (a->model) {
        U3D_GO(u3d_model_load(a->model, &d.model));
        d.config = d.model->config;
    } else {
        U3D_GO(net_args_config(a, "info", a->net, backend, &d.config));
    }
    U3D_GO(net_args_size(a, &d.config));
    U3D_GO(
        u3d_unet3d_build(&d.config, backend, U3D_MODE_INFER, d.config.batch, d.config.patch, true, &d.net));
    if (a->plan) U3D_GO(plan_make(a, backend, &d));
    if (a->dot) U3D_GO(dot_write(a, &d));
    U3D_GO(a->json ? print_json(&d) : print_text(&d));
done:
    u3d_plan_free(d.plan);
    u3d_unet3d_done(&d.trained);
    u3d_unet3d_done(&d.net);
    u3d_model_free(d.model);
    u3d_backend_close(backend);
    return status;
}
