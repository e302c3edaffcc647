/* Parsing of the command line through popt: global options stand before or after the command, so the
 * command's word is found first and its table is then parsed together with the global one. */
#include "tools/cli/args.h"

#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends.h"
#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/thread.h"
#include "io/path.h"
#include "net/config/config.h"

static args line; /* popt writes into fixed places */
static int show_help, show_version;

/* clang-format off: tables, a line each */
static struct poptOption global_options[] = {
    {"backend", 0, POPT_ARG_STRING, &line.backend, 0, "where to compute: auto (default), cpu, opencl",
     "NAME"},
    {"device", 0, POPT_ARG_STRING, &line.device, 0, "device by number or part of its name", "N|NAME"},
    {"threads", 0, POPT_ARG_STRING, &line.threads, 0, "CPU threads (default: all cores)", "N"},
    {"seed", 0, POPT_ARG_STRING, &line.seed, 0, "seed of all random numbers (default 1)", "N"},
    {"memory", 0, POPT_ARG_STRING, &line.memory, 0, "limit for everything held in memory (G = 10^9 bytes)",
     "8G"},
    {"set", 0, POPT_ARG_ARGV, &line.set, 0, "one setting, may be repeated; see `u3d info --help`",
     "KEY=VALUE"},
    {"json", 0, POPT_ARG_NONE, &line.json, 0, "results as one JSON object on stdout", NULL},
    {"force", 0, POPT_ARG_NONE, &line.force, 0, "overwrite existing outputs", NULL},
    {"quiet", 'q', POPT_ARG_NONE, &line.quiet, 0, "only warnings and errors on stderr", NULL},
    {"verbose", 'v', POPT_ARG_NONE, &line.verbose, 0, "more on stderr", NULL},
    {"version", 0, POPT_ARG_NONE, &show_version, 0, "print version and commit", NULL},
    {"help", 'h', POPT_ARG_NONE, &show_help, 0, "print this help", NULL},
    POPT_TABLEEND};

#define STRING(name, help, what)                                                                             \
    {                                                                                                        \
#name, 0, POPT_ARG_STRING, &line.name, 0, help, what                                                 \
    }
#define OPTION(text, field, help, what)                                                                      \
    {                                                                                                        \
        text, 0, POPT_ARG_STRING, &line.field, 0, help, what                                                 \
    }
#define FLAG(name, help)                                                                                     \
    {                                                                                                        \
#name, 0, POPT_ARG_NONE, &line.name, 0, help, NULL                                                   \
    }

#define OPTION_FLAG(text, field, help)                                                                       \
    {                                                                                                        \
        text, 0, POPT_ARG_NONE, &line.field, 0, help, NULL                                                   \
    }

static struct poptOption train_options[] = {
    STRING(data, "folder: Decathlon, nnU-Net v2 raw, or images/ + labels/", "DIR"),
    STRING(image, "one image (with --label)", "FILE"),
    STRING(label, "its labels", "FILE"),
    STRING(out, "folder of the run: model, checkpoint, log", "RUN"),
    STRING(net, "paper, paper-bn, paper2d, auto (default), or a JSON file of settings", "NAME|FILE"),
    STRING(split, "nnU-Net's splits_final.json: train on a fold's training cases", "FILE"),
    STRING(fold, "which fold of --split, from 0", "K"),
    STRING(unlabeled, "label value of voxels that nobody annotated", "V"),
    FLAG(dense, "every voxel of the labels is annotated"),
    STRING(iterations, "train for so many iterations", "N"),
    STRING(time, "train for so long, from start to written model: 30m, 2h", "TIME"),
    OPTION("validate-every", validate_every,
           "iterations between validations (default: about ten in a run); 0: none, nothing is set aside",
           "N"),
    FLAG(resume, "continue the run in --out; needs nothing else"),
    POPT_TABLEEND};

