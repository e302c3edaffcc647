/* The types and functions that the files of net/train/ share. Each file calls only files above it in this
 * list:
 *
 *   train_state.c        what follows from state and options: elapsed time, workers, memory limit, optimizer
 *   train_pace.c         turns a time budget into a number of iterations; when to validate, save and stop
 *   train_pseudo.c       predicts training cases, to learn from what nobody labelled
 *   train_folder.c       the RUN folder: its lock, and what happens to a run that is in it
 *   train_content.c      hashes of the training files, to notice changes when a run is resumed
 *   train_run.c          its files, checkpoints, the written model
 *   train_memory.c       plans the peak memory before the start, and says what would fit if it is too much
 *   train_validate.c     Dice and IoU of held-out data and of the reported cases
 *   train_postprocess.c  decides what keeps only its largest component
 *   train_hold.c         which cases are trained on, and what is held out
 *   train_speed.c        measures how fast this machine trains a network
 *   train_plan.c         what several trainings on parts of the same data share
 *   train_setup.c        makes cases, settings, graphs, memory and feeder, each after what it depends on
 *   train.c              the loop, and the way from options to a written model */
#ifndef U3D_NET_TRAIN_IMPL_H
#define U3D_NET_TRAIN_IMPL_H

#include "engine/run/exec.h"
#include "engine/run/optim.h"
#include "io/csvlog.h"
#include "io/json.h"
#include "io/lock.h"
#include "net/sample/feeder.h"
#include "net/model/model.h"
#include "net/predict/predict.h"
#include "net/predict/progress.h"
#include "net/train/train.h"
#include "net/train/train_pace.h"
#include "net/model/unet3d.h"

/* The overlap of each class with its reference, as the mean over volumes; NaN if no volume has the class. */
typedef struct u3d_scores {
    double dice[U3D_MAX_LABELS], iou[U3D_MAX_LABELS];
    double mean_dice, mean_iou; /* over the classes that are scored: all except the background */
} u3d_scores;

/* What a checkpoint stores in addition to tensors and settings. */
typedef struct u3d_training_state {
    int64_t iteration; /* iterations done                                                    */
    int64_t total;     /* iterations of the whole run; 0 until a time budget has fixed it    */
    uint64_t seed;
    double elapsed_s;         /* of earlier sessions of this run                                    */
    double budget_s;          /* --time; 0: no limit                                                */
    int64_t validate_every;   /* as given: 0 default, < 0 never                                     */
    int64_t held_volumes;     /* volumes that are held out                                          */
    double held_slices;       /* share of the slices of a single volume that is held out            */
    double loss;              /* of the last iteration                                              */
    double val_dice, val_iou; /* of the last validation; NaN if there was none                      */
    int64_t pseudo_done;      /* predictions made for pseudo-labels so far                          */
    int64_t pseudo_made;      /* those that became pseudo-labels                                    */
    int64_t pseudo_next;      /* iteration before which no further one is made                      */
    bool pseudo_pending;      /* a prediction was interrupted: a resumed run begins with it        */
    int64_t n_choose;         /* volumes to be predicted to choose post-processing; -1: not yet fixed */
    int64_t pseudo_from;      /* sample from which on the last one is learned from                  */
} u3d_training_state;

typedef struct u3d_training {
    u3d_backend *backend;
    const u3d_train_opts *o;
    u3d_model model; /* settings, labels, facts, intensity                             */
    u3d_training_state state;
    u3d_pace pace;

    u3d_checkpoint *resumed; /* checkpoint of the resumed run, until its tensors are on the device */
    u3d_lock *lock;
    char *moved_to;          /* folder of the earlier run, if there was one */
    bool made_folder, begun; /* this run made the folder; it has begun to write into it */
    bool holds;              /* a request to stop is left to the loop */
    cJSON *content;          /* hashes of the training files, see train_content.c */
    u3d_csvlog *log;
    double *row; /* one line of log.csv                                            */
    int n_row;

    int failed_case;             /* of opening, see u3d_cases_opts */
    int *which, n_which, n_held; /* indices into o->data; the last n_held are held out for validation */
    double volume_s; /* seconds to read, normalise and resample one volume; measured by open_cases */
    u3d_cases *cases;
    u3d_volume *held_slices; /* u8 classes of the held-out slices of the only volume, or NULL  */
    u3d_volume **held_own;   /* [n_held] u8 classes on the grid of the label file; NULL if not resampled */

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
    uint64_t trial_bytes; /* of measuring the speed, before the run; 0: not measured             */
    uint64_t peak_planned, device_planned; /* bytes; device_planned: 0 if the device uses host memory */

    u3d_progress progress;
    double smooth_loss;
    int skipped_in_row; /* latest steps in a row whose gradient was not finite            */
    u3d_scores scores;  /* of the last validation                                         */
    double untouched;   /* share of foreground that no annotation touches; NaN: unknown   */
} u3d_training;

