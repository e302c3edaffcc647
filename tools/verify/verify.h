/* The types and functions that the parts of `u3d verify` share:
 *
 *   tools/commands/cmd_verify.c  chooses what is checked, and reports
 *   verify_ops.c                 checks the ops one by one
 *   verify_net.c                 checks a training step: verify_node.c its nodes, verify_optim.c the update
 *   verify_predict.c             checks a prediction
 *
 * Results are compared with the oracle of the tests (tests/ref), which computes in double precision. */
#ifndef U3D_TOOLS_VERIFY_H
#define U3D_TOOLS_VERIFY_H

#include "engine/run/exec.h"
#include "engine/run/optim.h"
#include "io/json.h"
#include "net/model/unet3d.h"
#include "tests/support/support_numbers.h"
#include "tools/cli/args.h"

typedef struct verify {
    const args *a;
    u3d_backend *backend; /* the backend that is checked                            */
    u3d_backend *cpu;     /* the CPU backend; whole results are also compared with it */
    uint64_t seed;
    cJSON *json; /* NULL: lines of text                                    */
    int n_rows, n_failed;
    char first[160]; /* name and part of the first row that failed             */
} verify;

typedef struct verify_row { /* one line of the report, one object of the JSON */
    const char *list;       /* "ops", "nets" or "predictions"                                    */
    const char *name;       /* op or network                                                     */
    const char *part;       /* implementation, or part of the run of the network                 */
    int cases;              /* number of comparisons                                             */
    double excess;          /* largest error as a share of the limit; above 1 is wrong           */
    double error, limit;    /* of the comparison with this excess                                */
    char where[80];         /* and its case, node or parameter                                   */
    int n_wrong;            /* number of comparisons that failed                                 */
    char text[640];         /* describes the first failure: element, both values                 */
} verify_row;

/* Adds a comparison at `where`, with its error, the limit, and the error as a share of the limit. */
void verify_count(verify_row *r, const char *where, double excess, double error, double limit);
/* Adds a failed comparison. Only the text of the first one is kept. */
void verify_wrong(verify_row *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
u3d_status verify_report(verify *v, const verify_row *r);
u3d_status verify_stopped(const verify *v); /* U3D_E_CANCELLED after SIGINT */

/* ---- verify_ops.c ---- */
u3d_status verify_ops(verify *v);

/* ---- verify_net.c ---- */
/* Checks a training step of this network: nodes, loss, logits, gradients, optimizer. */
u3d_status verify_net(verify *v, const char *name, const u3d_config *c);

/* ---- verify_node.c ---- */
typedef struct verify_node { /* user data of the hook */
    verify *v;
    verify_row row;
    u3d_val keep;                               /* this value is copied to `kept` when it is computed   */
    u3d_tensor *kept;                           /* owned by the caller                                  */
    double *in[U3D_MAX_IN], *want[U3D_MAX_OUT]; /* of the current node                                  */
} verify_node;

/* A u3d_hook. Compares each node with the oracle, which gets the inputs that the backend computed. */
u3d_status verify_node_hook(void *user, u3d_exec *x, int node, bool done);
void verify_node_done(verify_node *n);

/* ---- verify_optim.c ---- */
/* Makes two updates from the present gradients and compares them with those of the oracle. */
u3d_status verify_optim(u3d_params *p, const u3d_config *c, verify_row *row);

/* ---- verify_predict.c ---- */
/* Compares the prediction of a volume of several tiles with that of the CPU backend. */
u3d_status verify_predict(verify *v, const char *name, const u3d_config *c);

#endif
