/* Tests of the pace of a training run (net/train/train_pace.h): how many iterations fit into a time budget,
 * and when to validate, to write a checkpoint and to stop.
 *
 * Whole runs are replayed with an imaginary clock. The test sets the speed of the machine and checks the
 * decisions and the time at which the run would end. */
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

#include "net/train/train_pace.h"

/* An imaginary machine and what has happened on it so far. */
typedef struct replay {
    double iteration_s, tile_s, save_s; /* true durations */
    /* After the clock reading slower_after, an iteration takes `slower` times as long; slower = 0: never. */
    double slower_after, slower;
    double clock;
    int64_t iteration;
    int validations, checkpoints, fixed, corrected;
    bool stopped, last_validated;
    u3d_pace pace;
} replay;

static u3d_pace_task task_of(double budget_s)
{
    u3d_pace_task t = {.budget_s = budget_s, .batch = 2, .validates = true, .n_held = 4, .volume_s = 0.1};
    for (int n = 0; n <= t.n_held; n++) {
        t.validation_tiles[n] = 2 * n;
        t.choice_tiles[n] = 8 * n;
    }
    return t;
}

static void save(replay *r)
{
    r->clock += r->save_s;
    r->checkpoints++;
    u3d_pace_saved(&r->pace, r->save_s, r->clock);
}

static void validate(replay *r)
{
    const double seconds = (double)r->pace.task.validation_tiles[r->pace.n_validate] * r->tile_s;
    r->clock += seconds;
    r->validations++;
    u3d_pace_validated(&r->pace, seconds);
}

/* One iteration, as in the loop of net/train/train.c. */
static void iterate(replay *r)
{
    const bool slow = r->slower > 0 && r->clock >= r->slower_after;
    const bool alone = u3d_pace_goes_on(&r->pace, r->iteration);
    r->clock += r->iteration_s * (slow ? r->slower : 1.0);
    r->iteration++;
    r->last_validated = u3d_pace_validation_due(&r->pace, r->iteration, r->clock);
    assert_false(alone && r->last_validated); /* validation needs memory into which the next batch was fed */
    if (r->last_validated) validate(r);
    switch (u3d_pace_decide(&r->pace, r->iteration, r->clock)) {
    case U3D_PACE_GO_ON: break;
    case U3D_PACE_STOP: r->stopped = true; break;
    case U3D_PACE_FIX_TOTAL:
        save(r);
        assert_true(u3d_pace_fix_total(&r->pace, r->iteration, r->clock) >= r->iteration);
        r->fixed++;
        break;
    case U3D_PACE_CORRECT_TOTAL: {
        const int64_t before = r->pace.total;
        r->corrected += u3d_pace_correct_total(&r->pace, r->iteration, r->clock) != before;
        break;
    }
    }
    if (u3d_pace_checkpoint_due(&r->pace, r->clock)) save(r);
}

static void run(replay *r, const u3d_pace_task *task, int64_t total)
{
    u3d_pace_begin(&r->pace, task, r->iteration, total, r->clock);
    while (!u3d_pace_finished(&r->pace, r->iteration)) {
        iterate(r);
        assert_true(r->iteration < 1000000);
    }
}

/* The clock reading at the end of the run, if what follows the loop takes as long as estimated. */
static double end_of(const replay *r)
{
    return r->clock + 2.5 * r->save_s + r->pace.choice_s + r->pace.report_s;
}

static void a_budget_is_filled_and_kept(void **state)
{
    (void)state;
    for (double iteration_s = 0.05; iteration_s < 20; iteration_s *= 3) {
        replay r = {.iteration_s = iteration_s, .tile_s = iteration_s / 4, .save_s = 0.2, .clock = 5};
        u3d_pace_task task = task_of(600);
        run(&r, &task, 0);
        assert_int_equal(r.fixed, 1);
        assert_false(r.stopped);
        assert_int_equal(r.iteration, r.pace.total);
        assert_true(end_of(&r) <= 600);
        assert_true(end_of(&r) >= 0.93 * 600);
    }
}

