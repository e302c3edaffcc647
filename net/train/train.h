/* Trains a model, from cases to the RUN folder with the written model. The command `u3d train` reads its
 * options and calls u3d_train. net/README.md lists the stations that each batch passes through. */
#ifndef U3D_NET_TRAIN_H
#define U3D_NET_TRAIN_H

#include <cjson/cJSON.h>

#include "engine/plan/backend.h"
#include "io/dataset.h"
#include "net/config/config.h"

typedef struct u3d_train_opts {
    const char *out; /* RUN folder                                              */
    bool resume, force, accept_changes; /* accept_changes: resume although training files have changed */
    const u3d_dataset *data;
    const int *train, *report; /* case indices; report: the validation cases of the fold, which are scored
                                  once at the end and never used to select anything */
    int n_train, n_report;
    const cJSON *plan;      /* from u3d_train_plan, instead of `net` and `set`; NULL: there is none */
    const char *net;        /* a preset, a settings file or "auto"; NULL: "auto"       */
    const char *const *set; /* "key=value", n_set of them, applied after the preset    */
    int n_set;
    bool unlabeled_given, background_given, dense, resample_labels; /* as in u3d_cases_opts */
    int32_t unlabeled, background;                                  /* label values         */
    int64_t iterations;     /* 0: from settings or time                                */
    double time_s;          /* 0: no time limit                                        */
    double started;         /* u3d_clock() when the program started                    */
    double checkpoint_s;    /* between checkpoints; 0: ten minutes                     */
    int64_t validate_every; /* iterations; 0: about ten times per run; < 0: never, and nothing is held out */
    /* --validate: the share of the volumes that is held out, or of the annotated slices if there is a single
     * volume; 0: nothing. Without it, at most a tenth of ten or more volumes and nothing of fewer; if
     * validate_every > 0, about a tenth of five or more volumes, or of the slices of a single volume. */
    bool validate_given, validate_slices; /* validate_slices: there must be a single volume */
    double validate;
    uint64_t seed, memory_cap; /* memory_cap in bytes; 0: 90 % of the machine's memory    */
    bool bar;                  /* stderr is a terminal                                    */
    volatile int *stop;        /* set by a signal handler: write a checkpoint and return U3D_E_CANCELLED */
    const char *split;         /* the file that `train` and `report` come from, or NULL: noted for --resume */
    const char *command_json;  /* where the data come from, as a JSON object; it is stored in config.json
                                  under "source", so that --resume needs no other options */
} u3d_train_opts;

typedef struct u3d_train_result {
    int64_t iterations, parameters;
    double seconds, waited, loss;   /* waited: seconds of waiting for patches since this call began. A device
                                       with its own memory computes during that time. */
    bool held_out;                  /* data were held out for validation                         */
    bool sparse;                    /* labels are sparse: scores are those of annotated voxels   */
    double val_dice, val_iou;       /* last validation; NaN if there was none                    */
    double untouched;               /* share of predicted foreground in components that no annotation touches,
                                       of sparse labels and classes that are single objects; NaN: unknown */
    double report_dice, report_iou; /* means over the cases in `report`; NaN if there are none   */
    uint64_t peak_planned, peak_resident; /* bytes of host memory                                */
    uint64_t device_planned, device_peak; /* bytes of a device's own memory; 0 if it has none    */
    char fingerprint[24];
} u3d_train_result;

/* Plans what several trainings on parts of these cases must share, so that their models can be averaged: the
 * settings, including network, patch and voxel spacing, the label table, and the statistics of intensities.
 * o->train lists all cases; nothing is trained or written, and o->out is not used. The plan also lists under
 * "left_out" the ids of the cases without any labelled voxel. Cases that cannot be read or used do not count
 * and are not listed. The caller owns *out. */
u3d_status u3d_train_plan(u3d_backend *b, const u3d_train_opts *o, cJSON **out);

/* Options of the optimizer for a run of `total` iterations. If total is 0, the number is not known yet, and
 * the schedule does not depend on it. */
u3d_optim_opts u3d_train_optim_opts(const u3d_config *c, int64_t total);
/* The parameter blocks that this optimizer needs, as bits for u3d_params_new. */
uint32_t u3d_train_blocks(const u3d_config *c);

/* Trains and writes the model. Errors: U3D_E_CANCELLED after a request to stop (a checkpoint was written),
 * U3D_E_NOMEM if the planned peak exceeds the limit, U3D_E_NUMERIC if the gradient is not finite in many
 * iterations in a row. */
u3d_status u3d_train(u3d_backend *b, const u3d_train_opts *o, u3d_train_result *out);

#endif
