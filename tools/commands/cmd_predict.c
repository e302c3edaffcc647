/* u3d predict: predicts volumes with one or more models and writes label files. Every output name is checked
 * before the first volume is read. */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/json.h"
#include "io/path.h"
#include "net/model/postprocess.h"
#include "net/predict/predict.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"

typedef struct job {
    const u3d_case *input;
    char *out, *probabilities; /* probabilities: NULL without --probabilities */
} job;

typedef struct work {
    u3d_model **models;
    int n_models;
    args_cases cases;
    job *jobs;
    int n_jobs;
} work;

static u3d_status models_load(const args *a, work *w)
{
    w->models = u3d_new((size_t)a->n_rest + 1, sizeof *w->models);
    if (!w->models) return U3D_E_NOMEM;
    for (int i = 0; i <= a->n_rest; i++) {
        U3D_TRY(u3d_model_load(i == 0 ? a->model : a->rest[i - 1], &w->models[i]));
        w->n_models++;
    }
    return U3D_OK;
}

/* Makes one job for each volume of --input, or for each case of --data. With --split and --fold, only the
 * validation cases of that fold are predicted. */
static u3d_status inputs_find(const args *a, work *w)
{
    const int channels = (int)w->models[0]->config.channels;
    if (!a->input == !a->data) return u3d_fail(U3D_E_ARG, "u3d predict: expected --input or --data");
    if (a->input) {
        if (a->split || a->fold) return u3d_fail(U3D_E_ARG, "u3d predict: --split and --fold need --data");
        U3D_TRY(u3d_dataset_images(a->input, channels, &w->cases.data));
    } else {
        U3D_TRY(args_cases_open(a, "predict", channels, false, &w->cases));
    }
    w->n_jobs = a->split ? w->cases.n_val : w->cases.data->n_cases;
    if (!w->n_jobs) return u3d_fail(U3D_E_ARG, "u3d predict: fold %s has no validation cases", a->fold);
    w->jobs = u3d_new((size_t)w->n_jobs, sizeof *w->jobs);
    if (!w->jobs) return U3D_E_NOMEM;
    for (int i = 0; i < w->n_jobs; i++)
        w->jobs[i].input = &w->cases.data->cases[a->split ? w->cases.val[i] : i];
    return U3D_OK;
}

/* Sets the paths of a job's results: --output itself if it names a file, otherwise DIR/CASE.nii.gz. */
static u3d_status output_name(const args *a, bool one_file, job *j)
{
    size_t stem;
    if (one_file) {
        j->out = u3d_strdup(a->output);
    } else {
        char *file = u3d_format("%s" U3D_FORMAT_OUTPUT, j->input->id);
        j->out = file ? u3d_path_join(a->output, file) : NULL;
        u3d_free(file);
    }
    if (!j->out) return U3D_E_NOMEM;
    U3D_TRY(args_free_output(a, j->out));
    if (!a->probabilities) return U3D_OK;
    u3d_format_is_name(j->out, &stem);
    j->probabilities = u3d_format("%.*s_probabilities" U3D_FORMAT_OUTPUT, (int)stem, j->out);
    if (!j->probabilities) return U3D_E_NOMEM;
    return args_free_output(a, j->probabilities);
}

static u3d_status outputs_name(const args *a, work *w)
{
    size_t stem;
    const bool named = u3d_format_is_name(a->output, &stem) && !u3d_path_is_dir(a->output);
    const bool folder = a->data || u3d_path_is_dir(a->input);
    if (named && folder)
        return u3d_fail(U3D_E_ARG, "--output %s: found a file name, expected a folder for the volumes of %s",
                        a->output, a->data ? a->data : a->input);
    if (named && !u3d_format_is_written(a->output, &stem))
        return u3d_fail(U3D_E_ARG, "--output %s: expected a name with one of the endings %s", a->output,
                        u3d_format_written_text());
    for (int i = 0; i < w->n_jobs; i++) U3D_TRY(output_name(a, named, &w->jobs[i]));
    return named ? U3D_OK : u3d_path_make_dir(a->output);
}

static u3d_status results_print(const args *a, const work *w, double seconds)
{
    if (!a->json) {
        for (int i = 0; i < w->n_jobs; i++) printf("%s\n", w->jobs[i].out);
        return U3D_OK;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(json, "predictions");
    bool ok = list && cJSON_AddNumberToObject(json, "seconds", seconds);
    for (int i = 0; ok && i < w->n_jobs; i++) {
        cJSON *entry = cJSON_CreateObject();
        ok = entry && cJSON_AddItemToArray(list, entry) &&
             cJSON_AddStringToObject(entry, "case", w->jobs[i].input->id) &&
             cJSON_AddStringToObject(entry, "output", w->jobs[i].out);
        if (ok && w->jobs[i].probabilities)
            ok = cJSON_AddStringToObject(entry, "probabilities", w->jobs[i].probabilities) != NULL;
    }
    u3d_status status =
        ok ? u3d_json_print(stdout, json) : u3d_fail(U3D_E_NOMEM, "out of memory while printing the result");
    cJSON_Delete(json);
    return status;
}

static void say_postprocess(const u3d_model *m)
{
    char text[600];
    if (strcmp(u3d_postprocess_text(m, text, sizeof text), "none") != 0)
        U3D_INFO("predict", "labels of which only the largest component is kept: %s", text);
}

static void work_free(work *w)
{
    for (int i = 0; w->jobs && i < w->n_jobs; i++) {
        u3d_free(w->jobs[i].out);
        u3d_free(w->jobs[i].probabilities);
    }
    u3d_free(w->jobs);
    for (int i = 0; i < w->n_models; i++) u3d_model_free(w->models[i]);
    u3d_free(w->models);
    args_cases_close(&w->cases);
}

u3d_status cmd_predict(const args *a)
{
    u3d_status status = U3D_OK;
    work w = {0};
    u3d_backend *backend = NULL;
    u3d_predictor *predictor = NULL;
    u3d_predict_opts o = {
        .step = 0.5, .tta = a->tta, .probabilities = a->probabilities, .bar = a->terminal, .stop = a->stop};

    U3D_GO(args_need("predict", "--model RUN|FILE", a->model));
    U3D_GO(args_need("predict", "--output FILE|DIR", a->output));
    if (a->step) U3D_GO(args_real("--step", a->step, 0.05, 1, &o.step));
    U3D_GO(args_memory(a, &o.memory_cap));
    if (!o.memory_cap) o.memory_cap = u3d_mem_machine() / 10 * 9;
    U3D_GO(models_load(a, &w));
    U3D_GO(inputs_find(a, &w));
    U3D_GO(outputs_name(a, &w));
    U3D_GO(args_open_backend(a, &backend));
    U3D_GO(u3d_predictor_open(backend, (const u3d_model *const *)w.models, w.n_models, &o, &predictor));
    say_postprocess(w.models[0]);
    for (int i = 0; i < w.n_jobs; i++) {
        const double start = u3d_clock();
        U3D_GO(u3d_predict_case(predictor, w.models[0], w.jobs[i].input, w.jobs[i].out,
                                w.jobs[i].probabilities));
        U3D_INFO("predict", "%d/%d %s in %.2f s", i + 1, w.n_jobs, w.jobs[i].out, u3d_clock() - start);
    }
    U3D_GO(results_print(a, &w, u3d_clock() - a->started));
done:
    u3d_predictor_free(predictor);
    u3d_backend_close(backend);
    work_free(&w);
    return status;
}
