/* Labels at a lower resolution: the middle of each window, or where that is not labelled the first of the
 * window that is. */
#include "tests/ref/ref.h"

void u3d_ref_SUBSAMPLE(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    const u3d_type *x = &d->in[0], *y = &d->out[0];
    const int32_t *s = d->attr.subsample.stride;
    const double ignored = d->attr.subsample.ignore_label;
    for (int64_t e = 0; e < u3d_type_elems(y); e++) {
        int64_t ox = e % y->dim[3], oy = e / y->dim[3] % y->dim[2],
                oz = e / (y->dim[3] * y->dim[2]) % y->dim[1];
        int64_t n = e / (y->dim[3] * y->dim[2] * y->dim[1]), half[3] = {s[0] / 2, s[1] / 2, s[2] / 2};
        int64_t volume = (int64_t)s[0] * s[1] * s[2], middle = (half[0] * s[1] + half[1]) * s[2] + half[2];
        double label = ignored;
        for (int64_t i = -1; i < volume && label == ignored; i++) {
            int64_t at = i < 0 ? middle : i, kx = at % s[2], ky = at / s[2] % s[1], kz = at / (s[2] * s[1]);
            label = in[0][((n * x->dim[1] + oz * s[0] + kz) * x->dim[2] + oy * s[1] + ky) * x->dim[3] +
                          ox * s[2] + kx];
        }
        out[0][e] = label;
    }
}
