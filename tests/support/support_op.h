/* One op alone on a backend: inputs that make sense for it, what the oracle says, and a run whose every
 * border is watched. Used by test_ops and test_props. */
#ifndef U3D_TESTS_SUPPORT_OP_H
#define U3D_TESTS_SUPPORT_OP_H

#include "engine/plan/backend.h"
#include "tests/support/op_cases.h"

typedef struct u3d_op_data {
    u3d_op_desc desc;          /* accumulate and impl are clear                                     */
    void *in[U3D_MAX_IN];      /* in the types of desc                                              */
    void *before[U3D_MAX_OUT]; /* what outputs hold before the op, where it updates or accumulates  */
    double *want[U3D_MAX_OUT]; /* the oracle's result, without accumulation                         */
} u3d_op_data;

/* Inputs from seed and case tag. U3D_E_SHAPE where the engine refuses the case. */
u3d_status u3d_op_data_new(const u3d_op_case *c, uint64_t seed, u3d_op_data **out);
void u3d_op_data_free(u3d_op_data *d);

typedef struct u3d_op_trial {
    const char *impl; /* NULL: the backend's choice                                        */
    uint32_t accumulate;
    uint64_t work_bytes;
    bool in_place; /* out[0] in the memory of in[0]                                      */
} u3d_op_trial;

/* Runs the op once. Outputs (`out[i]`, in the types of desc) start as NaN where the op must not read them, as
 * `before` where it adds or updates; the workspace starts as 0xA5; 64 bytes of 0xFF lie on both sides of
 * every array, so that reading them shows as NaN. *trouble: NULL, or which array was written outside or which
 * input was changed. */
u3d_status u3d_op_data_run(u3d_backend *b, const u3d_op_data *d, const u3d_op_trial *t, void *const *out,
                           const char **trouble);

/* The same without the watching: any description, any inputs, the largest useful workspace. */
u3d_status u3d_op_once(u3d_backend *b, const u3d_op_desc *d, const void *const *in, void *const *out);

#endif
