/* The table of commands, and for each command the table of its own options.
 *
 * tools/cli/command.h says what a row means. Parsing, --help, shell completion and the test of the manual
 * pages read these tables. Rows that several commands share are macros. */
#include "tools/commands/commands.h"

#include <stddef.h>

#include "tools/cli/command.h"

/* clang-format off: tables, a row each */

#define NET "paper|paper-bn|paper2d|auto|FILE"
#define NAMES(use)                                                                                           \
    {TEXT(names), use, "1=NAME,2=NAME",                                                                      \
     "names of label values; with names such as left_kidney, patches are not mirrored from left to right"}
#define LABELLED_DATA                                                                                        \
    {TEXT(data), OFTEN, "DIR", "data set: Decathlon, nnU-Net raw, or a folder with images/ and labels/"},    \
    {TEXT(image), OFTEN, "FILE", "instead of --data: one image, with --label"},                              \
    {TEXT(label), OFTEN, "FILE", "labels of --image"},                                                       \
    NAMES(OFTEN)
#define TRAINED_NET                                                                                          \
    {TEXT(net), OFTEN, NET, "a preset, or a JSON file of settings (default auto: fitted to the data)"}
#define RESAMPLE_LABELS(what)                                                                                \
    {FLAG_AT("resample-labels", resample_labels), RARE, NULL,                                                \
     what ": take the nearest voxels instead of refusing them"}
#define ANNOTATION(use)                                                                                      \
    {TEXT(unlabeled), use, "V", "label value of voxels that nobody annotated"},                              \
    {FLAG(dense), use, NULL, "every voxel of the labels is annotated"},                                      \
    RESAMPLE_LABELS("labels on another grid than their images")
#define PLANNING_DATA(use)                                                                                   \
    {TEXT(data), use, "DIR", "data set that labels, channels and --net auto are taken from"}
#define SPLIT(help)                                                                                          \
    {TEXT(split), RARE, "FILE", help},                                                                       \
    {TEXT(fold), RARE, "K", "which fold of --split, counted from 0"}
#define LENGTH(what)                                                                                         \
    {TEXT(iterations), OFTEN, "N", what " for this many iterations"},                                        \
    {TEXT(time), OFTEN, "TIME", what " for this long, from start to written model: 30m, 2h"}
#define VALIDATE_EVERY                                                                                       \
    {TEXT_AT("validate-every", validate_every), RARE, "N",                                                   \
     "iterations between validations (default: about ten per run); 0: validate never and hold nothing out"}
#define VALIDATE                                                                                             \
    {TEXT(validate), RARE, "SHARE|slices",                                                                   \
     "share of the volumes (of one volume: of its annotated slices) that is held out for a validation "      \
     "curve (default: a tenth of ten or more volumes, otherwise nothing)"}
#define CHECKPOINT_EVERY                                                                                     \
    {                                                                                                        \
        TEXT_AT("checkpoint-every", checkpoint_every), RARE, "TIME",                                         \
            "time between checkpoints, the most that a crash costs (default 10m)"                            \
    }
#define BACKGROUND(use)                                                                                      \
    {TEXT(background), use, "V",                                                                             \
     "label of the background (default: a label that dataset.json calls background, otherwise 0)"}
#define REFERENCE                                                                                            \
    {TEXT(reference), OFTEN, "FILE|DIR", "label file, folder of label files, or data set"}
#define NOT_SCORED(use)                                                                                      \
    {TEXT(unlabeled), use, "V", "reference voxels of this value do not count"},                              \
    {FLAG(dense), use, NULL, "every voxel of the references is annotated"},                                  \
    RESAMPLE_LABELS("predictions on another grid than their references")
#define BATCH(help)                                                                                          \
    {TEXT(batch), OFTEN, "N", help}

