/* The one table of op cases: correctness (test_ops), and whoever wants to time or list ops, read it. At least
 * five cases per op; test_ops fails where an op has fewer. */
#ifndef U3D_TESTS_OP_CASES_H
#define U3D_TESTS_OP_CASES_H

#include "engine/ops/op.h"

/* What the inputs look like; by default normally distributed, labels of every class with some ignored. */
typedef enum u3d_op_fill {
    U3D_FILL_DEFAULT,
    U3D_FILL_TIES,    /* whole numbers -1, 0, 1: equal maxima, zeros at the kink of ReLU          */
    U3D_FILL_OFFSET,  /* mean 30, standard deviation 1: cancellation in the variance              */
    U3D_FILL_EXTREME, /* logits up to +-200: overflow of exp                                      */
    U3D_FILL_IGNORED, /* every voxel is to be ignored                                             */
    U3D_FILL_SPARSE,  /* nine labels of ten are to be ignored                                     */
    U3D_FILL_ZERO     /* all inputs zero                                                          */
} u3d_op_fill;

typedef struct u3d_op_case {
    const char *tag; /* unique within the op */
    u3d_op op;
    u3d_attr attr;
    int32_t n_in, n_out;
    u3d_type in[U3D_MAX_IN];
    u3d_type out; /* of out[0], where the inputs alone leave it open (input gradients); else rank 0 */
    double tol;   /* relative rms error; the worst element may be U3D_WORST times as far off        */
    u3d_op_fill fill;
} u3d_op_case;

enum { U3D_WORST = 50 };

extern const u3d_op_case u3d_op_cases[];
extern const int u3d_op_case_count;

/* Description of a case, outputs inferred. U3D_E_SHAPE where the engine refuses it. */
u3d_status u3d_op_case_desc(const u3d_op_case *c, u3d_op_desc *out);

/* Tolerance for an implementation: larger than the case's where its arithmetic differs. */
double u3d_op_case_tol(const u3d_op_case *c, const char *impl);
/* The same for a description that is no case: that of the cases of its op, with moments or without. */
double u3d_op_tol(const u3d_op_desc *d, const char *impl);

/* Joined, lazy, with moments: what the algebra of the plain op does not hold for. */
bool u3d_op_case_fused(const u3d_op_case *c);

/* A backend may leave this to other ops: a convolution need not gather moments, the op moments gives them. */
bool u3d_op_case_optional(const u3d_op_case *c);

#endif
