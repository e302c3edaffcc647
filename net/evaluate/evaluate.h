/* Score predictions against references, in nnU-Net's summary.json fields and further ones. */
#ifndef U3D_NET_EVALUATE_H
#define U3D_NET_EVALUATE_H

#include <cjson/cJSON.h>

#include "engine/base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct u3d_evaluate_opts {
    /* File or folder each; a dataset folder as reference means its labels. */
    const char *prediction, *reference;
    bool unlabeled_given;
    int32_t unlabeled;  /* reference voxels of this value do not count */
    int32_t background; /* no measures of this label; 0 in most files */
    bool part;          /* references without a prediction are meant, as in a fold: no warning */
    bool surface;       /* distances between surfaces, too: net/evaluate/surface.h */
    double tolerance;   /* of NSD, >= 0, in the files' unit */
    int threads;        /* results do not depend on it */
} u3d_evaluate_opts;

/* {"metric_per_case": [{"case", "prediction_file", "reference_file", "image_file", "metrics": {"1": {...}},
 *   "foreground_mean": {...}, "unlabeled_voxels"}],
 *  "mean": {"1": {...}}, "foreground_mean": {...}, "cases", "references_without_prediction", "unlabeled",
 *  "surface": null or {"tolerance", "unit", "cases", "note"}}
 *
 * Labels are the files' own values, `background` is left out. Per label, with P the predicted and R the
 * reference voxels among those that are annotated (all, unless `unlabeled` names others):
 *
 *   Dice        2|P and R| / (|P| + |R|)                  ratios are null where 0 / 0
 *   IoU         |P and R| / |P or R|
 *   Precision   TP / |P|
 *   Recall      TP / |R|
 *   TP, FP, FN, TN, n_pred, n_ref                         voxels; n_pred = |P|, n_ref = |R|
 *   volume_pred, volume_ref                               unit^3
 *   volume_difference, volume_difference_abs              volume_pred - volume_ref, and without its sign
 *   RVD, RVD_abs                                          volume_difference / volume_ref; null without R
 *   HD95, ASSD, MASD                                      unit; null where P or R is empty
 *   NSD                                                   0 where P or R is empty, null where both are
 *
 * RVD: relative volume difference, Heimann et al. 2009. The last two rows are defined by net/evaluate/surface.h and
 * left out where `surface` is false. A reference with unlabelled voxels has a surface wherever its annotation
 * ends: surface measures of its case are null, and "surface"."cases" tells how many cases have them.
 *
 * Means: nnU-Net's nanmean. "mean" is over the cases where a measure is not null, "foreground_mean" over
 * labels (of "mean", as nnU-Net does, or of one case). Since a distance is null where a label was missed
 * altogether, "mean" also counts the cases that distances come from: "distance_cases". "unit" is mm, um or m
 * as the files' headers say, "unknown" where they do not or differ. */
u3d_status u3d_evaluate(const u3d_evaluate_opts *o, cJSON **out);

#endif
