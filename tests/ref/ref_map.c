/* Computes the map that a fused op reads from its joined and lazy parts, so that the plain loops can then run
 * over an ordinary array:
 *
 *   part(z)[n, v, c] = act(scale[n, c] * z[n, v, c] + shift[n, c]),   act(v) = v > 0 ? v : slope * v
 *   map[.., c]       = c < CU ? part(up) : part(skip cropped about its centre)[c - CU]
 *
 * The reader of the map adds the padding, so that the padding is zero no matter what the shift is. */
#include "tests/ref/ref_map.h"

#include <stdlib.h>

/* Value of one part at element (n, v, c). `at` is the offset of the element; `table` is NULL if the part is
 * plain. */
static double map_value(const double *x, int64_t at, const double *table, const u3d_type *table_type,
                        int64_t n, int64_t c, double slope)
{
    if (!table) return x[at];
    int64_t channels = table_type->dim[2], set = table_type->dim[0] > 1 ? n : 0;
    double v = table[set * 2 * channels + c] * x[at] + table[(set * 2 + 1) * channels + c];
    return v > 0 ? v : slope * v;
}

bool u3d_ref_has_bias(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return d->n_in - a->joined - a->lazy[0] - a->lazy[1] == 3;
}

double *u3d_ref_map(const u3d_op_desc *d, const double *const *in, u3d_type *type)
{
    const u3d_conv_attr *a = &d->attr.conv;
    int skip = d->n_in - a->lazy[1] - a->lazy[0] - a->joined, table[2] = {skip + a->joined, d->n_in - 1};
    const u3d_type *up = &d->in[0];
    int64_t cu = up->dim[4], cs = a->joined ? d->in[skip].dim[4] : 0, c_all = cu + cs;
    int64_t voxels = u3d_type_elems(up) / cu, per_sample = voxels / up->dim[0];
    *type = *up;
    type->dim[4] = c_all;
    double *out = malloc((size_t)(voxels * c_all) * sizeof *out);
    if (!out) abort();
    for (int64_t v = 0; v < voxels; v++) {
        int64_t n = v / per_sample, s = cs ? u3d_ref_crop_locate(up, &d->in[skip], v) : 0;
        for (int64_t c = 0; c < cu; c++)
            out[v * c_all + c] = map_value(in[0], v * cu + c, a->lazy[0] ? in[table[0]] : NULL,
                                           &d->in[table[0]], n, c, (double)a->slope);
        for (int64_t c = 0; c < cs; c++)
            out[v * c_all + cu + c] = map_value(in[skip], s + c, a->lazy[1] ? in[table[1]] : NULL,
                                                &d->in[table[1]], n, c, (double)a->slope);
    }
    return out;
}