static const option train_options[] = {
    LABELLED_DATA,
    {TEXT(out), OFTEN, "RUN", "folder to make: model, checkpoint, log"},
    TRAINED_NET,
    ANNOTATION(OFTEN),
    BACKGROUND(OFTEN),
    LENGTH("train"),
    {FLAG(resume), OFTEN, NULL,
     "continue the run in --out; it needs no other option"},
    {FLAG_AT("accept-changes", accept_changes), RARE, NULL,
     "with --resume: go on although files of the data have changed since the run began"},
    CHECKPOINT_EVERY,
    SPLIT("nnU-Net's splits_final.json: train on the training cases of --fold, score its validation cases"),
    VALIDATE,
    VALIDATE_EVERY,
    OPTIONS_END};

static const option predict_options[] = {
    {TEXT(model), OFTEN, "RUN|FILE",
     "a run or a .safetensors file; models named after the options are averaged with it"},
    {TEXT(input), OFTEN, "FILE|DIR", "a volume, or a folder of volumes"},
    {TEXT(data), OFTEN, "DIR", "instead of --input: a data set"},
    {TEXT(output), OFTEN, "FILE|DIR", "label file, or folder for CASE.nii.gz"},
    {FLAG(probabilities), OFTEN, NULL, "also write CASE_probabilities.nii.gz (4D)"},
    {FLAG_AT("skip-existing", skip_existing), OFTEN, NULL,
     "leave out volumes whose outputs are there and whole, for example after an interruption"},
    {FLAG(tta), OFTEN, NULL, "average over mirrored copies of each tile"},
    {FLAG_AT("keep-background", keep_background), RARE, NULL,
     "write a background that was painted as label V as V, not as 0"},
    SPLIT("with --data and --fold: only the validation cases of that fold"),
    {TEXT(step), RARE, "S",
     "distance of overlapping tiles as a share of the patch (default 0.5; only networks with padding=same)"},
    OPTIONS_END};

static const option evaluate_options[] = {
    {TEXT(prediction), OFTEN, "FILE|DIR", "label file or folder"},
    REFERENCE,
    NOT_SCORED(OFTEN),
    {TEXT(model), OFTEN, "RUN|FILE",
     "the run or model that made the predictions: it knows what is unlabelled or background, and the images"},
    {TEXT(tolerance), OFTEN, "MM",
     "NSD: share of the surfaces that lie within this distance (default 1)"},
    {TEXT(csv), OFTEN, "FILE", "also write every measure of every case and label, and the means"},
    {TEXT(picture), OFTEN, "PNG",
     "also draw the worst and the median case (images come from the data set given as --reference or --model)"},
    {TEXT(image), RARE, "FILE", "with --picture and a single case: its image"},
    {FLAG_AT("no-surface", no_surface), RARE, NULL,
     "no HD95, ASSD, NSD, which take about as long as reading the files"},
    BACKGROUND(RARE),
    OPTIONS_END};

static const option crossval_options[] = {
    {TEXT(data), OFTEN, "DIR", "data set: Decathlon, nnU-Net raw, or a folder with images/ and labels/"},
    {TEXT(image), OFTEN, "FILE",
     "instead of --data: one image, with --label; its annotated slices are divided among the folds"},
    {TEXT(label), OFTEN, "FILE", "labels of --image"},
    NAMES(RARE),
    {TEXT(out), OFTEN, "DIR",
     "folder to make: run, predictions and scores of each fold; the same call continues it"},
    TRAINED_NET,
    {TEXT(folds), OFTEN, "K", "number of folds (default 5)"},
    ANNOTATION(OFTEN),
    BACKGROUND(OFTEN),
    LENGTH("train each fold"),
    {FLAG(tta), RARE, NULL, "predict with mirrored copies of each tile"},
    {TEXT(split), RARE, "FILE", "instead of --folds: nnU-Net's splits_final.json"},
    VALIDATE,
    VALIDATE_EVERY,
    CHECKPOINT_EVERY,
    {TEXT(reference), RARE, "DIR", "with --data: score against these labels, for example dense ones"},
    OPTIONS_END};

