/* The command line as commands see it: one struct for all options, and functions that give their values. */
#ifndef U3D_TOOLS_ARGS_H
#define U3D_TOOLS_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/plan/backend.h"

/* Options as written, NULL if absent; flags are 0 or 1. A command reads the members that its options have in
 * the tables (command.h); all others stay NULL or 0. */
typedef struct args {
    /* every command */
    char *backend, *device, *threads, *seed, *memory, **set, *help;
    int json, force, quiet, verbose, version;
    /* data */
    char *data, *image, *label, *split, *fold, *unlabeled, *names;
    int dense, resample_labels;
    /* train */
    char *out, *net, *iterations, *time, *validate_every, *validate;
    char *checkpoint_every;
    int resume, accept_changes;
    /* predict, evaluate */
    char *model, *input, *output, *step, *prediction, *reference;
    char *tolerance, *csv, *picture, *background;
    int probabilities, tta, no_surface, skip_existing, keep_background;
    /* info, bench, devices, verify */
    char *batch, *plan, *dot, *repeat;
    int ops, env, scaling, full;
    /* sparsify, phantom, augment */
    char *slices, *count, *size, *merge, *rest_output, *copy, *missing, *scribbles, *cubes;
    /* crossval, report */
    char *folds, *title, *chart, *caption;
    /* words after the options */
    char **rest; /* NULL-terminated */
    int n_rest;

    double started;     /* u3d_clock() at the start of main                 */
    volatile int *stop; /* set by SIGINT, SIGTERM and SIGHUP                */
    bool terminal;      /* whether stderr is a terminal                     */
    bool no_report;     /* crossval scores the fold and says how to continue; train and predict do not */
    const char *plan_file; /* train: the plan that crossval has made for all folds; NULL: there is none */
} args;

extern const char u3d_version[]; /* "0.1.0 (commit)", written when the program is built */

/* Values of options: the error sentence names the option. "--fold" "3" -> a number within [lo, hi]. */
u3d_status args_int(const char *option, const char *text, int64_t lo, int64_t hi, int64_t *out);
u3d_status args_real(const char *option, const char *text, double lo, double hi, double *out);
u3d_status args_bytes(const char *option, const char *text, uint64_t *out); /* 8G, 1.5G, 500M: G = 10^9 */
u3d_status args_seconds(const char *option, const char *text, double *out); /* 90s, 30m, 1h30m */
/* U3D_E_ARG if `value` is NULL: "u3d train: --out RUN is missing". */
u3d_status args_need(const char *command_name, const char *option, const char *value);

/* Opens the backend that --backend, --device and --threads describe. */
u3d_status args_open_backend(const args *a, u3d_backend **out);
/* The number of threads for work outside of a backend: --threads, otherwise U3D_THREADS, otherwise all
 * processors. */
u3d_status args_threads(const args *a, int *threads);
u3d_status args_memory(const args *a, uint64_t *bytes); /* 0 if not given */
int args_set_count(const args *a);

#endif
