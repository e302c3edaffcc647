/* Tries an implementation on one case in all the ways in which the engine can call it, and compares each
 * result with the oracle. Used by test_ops and `u3d verify`. */
#ifndef U3D_TESTS_SUPPORT_TRIAL_H
#define U3D_TESTS_SUPPORT_TRIAL_H

#include "tests/support/support_numbers.h"
#include "tests/support/support_op.h"

typedef enum u3d_op_work { U3D_WORK_LEAST, U3D_WORK_ODD, U3D_WORK_BEST } u3d_op_work;

typedef struct u3d_op_way {
    uint32_t accumulate; /* bit i: out[i] is added to                                           */
    bool in_place;       /* out[0] occupies the memory of in[0]                                 */
    u3d_op_work work;    /* workspace: the minimum, an odd number between, the largest useful   */
} u3d_op_way;

enum { U3D_MAX_WAYS = 3 * (1 << U3D_MAX_OUT) + 2 };

/* Lists the ways for an op: every combination of replacing and adding to its outputs, each with three
 * workspaces; in addition two ways in place if the op allows that. Returns the number of ways. */
int u3d_op_ways(const u3d_op_desc *d, u3d_op_way ways[U3D_MAX_WAYS]);

typedef struct u3d_op_finding {
    bool ran; /* false: nothing was done, because this workspace equals a smaller one        */
    bool ok;  /* the results are close to the oracle's, and nothing else was changed         */
    uint64_t work_bytes;
    double tol;
    int output;         /* the output whose error is the largest fraction of its limit                 */
    u3d_test_diff diff; /* error of that output; the limits are tol for rms, U3D_WORST * tol for worst */
    char text[400];     /* a sentence that says what is wrong; "" if ok                                */
} u3d_op_finding;

/* Runs the case once with u3d_op_data_run and compares the results, which remain in out[i], with the
 * oracle's. If the op cannot run, returns the backend's status, with its message. */
u3d_status u3d_op_try(u3d_backend *b, const u3d_op_case *c, const u3d_op_data *data, const char *impl,
                      const u3d_op_way *way, void *const *out, u3d_op_finding *f);

/* Largest error as a fraction of its limit, where the limits are tol for the rms error and U3D_WORST * tol
 * for the worst element. A result above 1 is wrong. */
double u3d_op_excess(const u3d_test_diff *d, double tol);

/* Names of the indices of an output: "n,z,y,x,c", "kz,ky,kx,ci,co", "set,row,c", or "" if they have none. */
const char *u3d_op_axes(const u3d_op_desc *d, int output);

/* Allocates the outputs of a description; false: out of memory. u3d_op_outputs_free frees them. */
bool u3d_op_outputs_new(const u3d_op_desc *d, void **out);
void u3d_op_outputs_free(const u3d_op_desc *d, void **out);

#endif
