/* The types that the parts of `u3d bench` share: tools/commands/cmd_bench.c decides which passes run,
 * bench_pass.c runs one pass in a process of its own, and bench_report.c prints the figures as text or
 * JSON. */
#ifndef U3D_TOOLS_BENCH_H
#define U3D_TOOLS_BENCH_H

#include "engine/graph/graph.h"
#include "engine/rewrite/recompute.h"
#include "net/config/config.h"
#include "net/model/footprint.h"
#include "tools/cli/args.h"

enum { BENCH_MAX_REPEAT = 100, BENCH_MAX_ROWS = 1024, BENCH_MAX_STEPS = 16 };

typedef enum bench_kind { /* kinds of work among which the time is divided */
    BENCH_CONV,
    BENCH_CONV_DX,
    BENCH_CONV_DW,
    BENCH_UPCONV,
    BENCH_NORM,
    BENCH_POOL,
    BENCH_JOIN,
    BENCH_LOSS,
    BENCH_OPTIMIZER,
    BENCH_OTHER, /* feeding, fetching, and the time between nodes */
    BENCH_KINDS
} bench_kind;

typedef struct bench_row { /* one node; its best time of the timed runs */
    char name[U3D_NAME_CAP], impl[32];
    double seconds, flops;
} bench_row;

typedef enum pass_kind { PASS_PEAK, PASS_INFER, PASS_TRAIN } pass_kind;

typedef struct figures { /* what the process of a pass sends to its parent */
    u3d_status status;
    char text[512], device[128];
    u3d_config config; /* set by PASS_PEAK, with the input size, and given to the other passes */
    int32_t threads;
    double peak_gflops, peak_gbytes_s;
    double best, median, gflop; /* best, median: seconds */
    double kind_s[BENCH_KINDS]; /* seconds per kind in the fastest run; they add up to `best` */
    uint64_t peak_bytes;        /* measured */
    u3d_footprint planned;
    u3d_recomputed again;
    int64_t parameters;
    int32_t n_rows;
    bench_row rows[BENCH_MAX_ROWS];
} figures;

/* ---- bench_pass.c ---- */
/* Runs one pass in a child process and returns its status. `c` is the network; PASS_PEAK ignores it.
 * `threads` 0 means the number of the options. */
u3d_status bench_pass(const args *a, pass_kind kind, const u3d_config *c, int32_t threads, figures *f);

/* ---- bench_report.c ---- */
typedef struct bench_step { /* one measurement of --scaling, with another number of threads or input size */
    int64_t in[3];
    int32_t threads;
    double infer_s, train_s, infer_gflop, train_gflop;
    uint64_t infer_bytes, train_bytes;
} bench_step;

typedef struct bench_results {
    const figures *peak, *infer, *train;
    bench_step threads[BENCH_MAX_STEPS], sizes[BENCH_MAX_STEPS]; /* empty without --scaling */
    int n_threads, n_sizes;
} bench_results;

void bench_print(const args *a, const bench_results *r);
u3d_status bench_print_json(const args *a, const bench_results *r);

#endif