static struct poptOption predict_options[] = {
    STRING(model, "a run or a .safetensors file; more models behind the options are averaged", "RUN|FILE"),
    STRING(input, "a volume, or a folder of volumes", "FILE|DIR"),
    STRING(data, "instead of --input: a data set", "DIR"),
    STRING(split, "with --data and --fold: only the fold's validation cases", "FILE"),
    STRING(fold, "which fold of --split, from 0", "K"),
    STRING(output, "label file, or folder for CASE.nii.gz", "FILE|DIR"),
    FLAG(probabilities, "also write CASE_probabilities.nii.gz (4D)"),
    FLAG(tta, "average over mirrored copies of each tile"),
    STRING(step, "step of overlapping tiles as a share of the patch (default 0.5; same-padded nets)", "S"),
    POPT_TABLEEND};

static struct poptOption evaluate_options[] = {
    STRING(prediction, "label file or folder", "FILE|DIR"),
    STRING(reference, "label file, folder of label files, or data set", "FILE|DIR"),
    STRING(unlabeled, "reference voxels of this value do not count", "V"),
    STRING(background, "label that the means leave out (default 0)", "V"),
    STRING(tolerance, "NSD: share of the surfaces that lie within so many mm (default 1; in the files' unit where it is another)",
           "MM"),
    OPTION_FLAG("no-surface", no_surface, "no HD95, ASSD, NSD: they cost about as much time as reading the files"),
    STRING(csv, "also write every measure of every case and label, and the means", "FILE"),
    STRING(picture, "also draw the worst and the median case (images come from the data set given as --reference)", "PNG"),
    STRING(image, "with --picture and one case: its image", "FILE"),
    POPT_TABLEEND};

static struct poptOption crossval_options[] = {
    STRING(data, "folder: Decathlon, nnU-Net v2 raw, or images/ + labels/", "DIR"),
    STRING(image, "one image (with --label): its annotated slices are dealt out to the folds", "FILE"),
    STRING(label, "its labels", "FILE"),
    STRING(out, "folder to make: a run, predictions and scores per fold; the same call goes on where it stopped", "DIR"),
    STRING(folds, "how many (default 5)", "K"),
    STRING(split, "instead of --folds: nnU-Net's splits_final.json", "FILE"),
    STRING(net, "paper, paper-bn, paper2d, auto (default), or a JSON file of settings", "NAME|FILE"),
    STRING(unlabeled, "label value of voxels that nobody annotated", "V"),
    FLAG(dense, "every voxel of the labels is annotated"),
    STRING(iterations, "train each fold for so many iterations", "N"),
    STRING(time, "train each fold for so long", "TIME"),
    OPTION("validate-every", validate_every, "as in train", "N"),
    FLAG(tta, "predict with mirrored copies of each tile"),
    STRING(reference, "with --data: score against these labels instead, as dense ones of what was trained on sparsely", "DIR"),
    STRING(background, "label that the means leave out (default 0)", "V"),
    POPT_TABLEEND};

static struct poptOption report_options[] = {
    STRING(out, "page to write", "PAGE.html"),
    STRING(title, "what stands at its top", "TEXT"),
    STRING(prediction, "scores and pictures of these label files (with --reference)", "FILE|DIR"),
    STRING(reference, "label file, folder of label files, or data set", "FILE|DIR"),
    STRING(unlabeled, "reference voxels of this value do not count", "V"),
    STRING(background, "label that the means leave out (default 0)", "V"),
    STRING(image, "of one case: its image", "FILE"),
    STRING(csv, "a table to show", "FILE"),
    STRING(chart, "column Y of a table over its column X, a line for each value of BY", "FILE:X,Y,BY"),
    STRING(picture, "a picture to show", "PNG"),
    STRING(caption, "what stands below it", "TEXT"),
    POPT_TABLEEND};

