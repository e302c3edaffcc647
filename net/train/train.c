/* Training, from the options to a written model. The loop runs stations 5 to 12 of the table "Training,
 * station by station" in net/README.md.
 *
 * Everything that the loop needs is made before it starts (train_setup.c). During the loop, only a
 * validation, a checkpoint or reading a volume again allocates memory. Iteration k gets batch k, which
 * depends only on the seed and on k, so a resumed run continues exactly as if it had never stopped. */
#include "net/train/train_impl.h"

#include <math.h>
#include <stdio.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

/* If the gradient is not finite in MAX_SKIPPED iterations in a row, the run does not recover. LOSS_SLOT is
 * the slot of the backend through which the loss reaches the host. */
enum { MAX_SKIPPED = 20, LOSS_SLOT = 0, HARDLY_TRAINED = 10 };

/* With U3D_LOG=flow:debug, logs the first batch at each station. */
static void trace_feed(const u3d_patch *patch)
{
    char text[128];
    if (patch->index != 0 || !u3d_log_on(U3D_LOG_DEBUG, "flow")) return;
    U3D_DEBUG("flow", "5 queue    batch %lld", (long long)patch->index);
    U3D_DEBUG("flow", "6 feed     image %s", u3d_type_text(&patch->image->type, text, sizeof text));
    U3D_DEBUG("flow", "6 feed     label %s", u3d_type_text(&patch->label->type, text, sizeof text));
}

static void trace_update(const u3d_training *t, const u3d_optim_stats *s)
{
    if (t->state.iteration != 1 || !u3d_log_on(U3D_LOG_DEBUG, "flow")) return;
    U3D_DEBUG("flow", "7 graph    %d nodes: forward, loss, backward", u3d_graph_n_nodes(t->net.graph));
    U3D_DEBUG("flow", "8 loss     %g", t->state.loss);
    U3D_DEBUG("flow", "9 gradient norm %g over %lld parameters", s->grad_norm,
              (long long)u3d_graph_param_count(t->net.graph));
    U3D_DEBUG("flow", "10 update  learning rate %g%s", s->lr, s->skipped ? ", skipped" : "");
}

/* Counts the iteration, and stops the run if the gradient was not finite MAX_SKIPPED times in a row. */
static u3d_status count_iteration(u3d_training *t, const u3d_optim_stats *s)
{
    float loss;
    U3D_TRY(u3d_backend_collect(t->backend, LOSS_SLOT, &loss, sizeof loss));
    t->state.iteration++;
    t->state.loss = (double)loss;
    if (isfinite(t->state.loss))
        t->smooth_loss = isnan(t->smooth_loss) ? t->state.loss : 0.95 * t->smooth_loss + 0.05 * t->state.loss;
    t->skipped_in_row = s->skipped ? t->skipped_in_row + 1 : 0;
    if (t->skipped_in_row < MAX_SKIPPED) return U3D_OK;
    return u3d_fail(
        U3D_E_NUMERIC,
        "training: the gradient was not finite in %d iterations in a row, up to iteration %lld (loss %g); "
        "the last checkpoint is kept; try a smaller --set lr=... (now %g) or --set clip_norm=1",
        MAX_SKIPPED, (long long)t->state.iteration, t->state.loss, s->lr);
}

/* Writes one line of log.csv: iteration, seconds, loss, lr, grad_norm, then Dice and IoU of each class, which
 * are empty if there was no validation. */
static u3d_status record(u3d_training *t, const u3d_optim_stats *s, bool validated)
{
    int n = 0, first = t->model.labels.background ? 1 : 0;
    t->row[n++] = (double)t->state.iteration;
    t->row[n++] = u3d_training_elapsed(t);
    t->row[n++] = t->state.loss;
    t->row[n++] = s->lr;
    t->row[n++] = s->grad_norm;
    for (int k = first; k < t->model.labels.n; k++) {
        t->row[n++] = validated ? t->scores.dice[k] : NAN;
        t->row[n++] = validated ? t->scores.iou[k] : NAN;
    }
    return u3d_csvlog_row(t->log, t->row, n);
}

static void show_progress(u3d_training *t, const u3d_optim_stats *s)
{
    char detail[64];
    if (t->state.total == 0) return; /* the number of iterations is not known yet */
    (void)snprintf(detail, sizeof detail, "loss %.4f  lr %.2g", t->smooth_loss, s->lr);
    u3d_progress_show(&t->progress, t->state.iteration, detail);
}

