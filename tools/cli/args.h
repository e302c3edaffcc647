/* The command line: one struct for all options, one popt table per command. */
#ifndef U3D_TOOLS_ARGS_H
#define U3D_TOOLS_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/plan/backend.h"

/* Options as written, NULL where absent; flags 0 or 1. Commands read the fields of their own table. */
typedef struct args {
    /* global */
    char *backend, *device, *threads, *seed, *memory, **set;
    int json, force, quiet, verbose;
    /* data */
    char *data, *image, *label, *split, *fold, *unlabeled;
    int dense;
    /* train */
    char *out, *net, *iterations, *time, *validate_every;
    int resume;
    /* predict, evaluate */
    char *model, *input, *output, *step, *prediction, *reference;
    char *tolerance, *csv, *picture, *background;
    int probabilities, tta, no_surface;
    /* info, bench, devices, verify */
    char *batch, *plan, *dot, *repeat;
    int ops, env, scaling, full;
    /* sparsify, phantom, augment */
    char *slices, *count, *size, *merge, *rest_output, *copy, *missing;
    /* crossval, report */
    char *folds, *title, *chart, *caption;
    /* the rest of the line */
    const char **rest; /* NULL-terminated */
    int n_rest;

    double started;           /* u3d_clock() at the start of main                 */
    volatile int *stop;       /* set by SIGINT and SIGTERM                        */
    bool terminal;            /* stderr is one                                    */
    bool no_report;           /* train: crossval scores the fold itself           */
} args;

typedef struct command {
    const char *name, *summary, *usage;
    u3d_status (*run)(const args *a);
    struct poptOption *options; /* may be NULL */
    const char *rest;           /* what may stand behind the options; NULL: nothing */
} command;

extern const char u3d_version[];  /* "0.1.0 (commit)", written when the program is built */
extern const command commands[]; /* ends with a NULL name */

/* Parse the whole line: finds the command, fills `a`. *which NULL and U3D_OK: --help or --version was served. */
u3d_status args_parse(int argc, const char **argv, args *a, const command **which);
void args_done(args *a);

/* "--fold" "3" -> number within [lo, hi]; the sentence names the option. */
u3d_status args_int(const char *option, const char *text, int64_t lo, int64_t hi, int64_t *out);
u3d_status args_real(const char *option, const char *text, double lo, double hi, double *out);
u3d_status args_bytes(const char *option, const char *text, uint64_t *out); /* 8G, 500M, 1.5G: powers of ten */
u3d_status args_seconds(const char *option, const char *text, double *out); /* 90s, 30m, 1h30m */
u3d_status args_need(const char *command_name, const char *option, const char *value);

/* --backend, --device, --threads. */
u3d_status args_open_backend(const args *a, u3d_backend **out);
/* --threads, else U3D_THREADS, else all processors: for work outside of a backend. */
u3d_status args_threads(const args *a, int *threads);
u3d_status args_memory(const args *a, uint64_t *bytes); /* 0: not given */
int args_set_count(const args *a);

/* Refuse to overwrite without --force. */
u3d_status args_free_output(const args *a, const char *path);

u3d_status cmd_train(const args *a);
u3d_status cmd_predict(const args *a);
u3d_status cmd_evaluate(const args *a);
u3d_status cmd_crossval(const args *a);
u3d_status cmd_report(const args *a);
u3d_status cmd_info(const args *a);
u3d_status cmd_devices(const args *a);
u3d_status cmd_bench(const args *a);
u3d_status cmd_tune(const args *a);
u3d_status cmd_verify(const args *a);
u3d_status cmd_sparsify(const args *a);
u3d_status cmd_phantom(const args *a);
u3d_status cmd_picture(const args *a);
u3d_status cmd_augment(const args *a);

#endif
