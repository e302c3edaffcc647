/* Labels at a lower resolution: each window becomes the label of the labelled voxel that is nearest to its
 * middle. If several are equally near, the first one wins (x fastest). A window without a labelled voxel is
 * ignored. */
#include "tests/ref/ref.h"

#include <math.h>

void u3d_ref_SUBSAMPLE(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    const u3d_type *x = &d->in[0], *y = &d->out[0];
    const int32_t *s = d->attr.subsample.stride;
    const double ignored = d->attr.subsample.ignore_label;
    for (int64_t e = 0; e < u3d_type_elems(y); e++) {
        int64_t ox = e % y->dim[3], oy = e / y->dim[3] % y->dim[2],
                oz = e / (y->dim[3] * y->dim[2]) % y->dim[1];
        int64_t n = e / (y->dim[3] * y->dim[2] * y->dim[1]), volume = (int64_t)s[0] * s[1] * s[2];
        double label = ignored, least = INFINITY;
        for (int64_t at = 0; at < volume; at++) {
            int64_t kx = at % s[2], ky = at / s[2] % s[1], kz = at / (s[2] * s[1]);
            double here = in[0][((n * x->dim[1] + oz * s[0] + kz) * x->dim[2] + oy * s[1] + ky) * x->dim[3] +
                                ox * s[2] + kx];
            double far = pow((double)(kz - s[0] / 2), 2) + pow((double)(ky - s[1] / 2), 2) +
                         pow((double)(kx - s[2] / 2), 2);
            if (here == ignored || far >= least) continue;
            least = far;
            label = here;
        }
        out[0][e] = label;
    }
}
