/* The pace of a run: how many iterations fit into a time budget, and when to validate, to write a checkpoint and
 * to stop. Clock readings and counts of tiles go in, decisions come out; the loop in train.c carries them out.
 * Nothing here trains, logs or reads a clock, so that tests/net/test_pace.c can replay a run of hours at once. */
#ifndef U3D_NET_TRAIN_PACE_H
#define U3D_NET_TRAIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    U3D_MAX_HELD = 8,      /* most volumes that are set aside for validation                     */
    U3D_MIN_TO_CHOOSE = 3, /* with fewer volumes set aside, no post-processing is chosen: fewer are no evidence */
};

/* What is to be done, as far as it takes time. It is known before the first iteration and does not change. */
typedef struct u3d_pace_task {
    double began;           /* clock reading at which the run's time began: earlier parts of a resumed run count */
    double budget_s;        /* from `began` to the end of the report; 0: no limit                 */
    bool resumed;           /* keeps a total that was fixed before, whatever the clock says       */
    int64_t batch;          /* patches in an iteration                                            */
    int64_t validate_every; /* iterations; 0: about ten times in a run                            */
    bool validates;         /* some data is set aside                                             */
    bool chooses;           /* post-processing is chosen by predicting the volumes set aside      */
    int n_held;             /* volumes set aside                                                  */
    int64_t validation_tiles[U3D_MAX_HELD + 1]; /* [n]: tiles of a validation on the first n of them  */
    int64_t choice_tiles[U3D_MAX_HELD + 1];     /* [n]: tiles of predicting the first n with overlap   */
    int n_report;         /* volumes to be reported on after training                           */
    int64_t report_tiles; /* tiles of predicting them                                           */
    double volume_s;      /* seconds to read, normalise and resample one volume                 */
} u3d_pace_task;

/* All times are seconds; clock readings are those of u3d_clock. */
typedef struct u3d_pace {
    u3d_pace_task task;
    int64_t total;           /* iterations to do; 0 while they are being timed             */
    int n_validate;          /* volumes that a validation predicts: fewer if time is short     */
    int n_choose;            /* volumes that the choice of post-processing predicts            */
    double iteration_s;      /* of one iteration                                           */
    double validation_s;     /* of one validation; an estimate until the first               */
    double save_s;           /* of writing one checkpoint                                  */
    double choice_s;         /* of choosing the post-processing, estimated; 0 if nothing is chosen */
    double report_s;         /* of the report, estimated                                   */
    double measured_from;    /* clock reading since which iterations are timed; NaN: not yet */
    int64_t measured_first;  /* iteration after which the timing begins                    */
    double other_s;          /* spent on validations and checkpoints since measured_from   */
    int corrections;         /* how often the total was estimated again                    */
    double validation_left_s; /* may still be spent on validation                          */
    int64_t validation_step; /* iterations between two validations; 0: none                */
    double checkpoint_at;    /* clock reading at the last checkpoint                       */
    bool out_of_time;        /* the run ends before its last iteration                     */
} u3d_pace;

typedef enum u3d_pace_decision {
    U3D_PACE_GO_ON,         /* nothing to do                                                             */
    U3D_PACE_FIX_TOTAL,     /* enough was timed: write a checkpoint, then call u3d_pace_fix_total         */
    U3D_PACE_CORRECT_TOTAL, /* call u3d_pace_correct_total                                                */
    U3D_PACE_STOP           /* end now, so that the model is ready in time; u3d_pace_finished says so, too */
} u3d_pace_decision;

/* `iteration`: iterations done so far. `total`: 0 if the budget is to tell. */
void u3d_pace_begin(u3d_pace *p, const u3d_pace_task *task, int64_t iteration, int64_t total, double clock);

/* What to do after iteration number `iteration` and its validation. */
u3d_pace_decision u3d_pace_decide(u3d_pace *p, int64_t iteration, double clock);
/* Fixes the number of iterations that fit into the budget, how often to validate and on how many volumes.
 * Returns the total, which is `iteration` if nothing more fits. */
int64_t u3d_pace_fix_total(u3d_pace *p, int64_t iteration, double clock);
/* Estimates the total again from the iterations since the last estimate; returns the total, old or new. */
int64_t u3d_pace_correct_total(u3d_pace *p, int64_t iteration, double clock);

/* The total is reached, or the time is up. */
bool u3d_pace_finished(const u3d_pace *p, int64_t iteration);
/* A validation is due every validation_step iterations and at the end (of a run that is not shorter than that), as
 * long as there is time for it. The last one is the one that people read, so earlier ones leave time for it. */
bool u3d_pace_validation_due(const u3d_pace *p, int64_t iteration, double clock);
/* Only training will come between the iteration under way, the one after `iteration`, and the next. */
bool u3d_pace_goes_on(const u3d_pace *p, int64_t iteration);
bool u3d_pace_checkpoint_due(const u3d_pace *p, double clock);
/* Whether there is time to predict one more volume of a series that began at clock reading `begin`. It is expected
 * to take as long as the `done` volumes took on average (the first: expected_s), and after_s are needed afterwards. */
bool u3d_pace_allows_volume(const u3d_pace *p, double begin, int done, double expected_s, double after_s,
                            double clock);

/* A checkpoint or a validation is finished and took this long. */
void u3d_pace_saved(u3d_pace *p, double seconds, double clock);
void u3d_pace_validated(u3d_pace *p, double seconds);

#endif
