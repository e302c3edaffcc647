/* Many volumes to predict: one that fails does not keep the others from being predicted. */
#ifndef U3D_TOOLS_PREDICT_BATCH_H
#define U3D_TOOLS_PREDICT_BATCH_H

#include "net/predict/predict.h"
#include "tools/cli/args.h"

typedef struct job {
    const u3d_case *input;
    char *out, *probabilities;           /* paths; probabilities: NULL without --probabilities */
    bool write_out, write_probabilities; /* false: there is a whole file already, which is kept */
    bool done;                           /* this call has predicted it */
    char *failure;                       /* why it cannot be predicted; NULL: nothing is known against it */
} job;

typedef struct batch {
    job *jobs;
    int n;
    bool single; /* the input is one file: its failure is the failure of the command */
    bool of_fold; /* crossval says how to continue */
} batch;

/* --skip-existing: finds the outputs that are there and whole, that is, readable and of the size of their
 * input. A whole file of another size is a failure of its volume, because it was not made from it. */
u3d_status batch_skip(batch *b);
int batch_left(const batch *b); /* volumes that are neither complete nor known to fail */

/* Checks the headers of all volumes, then predicts those that passed. U3D_OK even if some failed;
 * U3D_E_CANCELLED, U3D_E_OUTPUT and U3D_E_DEVICE end the batch. */
u3d_status batch_run(batch *b, u3d_predictor *p, const u3d_model *m, const args *a);

/* Prints what was written on stdout. */
u3d_status batch_print(const batch *b, const args *a, double seconds);
/* The status of the command after batch_run returned `status`: lists the failures once more. U3D_E_FORMAT:
 * some volumes were not predicted. */
u3d_status batch_end(const batch *b, u3d_status status);
void batch_free(batch *b);

#endif