/* ---- train_state.c ---- */
/* Seconds since the run began, including the earlier sessions of a resumed run. */
double u3d_training_elapsed(const u3d_training *t);
/* A value of --time that leaves some time for training, after spent_s seconds of preparation: "90s", "5m". */
const char *u3d_train_time_to_give(double spent_s, char buf[32]);
uint64_t u3d_training_memory_cap(const u3d_training *t); /* bytes */
int u3d_training_workers(const u3d_training *t);         /* threads that prepare batches */
/* Batches that may be ready or under way at most, with any number of workers. */
extern const int64_t u3d_training_most_ahead;
u3d_feeder_opts u3d_training_feeder_opts(const u3d_training *t);
/* How many tiles predict a volume of this size; 0: it cannot be tiled. */
int64_t u3d_training_tiles(const u3d_training *t, const int64_t size[3], double step);
/* How many volumes may be predicted to choose the post-processing, and the case number of the j-th of them:
 * volumes set aside, or training volumes. */
int u3d_training_n_choose(const u3d_training *t);
int u3d_training_chosen(const u3d_training *t, int j);
/* Makes the optimizer for state.total iterations, or makes it again with the same moments and step count.
 * While the total is unknown, the learning rate warms up and is then constant. */
u3d_status u3d_training_set_schedule(u3d_training *t);

/* ---- train_hold.c ---- */
/* Sets t->which to all training cases of the options. */
u3d_status u3d_training_choose_cases(u3d_training *t);
/* Called when the cases are open: drops those without labels and holds data out. t->which then lists the
 * cases that are left, those held out last. */
u3d_status u3d_training_hold_out(u3d_training *t);

/* ---- train_setup.c ---- */
u3d_status u3d_training_open(u3d_training *t);
/* Opens the cases and completes the settings, as at the beginning of u3d_training_open, without a RUN folder.
 */
u3d_status u3d_training_open_settings(u3d_training *t);
void u3d_training_close(u3d_training *t);

/* ---- train_plan.c ---- */
/* Takes settings, label table and statistics from o->plan. */
u3d_status u3d_training_take_plan(u3d_training *t);

/* ---- train_speed.c ---- */
/* FLOP/s of training with these settings, counted as by u3d_graph_flops. cap: bytes that the trial may take,
 * 0: no limit; *bytes: those that it took, and gave back. most_s: an iteration that takes longer is not
 * repeated. */
u3d_status u3d_training_speed(const u3d_config *c, u3d_backend *b, uint64_t cap, double most_s, double *flops,
                              uint64_t *bytes);

/* ---- train_memory.c ---- */
/* Bytes of the volumes that are kept in memory and of those that are being read. */
uint64_t u3d_training_volumes_bytes(const u3d_training *t);
/* Plans both graphs, adds up the peak memory and logs it. Returns U3D_E_NOMEM if the peak exceeds the limit;
 * the message then says what would fit. */
u3d_status u3d_training_plan(u3d_training *t);

/* ---- train_folder.c ---- */
u3d_status u3d_run_path(const u3d_training *t, const char *name, char **path);
/* Makes and locks the folder; refuses one with content unless it is to be resumed or overwritten. */
u3d_status u3d_run_lock(u3d_training *t);
/* Everything was checked: moves the earlier run to RUN.old. From here on a request to stop is left to the
 * loop, which writes a checkpoint. */
