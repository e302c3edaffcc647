/* Inside of training: what its files share. Each file calls only those above it in this list:
 *
 *   train_state.c        what follows from state and options: elapsed time, workers, memory limit, optimizer
 *   train_pace.c         a time budget becomes a number of iterations; when to validate, save and stop
 *   train_run.c          the RUN folder: its files, checkpoints, the written model
 *   train_memory.c       the peak of memory, planned before the start, and what would fit if it is too much
 *   train_validate.c     Dice and IoU of held-out data and of the reported cases
 *   train_postprocess.c  which classes keep only their largest component
 *   train_setup.c        cases, settings, graphs, memory, feeder, in the order in which they depend on each other
 *   train.c              the loop, and the way from options to a written model */
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
#include "net/train/train_pace.h"
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
    double volume_s; /* seconds to read, normalise and resample one volume, measured when they were opened */
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

/* ---- train_state.c ---- */
/* Seconds since the run began, those of earlier parts of a resumed run included. */
double u3d_training_elapsed(const u3d_training *t);
uint64_t u3d_training_memory_cap(const u3d_training *t); /* bytes */
int u3d_training_workers(const u3d_training *t);         /* threads that prepare batches */
u3d_feeder_opts u3d_training_feeder_opts(const u3d_training *t);
/* (Re)makes the optimizer for state.total iterations, keeping moments and step count. As long as the total is
 * unknown, the learning rate is the warm-up's and then constant. */
u3d_status u3d_training_set_schedule(u3d_training *t);

/* ---- train_setup.c ---- */
u3d_status u3d_training_open(u3d_training *t);
void u3d_training_close(u3d_training *t);

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

/* ---- train_postprocess.c ---- */
/* After training: sets model.keep_largest, as settings and volumes set aside say. */
u3d_status u3d_training_postprocess(u3d_training *t);
bool u3d_training_chooses(const u3d_training *t); /* by predicting the volumes set aside */

/* ---- train_validate.c ---- */
/* Case i, held out, until u3d_cases_release: the image as training sees it, and the labels as they were
 * painted, on the files' own grid. */
u3d_status u3d_training_acquire_held(u3d_training *t, int i, const u3d_volume **image,
                                     const u3d_volume **reference);
/* Tiles of a same-padded network overlap by half in prediction and in the report. */
#define U3D_REPORT_STEP 0.5
/* Predicts held-out data with the averaged weights; sets t->scores and state.val_*. */
u3d_status u3d_training_validate(u3d_training *t);
/* Predicts the fold's validation cases, once, at the end; means over them, NaN if there are none. */
u3d_status u3d_training_report(u3d_training *t, double *dice, double *iou);
/* Tiles to predict: in a validation on the first n volumes set aside, in choosing post-processing by them, and
 * in the report (estimated from the median size). */
int64_t u3d_training_validation_tiles(const u3d_training *t, int n);
int64_t u3d_training_choice_tiles(const u3d_training *t, int n);
int64_t u3d_training_report_tiles(const u3d_training *t);

#endif
