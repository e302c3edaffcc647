/* The table of op cases. test_ops and `u3d verify` check the correctness of every op with it, test_props the
 * algebra of some ops; it can also serve to time or list ops. Every op needs at least five cases; test_ops
 * fails if an op has fewer. */
#ifndef U3D_TESTS_OP_CASES_H
#define U3D_TESTS_OP_CASES_H

#include "engine/ops/op.h"

/* Contents of the inputs. By default numbers are normally distributed, and labels are drawn from all classes,
 * with some voxels ignored. */
typedef enum u3d_op_fill {
    U3D_FILL_DEFAULT,
    U3D_FILL_TIES,    /* whole numbers -1, 0, 1: equal maxima, zeros at the kink of ReLU          */
    U3D_FILL_OFFSET,  /* mean 30, standard deviation 1: cancellation in the variance              */
    U3D_FILL_EXTREME, /* logits between -200 and 200: overflow of exp                             */
    U3D_FILL_IGNORED, /* every voxel has the ignored label                                        */
    U3D_FILL_SPARSE,  /* subsample: nine voxels of ten have the ignored label                     */
    U3D_FILL_ZERO     /* all inputs zero                                                          */
} u3d_op_fill;

typedef struct u3d_op_case {
    const char *tag; /* unique within the op */
    u3d_op op;
    u3d_attr attr;
    int32_t n_in, n_out;
    u3d_type in[U3D_MAX_IN];
    u3d_type out; /* type of out[0] if the inputs do not determine it (input gradients); otherwise rank 0 */
    double tol;   /* limit of the relative rms error; the limit of the worst element is U3D_WORST * tol */
    u3d_op_fill fill;
} u3d_op_case;

enum { U3D_WORST = 50 };

extern const u3d_op_case u3d_op_cases[];
extern const int u3d_op_case_count;

/* Fills in the description of a case and infers its outputs. U3D_E_SHAPE if the engine rejects the case. */
u3d_status u3d_op_case_desc(const u3d_op_case *c, u3d_op_desc *out);

/* Tolerance of a case for an implementation. It is larger than c->tol if the implementation's arithmetic is
 * less exact. */
double u3d_op_case_tol(const u3d_op_case *c, const char *impl);
/* Tolerance for a description that need not be a case of the table: the largest tolerance of all cases of its
 * op; for conv3d, of those that also have moments, or also have none. */
double u3d_op_tol(const u3d_op_desc *d, const char *impl);

/* Tells whether a case is fused (joined, lazy, with moments), so that the algebra of the plain op does not
 * hold. */
bool u3d_op_case_fused(const u3d_op_case *c);

/* Tells whether a backend may refuse a case, because other ops can do the work: a convolution need not
 * compute moments, because the op moments can. */
bool u3d_op_case_optional(const u3d_op_case *c);

#endif
