/* The pace of a run: how many iterations fit into a time budget, and when to validate, to write a checkpoint
 * and to stop. Clock readings and counts of tiles go in, decisions come out; the loop in train.c carries them
 * out. Nothing here trains, logs or reads a clock, so that tests/net/test_pace.c can replay a run of hours at
 * once. */
#ifndef U3D_NET_TRAIN_PACE_H
#define U3D_NET_TRAIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    U3D_MAX_HELD = 8,      /* most volumes that are set aside for validation                     */
    U3D_MIN_TO_CHOOSE = 3, /* fewer volumes do not show what a single object is, or what lowers Dice    */
};

#define U3D_PACE_SHARE 0.975 /* of the budget that the estimate fills */

/* The work of a run, as far as it takes time. It is known before the first iteration and does not change. */
typedef struct u3d_pace_task {
    double began;           /* clock reading at the start of the run, less the time of earlier sessions */
    double budget_s;        /* from `began` to the end of the report; 0: no limit                 */
    bool resumed;           /* the run keeps a total that was fixed before; time does not end it  */
    int64_t batch;          /* patches per iteration                                              */
    int64_t validate_every; /* iterations; 0: about ten times per run                             */
    bool validates;         /* volumes or slices are set aside for validation                     */
    int n_choose;           /* volumes that may be predicted to choose the post-processing        */
    int least_choose;       /* fewer of them are of no use                                        */
    int n_held;             /* volumes set aside                                                  */
    int64_t validation_tiles[U3D_MAX_HELD + 1]; /* [n]: tiles of a validation on the first n volumes    */
    int64_t choice_tiles[U3D_MAX_HELD + 1];     /* [n]: tiles to predict the first n with overlap       */
    int n_report;         /* volumes to be reported on after training                           */
    int64_t report_tiles; /* tiles to predict these volumes                                     */
    double volume_s;      /* seconds to read, normalise and resample one volume                 */
    double checkpoint_s;  /* between checkpoints; 0: ten minutes                                */
    double beside_share;  /* time of other work during the iterations, as a share of their time */
    double beside_from;   /* share of the iterations after which it begins                      */
} u3d_pace_task;

/* All times are seconds; clock readings are those of u3d_clock. */
typedef struct u3d_pace {
    u3d_pace_task task;
    int64_t total;            /* iterations of the run; 0 until the budget has fixed them     */
    int n_validate;           /* volumes that a validation predicts; fewer if time is short   */
    int n_choose;             /* volumes that the choice of post-processing predicts          */
    double iteration_s;       /* of one iteration                                             */
    double validation_s;      /* of one validation; an estimate until the first one is done   */
    double save_s;            /* of writing one checkpoint                                    */
    double choice_s;          /* of choosing post-processing, estimated; 0 if nothing is chosen */
    double report_s;          /* of the report, estimated                                     */
    double measured_from;     /* clock reading at the start of the timing; NaN: not yet begun */
    int64_t measured_first;   /* iteration after which the timing begins                      */
    double other_s;           /* spent on anything but iterations since measured_from         */
    int corrections;          /* how often the total was estimated again                      */
    double validation_left_s; /* that may still be spent on validation                        */
    int64_t validation_step;  /* iterations between two validations; 0: no validation         */
    double checkpoint_at;     /* clock reading at the last checkpoint                         */
    bool out_of_time;         /* the run ends before its last iteration                       */
} u3d_pace;

typedef enum u3d_pace_decision {
    U3D_PACE_GO_ON,         /* nothing to do                                                      */
    U3D_PACE_FIX_TOTAL,     /* enough was timed: write a checkpoint, then call u3d_pace_fix_total */
    U3D_PACE_CORRECT_TOTAL, /* call u3d_pace_correct_total                                        */
    U3D_PACE_STOP           /* end now, or the model is late; u3d_pace_finished now returns true  */
} u3d_pace_decision;

/* `iteration`: iterations done so far. `total`: 0 if the number has to be derived from the budget. */
void u3d_pace_begin(u3d_pace *p, const u3d_pace_task *task, int64_t iteration, int64_t total, double clock);

/* What to do after iteration number `iteration` and its validation. */
u3d_pace_decision u3d_pace_decide(u3d_pace *p, int64_t iteration, double clock);
/* Fixes the number of iterations that fit into the budget, how often to validate and on how many volumes.
 * Returns the total, which is `iteration` if nothing more fits. */
int64_t u3d_pace_fix_total(u3d_pace *p, int64_t iteration, double clock);
/* Estimates the total again from the iterations since the last estimate; returns the total, old or new. */
int64_t u3d_pace_correct_total(u3d_pace *p, int64_t iteration, double clock);

/* Whether the total is reached or the time is up. */
bool u3d_pace_finished(const u3d_pace *p, int64_t iteration);
/* A validation is due every validation_step iterations, and also after the last iteration if the run has at
 * least validation_step iterations, provided that there is time for it. People read the score of the last
 * validation, so an earlier one is skipped if it would leave no time for the last. */
bool u3d_pace_validation_due(const u3d_pace *p, int64_t iteration, double clock);
/* Whether the iteration under way, number `iteration` + 1, is followed directly by another one: it is not the
 * last, and no validation is scheduled after it. */
bool u3d_pace_goes_on(const u3d_pace *p, int64_t iteration);
bool u3d_pace_checkpoint_due(const u3d_pace *p, double clock);
/* Whether there is time to predict one more volume of a series that began at clock reading `begin`. The
 * volume is expected to take as long as the `done` volumes took on average, or expected_s if it is the first.
 * The work that follows the series takes after_s. */
bool u3d_pace_allows_volume(const u3d_pace *p, double begin, int done, double expected_s, double after_s,
                            double clock);

/* Tells the pace that a checkpoint or a validation is finished and how many seconds it took. */
void u3d_pace_saved(u3d_pace *p, double seconds, double clock);
void u3d_pace_validated(u3d_pace *p, double seconds);
/* Tells it that some of the work of `beside_share` is done. */
void u3d_pace_worked_beside(u3d_pace *p, double seconds);

#endif
