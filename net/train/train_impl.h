/* Inside of training: what the loop in train.c works on. Private to net/train*.c.
 *
 *   train.c           the loop, and the way from options to a written model
 *   train_setup.c     cases, settings, graphs, memory, feeder
 *   train_memory.c    the peak, planned before the start, and what would fit where it is too much
 *   train_run.c       the RUN folder: its files, checkpoints, the written model
 *   train_time.c      a time budget becomes a number of iterations; when to validate
 *   train_postprocess.c  which classes keep only their largest component
 *   train_validate.c  Dice and IoU of held-out data and of the reported cases */
#ifndef U3D_NET_TRAIN_IMPL_H
#define U3D_NET_TRAIN_IMPL_H

#include "engine/run/exec.h"
#include "engine/run/optim.h"
#include "io/csvlog.h"
#include "net/sample/feeder.h"
#include "net/model/model.h"
#include "net/predict/predict.h"
#include "net/predict/progress.h"
#include "net/train/train.h"
#include "net/model/unet3d.h"

/* Mean over volumes of each class's overlap; NaN where no volume has the class. */
typedef struct u3d_scores {
    double dice[U3D_MAX_LABELS], iou[U3D_MAX_LABELS];
    double mean_dice, mean_iou; /* over the classes that are scored: all but background */
} u3d_scores;

/* What a checkpoint remembers beside tensors and settings. */
typedef struct u3d_training_state {
    int64_t iteration; /* done                                                               */
    int64_t total;     /* to do; 0 while a time budget is being measured                     */
    uint64_t seed;
    double elapsed_s;         /* of earlier sessions of this run                                    */
    double budget_s;          /* --time; 0: none                                                    */
    int64_t validate_every;   /* as given: 0 default, < 0 never                                     */
    double loss;              /* of the last iteration                                              */
    double val_dice, val_iou; /* of the last validation; NaN: none                                 */
    bool hold_slices;         /* validation on slices of the one volume                             */
} u3d_training_state;

/* Seconds, measured as the run goes on. */
typedef struct u3d_pace {
    double iteration_s, validation_s, save_s,
        report_s;           /* of one; validation and report are estimates at first */
    double volume_s;        /* of reading, normalising and resampling one volume, as when they were opened */
    double choice_s;        /* of choosing the post-processing, an estimate; 0 where nothing is chosen */
    double measured_from;   /* clock; NaN: not begun                                             */
    int64_t measured_first; /* iteration at which measuring began                                */
    double other_s;         /* of the time since then: validation and checkpoints                */
    int corrections;        /* times that the total was estimated again                          */
    double validation_left_s; /* what may still be spent on validation under a time budget         */
    int64_t validation_step;  /* iterations between two validations; 0: none                       */
    double checkpoint_at;     /* clock of the last checkpoint                                      */
    bool out_of_time;         /* slower than measured: the run ends before its last iteration      */
} u3d_pace;

typedef struct u3d_training {
    u3d_backend *backend;
    const u3d_train_opts *o;
    u3d_model model; /* settings, labels, facts, intensity                             */
    u3d_training_state state;
    u3d_pace pace;

    u3d_checkpoint *resumed; /* of the run to go on with, until its tensors are on the device  */
    int lock;
    u3d_csvlog *log;
    double *row; /* one line of log.csv                                            */
    int n_row;

    int *which, n_which, n_held; /* indices into o->data; the n_held last ones are for validation  */
    int n_validate;              /* of those, how many are predicted (fewer where time is short)   */
    int n_choose;                /* the same for choosing the post-processing                      */
    u3d_cases *cases;
    u3d_volume *held_slices; /* u8 classes of the only volume, or NULL                         */
    u3d_volume **held_own;   /* [n_held] u8 classes on the files' own grid of what is resampled, else NULL */

    u3d_unet3d net, infer;
    u3d_plan *plan, *infer_plan;
    u3d_arena *arena; /* shared by training and inference                               */
    u3d_params *params;
    u3d_exec *exec, *infer_exec;
    u3d_predictor *predictor;
    u3d_optim *optim;
    u3d_augment augment;
    u3d_feeder *feeder;
    u3d_tensor *class_weight; /* f32 [labels]                                                   */
    uint64_t peak_planned, device_planned; /* device_planned: 0 where its memory is the host's */

    u3d_progress progress;
    double smooth_loss;
    int skipped_in_row; /* steps whose gradient was not finite                            */
    u3d_scores scores;  /* of the last validation                                         */
} u3d_training;

