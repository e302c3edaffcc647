/* Turns a time budget into a number of iterations, and decides when to validate and when to write a
 * checkpoint.
 *
 * A budget counts from the start of the program to the end of the report. The first iterations are real
 * training at a learning rate that does not depend on how many will follow (warm-up, then constant). They are
 * timed, and then the number of iterations is fixed:
 *
 *   total = done + (SHARE * budget - elapsed - end) / (seconds of an iteration, with its share of validation)
 *
 * `end` is the time for the final checkpoint, the choice of post-processing, the model and the report. If
 * other programs use the machine as well, a short measurement can be far off, and a schedule that is cut
 * short costs accuracy. Therefore the total is estimated again at the points CORRECTIONS, from the iterations
 * since the last estimate, and it is changed if it is off by more than TOLERATED. A validation is skipped if
 * its share of the budget leaves no time for it. As a last resort, a run ends early rather than late. A
 * resumed run keeps its total. Without a budget, a run validates about ten times. */
#include "net/train/train_pace.h"

#include <math.h>

static const double VALIDATION_SHARE = 0.05; /* of the budget that validation may take                */
static const double REPORT_SHARE = 0.10;     /* of the budget that the report may take                */
static const double CHOICE_SHARE = 0.03;     /* of the budget that choosing post-processing may take  */
static const double CHOICE_OF_RUN = 0.25; /* of the time of the iterations that it may take without a budget */
static const double LAST_MOMENT = 0.995;     /* of the budget: training ends if the report would be later */
static const double VOLUME_MOMENT = 0.998;   /* of the budget: the last volume must be predicted by then */
static const double CHECKPOINT_EVERY_S = 600;
/* The first two iterations are not timed, because they touch memory for the first time and fill caches. Then
 * at least three are timed, and for at least TIMED_SHARE of the budget or TIMED_MOST_S, whichever is
 * shorter. */
enum { WARM_ITERATIONS = 2, TIMED_ITERATIONS = 3, VALIDATIONS = 10 };
static const double TIMED_SHARE = 0.04, TIMED_MOST_S = 45;
/* Shares of the budget after which the total is estimated again, and the relative error that is tolerated. */
static const double CORRECTIONS[] = {0.2, 0.4, 0.6, 0.75, 0.9}, TOLERATED = 0.02;
enum { N_CORRECTIONS = sizeof CORRECTIONS / sizeof CORRECTIONS[0] };
/* Inference on one tile (the forward pass and stitching) takes about this share of the time of a training
 * iteration on one patch. */
static const double INFER_SHARE = 0.45;

static int64_t at_least_one(double x)
{
    return x < 1.0 ? 1 : (int64_t)x;
}

static double elapsed(const u3d_pace *p, double clock)
{
    return clock - p->task.began;
}

/* Whether the time budget can end this run. */
static bool on_the_clock(const u3d_pace *p)
{
    return p->task.budget_s > 0 && !p->task.resumed;
}

static double tile_s(const u3d_pace *p)
{
    return p->iteration_s / (double)p->task.batch * INFER_SHARE;
}

static double end_s(const u3d_pace *p)
{
    return 2.5 * p->save_s + p->choice_s + p->report_s;
}

/* Iterations between two validations if the total is known from the start. */
static int64_t default_step(const u3d_pace *p)
{
    if (!p->task.validates) return 0;
    if (p->task.validate_every > 0) return p->task.validate_every;
    return at_least_one((double)p->total / VALIDATIONS);
}

/* Without a budget: no more volumes than take CHOICE_OF_RUN of the time of the iterations. */
static void limit_choice(u3d_pace *p)
{
    const double most = CHOICE_OF_RUN * (double)p->total * (double)p->task.batch / INFER_SHARE;
    while (p->n_choose > 0 && (double)p->task.choice_tiles[p->n_choose] > most) p->n_choose--;
    if (p->n_choose < p->task.least_choose) p->n_choose = 0;
}

void u3d_pace_begin(u3d_pace *p, const u3d_pace_task *task, int64_t iteration, int64_t total, double clock)
{
    *p = (u3d_pace){.task = *task,
                    .total = total,
                    .n_validate = task->n_held,
                    .n_choose = task->n_choose,
                    .measured_from = NAN,
                    .measured_first = iteration + WARM_ITERATIONS,
                    .validation_left_s = INFINITY,
                    .checkpoint_at = clock};
    if (total == 0) return;
    p->validation_step = default_step(p);
    limit_choice(p);
}