static const option report_options[] = {
    {TEXT(out), OFTEN, "PAGE.html", "page to write"},
    {TEXT(title), OFTEN, "TEXT", "heading of the page"},
    {TEXT(prediction), OFTEN, "FILE|DIR", "show scores and pictures of these label files (with --reference)"},
    REFERENCE,
    {TEXT(csv), OFTEN, "FILE", "show this table"},
    {TEXT(chart), OFTEN, "FILE:X,Y,BY",
     "draw column Y of a table over its column X, one line per value of column BY"},
    {TEXT(picture), OFTEN, "PNG", "show this picture"},
    {TEXT(caption), RARE, "TEXT", "text below --picture"},
    {TEXT(image), RARE, "FILE", "image of a single case (default: the one that RUN was trained on)"},
    NOT_SCORED(RARE),
    BACKGROUND(RARE),
    OPTIONS_END};

static const option info_options[] = {
    {TEXT(net), OFTEN, NET, "a preset, or a JSON file of settings"},
    {TEXT(model), OFTEN, "RUN|FILE", "instead of --net: a trained model"},
    PLANNING_DATA(OFTEN),
    {TEXT(input), OFTEN, "132x132x116", "input size in voxels, x by y by z"},
    BATCH("samples per iteration"),
    {TEXT(plan), OFTEN, "train|infer", "memory plan: place of every node, the peak, what it consists of"},
    {TEXT(dot), OFTEN, "FILE", "write the graph for Graphviz"},
    ANNOTATION(RARE),
    {TEXT(time), RARE, "TIME", "training time that --net auto plans for: 30m, 2h"},
    OPTIONS_END};

static const option devices_options[] = {
    {FLAG(ops), OFTEN, NULL, "operations that the backend can compute, and their implementations"},
    {FLAG(env), OFTEN, NULL, "environment variables that u3d reads"},
    OPTIONS_END};

static const option bench_options[] = {
    {TEXT(net), OFTEN, NET, "a preset, or a JSON file of settings (default paper-bn)"},
    {TEXT(input), OFTEN, "132x132x116", "input size in voxels, x by y by z"},
    BATCH("samples per iteration"),
    {TEXT(repeat), OFTEN, "N", "timed repetitions (default 3)"},
    {FLAG(ops), OFTEN, NULL, "time, speed and implementation of every node"},
    {FLAG(scaling), OFTEN, NULL, "also with 1, 2, 4 ... threads, and with smaller inputs"},
    PLANNING_DATA(RARE),
    ANNOTATION(RARE),
    OPTIONS_END};

static const option verify_options[] = {
    {FLAG(full), OFTEN, NULL,
     "every case of the table of operations, with every implementation and in every way"},
    {TEXT(net), OFTEN, NET, "this network instead of three small ones: a preset, or a JSON file of settings"},
    {TEXT(input), OFTEN, "44x44x44", "with --net: input size in voxels, x by y by z (default: the smallest)"},
    BATCH("with --net: samples per iteration"),
    PLANNING_DATA(RARE),
    ANNOTATION(RARE),
    OPTIONS_END};

static const option tune_options[] = {
    {TEXT(time), OFTEN, "TIME", "measure for about this long (default 3m)"},
    OPTIONS_END};