static u3d_status interrupted(u3d_training *t)
{
    U3D_TRY(u3d_run_checkpoint(t));
    if (t->state.total == 0)
        return u3d_fail(U3D_E_CANCELLED,
                        "training: stopped after iteration %lld; continue with: u3d train --resume --out %s",
                        (long long)t->state.iteration, t->o->out);
    return u3d_fail(U3D_E_CANCELLED,
                    "training: stopped after iteration %lld of %lld; continue with: u3d train --resume --out %s",
                    (long long)t->state.iteration, (long long)t->state.total, t->o->out);
}

static u3d_status feed_batch(u3d_training *t)
{
    u3d_patch *patch;
    U3D_TRY(u3d_feeder_next(t->feeder, &patch));
    U3D_TRY(u3d_exec_feed(t->exec, t->net.image, patch->image));
    U3D_TRY(u3d_exec_feed(t->exec, t->net.label, patch->label));
    if (patch->pseudo) U3D_TRY(u3d_exec_feed(t->exec, t->net.pseudo, patch->pseudo));
    U3D_TRY(u3d_exec_feed(t->exec, t->net.class_weight, t->class_weight));
    trace_feed(patch);
    u3d_feeder_return(t->feeder, patch);
    return U3D_OK;
}

static void log_fixed_total(const u3d_training *t)
{
    const u3d_pace *p = &t->pace;
    if (p->task.validates && p->validation_step == 0)
        U3D_INFO("train", "no validation: it would take about %.0f s, which is too much of the time budget",
                 p->validation_s);
    U3D_INFO("train", "%.3g s per iteration: %lld iterations fit into %.0f s", p->iteration_s,
             (long long)p->total, t->state.budget_s);
}

/* Refuses a budget that ends with the first iteration, and warns about one that ends soon after: such a model
 * has learned nothing. */
static u3d_status check_total(u3d_training *t)
{
    const int64_t done = t->state.iteration, total = t->state.total;
    char needed[32];
    (void)u3d_train_time_to_give(u3d_training_elapsed(t) + HARDLY_TRAINED * t->pace.iteration_s, needed);
    if (done == 1 && total == 1) {
        U3D_TRY(u3d_run_undo(t));
        return u3d_fail(
            U3D_E_ARG,
            "training: after %.1f s for reading the data and one iteration, nothing more fits into --time "
            "%.3g s; no model is written; give at least --time %s",
            u3d_training_elapsed(t), t->state.budget_s, needed);
    }
    if (total < HARDLY_TRAINED)
        U3D_WARN("train",
                 "only %lld iterations fit into --time %.3g s, so the model will hardly have learned "
                 "anything; give at "
                 "least --time %s",
                 (long long)total, t->state.budget_s, needed);
    return U3D_OK;
}

/* Carries out what the pace decides. If the total changes, it is written to the RUN folder at once, and the
 * learning rate schedule is adapted to it. */
static u3d_status keep_pace(u3d_training *t)
{
    const int64_t done = t->state.iteration, planned = t->state.total;
    switch (u3d_pace_decide(&t->pace, done, u3d_clock())) {
    case U3D_PACE_GO_ON: return U3D_OK;
    case U3D_PACE_STOP:
        U3D_WARN("train",
                 "out of time after iteration %lld of %lld: training ends here so that the model is ready in time",
                 (long long)done, (long long)planned);
        return U3D_OK;
    case U3D_PACE_FIX_TOTAL:
        U3D_TRY(u3d_run_checkpoint(t)); /* measures how long a checkpoint takes */
        t->state.total = u3d_pace_fix_total(&t->pace, done, u3d_clock());
        t->state.n_choose = t->pace.n_choose;
        log_fixed_total(t);
        U3D_TRY(check_total(t));
        break;
    case U3D_PACE_CORRECT_TOTAL:
        t->state.total = u3d_pace_correct_total(&t->pace, done, u3d_clock());
        if (t->state.total == planned) return U3D_OK;
        U3D_INFO("train", "now %.3g s per iteration: %lld iterations instead of %lld", t->pace.iteration_s,
                 (long long)t->state.total, (long long)planned);
        break;
    }
    t->model.config.iterations = t->state.total;
    U3D_TRY(u3d_run_write_config(t));
    return u3d_training_set_schedule(t);
}