/* Begins a new measurement of the iterations after `iteration`. */
static void begin_measuring(u3d_pace *p, int64_t iteration, double clock)
{
    p->measured_from = clock;
    p->measured_first = iteration;
    p->other_s = 0.0;
}

/* ---- the total ---- */

/* Fits validation into its share of the budget: sets on how many volumes and how often to validate. The cost
 * is returned as *each_s seconds per iteration (if the user set how often) or as *all_s seconds in total. */
static void plan_validation(u3d_pace *p, double left_s, double *each_s, double *all_s)
{
    const double allowed = VALIDATION_SHARE * p->task.budget_s;
    *each_s = *all_s = 0.0;
    p->validation_step = 0;
    if (!p->task.validates) return;
    p->validation_s = (double)p->task.validation_tiles[p->n_validate] * tile_s(p);
    if (p->task.validate_every > 0) {
        p->validation_step = p->task.validate_every;
        *each_s = p->validation_s / (double)p->validation_step;
        return;
    }
    while (p->n_validate > 1 && 2.0 * p->validation_s > allowed)
        p->validation_s = (double)p->task.validation_tiles[--p->n_validate] * tile_s(p);
    const double times = fmin(VALIDATIONS, floor(allowed / p->validation_s));
    if (times < 1.0) return;
    *all_s = times * p->validation_s;
    p->validation_left_s = allowed;
    p->validation_step = at_least_one(ceil((left_s - *all_s) / p->iteration_s / times));
}

static double estimate_report(const u3d_pace *p)
{
    const double needed = (double)p->task.report_tiles * tile_s(p) + p->task.n_report * p->task.volume_s;
    return fmin(needed, REPORT_SHARE * p->task.budget_s);
}

/* Sets how many of the volumes set aside are predicted to choose the post-processing: as many as CHOICE_SHARE
 * of the budget allows. */
static void plan_choice(u3d_pace *p)
{
    p->choice_s = 0.0;
    for (; p->n_choose >= p->task.least_choose && p->n_choose > 0; p->n_choose--) {
        const double needed =
            (double)p->task.choice_tiles[p->n_choose] * tile_s(p) + p->n_choose * p->task.volume_s;
        if (needed > CHOICE_SHARE * p->task.budget_s) continue;
        p->choice_s = needed;
        return;
    }
    p->n_choose = 0;
}

int64_t u3d_pace_fix_total(u3d_pace *p, int64_t iteration, double clock)
{
    double each_s, all_s;
    p->report_s = estimate_report(p);
    plan_choice(p);
    double left_s = U3D_PACE_SHARE * p->task.budget_s - elapsed(p, clock) - end_s(p);
    plan_validation(p, left_s, &each_s, &all_s);
    left_s -= all_s;
    each_s += p->iteration_s * (1.0 + p->task.beside_share * (1.0 - p->task.beside_from));
    p->total = iteration + (left_s > 0 ? (int64_t)(left_s / each_s) : 0);
    begin_measuring(p, iteration, clock);
    return p->total;
}

/* Time of other work during the iterations that are left, as a share of their time. */
static double beside_share_left(const u3d_pace *p, int64_t iteration)
{
    const double done = (double)iteration / (double)p->total;
    return done >= p->task.beside_from ? p->task.beside_share
                                       : p->task.beside_share * (1.0 - p->task.beside_from) / (1.0 - done);
}

int64_t u3d_pace_correct_total(u3d_pace *p, int64_t iteration, double clock)
{
    const double timed = (double)(iteration - p->measured_first);
    if (timed < TIMED_ITERATIONS) return p->total;
    /* Averaged with the old estimate, because a change of the machine's speed is more often short than
     * lasting. */
    p->iteration_s = 0.5 * (p->iteration_s + (clock - p->measured_from - p->other_s) / timed);
    begin_measuring(p, iteration, clock);
    const double left_s = U3D_PACE_SHARE * p->task.budget_s - elapsed(p, clock) - end_s(p);
    double each_s = p->iteration_s * (1.0 + beside_share_left(p, iteration));
    if (p->validation_step > 0) each_s += p->validation_s / (double)p->validation_step;
    int64_t total = iteration + (left_s > 0 ? (int64_t)(left_s / each_s) : 0);
    if (total < iteration + 1) total = iteration + 1;
    if (fabs((double)(total - p->total)) > TOLERATED * (double)p->total) p->total = total;
    return p->total;
}

