/* From a time budget to a number of iterations, and when to validate and to write a checkpoint.
 *
 * A budget counts from the start of the program to the end of the report. The first iterations are real
 * training at a learning rate that does not depend on how many will follow (warm-up, then constant); they are
 * timed, and then
 *
 *   total = done + (SHARE * budget - elapsed - end) / (seconds of an iteration, with its share of validation)
 *
 * is fixed, logged and stored. `end` is the final checkpoint, the choice of post-processing, the model and
 * the report. On a machine that others use too a short measurement can be far off, and a schedule that is cut
 * short costs accuracy: at the CORRECTIONS the remaining iterations are estimated again from those since the
 * last one, and the total follows where it is off by more than TOLERATED. Validation beyond its share is left
 * out, and as a last resort a run ends early rather than over its time. A resumed run keeps its total.
 * Without a budget validation happens about ten times a run. */
#include "net/train/train_impl.h"

#include <math.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

static const double SHARE = 0.975;           /* of the budget that the estimate fills                 */
static const double VALIDATION_SHARE = 0.05; /* of the budget that validation may take                */
static const double REPORT_SHARE = 0.10;     /* of the budget that the report may take                */
static const double CHOICE_SHARE = 0.03;     /* of the budget that choosing post-processing may take  */
static const double CHECKPOINT_EVERY_S = 600;
/* Two iterations warm up (memory touched, caches filled); then at least three are timed, for this long. */
enum { WARM_ITERATIONS = 2, TIMED_ITERATIONS = 3, VALIDATIONS = 10 };
static const double TIMED_SHARE = 0.04, TIMED_MOST_S = 45;
/* Shares of the budget after which the total is estimated again, and how far it may be off. */
static const double CORRECTIONS[] = {0.2, 0.4, 0.6, 0.75, 0.9}, TOLERATED = 0.02;
enum { N_CORRECTIONS = sizeof CORRECTIONS / sizeof CORRECTIONS[0] };
/* A tile of inference costs about this share of a training iteration on one patch: forward only, and
 * stitching. */
static const double INFER_SHARE = 0.45;

static bool validates(const u3d_training *t)
{
    return t->n_validate > 0 || t->held_slices;
}

static int64_t at_least_one(double x)
{
    return x < 1.0 ? 1 : (int64_t)x;
}

/* Iterations between validations where nobody measures time. */
static int64_t default_step(const u3d_training *t)
{
    if (!validates(t)) return 0;
    if (t->state.validate_every > 0) return t->state.validate_every;
    return at_least_one((double)t->state.total / VALIDATIONS);
}

void u3d_pace_begin(u3d_training *t)
{
    t->pace.measured_from = NAN;
    t->pace.measured_first = t->state.iteration + WARM_ITERATIONS;
    t->pace.checkpoint_at = u3d_clock();
    t->pace.validation_left_s = INFINITY;
    if (t->state.total > 0)
        t->pace.validation_step = default_step(t);
    else
        U3D_INFO("train", "measuring how long an iteration takes ...");
}

/* ---- the budget ---- */

/* How validation fits into its share of the budget: how many volumes, how often. What it takes comes back as
 * seconds in each iteration (the user's own --validate-every) or in all. */
static void plan_validation(u3d_training *t, double left_s, double *each_s, double *all_s)
{
    u3d_pace *p = &t->pace;
    double tile_s = p->iteration_s / (double)t->model.config.batch * INFER_SHARE;
    double allowed = VALIDATION_SHARE * t->state.budget_s;
    *each_s = *all_s = 0.0;
    p->validation_step = 0;
    if (!validates(t)) return;
    p->validation_s = (double)u3d_training_validation_tiles(t) * tile_s;
    if (t->state.validate_every > 0) {
        p->validation_step = t->state.validate_every;
        *each_s = p->validation_s / (double)p->validation_step;
        return;
    }
    while (t->n_validate > 1 && 2.0 * p->validation_s > allowed) {
        t->n_validate--;
        p->validation_s = (double)u3d_training_validation_tiles(t) * tile_s;
    }
    double times = fmin(VALIDATIONS, floor(allowed / p->validation_s));
    if (times < 1.0) {
        U3D_INFO("train", "no validation: one would take about %.0f s, more than %.0f %% of the time",
                 p->validation_s, 100.0 * VALIDATION_SHARE);
        return;
    }
    *all_s = times * p->validation_s;
    p->validation_left_s = allowed;
    p->validation_step = at_least_one(ceil((left_s - *all_s) / p->iteration_s / times));
}

