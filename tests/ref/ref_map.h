/* Functions shared by the references of ops that have fused forms. */
#ifndef U3D_TESTS_REF_REF_MAP_H
#define U3D_TESTS_REF_REF_MAP_H

#include "engine/ops/op.h"

/* Input 0 of a convolution, up-convolution or pooling as the op reads it, with the parts joined and lazy
 * activations applied. Stores the type of the result in *type. The caller frees the result with free. */
double *u3d_ref_map(const u3d_op_desc *d, const double *const *in, u3d_type *type);

/* Tells whether input 2 of a convolution or up-convolution is a bias and not an input of the fused form. */
bool u3d_ref_has_bias(const u3d_op_desc *d);

/* Mean and biased variance [S, 2, C] of x; S = N if per_instance, otherwise 1. */
void u3d_ref_moments_of(const u3d_type *type, const double *x, bool per_instance, double *out);

/* Offset in skip of the row that is appended to row v of `up` when skip is cropped about its centre. v is the
 * number of a voxel of `up`, n slowest. */
int64_t u3d_ref_crop_locate(const u3d_type *up, const u3d_type *skip, int64_t v);

#endif
