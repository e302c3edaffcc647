/* One step of SGD with momentum and one step of Adam, on flat arrays. engine/run/optim.h describes the eight
 * numbers of `hyper`. Sources: Sutskever et al. 2013 (momentum, in PyTorch's form); Kingma & Ba 2015,
 * arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101 (decay decoupled from the gradient). */
#include "tests/ref/ref.h"

#include <math.h>

void u3d_ref_SGD_STEP(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    double lr = in[1][0], momentum = in[1][1], decay = in[1][2], scale = in[1][3], nesterov = in[1][4];
    double *value = out[0], *velocity = out[1];
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++) {
        double g = in[0][e] * scale + decay * value[e];
        velocity[e] = momentum * velocity[e] + g;
        value[e] -= lr * (nesterov != 0 ? g + momentum * velocity[e] : velocity[e]);
    }
}

void u3d_ref_ADAM_STEP(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    double lr = in[1][0], beta1 = in[1][1], beta2 = in[1][2], eps = in[1][3], decay = in[1][4],
           scale = in[1][5];
    double c1 = in[1][6], c2 = in[1][7], *value = out[0], *m = out[1], *v = out[2];
    for (int64_t e = 0; e < u3d_type_elems(&d->out[0]); e++) {
        double g = in[0][e] * scale;
        m[e] = beta1 * m[e] + (1 - beta1) * g;
        v[e] = beta2 * v[e] + (1 - beta2) * g * g;
        value[e] -= lr * (m[e] / c1 / (sqrt(v[e] / c2) + eps) + decay * value[e]);
    }
}