static double end_s(const u3d_training *t)
{
    return 2.5 * t->pace.save_s + t->pace.choice_s + t->pace.report_s;
}

static double estimate_report(const u3d_training *t)
{
    double tile_s = t->pace.iteration_s / (double)t->model.config.batch * INFER_SHARE;
    double tiles = (double)u3d_training_report_tiles(t);
    return fmin(tiles * tile_s + t->o->n_report * t->pace.volume_s, REPORT_SHARE * t->state.budget_s);
}

/* As many of the volumes set aside as its share of the budget allows. */
static void plan_choice(u3d_training *t)
{
    double tile_s = t->pace.iteration_s / (double)t->model.config.batch * INFER_SHARE;
    t->pace.choice_s = 0.0;
    for (; u3d_training_chooses(t); t->n_choose--) {
        double needed =
            (double)u3d_training_held_tiles(t, t->n_choose) * tile_s + t->n_choose * t->pace.volume_s;
        if (needed > CHOICE_SHARE * t->state.budget_s) continue;
        t->pace.choice_s = needed;
        return;
    }
}

/* Enough was timed: the rest of the run is decided here, once. */
static u3d_status fix_total(u3d_training *t)
{
    u3d_training_state *s = &t->state;
    u3d_pace *p = &t->pace;
    int64_t timed = s->iteration - p->measured_first;
    p->iteration_s = timed > 0 ? (u3d_clock() - p->measured_from) / (double)timed : u3d_training_elapsed(t);
    U3D_TRY(u3d_run_checkpoint(t)); /* tells how long one takes */
    p->report_s = estimate_report(t);
    plan_choice(t);

    double left_s = SHARE * s->budget_s - u3d_training_elapsed(t) - end_s(t);
    double validation_each_s, validation_all_s;
    plan_validation(t, left_s, &validation_each_s, &validation_all_s);
    left_s -= validation_all_s;
    s->total = s->iteration + (left_s > 0 ? (int64_t)(left_s / (p->iteration_s + validation_each_s)) : 0);
    t->model.config.iterations = s->total;
    U3D_INFO("train", "%.3g s an iteration: %lld iterations fit into %.0f s", p->iteration_s,
             (long long)s->total, s->budget_s);
    U3D_TRY(u3d_run_write_config(t));
    return u3d_training_set_schedule(t);
}

static bool timed_enough(const u3d_training *t)
{
    const u3d_pace *p = &t->pace;
    double elapsed = u3d_training_elapsed(t);
    if (elapsed > 0.5 * t->state.budget_s) return true; /* a budget of a few iterations */
    if (isnan(p->measured_from) || t->state.iteration < p->measured_first + TIMED_ITERATIONS) return false;
    return u3d_clock() - p->measured_from >= fmin(TIMED_SHARE * t->state.budget_s, TIMED_MOST_S);
}

/* From here on the time of iterations is measured anew. */
static void begin_measuring(u3d_training *t)
{
    t->pace.measured_from = u3d_clock();
    t->pace.measured_first = t->state.iteration;
    t->pace.other_s = 0.0;
}

