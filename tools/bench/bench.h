/* u3d bench inside: what a pass measures, and how it is told. Shared by cmd_bench.c (which passes), bench_pass.c (one
 * pass, in a process of its own) and bench_report.c (text and JSON). */
#ifndef U3D_TOOLS_BENCH_H
#define U3D_TOOLS_BENCH_H

#include "engine/graph/graph.h"
#include "engine/rewrite/recompute.h"
#include "net/config/config.h"
#include "net/model/footprint.h"
#include "tools/cli/args.h"

enum { BENCH_MAX_REPEAT = 100, BENCH_MAX_ROWS = 1024, BENCH_MAX_STEPS = 16 };

typedef enum bench_kind { /* what time goes into */
    BENCH_CONV,
    BENCH_CONV_DX,
    BENCH_CONV_DW,
    BENCH_UPCONV,
    BENCH_NORM,
    BENCH_POOL,
    BENCH_JOIN,
    BENCH_LOSS,
    BENCH_OPTIMIZER,
    BENCH_OTHER, /* feeding, fetching, and what lies between nodes */
    BENCH_KINDS
} bench_kind;

typedef struct bench_row { /* one node, best of the timed runs */
    char name[U3D_NAME_CAP], impl[32];
    double seconds, flops;
} bench_row;

typedef enum pass_kind { PASS_PEAK, PASS_INFER, PASS_TRAIN } pass_kind;

typedef struct figures { /* what the process of a pass sends */
    u3d_status status;
    char text[512], device[128];
    u3d_config config; /* of PASS_PEAK, which makes it: with its size; the others are given it */
    int32_t threads;
    double peak_gflops, peak_gbytes_s;
    double best, median, gflop;
    double kind_s[BENCH_KINDS]; /* of the fastest run: they add up to `best` */
    uint64_t peak_bytes;        /* measured */
    u3d_footprint planned;
    u3d_recomputed again;
    int64_t parameters;
    int32_t n_rows;
    bench_row rows[BENCH_MAX_ROWS];
} figures;

/* ---- bench_pass.c ---- */
/* Run one pass in a child; its failure becomes ours. `c` is the network (PASS_PEAK: ignored), threads 0: as the options
 * say. */
u3d_status bench_pass(const args *a, pass_kind kind, const u3d_config *c, int32_t threads, figures *f);

/* ---- bench_report.c ---- */
typedef struct bench_step { /* of --scaling: threads or input size differ, all else is equal */
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