static void validation_keeps_to_its_share(void **state)
{
    (void)state;
    replay r = {.iteration_s = 1, .tile_s = 0.225, .save_s = 0.1};
    u3d_pace_task task = task_of(1200);
    run(&r, &task, 0);
    assert_in_range(r.validations, 8, 11);
    assert_true(r.last_validated);

    replay dear = {.iteration_s = 1, .tile_s = 0.225, .save_s = 0.1};
    for (int n = 0; n <= task.n_held; n++) task.validation_tiles[n] = 400 * n; /* 90 s for each volume */
    run(&dear, &task, 0);
    assert_int_equal(dear.pace.validation_step, 0);
    assert_int_equal(dear.validations, 0);

    replay fewer = {.iteration_s = 1, .tile_s = 0.225, .save_s = 0.1};
    for (int n = 0; n <= task.n_held; n++) task.validation_tiles[n] = 60 * n; /* 13.5 s for each volume */
    run(&fewer, &task, 0);
    assert_int_equal(fewer.pace.n_validate, 2);
    assert_in_range(fewer.validations, 1, 3);
}

static void a_machine_that_slows_down_is_followed(void **state)
{
    (void)state;
    replay r = {.iteration_s = 0.5, .tile_s = 0.1, .save_s = 0.1, .slower_after = 200, .slower = 2};
    u3d_pace_task task = task_of(600);
    run(&r, &task, 0);
    assert_true(r.corrected >= 1);
    assert_true(r.pace.total - r.iteration <= r.pace.total / 50); /* the schedule is nearly complete */
    assert_true(end_of(&r) <= 600);
    assert_true(r.pace.total > 700 && r.pace.total < 1100); /* 400 in 200 s, then 400 at half the speed */
}

static void a_machine_that_stalls_ends_the_run_in_time(void **state)
{
    (void)state;
    replay r = {.iteration_s = 0.5, .tile_s = 0.1, .save_s = 0.1, .slower_after = 550, .slower = 8};
    u3d_pace_task task = task_of(600);
    run(&r, &task, 0);
    assert_true(r.stopped);
    assert_true(r.iteration < r.pace.total);
    assert_true(end_of(&r) <= 600 + 8 * 0.5); /* an iteration that has begun is completed */
}

static void a_tiny_budget_ends_at_once(void **state)
{
    (void)state;
    replay r = {.iteration_s = 40, .tile_s = 9, .save_s = 1};
    u3d_pace_task task = task_of(60);
    run(&r, &task, 0);
    assert_int_equal(r.iteration, 1);
    assert_int_equal(r.pace.total, 1);
}

static void a_resumed_run_keeps_its_total(void **state)
{
    (void)state;
    replay r = {.iteration_s = 10, .tile_s = 1, .save_s = 0.1, .iteration = 100, .clock = 0};
    u3d_pace_task task = task_of(60);
    task.resumed = true;
    task.began = -50; /* the first part of the run has used 50 s of the budget */
    run(&r, &task, 300);
    assert_int_equal(r.iteration, 300);
    assert_int_equal(r.fixed + r.corrected, 0);
    assert_false(r.stopped);
    assert_true(u3d_pace_allows_volume(&r.pace, r.clock, 0, 1000, 1000, r.clock));
}

static void without_a_budget_ten_validations(void **state)
{
    (void)state;
    replay r = {.iteration_s = 100, .tile_s = 1, .save_s = 1};
    u3d_pace_task task = task_of(0);
    run(&r, &task, 50);
    assert_int_equal(r.validations, 10);
    assert_true(r.last_validated);
    assert_int_equal(r.checkpoints, 8); /* every 600 s of 5,080 s */

    replay guarded = {.iteration_s = 100, .tile_s = 1, .save_s = 1};
    task.checkpoint_s = 300; /* --checkpoint-every 5m */
    run(&guarded, &task, 50);
    assert_true(guarded.checkpoints >= 15); /* every third iteration, at the latest */

    replay often = {.iteration_s = 1, .tile_s = 1, .save_s = 1};
    task.validate_every = 20;
    run(&often, &task, 50);
    assert_int_equal(often.validations, 3); /* after iterations 20, 40 and 50 */

    replay never = {.iteration_s = 1, .tile_s = 1, .save_s = 1};
    task.validates = false;
    run(&never, &task, 50);
    assert_int_equal(never.validations, 0);
}

