/* The skip connection: the encoder's map is cropped about its centre and appended to the up-sampled map,
 *
 *   y[.., c] = c < CU ? up[n,z,y,x,c] : skip[n, z+oz, y+oy, x+ox, c-CU],   o = (size(skip) - size(up)) / 2
 *
 * The backward op splits dy into the two parts; positions of skip outside the crop get zero. */
#include "tests/ref/ref.h"

#include <string.h>

#include "tests/ref/ref_map.h"

int64_t u3d_ref_crop_locate(const u3d_type *up, const u3d_type *skip, int64_t v)
{
    int64_t x = v % up->dim[3], y = v / up->dim[3] % up->dim[2], zn = v / (up->dim[3] * up->dim[2]);
    int64_t z = zn % up->dim[1], n = zn / up->dim[1];
    return u3d_ref_at(skip, n, z + (skip->dim[1] - up->dim[1]) / 2, y + (skip->dim[2] - up->dim[2]) / 2,
                      x + (skip->dim[3] - up->dim[3]) / 2, 0);
}

void u3d_ref_CROP_CONCAT(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    const u3d_type *up = &d->in[0], *skip = &d->in[1];
    int64_t cu = up->dim[4], cs = skip->dim[4];
    for (int64_t v = 0; v < u3d_type_elems(up) / cu; v++) {
        int64_t s = u3d_ref_crop_locate(up, skip, v);
        for (int64_t c = 0; c < cu; c++) out[0][v * (cu + cs) + c] = in[0][v * cu + c];
        for (int64_t c = 0; c < cs; c++) out[0][v * (cu + cs) + cu + c] = in[1][s + c];
    }
}

/* attr.crop.part may ask for only one of the two outputs, which is then out[0]. */
void u3d_ref_CROP_CONCAT_BACK(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    const u3d_crop_attr *a = &d->attr.crop;
    int64_t cu = a->up_channels, cs = d->in[0].dim[4] - cu;
    u3d_type up = u3d_type_map(d->in[0].dim[0], d->in[0].dim + 1, cu);
    u3d_type skip = u3d_type_map(d->in[0].dim[0], a->skip_size, cs);
    double *dup = a->part == U3D_CROP_SKIP ? NULL : out[0];
    double *dskip = a->part == U3D_CROP_UP ? NULL : out[d->n_out - 1];
    if (dskip) memset(dskip, 0, (size_t)u3d_type_elems(&skip) * sizeof(double));
    for (int64_t v = 0; v < u3d_type_elems(&up) / cu; v++) {
        int64_t s = u3d_ref_crop_locate(&up, &skip, v);
        for (int64_t c = 0; dup && c < cu; c++) dup[v * cu + c] = in[0][v * (cu + cs) + c];
        for (int64_t c = 0; dskip && c < cs; c++) dskip[s + c] = in[0][v * (cu + cs) + cu + c];
    }
}
