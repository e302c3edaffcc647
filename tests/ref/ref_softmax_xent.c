/* Softmax over the classes of a voxel, and the weighted cross entropy over all voxels:
 *
 *   loss = sum over v of w(v) * -log p[v, label(v)]  /  sum over v of w(v),     0 if no voxel counts
 *   dlogits[v, k] = dloss * w(v) / (sum of w) * (p[v, k] - [k == label(v)])
 *
 * log p is computed as logit - max - log(sum of exp(logit - max)), which stays finite when p underflows. */
#include "tests/ref/ref.h"
#include "tests/ref/ref_loss.h"

#include <math.h>
#include <stdlib.h>

static double softmax_log_sum(const double *logits, int64_t n_classes)
{
    double top = logits[0], sum = 0;
    for (int64_t k = 1; k < n_classes; k++) top = fmax(top, logits[k]);
    for (int64_t k = 0; k < n_classes; k++) sum += exp(logits[k] - top);
    return top + log(sum);
}

void u3d_ref_softmax_row(const double *logits, int64_t n_classes, double *p)
{
    double log_sum = softmax_log_sum(logits, n_classes);
    for (int64_t k = 0; k < n_classes; k++) p[k] = exp(logits[k] - log_sum);
}

double u3d_ref_voxel_weight(const u3d_loss_attr *a, double label, const double *class_weight)
{
    return (int32_t)label == a->ignore_label ? 0 : class_weight[(int64_t)label];
}

void u3d_ref_SOFTMAX(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    int64_t n_classes = d->in[0].dim[4];
    for (int64_t v = 0; v < u3d_type_elems(&d->in[0]) / n_classes; v++)
        u3d_ref_softmax_row(in[0] + v * n_classes, n_classes, out[0] + v * n_classes);
}

void u3d_ref_SOFTMAX_XENT(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    int64_t n_classes = d->in[0].dim[4];
    double loss = 0, weight_sum = 0;
    for (int64_t v = 0; v < u3d_type_elems(&d->in[1]); v++) {
        double w = u3d_ref_voxel_weight(&d->attr.loss, in[1][v], in[2]);
        if (w <= 0) continue;
        const double *row = in[0] + v * n_classes;
        loss += w * (softmax_log_sum(row, n_classes) - row[(int64_t)in[1][v]]);
        weight_sum += w;
    }
    out[0][0] = weight_sum > 0 ? loss / weight_sum : 0;
    out[1][0] = weight_sum;
}

void u3d_ref_SOFTMAX_XENT_BACK(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    int64_t n_classes = d->in[0].dim[4];
    double weight_sum = in[3][0], dloss = in[4][0];
    for (int64_t v = 0; v < u3d_type_elems(&d->in[1]); v++) {
        double w = u3d_ref_voxel_weight(&d->attr.loss, in[1][v], in[2]);
        double scale = w > 0 ? dloss * w / weight_sum : 0, *row = out[0] + v * n_classes;
        u3d_ref_softmax_row(in[0] + v * n_classes, n_classes, row);
        for (int64_t k = 0; k < n_classes; k++) row[k] = scale * (row[k] - (k == (int64_t)in[1][v] ? 1 : 0));
    }
}