static void the_choice_takes_as_many_volumes_as_fit(void **state)
{
    (void)state;
    replay r = {.iteration_s = 0.2, .tile_s = 0.045, .save_s = 0.1};
    u3d_pace_task task = task_of(600); /* 18 s may be spent on the choice */
    task.n_choose = task.n_held;
    task.least_choose = U3D_MIN_TO_CHOOSE;
    run(&r, &task, 0);
    assert_int_equal(r.pace.n_choose, 4);
    assert_true(r.pace.choice_s > 0);

    replay three = {.iteration_s = 0.2, .tile_s = 0.045, .save_s = 0.1};
    for (int n = 0; n <= task.n_held; n++) task.choice_tiles[n] = 120 * n; /* 5.5 s for each volume */
    run(&three, &task, 0);
    assert_int_equal(three.pace.n_choose, 3);

    replay none = {.iteration_s = 0.2, .tile_s = 0.045, .save_s = 0.1};
    for (int n = 0; n <= task.n_held; n++) task.choice_tiles[n] = 200 * n; /* three would take 27 s */
    run(&none, &task, 0);
    assert_true(none.pace.n_choose < U3D_MIN_TO_CHOOSE);
    assert_true(none.pace.choice_s == 0);
}

/* Without a budget, predictions may take a quarter of the time of the iterations. */
static void the_choice_is_limited_without_a_budget(void **state)
{
    (void)state;
    static const struct {
        int64_t total, least;
        int n;
    } rows[] = {{1000, 1, 4}, {100, 1, 2}, {100, 3, 0}, {10, 1, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        u3d_pace p;
        u3d_pace_task task = task_of(0);
        task.batch = 2;
        task.n_choose = 4;
        task.least_choose = (int)rows[i].least;
        for (int n = 0; n <= 4; n++) task.choice_tiles[n] = 45 * n; /* 20 iterations on a patch each */
        u3d_pace_begin(&p, &task, 0, rows[i].total, 0);
        assert_int_equal(p.n_choose, rows[i].n);
    }
}

static void volumes_are_predicted_while_time_is_left(void **state)
{
    (void)state;
    u3d_pace p;
    u3d_pace_task task = task_of(100);
    u3d_pace_begin(&p, &task, 0, 0, 0);
    assert_true(u3d_pace_allows_volume(&p, 80, 0, 10, 0, 80));   /* 80 + 1.5 * 10 < 100             */
    assert_false(u3d_pace_allows_volume(&p, 80, 0, 14, 0, 80));  /* 80 + 1.5 * 14 > 100             */
    assert_false(u3d_pace_allows_volume(&p, 80, 0, 10, 10, 80)); /* 80 + 1.5 * 10 + 10 > 100        */
    assert_true(u3d_pace_allows_volume(&p, 80, 2, 99, 0, 90));   /* two volumes have taken 5 s each */
    assert_false(u3d_pace_allows_volume(&p, 80, 1, 1, 0, 90));   /* one volume has taken 10 s       */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_budget_is_filled_and_kept),
                                       cmocka_unit_test(validation_keeps_to_its_share),
                                       cmocka_unit_test(a_machine_that_slows_down_is_followed),
                                       cmocka_unit_test(a_machine_that_stalls_ends_the_run_in_time),
                                       cmocka_unit_test(a_tiny_budget_ends_at_once),
                                       cmocka_unit_test(a_resumed_run_keeps_its_total),
                                       cmocka_unit_test(without_a_budget_ten_validations),
                                       cmocka_unit_test(the_choice_takes_as_many_volumes_as_fit),
                                       cmocka_unit_test(the_choice_is_limited_without_a_budget),
                                       cmocka_unit_test(volumes_are_predicted_while_time_is_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