static struct poptOption info_options[] = {
    STRING(net, "paper, paper-bn, paper2d, auto, or a JSON file of settings", "NAME|FILE"),
    STRING(data, "data set that labels, channels and --net auto are taken from", "DIR"),
    STRING(unlabeled, "its label value of voxels that nobody annotated", "V"),
    FLAG(dense, "every voxel of its labels is annotated"),
    STRING(time, "training time that --net auto plans for: 30m, 2h", "TIME"),
    STRING(model, "instead of --net: a trained model", "RUN|FILE"),
    STRING(input, "input size, x by y by z", "132x132x116"),
    STRING(batch, "samples per iteration", "N"),
    STRING(plan, "memory plan of training or inference: every node's place, the peak, its owners", "train|infer"),
    STRING(dot, "write the graph for Graphviz", "FILE"),
    POPT_TABLEEND};

static struct poptOption devices_options[] = {FLAG(ops, "what each backend can compute, and how"),
                                              FLAG(env, "environment variables that u3d reads"),
                                              POPT_TABLEEND};

static struct poptOption bench_options[] = {
    STRING(net, "paper, paper-bn (default), paper2d, auto, or a JSON file of settings", "NAME|FILE"),
    STRING(data, "data set that labels, channels and --net auto are taken from", "DIR"),
    STRING(unlabeled, "its label value of voxels that nobody annotated", "V"),
    FLAG(dense, "every voxel of its labels is annotated"),
    STRING(input, "input size, x by y by z", "132x132x116"),
    STRING(batch, "samples per iteration", "N"),
    STRING(repeat, "timed repetitions (default 3)", "N"),
    FLAG(ops, "time, speed and implementation of every node"),
    FLAG(scaling, "also with 1, 2, 4 ... threads, and with smaller inputs"),
    POPT_TABLEEND};

static struct poptOption verify_options[] = {
    FLAG(full, "every case of the op table, every implementation, every way of asking"),
    STRING(net, "this network instead of three small ones: paper, paper-bn, paper2d, auto, or a JSON file of settings",
           "NAME|FILE"),
    STRING(data, "data set that labels, channels and --net auto are taken from", "DIR"),
    STRING(unlabeled, "its label value of voxels that nobody annotated", "V"),
    FLAG(dense, "every voxel of its labels is annotated"),
    STRING(input, "with --net: input size, x by y by z (default: the smallest)", "44x44x44"),
    STRING(batch, "with --net: samples per iteration", "N"),
    POPT_TABLEEND};

static struct poptOption tune_options[] = {
    STRING(time, "measure for about so long (default 3m)", "TIME"),
    POPT_TABLEEND};

static struct poptOption sparsify_options[] = {
    STRING(label, "dense labels", "FILE|DIR"),
    STRING(output, "where to write the sparse ones", "FILE|DIR"),
    STRING(slices, "slices to keep, across x, y and z; +NX,NY,NZ: those as well", "NX,NY,NZ"),
    STRING(unlabeled, "value of all other voxels (default 255)", "V"),
    OPTION("rest", rest_output, "also write the complement: what was left out, for scoring there",
           "FILE|DIR"),
    STRING(copy, "also write dense labels in which each voxel copies the nearest kept slice: a baseline", "FILE|DIR"),
    STRING(missing, "planes whose labels are wrong: the next is kept instead, and --rest leaves them out", "z=30-32"),
    STRING(merge, "first make classes 1, 2, ... of groups of values, 0 of all others", "37-38,77+79"),
    POPT_TABLEEND};

static struct poptOption phantom_options[] = {
    STRING(out, "folder to make", "DIR"), STRING(count, "number of volumes (default 4)", "N"),
    STRING(size, "size of each, x by y by z (default 64x64x48)", "64x64x48"),
    STRING(slices, "annotated slices across x, y and z (default 3,3,3)", "NX,NY,NZ"), POPT_TABLEEND};

static struct poptOption picture_options[] = {
    STRING(image, "the volume", "FILE"),
    STRING(label, "labels to lay over it; more behind the options, a column each", "FILE"),
    STRING(output, "picture to write", "PNG"),
    STRING(slices, "slices shown across x, y and z (default 1,1,1)", "NX,NY,NZ"),
    STRING(unlabeled, "value that stays uncoloured besides 0 (default 255)", "V"),
    POPT_TABLEEND};

