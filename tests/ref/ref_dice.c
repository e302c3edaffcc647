/* Soft Dice over the whole batch, counting only voxels with a positive weight:
 *
 *   I_k = sum p_k g_k,  P_k = sum p_k,  G_k = sum g_k        (g: one-hot label)
 *   loss = 1 - mean over scored k of (2 I_k + s) / (P_k + G_k + s),     0 if no voxel counts
 *
 * With n scored classes and U_k = P_k + G_k + s, the derivative with respect to the probability of voxel v is
 *
 *   a_k(v) = -1/n * (2 g_k(v) U_k - (2 I_k + s)) / U_k^2,   0 for a class that is not scored,
 *
 * and through the softmax dlogits[v, k] = dloss * p_k * (a_k - sum over j of p_j a_j).
 * Source: Milletari et al., "V-Net", 2016, arXiv:1606.04797 (here without squares in the denominator, as in
 * nnU-Net). */
#include "tests/ref/ref.h"
#include "tests/ref/ref_loss.h"

enum { DICE_MAX_CLASSES = 256 };

void u3d_ref_DICE(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    int64_t n_classes = d->in[0].dim[4], counted = 0;
    int64_t first = d->attr.loss.skip_background ? 1 : 0;
    double p[DICE_MAX_CLASSES], *both = out[1], *predicted = both + n_classes, *given = predicted + n_classes;
    for (int64_t i = 0; i < 3 * n_classes; i++) out[1][i] = 0;
    for (int64_t v = 0; v < u3d_type_elems(&d->in[1]); v++) {
        if (u3d_ref_voxel_weight(&d->attr.loss, in[1][v], in[2]) <= 0) continue;
        int64_t label = (int64_t)in[1][v];
        u3d_ref_softmax_row(in[0] + v * n_classes, n_classes, p);
        for (int64_t k = 0; k < n_classes; k++) predicted[k] += p[k];
        both[label] += p[label];
        given[label] += 1;
        counted++;
    }
    double s = (double)d->attr.loss.smooth, mean = 0;
    for (int64_t k = first; k < n_classes; k++)
        mean += (2 * both[k] + s) / (predicted[k] + given[k] + s) / (double)(n_classes - first);
    out[0][0] = counted ? 1 - mean : 0;
}

void u3d_ref_DICE_BACK(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    int64_t n_classes = d->in[0].dim[4], first = d->attr.loss.skip_background ? 1 : 0;
    const double *both = in[3], *predicted = both + n_classes, *given = predicted + n_classes;
    double p[DICE_MAX_CLASSES], a[DICE_MAX_CLASSES], s = (double)d->attr.loss.smooth, dloss = in[4][0];
    for (int64_t v = 0; v < u3d_type_elems(&d->in[1]); v++) {
        double *row = out[0] + v * n_classes, mean = 0;
        bool counts = u3d_ref_voxel_weight(&d->attr.loss, in[1][v], in[2]) > 0;
        u3d_ref_softmax_row(in[0] + v * n_classes, n_classes, p);
        for (int64_t k = 0; k < n_classes; k++) {
            double u = predicted[k] + given[k] + s, g = k == (int64_t)in[1][v] ? 1 : 0;
            a[k] = k < first ? 0 : -(2 * g * u - (2 * both[k] + s)) / (u * u) / (double)(n_classes - first);
            mean += p[k] * a[k];
        }
        for (int64_t k = 0; k < n_classes; k++) row[k] = counts ? dloss * p[k] * (a[k] - mean) : 0;
    }
}
