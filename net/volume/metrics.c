/* Overlap of two class volumes, counted voxel by voxel, and the ratios made of the counts. metrics.h says
 * when a ratio is NaN. */
#include "net/volume/metrics.h"

#include <math.h>

/* A full confusion matrix would have n_classes^2 entries. Three counts per class are enough for all measures:
 * voxels in both volumes, in the prediction, and in the reference. */
void u3d_overlap_add(const u3d_volume *prediction, const u3d_volume *reference, int n_classes,
                     u3d_overlap *ov)
{
    const uint8_t *p = prediction->data, *r = reference->data;
    int64_t both[256] = {0}, predicted[256] = {0}, real[256] = {0}, counted = 0;
    const int64_t n = u3d_volume_voxels(reference);
    for (int64_t v = 0; v < n; v++) {
        if (r[v] == U3D_UNLABELED) continue;
        counted++;
        predicted[p[v]]++;
        real[r[v]]++;
        if (p[v] == r[v]) both[r[v]]++;
    }
    for (int k = 0; k < n_classes; k++) {
        ov[k].tp += both[k];
        ov[k].fp += predicted[k] - both[k];
        ov[k].fn += real[k] - both[k];
        ov[k].tn += counted - predicted[k] - real[k] + both[k];
    }
}

double u3d_overlap_dice(const u3d_overlap *o)
{
    int64_t d = 2 * o->tp + o->fp + o->fn;
    return d ? 2.0 * (double)o->tp / (double)d : NAN;
}

double u3d_overlap_iou(const u3d_overlap *o)
{
    int64_t d = o->tp + o->fp + o->fn;
    return d ? (double)o->tp / (double)d : NAN;
}

static double share(int64_t part, int64_t rest)
{
    return part + rest ? (double)part / (double)(part + rest) : NAN;
}

double u3d_overlap_precision(const u3d_overlap *o)
{
    return share(o->tp, o->fp);
}

double u3d_overlap_recall(const u3d_overlap *o)
{
    return share(o->tp, o->fn);
}
