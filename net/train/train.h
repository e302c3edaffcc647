/* Training: the loop of design section 14. */
#ifndef U3D_NET_TRAIN_H
#define U3D_NET_TRAIN_H

#include "engine/plan/backend.h"
#include "io/dataset.h"
#include "net/config/config.h"

typedef struct u3d_train_opts {
    const char *out; /* RUN folder                                              */
    bool resume, force;
    const u3d_dataset *data;
    const int *train, *report; /* case indices; report: the fold's validation cases, reported once at the end,
                                  never selected on */
    int n_train, n_report;
    const char *net;        /* preset or file; "auto"                                  */
    const char *const *set; /* "key=value", n_set of them, after the preset            */
    int n_set;
    bool unlabeled_given, dense;
    int32_t unlabeled;
    int64_t iterations;     /* 0: from settings or time                                */
    double time_s;          /* 0: none                                                 */
    double started;         /* u3d_clock() when the program started                    */
    int64_t validate_every; /* 0: default (about ten times a run); < 0: nothing is held out, no validation */
    uint64_t seed, memory_cap; /* memory_cap 0: 90 % of the machine's                     */
    bool bar;                  /* stderr is a terminal                                    */
    volatile int *stop;        /* set by a signal handler: write a checkpoint and return U3D_E_CANCELLED */
    const char *command_json;  /* data source: JSON object, stored in config.json under "source" so that
                                  --resume needs nothing else */
} u3d_train_opts;

typedef struct u3d_train_result {
    int64_t iterations, parameters;
    double seconds, waited, loss;   /* waited: for patches, since the start or the
                                     resumption; a device of its own computes meanwhile */
    double val_dice, val_iou;       /* last validation; NaN if none                              */
    double report_dice, report_iou; /* means over the cases in `report`; NaN if none         */
    uint64_t peak_planned, peak_resident;
    uint64_t device_planned, device_peak; /* of a device with memory of its own; else 0 */
    char fingerprint[24];
} u3d_train_result;

/* Optimizer of a run of `total` iterations (0: not known yet, so that nothing depends on it), and the
 * parameter blocks that it needs, as bits for u3d_params_new. */
u3d_optim_opts u3d_train_optim_opts(const u3d_config *c, int64_t total);
uint32_t u3d_train_blocks(const u3d_config *c);

u3d_status u3d_train(u3d_backend *b, const u3d_train_opts *o, u3d_train_result *out);

#endif
