/* Runs a single op on a backend: inputs that make sense for the op, the oracle's results, and a run that
 * detects stray writes. Used by test_ops, test_props, test_cpu, test_tune and `u3d verify`. */
#ifndef U3D_TESTS_SUPPORT_OP_H
#define U3D_TESTS_SUPPORT_OP_H

#include "engine/plan/backend.h"
#include "tests/support/op_cases.h"

typedef struct u3d_op_data {
    u3d_op_desc desc;          /* accumulate is 0 and impl is NULL                                  */
    void *in[U3D_MAX_IN];      /* inputs, in the types of desc                                      */
    void *before[U3D_MAX_OUT]; /* contents of outputs before the op, if it updates or accumulates   */
    double *want[U3D_MAX_OUT]; /* the oracle's result, without accumulation                         */
} u3d_op_data;

/* Draws the inputs from the seed, the op and the tag of the case, and runs the oracle. U3D_E_SHAPE if the
 * engine rejects the case. */
u3d_status u3d_op_data_new(const u3d_op_case *c, uint64_t seed, u3d_op_data **out);
void u3d_op_data_free(u3d_op_data *d);

typedef struct u3d_op_trial {
    const char *impl;    /* NULL: the backend chooses                                       */
    uint32_t accumulate; /* bit i: out[i] is added to                                       */
    uint64_t work_bytes; /* size of the workspace                                           */
    bool in_place;       /* out[0] occupies the memory of in[0]                             */
} u3d_op_trial;

/* Runs the op once and stores the results in out[i], in the types of desc. On the device, an output starts as
 * NaN if the op must not read it, and as `before` if the op adds to it or updates it; the workspace starts as
 * 0xA5. At least 64 bytes of 0xFF surround every array on both sides, so that a value read from there is NaN.
 *
 * *trouble is NULL if all is well; otherwise it names the array that was written outside of its bounds, or
 * the input that was changed. */
u3d_status u3d_op_data_run(u3d_backend *b, const u3d_op_data *d, const u3d_op_trial *t, void *const *out,
                           const char **trouble);

/* Runs any description once on the given inputs, with the largest useful workspace and without an oracle.
 * U3D_E_DEVICE if the op wrote where it may not. */
u3d_status u3d_op_once(u3d_backend *b, const u3d_op_desc *d, const void *const *in, void *const *out);

#endif