/* ---- decisions ---- */

static bool timed_enough(const u3d_pace *p, int64_t iteration, double clock)
{
    if (elapsed(p, clock) > 0.5 * p->task.budget_s) return true; /* the budget lasts only a few iterations */
    if (isnan(p->measured_from) || iteration < p->measured_first + TIMED_ITERATIONS) return false;
    return clock - p->measured_from >= fmin(TIMED_SHARE * p->task.budget_s, TIMED_MOST_S);
}

static u3d_pace_decision decide_first(u3d_pace *p, int64_t iteration, double clock)
{
    if (isnan(p->measured_from) && iteration == p->measured_first) begin_measuring(p, iteration, clock);
    if (!timed_enough(p, iteration, clock)) return U3D_PACE_GO_ON;
    const int64_t timed = iteration - p->measured_first;
    p->iteration_s = timed > 0 ? (clock - p->measured_from) / (double)timed : elapsed(p, clock);
    return U3D_PACE_FIX_TOTAL;
}

u3d_pace_decision u3d_pace_decide(u3d_pace *p, int64_t iteration, double clock)
{
    if (p->total == 0) return decide_first(p, iteration, clock);
    if (!on_the_clock(p) || iteration >= p->total) return U3D_PACE_GO_ON;
    const double budget_s = p->task.budget_s, elapsed_s = elapsed(p, clock);
    if (elapsed_s + p->iteration_s + end_s(p) > LAST_MOMENT * budget_s) {
        p->out_of_time = true;
        return U3D_PACE_STOP;
    }
    if (p->corrections == N_CORRECTIONS || elapsed_s < CORRECTIONS[p->corrections] * budget_s)
        return U3D_PACE_GO_ON;
    p->corrections++;
    return U3D_PACE_CORRECT_TOTAL;
}

bool u3d_pace_finished(const u3d_pace *p, int64_t iteration)
{
    return p->out_of_time || (p->total > 0 && iteration >= p->total);
}

bool u3d_pace_validation_due(const u3d_pace *p, int64_t iteration, double clock)
{
    if (p->validation_step == 0 || p->total == 0) return false;
    const bool last = iteration == p->total && p->total >= p->validation_step;
    if (!last && iteration % p->validation_step != 0) return false;
    if (!last && 2.0 * p->validation_s > p->validation_left_s) return false;
    return !on_the_clock(p) ||
           elapsed(p, clock) + p->validation_s + end_s(p) <= LAST_MOMENT * p->task.budget_s;
}

bool u3d_pace_goes_on(const u3d_pace *p, int64_t iteration)
{
    const int64_t after = iteration + 1;
    const bool last = p->total > 0 && after >= p->total;
    return !last && (p->validation_step == 0 || after % p->validation_step != 0);
}

bool u3d_pace_checkpoint_due(const u3d_pace *p, double clock)
{
    return clock - p->checkpoint_at >= (p->task.checkpoint_s > 0 ? p->task.checkpoint_s : CHECKPOINT_EVERY_S);
}

bool u3d_pace_allows_volume(const u3d_pace *p, double begin, int done, double expected_s, double after_s,
                            double clock)
{
    if (!on_the_clock(p)) return true;
    const double each_s = done > 0 ? (clock - begin) / done : expected_s;
    return elapsed(p, clock) + 1.5 * each_s + after_s <= VOLUME_MOMENT * p->task.budget_s;
}

/* ---- finished checkpoints and validations ---- */

void u3d_pace_saved(u3d_pace *p, double seconds, double clock)
{
    p->checkpoint_at = clock;
    p->save_s = seconds;
    p->other_s += seconds;
}

void u3d_pace_validated(u3d_pace *p, double seconds)
{
    p->validation_s = seconds;
    p->validation_left_s -= seconds;
    p->other_s += seconds;
}

void u3d_pace_worked_beside(u3d_pace *p, double seconds)
{
    p->other_s += seconds;
}