/* Batch k + 1 is copied to the device before the loop waits for the loss of batch k, so that a device with
 * its own memory computes during the copy. This is not done before a validation or a prediction for
 * pseudo-labels, which use the same arena. */
static u3d_status train_loop(u3d_training *t)
{
    u3d_optim_stats stats;
    bool fed = false;
    if (t->state.pseudo_pending) U3D_TRY(u3d_training_pseudo_label(t));
    while (!u3d_pace_finished(&t->pace, t->state.iteration)) {
        if (!fed) U3D_TRY(feed_batch(t));
        U3D_TRY(u3d_exec_run(t->exec));
        U3D_TRY(u3d_exec_post(t->exec, t->net.loss, LOSS_SLOT));
        const int64_t after = t->state.iteration + 1;
        fed = u3d_pace_goes_on(&t->pace, t->state.iteration) && !u3d_training_pseudo_due(t, after);
        if (fed) U3D_TRY(feed_batch(t));
        U3D_TRY(u3d_optim_step(t->optim, &stats));
        U3D_TRY(count_iteration(t, &stats));
        trace_update(t, &stats);

        bool validate = u3d_pace_validation_due(&t->pace, t->state.iteration, u3d_clock());
        if (validate) U3D_TRY(u3d_training_validate(t));
        U3D_TRY(record(t, &stats, validate));
        show_progress(t, &stats);
        if (u3d_training_pseudo_due(t, after)) U3D_TRY(u3d_training_pseudo_label(t));
        U3D_TRY(keep_pace(t));
        if (t->o->stop && *t->o->stop) return interrupted(t);
        if (u3d_pace_checkpoint_due(&t->pace, u3d_clock())) U3D_TRY(u3d_run_checkpoint(t));
    }
    return U3D_OK;
}

/* What remains after the last iteration. An interruption loses nothing: the checkpoint is written first. */
static u3d_status write_results(u3d_training *t, u3d_train_result *out)
{
    U3D_TRY(u3d_run_checkpoint(t));
    u3d_run_let_go(t);
    U3D_TRY(u3d_training_postprocess(t));
    U3D_TRY(u3d_run_write_model(t, out->fingerprint));
    const u3d_status status = u3d_training_report(t, &out->report_dice, &out->report_iou);
    if (status == U3D_E_CANCELLED)
        return u3d_fail(status, "training: the model of %s is written; its report was interrupted",
                        t->o->out);
    return status;
}

static u3d_status finish(u3d_training *t, u3d_train_result *out)
{
    U3D_TRY(write_results(t, out));
    out->iterations = t->state.iteration;
    out->parameters = u3d_graph_param_count(t->infer.graph);
    out->loss = t->state.loss;
    out->held_out = t->n_held > 0 || t->held_slices;
    out->sparse = t->model.facts.sparse;
    out->untouched = t->untouched;
    out->val_dice = t->state.val_dice;
    out->val_iou = t->state.val_iou;
    out->peak_planned = t->peak_planned;
    out->peak_resident = u3d_mem_peak_resident();
    out->device_planned = t->device_planned;
    out->device_peak = u3d_backend_peak_bytes(t->backend);
    out->seconds = u3d_training_elapsed(t);
    out->waited = u3d_feeder_waited(t->feeder);
    U3D_INFO("train",
             "done: %lld iterations in %.0f s, peak %.2f GB (planned %.2f GB), waited %.1f s for patches, model %s",
             (long long)out->iterations, out->seconds, (double)out->peak_resident / 1e9,
             (double)out->peak_planned / 1e9, out->waited, out->fingerprint);
    if (out->device_peak > 0)
        U3D_INFO("train", "device memory: peak %.2f GB (planned %.2f GB)",
                 (double)out->device_peak / 1e9, (double)out->device_planned / 1e9);
    return U3D_OK;
}

u3d_status u3d_train(u3d_backend *b, const u3d_train_opts *o, u3d_train_result *out)
{
    *out = (u3d_train_result){
        .untouched = NAN, .val_dice = NAN, .val_iou = NAN, .report_dice = NAN, .report_iou = NAN};
    u3d_training *t = u3d_new(1, sizeof *t);
    if (!t) return U3D_E_NOMEM;
    t->backend = b;
    t->o = o;
    u3d_status status = u3d_training_open(t);
    if (status == U3D_OK) status = train_loop(t);
    u3d_progress_end(&t->progress);
    if (status == U3D_OK) status = finish(t, out);
    u3d_training_close(t);
    return status;
}