static struct poptOption augment_options[] = {
    STRING(data, "folder: Decathlon, nnU-Net v2 raw, or images/ + labels/", "DIR"),
    STRING(image, "one image (with --label)", "FILE"),
    STRING(label, "its labels", "FILE"),
    STRING(out, "folder to make: patches, and augment.png", "DIR"),
    STRING(count, "number of patches (default 4)", "N"),
    STRING(net, "paper, paper-bn, paper2d, auto (default), or a JSON file of settings", "NAME|FILE"),
    STRING(split, "nnU-Net's splits_final.json: from a fold's training cases", "FILE"),
    STRING(fold, "which fold of --split, from 0", "K"),
    STRING(unlabeled, "label value of voxels that nobody annotated", "V"),
    FLAG(dense, "every voxel of the labels is annotated"),
    POPT_TABLEEND};

const command commands[] = {
    {"train", "learn a segmentation from annotated volumes",
     "--data DIR | --image FILE --label FILE  --out RUN [options]", cmd_train, train_options, NULL},
    {"predict", "segment volumes with a trained model",
     "--model RUN --input FILE|DIR --output FILE|DIR [options] [MODEL...]", cmd_predict, predict_options,
     "MODEL..."},
    {"evaluate", "score predictions against references",
     "--prediction FILE|DIR --reference FILE|DIR [options]", cmd_evaluate, evaluate_options, NULL},
    {"crossval", "train, predict and score fold by fold",
     "--data DIR | --image FILE --label FILE  --out DIR [options]", cmd_crossval, crossval_options, NULL},
    {"report", "put runs, scores and pictures on one HTML page", "--out PAGE.html [options] [RUN...]", cmd_report,
     report_options, "RUN..."},
    {"info", "describe a network, its memory, a model", "--net NAME|FILE | --model RUN [options]", cmd_info,
     info_options, NULL},
    {"devices", "list what can compute", "[options]", cmd_devices, devices_options, NULL},
    {"bench", "time a network", "[--net NAME] [options]", cmd_bench, bench_options, NULL},
    {"verify", "prove that a device computes the right thing", "[--full] [--net NAME] [options]", cmd_verify,
     verify_options, NULL},
    {"tune", "measure and keep settings for a GPU", "[--time TIME] [options]", cmd_tune, tune_options, NULL},
    {"sparsify", "keep a few slices of dense labels", "--label FILE|DIR --output FILE|DIR --slices NX,NY,NZ",
     cmd_sparsify, sparsify_options, NULL},
    {"phantom", "make synthetic labelled volumes", "--out DIR [options]", cmd_phantom, phantom_options, NULL},
    {"picture", "draw slices with labels side by side",
     "--image FILE --label FILE --output PNG [options] [LABEL...]", cmd_picture, picture_options, "LABEL..."},
    {"augment", "show what the network sees in training",
     "--data DIR | --image FILE --label FILE  --out DIR [options]", cmd_augment, augment_options, NULL},
    {NULL, NULL, NULL, NULL, NULL, NULL}};

/* clang-format on */

/* ---- help ---- */

static void print_options(const struct poptOption *table)
{
    for (; table && table->longName; table++) {
        char left[64];
        const bool flag = (table->argInfo & POPT_ARG_MASK) == POPT_ARG_NONE;
        snprintf(left, sizeof left, "--%s%s%s", table->longName, flag ? "" : "=",
                 flag ? "" : table->argDescrip);
        printf("  %-26s %s\n", left, table->descrip);
    }
}