static const option sparsify_options[] = {
    {TEXT(label), OFTEN, "FILE|DIR", "dense labels"},
    {TEXT(output), OFTEN, "FILE|DIR", "where to write the sparse labels"},
    {TEXT(slices), OFTEN, "NX,NY,NZ",
     "number of slices to keep across x, y and z; A,B,C+D,E,F keeps the slices of both"},
    {"scribbles", 0, OPTION_MAYBE, offsetof(args, scribbles), OFTEN, "SHARE",
     "instead of slices: strokes as people draw them, about this share of the voxels (default 1%)"},
    {TEXT(cubes), OFTEN, "20x20x20",
     "instead of slices: cubes of this size (x by y by z) at random places, half of them on structures"},
    {TEXT(count), OFTEN, "N", "with --cubes: how many, in all volumes together"},
    {TEXT(unlabeled), OFTEN, "V", "value of all other voxels (default 255)"},
    {TEXT_AT("rest", rest_output), OFTEN, "FILE|DIR",
     "also write the complement, the voxels that were left out, to score there"},
    {TEXT(copy), OFTEN, "FILE|DIR",
     "with --slices: also write a baseline, dense labels in which each voxel copies the nearest kept slice"},
    {TEXT(background), RARE, "V", "with --scribbles or --cubes: label that is no structure (default 0)"},
    {TEXT(missing), RARE, "z=30-32",
     "planes whose labels are wrong: nothing of them is kept (of slices, the next one), and --rest omits them"},
    {TEXT(merge), RARE, "37-38,77+79",
     "first make classes 1, 2, ... of groups of values, and 0 of all other values"},
    OPTIONS_END};

static const option phantom_options[] = {
    {TEXT(out), OFTEN, "DIR", "folder to make"},
    {TEXT(count), OFTEN, "N", "number of volumes (default 4)"},
    {TEXT(size), OFTEN, "64x64x48", "size of each in voxels, x by y by z (default 64x64x48)"},
    {TEXT(slices), OFTEN, "NX,NY,NZ", "number of annotated slices across x, y and z (default 3,3,3)"},
    OPTIONS_END};

static const option picture_options[] = {
    {TEXT(image), OFTEN, "FILE", "the volume"},
    {TEXT(label), OFTEN, "FILE",
     "labels to draw over it; label files named after the options get a column each"},
    {TEXT(output), OFTEN, "PNG", "picture to write"},
    {TEXT(slices), OFTEN, "NX,NY,NZ",
     "number of sagittal, coronal and axial slices (across x, y and z) to show (default 1,1,1)"},
    {TEXT(unlabeled), OFTEN, "V", "value that means unlabelled: dimmed, without a colour"},
    {TEXT(model), RARE, "RUN|FILE", "a run or model that knows this value"},
    OPTIONS_END};

static const option augment_options[] = {
    LABELLED_DATA,
    {TEXT(out), OFTEN, "DIR", "folder to make: patches, and augment.png"},
    {TEXT(count), OFTEN, "N", "number of patches (default 4)"},
    TRAINED_NET,
    ANNOTATION(OFTEN),
    BACKGROUND(RARE),
    SPLIT("nnU-Net's splits_final.json: use the training cases of --fold"),
    OPTIONS_END};

