/* Max pooling over windows that neither overlap nor extend beyond the volume (stride == kernel, no padding).
 * The index is the position inside the window, x fastest; if several values are equal, the first in that
 * order wins. The backward op puts dy where the maximum was and zero everywhere else. */
#include "tests/ref/ref.h"

#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_map.h"

void u3d_ref_MAXPOOL3D(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    u3d_type x;
    double *map = u3d_ref_map(d, in, &x);
    const u3d_type *y = &d->out[0];
    const int32_t *k = d->attr.conv.kernel;
    for (int64_t e = 0; e < u3d_type_elems(y); e++) {
        int64_t c = e % y->dim[4], ox = e / y->dim[4] % y->dim[3],
                oy = e / (y->dim[4] * y->dim[3]) % y->dim[2];
        int64_t zn = e / (y->dim[4] * y->dim[3] * y->dim[2]), oz = zn % y->dim[1], n = zn / y->dim[1];
        double best = 0;
        int best_index = -1;
        for (int i = 0; i < k[0] * k[1] * k[2]; i++) {
            int kx = i % k[2], ky = i / k[2] % k[1], kz = i / (k[2] * k[1]);
            double v = map[u3d_ref_at(&x, n, oz * k[0] + kz, oy * k[1] + ky, ox * k[2] + kx, c)];
            if (best_index >= 0 && v <= best) continue;
            best = v;
            best_index = i;
        }
        out[0][e] = best;
        if (d->n_out > 1) out[1][e] = best_index;
    }
    free(map);
}

void u3d_ref_MAXPOOL3D_DX(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    const u3d_type *dy = &d->in[0], *dx = &d->out[0];
    const int32_t *k = d->attr.conv.kernel;
    memset(out[0], 0, (size_t)u3d_type_elems(dx) * sizeof(double));
    for (int64_t e = 0; e < u3d_type_elems(dy); e++) {
        int64_t c = e % dy->dim[4], ox = e / dy->dim[4] % dy->dim[3],
                oy = e / (dy->dim[4] * dy->dim[3]) % dy->dim[2];
        int64_t zn = e / (dy->dim[4] * dy->dim[3] * dy->dim[2]), oz = zn % dy->dim[1], n = zn / dy->dim[1];
        int i = (int)in[1][e], kx = i % k[2], ky = i / k[2] % k[1], kz = i / (k[2] * k[1]);
        out[0][u3d_ref_at(dx, n, oz * k[0] + kz, oy * k[1] + ky, ox * k[2] + kx, c)] = in[0][e];
    }
}
