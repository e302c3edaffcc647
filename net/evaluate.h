/* Score predictions against references, in nnU-Net's summary.json fields. */
#ifndef U3D_NET_EVALUATE_H
#define U3D_NET_EVALUATE_H

#include <cjson/cJSON.h>

#include "engine/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct u3d_evaluate_opts {
    const char *prediction, *reference; /* file or folder each; a dataset folder as reference means its labels */
    bool unlabeled_given;
    int32_t unlabeled;                  /* reference voxels of this value do not count */
} u3d_evaluate_opts;

/* {"metric_per_case": [...], "mean": {"1": {...}}, "foreground_mean": {...}}; values are the files' label values.
 * Per label: Dice, IoU, TP, FP, FN, TN, n_pred, n_ref, volume_pred, volume_ref (unit^3, mm3 where the file says mm). */
u3d_status u3d_evaluate(const u3d_evaluate_opts *o, cJSON **out);

#endif