const command commands[] = {
    {"learn and segment", "train", "learn a segmentation from annotated volumes",
     "(--data DIR | --image FILE --label FILE) --out RUN [options]", cmd_train, train_options, NULL,
     {"u3d train --image kidney.nii.gz --label painted.nii.gz --unlabeled 0 --out run",
      "u3d train --data study --dense --out run --time 2h --set base=24"}},
    {NULL, "predict", "segment volumes with a trained model",
     "--model RUN|FILE (--input FILE|DIR | --data DIR) --output FILE|DIR [options] [MODEL...]",
     cmd_predict, predict_options, "MODEL...",
     {"u3d predict --model run --input kidney.nii.gz --output dense.nii.gz",
      "u3d predict --model run_0 --input volumes --output segmented --tta run_1 run_2"}},
    {NULL, "evaluate", "score predictions against references",
     "--prediction FILE|DIR --reference FILE|DIR [options]", cmd_evaluate, evaluate_options, NULL,
     {"u3d evaluate --prediction segmented --reference study --csv scores.csv",
      "u3d evaluate --prediction dense.nii.gz --reference truth.nii.gz --json"}},
    {NULL, "crossval", "train, predict and score fold by fold",
     "(--data DIR | --image FILE --label FILE) --out DIR [options]", cmd_crossval, crossval_options, NULL,
     {"u3d crossval --data study --dense --out folds --folds 5 --time 30m",
      "u3d crossval --image a.nii.gz --label b.nii.gz --unlabeled 0 --out folds"}},
    {NULL, "report", "put runs, scores and pictures on one HTML page",
     "--out PAGE.html [options] [RUN...]", cmd_report, report_options, "RUN...",
     {"u3d report --out report.html run_0 run_1",
      "u3d report --out report.html --prediction segmented --reference study run"}},

    {"networks and machines", "info", "describe a network, its memory, or a model",
     "(--net NAME|FILE | --model RUN|FILE) [options]", cmd_info, info_options, NULL,
     {"u3d info --net paper --plan train",
      "u3d info --model run --json"}},
    {NULL, "devices", "list the devices that can compute",
     "[options]", cmd_devices, devices_options, NULL,
     {"u3d devices",
      "u3d devices --ops --backend=cpu"}},
    {NULL, "bench", "time a network",
     "[--net NAME|FILE] [options]", cmd_bench, bench_options, NULL,
     {"u3d bench --net paper-bn --ops",
      "u3d bench --net paper --input 92x92x92 --memory 2G --json"}},
    {NULL, "verify", "prove that a device computes the right thing",
     "[--full] [--net NAME|FILE] [options]", cmd_verify, verify_options, NULL,
     {"u3d verify --backend=opencl",
      "u3d verify --full --json"}},
    {NULL, "tune", "measure and keep settings for a GPU",
     "[--time TIME] [options]", cmd_tune, tune_options, NULL,
     {"u3d tune --backend=opencl",
      "u3d tune --backend=opencl --device=1 --time 10m"}},

    {"data", "sparsify", "keep slices, scribbles or cubes of dense labels",
     "--label FILE|DIR --output FILE|DIR (--slices NX,NY,NZ | --scribbles | --cubes SIZE --count N) [options]",
     cmd_sparsify, sparsify_options, NULL,
     {"u3d sparsify --label dense --output sparse --slices 3,3,3 --rest unseen",
      "u3d sparsify --label dense --output sparse --scribbles 1% --seed 2"}},
    {NULL, "phantom", "make synthetic labelled volumes",
     "--out DIR [options]", cmd_phantom, phantom_options, NULL,
     {"u3d phantom --out data",
      "u3d phantom --out data --count 8 --size 96x96x64 --slices 1,1,1"}},
    {NULL, "picture", "draw slices with labels side by side",
     "--image FILE --label FILE --output PNG [options] [LABEL...]", cmd_picture, picture_options, "LABEL...",
     {"u3d picture --image kidney.nii.gz --label dense.nii.gz --output dense.png",
      "u3d picture --image a.nii.gz --label b.nii.gz --output c.png --slices 0,0,5"}},
    {NULL, "augment", "show what the network sees in training",
     "(--data DIR | --image FILE --label FILE) --out DIR [options]", cmd_augment, augment_options, NULL,
     {"u3d augment --data study --dense --out patches",
      "u3d augment --data study --dense --out patches --set augment=paper"}},

    {"help", "settings", "list the settings that --set accepts",
     "[KEY|GROUP...]", cmd_settings, NULL, "KEY|GROUP...",
     {"u3d settings loss optimizer",
      "u3d settings --json"}},
    {NULL, "help", "explain a command",
     "[COMMAND]", cmd_help, NULL, "COMMAND",
     {"u3d help train",
      "u3d help"}},
    {NULL, "completion", "print a script that completes u3d's words in a shell",
     "bash|zsh", cmd_completion, NULL, "bash|zsh",
     {"source <(u3d completion bash)",
      "u3d completion zsh > ~/.zfunc/_u3d"}},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, {NULL, NULL}}};
