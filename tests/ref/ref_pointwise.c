/* Element-wise ops (activations, copies, sums) and the sum of squares.
 *
 *   relu       y = x > 0 ? x : slope * x
 *   relu_back  tests y > 0 instead of x > 0, which is the same for every slope >= 0
 *   lerp       y += t * (x - y), the running average of the weights */
#include "tests/ref/ref.h"

void u3d_ref_RELU(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++)
        out[0][e] = in[0][e] > 0 ? in[0][e] : (double)d->attr.relu.slope * in[0][e];
}

void u3d_ref_RELU_BACK(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++)
        out[0][e] = in[1][e] > 0 ? in[0][e] : (double)d->attr.relu.slope * in[0][e];
}

void u3d_ref_FILL(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    (void)in;
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++) out[0][e] = (double)d->attr.fill.value;
}

void u3d_ref_COPY(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++) out[0][e] = in[0][e];
}

void u3d_ref_ADD(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++) out[0][e] = in[0][e] + in[1][e];
}

void u3d_ref_SCALE(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++)
        out[0][e] = (double)d->attr.scale.factor * in[0][e];
}

void u3d_ref_LERP(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++) out[0][e] += in[1][0] * (in[0][e] - out[0][e]);
}

void u3d_ref_SUM_SQUARES(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    double sum = 0;
    for (int64_t e = 0; e < u3d_type_elems(&d->in[0]); e++) sum += in[0][e] * in[0][e];
    out[0][0] = sum;
}
