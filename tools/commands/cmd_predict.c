/* u3d predict: predicts volumes with one or more models and writes label files. Every output name and the
 * header of every volume are checked before the first volume is read. */
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/path.h"
#include "net/model/postprocess.h"
#include "net/predict/predict.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/commands/commands.h"
#include "tools/commands/predict_batch.h"

typedef struct work {
    u3d_model **models;
    int n_models;
    args_cases cases;
    batch batch;
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
    batch *b = &w->batch;
    b->single = a->input && !u3d_path_is_dir(a->input);
    b->of_fold = a->no_report;
    b->n = a->split ? w->cases.n_val : w->cases.data->n_cases;
    if (!b->n) return u3d_fail(U3D_E_ARG, "u3d predict: fold %s has no validation cases", a->fold);
    b->jobs = u3d_new((size_t)b->n, sizeof *b->jobs);
    if (!b->jobs) return U3D_E_NOMEM;
    for (int i = 0; i < b->n; i++) b->jobs[i].input = &w->cases.data->cases[a->split ? w->cases.val[i] : i];
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
    j->write_out = true;
    j->write_probabilities = a->probabilities;
    if (!a->probabilities) return U3D_OK;
    u3d_format_is_name(j->out, &stem);
    j->probabilities = u3d_format("%.*s_probabilities" U3D_FORMAT_OUTPUT, (int)stem, j->out);
    return j->probabilities ? U3D_OK : U3D_E_NOMEM;
}

static u3d_status outputs_check(const args *a, const work *w)
{
    files f = {0};
    files_read_model(&f, a->model);
    for (int i = 0; i < a->n_rest; i++) files_read_model(&f, a->rest[i]);
    files_read_cases(&f, w->cases.data);
    files_read(&f, a->split);
    for (int i = 0; i < w->batch.n; i++) {
        files_write(&f, w->batch.jobs[i].out, a->skip_existing);
        files_write(&f, w->batch.jobs[i].probabilities, a->skip_existing);
    }
    return files_check(&f, a);
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
    for (int i = 0; i < w->batch.n; i++) U3D_TRY(output_name(a, named, &w->batch.jobs[i]));
    U3D_TRY(outputs_check(a, w));
    return named ? U3D_OK : u3d_path_make_dir(a->output);
}

static void say_postprocess(const u3d_model *m)
{
    char text[600];
    if (strcmp(u3d_postprocess_text(m, text, sizeof text), "none") != 0)
        U3D_INFO("predict", "labels of which only the largest component is kept: %s", text);
}

/* Says once with which value a background that has a label of its own is written. */
static void say_background(const args *a, const u3d_model *m)
{
    u3d_labels written = m->labels;
    if (!m->labels.background || m->labels.value[0] == 0) return;
    if (a->keep_background)
        U3D_INFO("predict", "the background is written as label %d, as in the training labels",
                 m->labels.value[0]);
    else if (u3d_labels_zero_background(&written))
        U3D_INFO("predict", "the background, label %d in the training labels, is written as 0",
                 m->labels.value[0]);
    else
        U3D_WARN("predict", "the background is written as label %d, because 0 is the value of another label",
                 m->labels.value[0]);
}

static void work_free(work *w)
{
    batch_free(&w->batch);
    for (int i = 0; i < w->n_models; i++) u3d_model_free(w->models[i]);
    u3d_free(w->models);
    args_cases_close(&w->cases);
}

/* Prints the results, also after a failure, which the status and its message are about. */
static u3d_status results_tell(const args *a, const work *w, u3d_status run)
{
    const u3d_status status = batch_end(&w->batch, run);
    if (status != U3D_OK && w->batch.single) return status;
    const u3d_status printed = batch_print(&w->batch, a, u3d_clock() - a->started);
    return status != U3D_OK ? status : printed;
}

static u3d_status volumes_predict(const args *a, work *w, const u3d_predict_opts *o)
{
    u3d_status status = U3D_OK;
    u3d_backend *backend = NULL;
    u3d_predictor *predictor = NULL;
    U3D_GO(args_open_backend(a, &backend));
    U3D_GO(u3d_predictor_open(backend, (const u3d_model *const *)w->models, w->n_models, o, &predictor));
    say_postprocess(w->models[0]);
    say_background(a, w->models[0]);
    status = results_tell(a, w, batch_run(&w->batch, predictor, w->models[0], a));
done:
    u3d_predictor_free(predictor);
    u3d_backend_close(backend);
    return status;
}

u3d_status cmd_predict(const args *a)
{
    u3d_status status = U3D_OK;
    work w = {0};
    u3d_predict_opts o = {.step = 0.5,
                          .tta = a->tta,
                          .keep_background = a->keep_background,
                          .probabilities = a->probabilities,
                          .bar = a->terminal,
                          .stop = a->stop};

    U3D_GO(args_need("predict", "--model RUN|FILE", a->model));
    U3D_GO(args_need("predict", "--output FILE|DIR", a->output));
    if (a->step) U3D_GO(args_real("--step", a->step, 0.05, 1, &o.step));
    U3D_GO(args_memory(a, &o.memory_cap));
    if (!o.memory_cap) o.memory_cap = u3d_mem_machine() / 10 * 9;
    U3D_GO(models_load(a, &w));
    U3D_GO(inputs_find(a, &w));
    U3D_GO(outputs_name(a, &w));
    if (a->skip_existing) U3D_GO(batch_skip(&w.batch));
    if (batch_left(&w.batch) > 0)
        status = volumes_predict(a, &w, &o);
    else
        status = results_tell(a, &w, U3D_OK);
done:
    work_free(&w);
    return status;
}