static u3d_status print_help(const command *c)
{
    if (!c) {
        printf("usage: u3d COMMAND [options]\n\n3D U-Net segmentation of volumes, trained from a few "
               "annotated slices.\n\ncommands:\n");
        for (c = commands; c->name; c++) printf("  %-10s %s\n", c->name, c->summary);
        printf("\noptions of every command:\n");
        print_options(global_options);
        printf("\n`u3d COMMAND --help` tells a command's options.\n");
        return U3D_OK;
    }
    printf("usage: u3d %s %s\n\n%s\n\noptions:\n", c->name, c->usage, c->summary);
    print_options(c->options);
    printf("\noptions of every command:\n");
    print_options(global_options);
    if (c->run == cmd_info || c->run == cmd_train || c->run == cmd_augment) {
        printf("\nsettings (--set KEY=VALUE, or keys of a JSON file given to --net):\n");
        return u3d_config_print_help(stdout);
    }
    return U3D_OK;
}

/* ---- parsing ---- */

static const struct poptOption *option_find(const struct poptOption *table, const char *name, size_t length)
{
    for (; table && table->longName; table++)
        if (strlen(table->longName) == length && memcmp(table->longName, name, length) == 0) return table;
    return NULL;
}

/* Index of the command's word: the first that is neither an option nor a global option's separate value. */
static int command_index(int argc, const char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') return i;
        const char *name = argv[i] + (argv[i][1] == '-' ? 2 : 1);
        const struct poptOption *o = option_find(global_options, name, strlen(name));
        if (o && (o->argInfo & POPT_ARG_MASK) != POPT_ARG_NONE) i++;
    }
    return 0;
}

static const command *command_find(const char *name)
{
    for (const command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static u3d_status check_rest(const command *c)
{
    line.n_rest = 0;
    while (line.rest && line.rest[line.n_rest]) line.n_rest++;
    if (line.n_rest && (!c || !c->rest))
        return u3d_fail(U3D_E_ARG, "u3d%s%s: unexpected '%s'; see `u3d%s%s --help`", c ? " " : "",
                        c ? c->name : "", line.rest[0], c ? " " : "", c ? c->name : "");
    return U3D_OK;
}

static poptContext context;

u3d_status args_parse(int argc, const char **argv, args *a, const command **which)
{
    *which = NULL;
    const int at = command_index(argc, argv);
    const command *c = at ? command_find(argv[at]) : NULL;
    if (at && !c) return u3d_fail(U3D_E_ARG, "u3d: unknown command '%s'; `u3d --help` lists them", argv[at]);

    struct poptOption table[] = {
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, global_options, 0, "global", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, c && c->options ? c->options : global_options, 0, "command", NULL},
        POPT_TABLEEND};
    const char **words = u3d_new((size_t)argc + 1, sizeof *words);
    if (!words) return U3D_E_NOMEM;
    int n = 0;
    for (int i = 0; i < argc; i++)
        if (i == 0 || i != at) words[n++] = argv[i];
    context = poptGetContext("u3d", n, words, table, 0);
    const int code = poptGetNextOpt(context);
    u3d_status status = U3D_OK;
    if (code < -1)
        status = u3d_fail(U3D_E_ARG, "u3d%s%s: %s: %s; see `u3d%s%s --help`", c ? " " : "", c ? c->name : "",
                          poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(code), c ? " " : "",
                          c ? c->name : "");
    u3d_free(words);
    if (status != U3D_OK) return status;
    line.rest = poptGetArgs(context);
    U3D_TRY(check_rest(c));
    if (show_help) return print_help(c);
    if (show_version) {
        printf("u3d %s\n", u3d_version);
        return U3D_OK;
    }
    if (!c) return u3d_fail(U3D_E_ARG, "u3d: no command given; `u3d --help` lists them");
    *a = line;
    *which = c;
    return U3D_OK;
}

void args_done(args *a)
{
    char **strings[] = {&a->backend,        &a->device,    &a->threads, &a->seed,       &a->memory,
                        &a->data,           &a->image,     &a->label,   &a->split,      &a->fold,
                        &a->unlabeled,      &a->out,       &a->net,     &a->iterations, &a->time,
                        &a->validate_every, &a->model,     &a->input,   &a->output,     &a->step,
                        &a->prediction,     &a->reference, &a->batch,   &a->plan,       &a->dot,
                        &a->repeat,         &a->slices,    &a->count,   &a->size,       &a->merge,
                        &a->rest_output,    &a->tolerance, &a->csv,     &a->picture,
                        &a->folds,      &a->title,     &a->copy,    &a->chart,
                        &a->caption,    &a->background, &a->missing};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        free(*strings[i]); /* popt's own, from malloc */
    for (int i = 0; a->set && a->set[i]; i++) free(a->set[i]);
    free(a->set);
    context = poptFreeContext(context);
}

/* ---- values ---- */

u3d_status args_int(const char *option, const char *text, int64_t lo, int64_t hi, int64_t *out)
{
    char *end;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < lo || v > hi)
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a whole number from %lld to %lld", option, text,
                        (long long)lo, (long long)hi);
    *out = v;
    return U3D_OK;
}

