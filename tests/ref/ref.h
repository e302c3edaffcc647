/* The oracle: every op as textbook loops in double precision. Only the tests and `u3d verify` use it.
 * Only the oracle decides whether an op is right; no backend serves as the reference for another backend.
 *
 * All arrays are double, whatever their element type in the engine (labels and pooling indices hold whole
 * numbers), and have the engine's layout: maps [N, D, H, W, C], weights [KD, KH, KW, CI, CO]. The semantics
 * are those of engine/ops/op.h. */
#ifndef U3D_TESTS_REF_REF_H
#define U3D_TESTS_REF_REF_H

#include "engine/ops/op.h"

/* Computes every output of `d`, in which d->in and d->out must be filled in. The function replaces its
 * outputs, except those that the op updates (u3d_op_info.updates), and ignores d->accumulate. */
typedef void (*u3d_ref)(const u3d_op_desc *d, const double *const *in, double *const *out);

u3d_ref u3d_ref_get(u3d_op op); /* NULL if `op` is not the number of an op */

/* Runs the reference of d->op and honours d->accumulate: the result is added to the outputs that it marks. */
void u3d_ref_run(const u3d_op_desc *d, const double *const *in, double *const *out);

#define U3D_REF_DECLARE(id, text)                                                                            \
    void u3d_ref_##id(const u3d_op_desc *d, const double *const *in, double *const *out);
U3D_OP_LIST(U3D_REF_DECLARE)
#undef U3D_REF_DECLARE

/* Offset of element (a, b, c, d, e) in a contiguous array of type t, which has rank 5. */
static inline int64_t u3d_ref_at(const u3d_type *t, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e)
{
    return (((a * t->dim[1] + b) * t->dim[2] + c) * t->dim[3] + d) * t->dim[4] + e;
}

#endif
