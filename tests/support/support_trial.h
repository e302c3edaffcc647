/* The ways in which an implementation can be asked to do one case, and the judgement of each by the oracle.
 * Used by test_ops and `u3d verify`. */
#ifndef U3D_TESTS_SUPPORT_TRIAL_H
#define U3D_TESTS_SUPPORT_TRIAL_H

#include "tests/support/support_numbers.h"
#include "tests/support/support_op.h"

typedef enum u3d_op_work { U3D_WORK_LEAST, U3D_WORK_ODD, U3D_WORK_BEST } u3d_op_work;

typedef struct u3d_op_way {
    uint32_t accumulate; /* bit i: out[i] is added to                                 */
    bool in_place;       /* out[0] in the memory of in[0]                             */
    u3d_op_work work;    /* workspace: the least, an odd number between, the most useful */
} u3d_op_way;

enum { U3D_MAX_WAYS = 3 * (1 << U3D_MAX_OUT) + 2 };

/* Replacing and adding to each output that can be added to, with three workspaces; in place where that is
 * allowed. Returns how many. */
int u3d_op_ways(const u3d_op_desc *d, u3d_op_way ways[U3D_MAX_WAYS]);

typedef struct u3d_op_finding {
    bool ran; /* false: this workspace is the same as a smaller one, nothing was done        */
    bool ok;  /* near the oracle, nothing else touched                                       */
    uint64_t work_bytes;
    double tol;
    int output;         /* the output that is furthest from the oracle, as a share of what is allowed  */
    u3d_test_diff diff; /* of that output; the worst element may be U3D_WORST times as far off as rms  */
    char text[400];     /* what is wrong, in a sentence; "" where ok                                   */
} u3d_op_finding;

/* Runs the case once, watched, and compares. out[i]: room for the results, which stay there. A failure to run
 * is the backend's own status, with its message. */
u3d_status u3d_op_try(u3d_backend *b, const u3d_op_case *c, const u3d_op_data *data, const char *impl,
                      const u3d_op_way *way, void *const *out, u3d_op_finding *f);

/* diff / tol: above 1 is wrong. Both the rms error and the worst element are held to their limits. */
double u3d_op_excess(const u3d_test_diff *d, double tol);

/* What the indices of an output mean: "n,z,y,x,c", "kz,ky,kx,ci,co"; "" where there is no name for them. */
const char *u3d_op_axes(const u3d_op_desc *d, int output);

/* Room for the outputs of a description; false: out of memory. Freed with u3d_op_outputs_free. */
bool u3d_op_outputs_new(const u3d_op_desc *d, void **out);
void u3d_op_outputs_free(const u3d_op_desc *d, void **out);

#endif