u3d_status args_real(const char *option, const char *text, double lo, double hi, double *out)
{
    char *end;
    const double v = strtod(text, &end);
    if (end == text || *end || !(v >= lo && v <= hi))
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a number from %g to %g", option, text, lo, hi);
    *out = v;
    return U3D_OK;
}

u3d_status args_bytes(const char *option, const char *text, uint64_t *out)
{
    char *end;
    const double v = strtod(text, &end);
    const char *unit = strchr("kMGT", *end);
    const double scale = *end && unit ? pow(1000, (double)(unit - "kMGT" + 1)) : 1;
    const char *tail = *end && unit ? end + 1 : end;
    if (*tail == 'B') tail++;
    if (end == text || *tail || !(v > 0) || v * scale > 1e18)
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a size such as 8G, 1.5G or 500M", option, text);
    *out = (uint64_t)(v * scale);
    return U3D_OK;
}

u3d_status args_seconds(const char *option, const char *text, double *out)
{
    double total = 0;
    const char *p = text;
    while (*p) {
        char *end;
        const double v = strtod(p, &end);
        const double unit = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;
        if (end == p || !(v >= 0) || unit == 0) {
            total = 0;
            break;
        }
        total += v * unit;
        p = end + 1;
    }
    if (!(total > 0) || total > 1e8)
        return u3d_fail(U3D_E_ARG, "%s: found '%s', expected a time such as 90s, 30m or 1h30m", option, text);
    *out = total;
    return U3D_OK;
}

u3d_status args_need(const char *command_name, const char *option, const char *value)
{
    if (value) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "u3d %s: %s is missing; see `u3d %s --help`", command_name, option,
                    command_name);
}

u3d_status args_open_backend(const args *a, u3d_backend **out)
{
    *out = NULL;
    int64_t threads = 0;
    if (a->threads)
        U3D_TRY(args_int("--threads", a->threads, 1, 1024, &threads));
    const u3d_backend_opts o = {.device = a->device, .threads = (int32_t)threads};
    return u3d_backend_open(a->backend ? a->backend : "auto", &o, out);
}

u3d_status args_threads(const args *a, int *threads)
{
    int64_t wanted = u3d_thread_count();
    const char *variable = u3d_env_get(U3D_ENV_THREADS);
    if (a->threads)
        U3D_TRY(args_int("--threads", a->threads, 1, 1024, &wanted));
    else if (variable)
        U3D_TRY(args_int(u3d_env_describe(U3D_ENV_THREADS)->name, variable, 1, 1024, &wanted));
    *threads = (int)wanted;
    return U3D_OK;
}

u3d_status args_memory(const args *a, uint64_t *bytes)
{
    *bytes = 0;
    return a->memory ? args_bytes("--memory", a->memory, bytes) : U3D_OK;
}

int args_set_count(const args *a)
{
    int n = 0;
    while (a->set && a->set[n]) n++;
    return n;
}

u3d_status args_free_output(const args *a, const char *path)
{
    if (!u3d_path_exists(path) || a->force) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "%s exists already; choose another name or give --force to overwrite it",
                    path);
}
