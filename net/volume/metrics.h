/* Overlap measures per class. Voxels whose reference is unlabelled do not count. */
#ifndef U3D_NET_METRICS_H
#define U3D_NET_METRICS_H

#include "io/volume.h"
#include "net/volume/labels.h"

typedef struct u3d_overlap {
    int64_t tp, fp, fn, tn;
} u3d_overlap;

/* u8 class volumes of one shape; `ov` has n_classes entries and is added to. */
void u3d_overlap_add(const u3d_volume *prediction, const u3d_volume *reference, int n_classes, u3d_overlap *ov);
double u3d_overlap_dice(const u3d_overlap *o);      /* NaN where absent in both                          */
double u3d_overlap_iou(const u3d_overlap *o);       /* NaN where absent in both                          */
double u3d_overlap_precision(const u3d_overlap *o); /* tp / (tp + fp); NaN where nothing is predicted               */
double u3d_overlap_recall(const u3d_overlap *o);    /* tp / (tp + fn); NaN where the reference has none                */

#endif
