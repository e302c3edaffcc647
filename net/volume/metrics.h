/* Overlap measures per class: Dice, IoU, precision and recall of a prediction against a reference. Voxels
 * that are unlabelled in the reference do not count. Validation while training and net/evaluate/ use these
 * ratios. */
#ifndef U3D_NET_METRICS_H
#define U3D_NET_METRICS_H

#include "io/volume.h"
#include "net/volume/labels.h"

typedef struct u3d_overlap {
    int64_t tp, fp, fn, tn; /* voxels: true and false positives, false and true negatives */
} u3d_overlap;

/* Adds the counts of two u8 class volumes of the same shape to `ov`, which has n_classes entries. */
void u3d_overlap_add(const u3d_volume *prediction, const u3d_volume *reference, int n_classes,
                     u3d_overlap *ov);
double u3d_overlap_dice(const u3d_overlap *o);      /* 2 tp / (2 tp + fp + fn); NaN if absent in both  */
double u3d_overlap_iou(const u3d_overlap *o);       /* tp / (tp + fp + fn); NaN if absent in both      */
double u3d_overlap_precision(const u3d_overlap *o); /* tp / (tp + fp); NaN if absent in the prediction */
double u3d_overlap_recall(const u3d_overlap *o);    /* tp / (tp + fn); NaN if absent in the reference  */

#endif
