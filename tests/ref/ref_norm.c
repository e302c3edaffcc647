/* Normalisation per channel over the batch (batch norm) or per channel and sample (instance norm):
 *
 *   y = gain * (x - mean) * rstd + bias,   rstd = 1 / sqrt(var + eps),   var = mean of (x - mean)^2
 *
 * With xhat = (x - mean) * rstd and means taken over the same voxels, the gradients are
 *
 *   dbias = sum dy,   dgain = sum dy * xhat,   dx = gain * rstd * (dy - mean(dy) - xhat * mean(dy * xhat)).
 *
 * Source: Ioffe & Szegedy, "Batch Normalization", 2015, arXiv:1502.03167, section 3. */
#include "tests/ref/ref.h"

#include <math.h>
#include <string.h>

typedef struct norm_groups { /* voxels that share a mean: `voxels` of them from first + s * voxels on */
    int64_t sets, voxels, channels;
} norm_groups;

static norm_groups norm_split(const u3d_op_desc *d, const u3d_type *x)
{
    int64_t per_sample = x->dim[1] * x->dim[2] * x->dim[3];
    if (d->attr.norm.per_instance) return (norm_groups){x->dim[0], per_sample, x->dim[4]};
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
    norm_groups g = norm_split(d, &d->in[0]);
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

void u3d_ref_NORM_BACK(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    norm_groups g = norm_split(d, &d->in[1]);
    const double *dy = in[0], *x = in[1], *gain = in[2], *stats = in[3];
    for (int i = 1; i < d->n_out; i++) memset(out[i], 0, (size_t)g.channels * sizeof(double));
    for (int64_t c = 0; c < g.channels; c++)
        for (int64_t s = 0; s < g.sets; s++) {
            double mean = stats[(s * 2 + 0) * g.channels + c], rstd = stats[(s * 2 + 1) * g.channels + c];
            double sum = 0, sum_xhat = 0;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++) {
                sum += dy[v * g.channels + c];
                sum_xhat += dy[v * g.channels + c] * (x[v * g.channels + c] - mean) * rstd;
            }
            out[1][c] += sum_xhat;
            out[2][c] += sum;
            for (int64_t v = s * g.voxels; v < (s + 1) * g.voxels; v++) {
                double xhat = (x[v * g.channels + c] - mean) * rstd;
                out[0][v * g.channels + c] =
                    gain[c] * rstd * (dy[v * g.channels + c] - (sum + xhat * sum_xhat) / (double)g.voxels);
            }
        }
}
