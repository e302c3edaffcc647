/* Normalisation of each channel over the batch (batch norm) or over each sample (instance norm):
 *
 *   y = gain * (x - mean) * rstd + bias,   rstd = 1 / sqrt(var + eps),   var = mean of (x - mean)^2
 *
 * With xhat = (x - mean) * rstd and means taken over the same voxels, the gradients are
 *
 *   dbias = sum dy,   dgain = sum dy * xhat,   dx = gain * rstd * (dy - mean(dy) - xhat * mean(dy * xhat)).
 *
 * norm_table writes the same function as y = scale * x + shift with scale = gain * rstd and
 * shift = bias - mean * scale. If an activation follows the norm, norm_back first multiplies dy by the
 * derivative of the activation at scale * x + shift.
 *
 * Source: Ioffe & Szegedy, "Batch Normalization", 2015, arXiv:1502.03167, section 3. */
#include "tests/ref/ref.h"

#include <math.h>
#include <string.h>

#include "tests/ref/ref_map.h"

typedef struct norm_groups { /* voxels s * voxels to (s + 1) * voxels - 1 form set s and share a mean */
    int64_t sets, voxels, channels;
} norm_groups;

static norm_groups norm_split(const u3d_type *x, bool per_instance)
{
    int64_t per_sample = x->dim[1] * x->dim[2] * x->dim[3];
    if (per_instance) return (norm_groups){x->dim[0], per_sample, x->dim[4]};
    return (norm_groups){1, x->dim[0] * per_sample, x->dim[4]};
}

static void norm_apply(const double *const *in, double *y, double mean, double rstd, int64_t s, int64_t c,
                       norm_groups g)
{

    for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++)
        y[v * g.channels + c] = in[1][c] * (in[0][v * g.channels + c] - mean) * rstd + in[2][c];
}

static void norm_given(const u3d_op_desc *d, const double *const *in, double *const *out, norm_groups g)
{
    for (int64_t s = 0; s < g.sets; s++)
        for (int64_t c = 0; c < g.channels; c++)
            norm_apply(in, out[0], in[3][c], 1 / sqrt(in[3][g.channels + c] + (double)d->attr.norm.eps), s, c,
                       g);
}

void u3d_ref_NORM(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    norm_groups g = norm_split(&d->in[0], d->attr.norm.per_instance);
    if (d->attr.norm.use_running) {
        norm_given(d, in, out, g);
        return;
    }
    for (int64_t c = 0; c < g.channels; c++)
        for (int64_t s = 0; s < g.sets; s++) {
            double mean = 0, var = 0;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++) mean += in[0][v * g.channels + c];
            mean /= (double)g.voxels;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++)
                var += pow(in[0][v * g.channels + c] - mean, 2);
            double unbiased = g.voxels > 1 ? var / (double)(g.voxels - 1) : var;
            double rstd = 1 / sqrt(var / (double)g.voxels + (double)d->attr.norm.eps);
            norm_apply(in, out[0], mean, rstd, s, c, g);
            out[1][(s * 2 + 0) * g.channels + c] = mean;
            out[1][(s * 2 + 1) * g.channels + c] = rstd;
            if (d->n_out < 3) continue;
            double m = (double)d->attr.norm.momentum;
            out[2][c] += m * (mean - out[2][c]);
            out[2][g.channels + c] += m * (unbiased - out[2][g.channels + c]);
        }
}

/* Gradient with respect to the output of the norm itself: dy, multiplied by the derivative of the activation
 * if there is one. */
static double norm_back_dy(const u3d_op_desc *d, const double *const *in, int64_t v, int64_t s, int64_t c)
{
    int64_t channels = d->in[0].dim[4];
    double dy = in[0][v * channels + c];
    if (!d->attr.norm.act) return dy;
    const double *table = in[4] + s * 2 * channels;
    double at = table[c] * in[1][v * channels + c] + table[channels + c];
    return at > 0 ? dy : (double)d->attr.norm.slope * dy;
}

void u3d_ref_NORM_BACK(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    norm_groups g = norm_split(&d->in[1], d->attr.norm.per_instance);
    const double *x = in[1], *gain = in[2], *stats = in[3];
    for (int i = 1; i < d->n_out; i++) memset(out[i], 0, (size_t)g.channels * sizeof(double));
    for (int64_t c = 0; c < g.channels; c++)
        for (int64_t s = 0; s < g.sets; s++) {
            double mean = stats[(s * 2 + 0) * g.channels + c], rstd = stats[(s * 2 + 1) * g.channels + c];
            double sum = 0, sum_xhat = 0;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++) {
                double dy = norm_back_dy(d, in, v, s, c);
                sum += dy;
                sum_xhat += dy * (x[v * g.channels + c] - mean) * rstd;
            }
            out[1][c] += sum_xhat;
            out[2][c] += sum;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++) {
                double xhat = (x[v * g.channels + c] - mean) * rstd;
                out[0][v * g.channels + c] =
                    gain[c] * rstd *
                    (norm_back_dy(d, in, v, s, c) - (sum + xhat * sum_xhat) / (double)g.voxels);
            }
        }
}

void u3d_ref_moments_of(const u3d_type *type, const double *x, bool per_instance, double *out)
{
    norm_groups g = norm_split(type, per_instance);
    for (int64_t c = 0; c < g.channels; c++)
        for (int64_t s = 0; s < g.sets; s++) {
            double mean = 0, var = 0;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++) mean += x[v * g.channels + c];
            mean /= (double)g.voxels;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++)
                var += pow(x[v * g.channels + c] - mean, 2);
            out[(s * 2 + 0) * g.channels + c] = mean;
            out[(s * 2 + 1) * g.channels + c] = var / (double)g.voxels;
        }
}

void u3d_ref_MOMENTS(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    u3d_ref_moments_of(&d->in[0], in[0], d->attr.norm.per_instance, out[0]);
}

void u3d_ref_NORM_TABLE(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    const u3d_norm_attr *a = &d->attr.norm;
    int64_t channels = d->in[1].dim[0], sets = d->out[0].dim[0];
    double voxels = (double)a->voxels;
    for (int64_t s = 0; s < sets; s++)
        for (int64_t c = 0; c < channels; c++) {
            int64_t at_mean = (s * 2 + 0) * channels + c, at_var = (s * 2 + 1) * channels + c;
            double mean = in[0][at_mean], var = in[0][at_var], rstd = 1 / sqrt(var + (double)a->eps);
            out[0][at_mean] = in[1][c] * rstd;
            out[0][at_var] = in[2][c] - mean * in[1][c] * rstd;
            if (a->use_running) continue;
            out[1][at_mean] = mean;
            out[1][at_var] = rstd;
            if (!a->keep_running) continue;
            out[2][c] += (double)a->momentum * (mean - out[2][c]);
            out[2][channels + c] +=
                (double)a->momentum * (var * voxels / (voxels - 1) - out[2][channels + c]);
        }
}