/* ---- train_setup.c ---- */
u3d_status u3d_training_open(u3d_training *t);
void u3d_training_close(u3d_training *t);
/* (Re)makes the optimizer for state.total iterations, keeping moments and step count. While the total is
 * unknown the learning rate is the warm-up's, then constant. */
u3d_status u3d_training_set_schedule(u3d_training *t);
uint64_t u3d_training_memory_cap(const u3d_training *t);
int u3d_training_workers(const u3d_training *t); /* threads that prepare batches */
u3d_feeder_opts u3d_training_feeder_opts(const u3d_training *t);
double u3d_training_elapsed(const u3d_training *t);

/* ---- train_memory.c ---- */
/* Volumes kept in memory, and those on their way there. */
uint64_t u3d_training_volumes_bytes(const u3d_training *t);
/* Plans both graphs, adds up the peak, logs it; U3D_E_NOMEM over the limit, saying what would fit. */
u3d_status u3d_training_plan(u3d_training *t);

/* ---- train_run.c ---- */
u3d_status u3d_run_open(u3d_training *t);              /* lock, refuse or clear, or load what to resume    */
u3d_status u3d_run_check_cases(const u3d_training *t); /* U3D_E_ARG: not those of the resumed run   */
u3d_status u3d_run_open_log(u3d_training *t);
u3d_status u3d_run_write_config(const u3d_training *t);
u3d_status u3d_run_checkpoint(u3d_training *t);
u3d_status u3d_run_restore(u3d_training *t); /* tensors of `resumed` -> device                   */
u3d_status u3d_run_write_model(u3d_training *t,
                               char fingerprint[24]); /* averaged weights; read back and checked */

/* ---- train_time.c ---- */
void u3d_pace_begin(u3d_training *t);
/* After every iteration: fixes the total once enough was measured, notices that time is up. */
u3d_status u3d_pace_update(u3d_training *t);
bool u3d_pace_validation_due(const u3d_training *t);
/* Nothing but training stands between the iteration under way and the next. */
bool u3d_pace_goes_on(const u3d_training *t);
bool u3d_pace_checkpoint_due(const u3d_training *t);
/* Whether a budget has time to predict one more volume: as long as the `done` since `begin` took on average, the
 * first `expected_s`, with `after_s` to come. */
bool u3d_pace_allows_volume(const u3d_training *t, double begin, int done, double expected_s, double after_s);
bool u3d_pace_finished(const u3d_training *t);

/* ---- train_postprocess.c ---- */
/* After training: model.keep_largest, as settings and volumes set aside say. */
u3d_status u3d_training_postprocess(u3d_training *t);
bool u3d_training_chooses(const u3d_training *t); /* by predicting n_choose volumes */

/* ---- train_validate.c ---- */
/* Case i, held out, until u3d_cases_release: the image as training sees it, and the labels as they were
 * painted, on the files' own grid. */
u3d_status u3d_training_acquire_held(u3d_training *t, int i, const u3d_volume **image,
                                     const u3d_volume **reference);
/* Tiles of a same-padded network overlap by half in prediction and in the report. */
#define U3D_REPORT_STEP 0.5
/* Held-out data with the averaged weights -> t->scores, state.val_*. */
u3d_status u3d_training_validate(u3d_training *t);
/* The fold's validation cases, once, at the end; means over them, NaN where there are none. */
u3d_status u3d_training_report(u3d_training *t, double *dice, double *iou);
/* Tiles of the first n volumes set aside, as prediction cuts them. */
int64_t u3d_training_held_tiles(const u3d_training *t, int n);
/* Tiles that one validation, or the report (estimated from the median size), has to predict. */
int64_t u3d_training_validation_tiles(const u3d_training *t);
int64_t u3d_training_report_tiles(const u3d_training *t);

#endif
