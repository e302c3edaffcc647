/* Scores predictions against references. The report has the fields of nnU-Net's summary.json, and further
 * ones. */
#ifndef U3D_NET_EVALUATE_H
#define U3D_NET_EVALUATE_H

#include <cjson/cJSON.h>

#include <stdbool.h>
#include <stdint.h>

#include "net/volume/labels.h"

typedef struct u3d_evaluate_opts {
    /* Two files or two folders. If the reference is a data set's folder, its labels are used. */
    const char *prediction, *reference;
    bool unlabeled_given;
    int32_t unlabeled;  /* reference voxels of this value do not count */
    bool dense;         /* every voxel of the references is labelled, and no value is suspected */
    /* The labels of the model that made the predictions; NULL: unknown. They say which label is the
     * background, and evaluate_unlabeled.c says how they help to find the value that means "unlabelled". */
    const u3d_labels *trained;
    /* This label is not measured. Without it, the background is that of `trained`, otherwise the label that
     * the references' data set calls "background", otherwise 0. */
    bool background_given;
    int32_t background;
    bool part;          /* do not warn about references without a prediction, for example in a fold */
    bool surface;       /* also measure surface distances, see net/evaluate/surface.h */
    bool resample_labels; /* a prediction on another grid than its reference is compared by nearest voxels */
    double tolerance;     /* of NSD, >= 0, mm */
    int threads;        /* results do not depend on this number */
} u3d_evaluate_opts;

/* {"metric_per_case": [{"case", "prediction_file", "reference_file", "image_file", "metrics": {"1": {...}},
 *   "foreground_mean": {...}, "unlabeled_voxels"}],
 *  "failures": [{"case", "prediction_file", "error"}],
 *  "mean": {"1": {...}}, "foreground_mean": {...}, "cases", "references_without_prediction", "unlabeled",
 *  "background",
 *  "surface": null or {"tolerance", "unit", "cases", "note"}}
 *
 * "failures" are the cases that could not be scored; all other members are about the cases that were. The
 * function fails if there are none of these, or if the two files of a single pair cannot be scored.
 *
 * Labels are identified by the files' own values; the background is left out. So is 0 if the background is
 * another label and no reference has the label 0, because u3d predict writes the background as 0. The
 * measures of a label are listed below. P are its predicted voxels and R its reference voxels, among the
 * voxels that are labelled in the reference (all voxels, unless some have the value `unlabeled`).
 *
 *   Dice        2|P and R| / (|P| + |R|)                  ratios are null if they are 0 / 0
 *   IoU         |P and R| / |P or R|
 *   Precision   TP / |P|
 *   Recall      TP / |R|
 *   TP, FP, FN, TN, n_pred, n_ref                         voxels; n_pred = |P|, n_ref = |R|
 *   volume_pred, volume_ref                               mm^3
 *   volume_difference, volume_difference_abs              volume_pred - volume_ref, and without its sign
 *   RVD, RVD_abs                                          volume_difference / volume_ref; null if R is empty
 *   HD95, ASSD, MASD                                      mm; null if P or R is empty
 *   NSD                                                   0 if P or R is empty, null if both are
 *
 * RVD is the relative volume difference of Heimann et al. 2009. net/evaluate/surface.h defines the measures
 * of the last two rows; they are left out if `surface` is false. A reference with unlabelled voxels has a
 * surface wherever its annotation ends, so the surface measures of its case are null. "surface"."cases" is
 * the number of cases that have them.
 *
 * Means are nnU-Net's nanmean. "mean" is over the cases in which a measure is not null. "foreground_mean"
 * is over labels: of "mean", as in nnU-Net, or of one case. A distance is null if a label was missed
 * altogether, so each label in "mean" also has "distance_cases", the number of cases that its distances
 * come from. Lengths are in mm whatever unit the headers give. "unit" is "mm", or "unknown" if a header gives
 * none, which counts as mm.
 *
 * U3D_E_ARG: a value of a reference looks as if it meant "unlabelled", and nothing says what it means. The
 * message asks for --unlabeled or --dense. */
u3d_status u3d_evaluate(const u3d_evaluate_opts *o, cJSON **out);

#endif
