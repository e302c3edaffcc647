/* What the references of ops in fused forms share. */
#ifndef U3D_TESTS_REF_REF_MAP_H
#define U3D_TESTS_REF_REF_MAP_H

#include "engine/ops/op.h"

/* Input 0 of a convolution or pooling as the op reads it, written out: parts joined, activation applied. Its
 * type goes to *type; the caller frees it. */
double *u3d_ref_map(const u3d_op_desc *d, const double *const *in, u3d_type *type);

/* Whether input 2 of a (transposed) convolution is a bias, and not of the fused form. */
bool u3d_ref_has_bias(const u3d_op_desc *d);

/* Mean and biased variance [S, 2, C] of x: S = N per instance, else 1. */
void u3d_ref_moments_of(const u3d_type *type, const double *x, bool per_instance, double *out);

/* Offset in skip of the row that meets row v of `up` (v counts voxels, n slowest) when skip is cropped about
 * its centre. */
int64_t u3d_ref_crop_locate(const u3d_type *up, const u3d_type *skip, int64_t v);

#endif
