/* The oracle: every op as textbook loops in double precision. It serves the tests and nothing else; no
 * backend is ever compared with another backend to decide who is right.
 *
 * All arrays are double whatever their element type (labels and pooling indices are whole numbers), in the
 * engine's layout: maps [N, D, H, W, C], weights [KD, KH, KW, CI, CO]. The semantics are those of
 * engine/ops/op.h. */
#ifndef U3D_TESTS_REF_REF_H
#define U3D_TESTS_REF_REF_H

#include "engine/ops/op.h"

/* Computes every output of `d` (d->in and d->out filled). Outputs are replaced, those that the op updates
 * excepted. */
typedef void (*u3d_ref)(const u3d_op_desc *d, const double *const *in, double *const *out);

u3d_ref u3d_ref_get(u3d_op op); /* NULL where an op has none: the coverage test fails then */

/* The same with d->accumulate honoured: those outputs are added to. */
void u3d_ref_run(const u3d_op_desc *d, const double *const *in, double *const *out);

#define U3D_REF_DECLARE(id, text)                                                                            \
    void u3d_ref_##id(const u3d_op_desc *d, const double *const *in, double *const *out);
U3D_OP_LIST(U3D_REF_DECLARE)
#undef U3D_REF_DECLARE

/* Offset of element (a, b, c, d, e) in a contiguous array of type t, rank 5. */
static inline int64_t u3d_ref_at(const u3d_type *t, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e)
{
    return (((a * t->dim[1] + b) * t->dim[2] + c) * t->dim[3] + d) * t->dim[4] + e;
}

#endif
