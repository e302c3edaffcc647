/* 3D convolution (strictly a cross-correlation, as usual in deep learning) and its two gradients:
 *
 *   y[n,oz,oy,ox,co] = bias[co] + sum over kz,ky,kx,ci of  w[kz,ky,kx,ci,co] * x[n, o*stride + k - pad, ci]
 *
 * where positions outside the volume count as zero and x is the map after parts are joined and lazy
 * activations are applied (ref_map.c). The gradients visit the same terms as the forward pass and scatter
 * them: dx[.., ci] += w * dy[.., co], dw[k, ci, co] += x * dy.
 *
 * Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, arXiv:1603.07285. */
#include "tests/ref/ref.h"

#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_map.h"

typedef struct conv_term { /* a row of CI inputs and a row of CO outputs, related by one kernel position */
    int64_t x, y, w;       /* offsets of x[.., 0], y[.., 0], w[.., 0, 0] */
} conv_term;

typedef void (*conv_visit)(void *user, conv_term t);

/* Input position that kernel position k reads for output position o; -1 if it lies outside the volume. */
static int64_t conv_position(int64_t o, int64_t k, int32_t stride, int32_t pad, int64_t size)
{
    int64_t i = o * stride + k - pad;
    return i >= 0 && i < size ? i : -1;
}

static void conv_each(const u3d_conv_attr *a, const u3d_type *x, const u3d_type *y, const u3d_type *w,
                      conv_visit visit, void *user)
{
    for (int64_t n = 0; n < y->dim[0]; n++)
        for (int64_t oz = 0; oz < y->dim[1]; oz++)
            for (int64_t oy = 0; oy < y->dim[2]; oy++)
                for (int64_t ox = 0; ox < y->dim[3]; ox++)
                    for (int64_t kz = 0; kz < a->kernel[0]; kz++)
                        for (int64_t ky = 0; ky < a->kernel[1]; ky++)
                            for (int64_t kx = 0; kx < a->kernel[2]; kx++) {
                                int64_t z = conv_position(oz, kz, a->stride[0], a->pad[0], x->dim[1]);
                                int64_t yy = conv_position(oy, ky, a->stride[1], a->pad[1], x->dim[2]);
                                int64_t xx = conv_position(ox, kx, a->stride[2], a->pad[2], x->dim[3]);
                                if (z < 0 || yy < 0 || xx < 0) continue;
                                visit(user, (conv_term){u3d_ref_at(x, n, z, yy, xx, 0),
                                                        u3d_ref_at(y, n, oz, oy, ox, 0),
                                                        u3d_ref_at(w, kz, ky, kx, 0, 0)});
                            }
}

typedef struct conv_arrays {
    const double *x, *w, *dy;
    double *y, *dx, *dw;
    int64_t ci, co;
} conv_arrays;

static void conv_forward(void *user, conv_term t)
{
    const conv_arrays *a = user;
    for (int64_t ci = 0; ci < a->ci; ci++)
        for (int64_t co = 0; co < a->co; co++) a->y[t.y + co] += a->x[t.x + ci] * a->w[t.w + ci * a->co + co];
}

static void conv_to_dx(void *user, conv_term t)
{
    const conv_arrays *a = user;
    for (int64_t ci = 0; ci < a->ci; ci++) {
        double sum = 0;
        for (int64_t co = 0; co < a->co; co++) sum += a->w[t.w + ci * a->co + co] * a->dy[t.y + co];
        a->dx[t.x + ci] += sum;
    }
}

static void conv_to_dw(void *user, conv_term t)
{
    const conv_arrays *a = user;
    for (int64_t ci = 0; ci < a->ci; ci++)
        for (int64_t co = 0; co < a->co; co++)
            a->dw[t.w + ci * a->co + co] += a->x[t.x + ci] * a->dy[t.y + co];
}

static void conv_clear(const u3d_type *t, double *p)
{
    memset(p, 0, (size_t)u3d_type_elems(t) * sizeof *p);
}

void u3d_ref_CONV3D(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    u3d_type x;
    double *map = u3d_ref_map(d, in, &x);
    conv_arrays a = {.x = map, .w = in[1], .y = out[0], .ci = x.dim[4], .co = d->out[0].dim[4]};
    int64_t n = u3d_type_elems(&d->out[0]);
    for (int64_t e = 0; e < n; e++) out[0][e] = u3d_ref_has_bias(d) ? in[2][e % a.co] : 0;
    conv_each(&d->attr.conv, &x, &d->out[0], &d->in[1], conv_forward, &a);
    free(map);
    if (d->attr.conv.moments) u3d_ref_moments_of(&d->out[0], out[0], d->attr.conv.per_instance, out[1]);
}

void u3d_ref_CONV3D_DX(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    conv_arrays a = {.dy = in[0], .w = in[1], .dx = out[0], .ci = d->out[0].dim[4], .co = d->in[0].dim[4]};
    conv_clear(&d->out[0], out[0]);
    conv_each(&d->attr.conv, &d->out[0], &d->in[0], &d->in[1], conv_to_dx, &a);
}

void u3d_ref_CONV3D_DW(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    u3d_type x;
    double *map = u3d_ref_map(d, in, &x);
    conv_arrays a = {.x = map, .dy = in[1], .dw = out[0], .ci = x.dim[4], .co = d->in[1].dim[4]};
    conv_clear(&d->out[0], out[0]);
    conv_each(&d->attr.conv, &x, &d->in[1], &d->out[0], conv_to_dw, &a);
    free(map);
    if (d->n_out < 2) return;
    conv_clear(&d->out[1], out[1]);
    int64_t n = u3d_type_elems(&d->in[1]);
    for (int64_t e = 0; e < n; e++) out[1][e % a.co] += in[1][e];
}