u3d_status u3d_run_begin(u3d_training *t);
/* The last checkpoint is written: from here on a request to stop ends the program as usual. */
void u3d_run_let_go(u3d_training *t);
/* Removes the files of this run, which turned out to be impossible, and moves the earlier run back. */
u3d_status u3d_run_undo(u3d_training *t);
void u3d_run_unlock(u3d_training *t); /* also removes a folder that was made for a run that did not begin */

/* ---- train_content.c ---- */
u3d_status u3d_training_note_contents(u3d_training *t); /* hashes the training files */
/* Compares them with what a checkpoint noted; NULL is allowed. U3D_E_ARG: the message names the files that
 * changed. */
u3d_status u3d_training_check_contents(const u3d_training *t, const cJSON *then);
bool u3d_training_is_pair(const u3d_training *t); /* trains on one image and its label, not on a data set */

/* ---- train_run.c ---- */
/* Locks the folder and loads the checkpoint of a resumed run. */
u3d_status u3d_run_open(u3d_training *t);
u3d_status u3d_run_check_cases(const u3d_training *t); /* U3D_E_ARG: not the cases of the resumed run */
u3d_status u3d_run_check_contents(const u3d_training *t); /* U3D_E_ARG: their files have changed */
u3d_status u3d_run_open_log(u3d_training *t);
u3d_status u3d_run_write_config(const u3d_training *t);
u3d_status u3d_run_checkpoint(u3d_training *t);
u3d_status u3d_run_restore(u3d_training *t); /* copies the tensors of `resumed` to the device and frees it */
/* Writes the averaged weights, then reads the file back and checks it. */
u3d_status u3d_run_write_model(u3d_training *t, char fingerprint[24]);

/* ---- train_postprocess.c ---- */
/* Called after training: sets model.keep_largest by the setting or by predicting the held-out volumes. */
u3d_status u3d_training_postprocess(u3d_training *t);

/* ---- train_pseudo.c ---- */
/* Time that predictions for pseudo-labels take, as a share of the time of the iterations. */
#define U3D_PSEUDO_SHARE 0.12
/* Share of a class's annotated voxels that lie in one component if the class is a single object. */
#define U3D_ONE_OBJECT 0.95
/* Whether a training case is to be predicted after this iteration. */
bool u3d_training_pseudo_due(const u3d_training *t, int64_t iteration);
/* Predicts the case whose turn it is. */
u3d_status u3d_training_pseudo_label(u3d_training *t);
uint64_t u3d_training_pseudo_bytes(const u3d_training *t); /* of all pseudo-labels in memory */
/* Add them to a checkpoint as tensors, and take them from the checkpoint of a resumed run. */
u3d_status u3d_training_pseudo_save(u3d_training *t, u3d_checkpoint *c);
u3d_status u3d_training_pseudo_restore(u3d_training *t);

/* ---- train_validate.c ---- */
/* Gives the held-out case i, which is valid until u3d_cases_release: the image as training sees it, and the
 * labels as they were painted, on the grid of the label file. */
u3d_status u3d_training_acquire_held(u3d_training *t, int i, const u3d_volume **image,
                                     const u3d_volume **reference);
/* In prediction and in the report, the tiles of a same-padded network overlap by half. */
#define U3D_REPORT_STEP 0.5
/* Predicts held-out data with the averaged weights; sets t->scores and state.val_*. */
u3d_status u3d_training_validate(u3d_training *t);
/* Predicts the validation cases of the fold once, at the end, and gives the means over them; NaN if there are
 * none. */
u3d_status u3d_training_report(u3d_training *t, double *dice, double *iou);
/* How many tiles are predicted: in a validation on the first n held-out volumes, in the choice of
 * post-processing on the first n volumes of it, and in the report (estimated from the median size). */
int64_t u3d_training_validation_tiles(const u3d_training *t, int n);
int64_t u3d_training_choice_tiles(const u3d_training *t, int n);
int64_t u3d_training_report_tiles(const u3d_training *t);

#endif