/* The total again, from the iterations since the last estimate. */
static u3d_status correct_total(u3d_training *t)
{
    u3d_pace *p = &t->pace;
    double timed = (double)(t->state.iteration - p->measured_first);
    if (timed < TIMED_ITERATIONS) return U3D_OK;
    /* Half the old estimate: the machine's speed changes in bursts more often than for good. */
    p->iteration_s = 0.5 * (p->iteration_s + (u3d_clock() - p->measured_from - p->other_s) / timed);
    begin_measuring(t);
    double left_s = SHARE * t->state.budget_s - u3d_training_elapsed(t) - end_s(t), each_s = p->iteration_s;
    if (p->validation_step > 0) each_s += p->validation_s / (double)p->validation_step;
    int64_t total = t->state.iteration + (left_s > 0 ? (int64_t)(left_s / each_s) : 0);
    if (total < t->state.iteration + 1) total = t->state.iteration + 1;
    if (fabs((double)(total - t->state.total)) <= TOLERATED * (double)t->state.total) return U3D_OK;
    U3D_INFO("train", "now %.3g s an iteration: %lld iterations instead of %lld", p->iteration_s,
             (long long)total, (long long)t->state.total);
    t->state.total = t->model.config.iterations = total;
    U3D_TRY(u3d_run_write_config(t));
    return u3d_training_set_schedule(t);
}

/* A resumed run has no clock to keep to. */
static u3d_status watch_time(u3d_training *t)
{
    if (!(t->state.budget_s > 0) || t->o->resume || t->state.iteration >= t->state.total) return U3D_OK;
    double elapsed = u3d_training_elapsed(t);
    if (elapsed + t->pace.iteration_s + end_s(t) > 0.995 * t->state.budget_s) {
        t->pace.out_of_time = true;
        U3D_WARN("train",
                 "out of time after iteration %lld of %lld: ending here, so that the model is ready in time",
                 (long long)t->state.iteration, (long long)t->state.total);
        return U3D_OK;
    }
    if (t->pace.corrections == N_CORRECTIONS ||
        elapsed < CORRECTIONS[t->pace.corrections] * t->state.budget_s)
        return U3D_OK;
    t->pace.corrections++;
    return correct_total(t);
}

u3d_status u3d_pace_update(u3d_training *t)
{
    if (t->state.total > 0) return watch_time(t);
    if (isnan(t->pace.measured_from) && t->state.iteration == t->pace.measured_first) begin_measuring(t);
    if (!timed_enough(t)) return U3D_OK;
    U3D_TRY(fix_total(t));
    begin_measuring(t);
    return U3D_OK;
}

/* ---- when ---- */

bool u3d_pace_finished(const u3d_training *t)
{
    return t->pace.out_of_time || (t->state.total > 0 && t->state.iteration >= t->state.total);
}

/* Every validation_step iterations and at the end (of a run not shorter than that), as long as there is time
 * for it. The last one is the one that people read: earlier ones leave time for it. */
bool u3d_pace_validation_due(const u3d_training *t)
{
    const u3d_pace *p = &t->pace;
    if (p->validation_step == 0 || t->state.total == 0) return false;
    bool last = t->state.iteration == t->state.total && t->state.total >= p->validation_step;
    if (!last && t->state.iteration % p->validation_step != 0) return false;
    double needed = (last ? 1.0 : 2.0) * p->validation_s;
    if (!last && needed > p->validation_left_s) return false;
    return !(t->state.budget_s > 0) || t->o->resume ||
           u3d_training_elapsed(t) + p->validation_s + end_s(t) <= 0.995 * t->state.budget_s;
}

bool u3d_pace_goes_on(const u3d_training *t)
{
    int64_t after = t->state.iteration + 1;
    bool last = t->state.total > 0 && after >= t->state.total;
    return !last && (t->pace.validation_step == 0 || after % t->pace.validation_step != 0);
}

bool u3d_pace_allows_volume(const u3d_training *t, double begin, int done, double expected_s, double after_s)
{
    if (!(t->state.budget_s > 0) || t->o->resume) return true;
    const double each = done > 0 ? (u3d_clock() - begin) / done : expected_s;
    return u3d_training_elapsed(t) + 1.5 * each + after_s <= 0.998 * t->state.budget_s;
}

bool u3d_pace_checkpoint_due(const u3d_training *t)
{
    return u3d_clock() - t->pace.checkpoint_at >= CHECKPOINT_EVERY_S;
}
