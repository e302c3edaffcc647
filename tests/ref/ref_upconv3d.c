/* Up-convolution whose stride equals its kernel: every input voxel becomes one block of outputs, and the
 * blocks do not overlap.
 *
 *   y[n, z*kd+a, y*kh+b, x*kw+c, co] = bias[co] + sum over ci of  x[n,z,y,x,ci] * w[a,b,c,ci,co]
 *
 * The loops run over the outputs: voxel o = (oz, oy, ox) reads the input at o / kernel and the weights at
 * o mod kernel. */
#include "tests/ref/ref.h"

#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_map.h"

typedef struct upconv_shape {
    const u3d_type *x, *y;
    const int32_t *k;
    int64_t ci, co;
} upconv_shape;

/* Sets *x to the offset of the input row and *w to the offset of the weight matrix [CI, CO] that output voxel
 * number v (n slowest) is made of. */
static void upconv_locate(const upconv_shape *s, int64_t v, int64_t *x, int64_t *w)
{
    int64_t ox = v % s->y->dim[3], oy = v / s->y->dim[3] % s->y->dim[2];
    int64_t oz = v / (s->y->dim[3] * s->y->dim[2]) % s->y->dim[1];
    int64_t n = v / (s->y->dim[3] * s->y->dim[2] * s->y->dim[1]);
    int64_t a = oz % s->k[0], b = oy % s->k[1], c = ox % s->k[2];
    *x = u3d_ref_at(s->x, n, oz / s->k[0], oy / s->k[1], ox / s->k[2], 0);
    *w = ((a * s->k[1] + b) * s->k[2] + c) * s->ci * s->co;
}

static int64_t upconv_voxels(const upconv_shape *s)
{
    return u3d_type_elems(s->y) / s->co;
}

void u3d_ref_UPCONV3D(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    u3d_type type;
    double *map = u3d_ref_map(d, in, &type);
    upconv_shape s = {&type, &d->out[0], d->attr.conv.kernel, type.dim[4], d->out[0].dim[4]};
    for (int64_t v = 0; v < upconv_voxels(&s); v++) {
        int64_t x, w;
        upconv_locate(&s, v, &x, &w);
        for (int64_t co = 0; co < s.co; co++) {
            double sum = u3d_ref_has_bias(d) ? in[2][co] : 0;
            for (int64_t ci = 0; ci < s.ci; ci++) sum += map[x + ci] * in[1][w + ci * s.co + co];
            out[0][v * s.co + co] = sum;
        }
    }
    free(map);
}

void u3d_ref_UPCONV3D_DX(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    upconv_shape s = {&d->out[0], &d->in[0], d->attr.conv.kernel, d->out[0].dim[4], d->in[0].dim[4]};
    memset(out[0], 0, (size_t)u3d_type_elems(&d->out[0]) * sizeof(double));
    for (int64_t v = 0; v < upconv_voxels(&s); v++) {
        int64_t x, w;
        upconv_locate(&s, v, &x, &w);
        for (int64_t ci = 0; ci < s.ci; ci++)
            for (int64_t co = 0; co < s.co; co++)
                out[0][x + ci] += in[0][v * s.co + co] * in[1][w + ci * s.co + co];
    }
}

void u3d_ref_UPCONV3D_DW(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    u3d_type type;
    double *map = u3d_ref_map(d, in, &type);
    upconv_shape s = {&type, &d->in[1], d->attr.conv.kernel, type.dim[4], d->in[1].dim[4]};
    for (int i = 0; i < d->n_out; i++) memset(out[i], 0, (size_t)u3d_type_elems(&d->out[i]) * sizeof(double));
    for (int64_t v = 0; v < upconv_voxels(&s); v++) {
        int64_t x, w;
        upconv_locate(&s, v, &x, &w);
        for (int64_t co = 0; co < s.co; co++) {
            double dy = in[1][v * s.co + co];
            for (int64_t ci = 0; ci < s.ci; ci++) out[0][w + ci * s.co + co] += map[x + ci] * dy;
            if (d->n_out > 1) out[1][co] += dy;
        }
    }
    free(map);
}
