/* u3d verify inside: what is judged, and how a judgement is told. cmd_verify.c chooses and reports,
 * verify_ops.c goes through the op table, verify_net.c through a training step (verify_node.c: one node of
 * it, verify_optim.c: the update), verify_predict.c through a prediction. The judge is the tests' oracle
 * (tests/ref). */
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
    u3d_backend *backend; /* on trial                                               */
    u3d_backend *cpu;     /* the CPU, whole results are compared with it, too       */
    uint64_t seed;
    cJSON *json; /* NULL: lines of text                                    */
    int n_rows, n_failed;
    char first[160]; /* what failed first                                      */
} verify;

typedef struct verify_row { /* one line of the report, one object of the JSON */
    const char *list;       /* "ops", "nets" or "predictions"                                    */
    const char *name;       /* op or network                                                     */
    const char *part;       /* implementation, or part of the network's run                      */
    int cases;              /* how many comparisons                                              */
    double excess;          /* the largest error as a share of what is allowed; above 1 is wrong */
    double error, limit;
    char where[80]; /* where that was: case, node, parameter                             */
    int n_wrong;
    char text[640]; /* of the first that is wrong: element, both values                  */
} verify_row;

/* One comparison more: `where` has an error of `error` where `limit` is allowed. */
void verify_count(verify_row *r, const char *where, double excess, double error, double limit);
/* One that failed; the text of the first is kept. */
void verify_wrong(verify_row *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
u3d_status verify_report(verify *v, const verify_row *r);
u3d_status verify_stopped(const verify *v); /* U3D_E_CANCELLED after SIGINT */

/* ---- verify_ops.c ---- */
u3d_status verify_ops(verify *v);

/* ---- verify_net.c ---- */
/* A training step of this network; its forward pass in the prediction. */
u3d_status verify_net(verify *v, const char *name, const u3d_config *c);

/* ---- verify_node.c ---- */
typedef struct verify_node { /* user data of the hook */
    verify *v;
    verify_row row;
    u3d_val keep;                               /* this value is copied where it appears ...            */
    u3d_tensor *kept;                           /* ... to here; owned by the caller                     */
    double *in[U3D_MAX_IN], *want[U3D_MAX_OUT]; /* of the node at work          */
} verify_node;

/* u3d_hook: every node against the oracle fed with what the backend had computed so far. */
u3d_status verify_node_hook(void *user, u3d_exec *x, int node, bool done);
void verify_node_done(verify_node *n);

/* ---- verify_optim.c ---- */
/* Two updates from the gradients that are there, against the oracle's. */
u3d_status verify_optim(u3d_params *p, const u3d_config *c, verify_row *row);

/* ---- verify_predict.c ---- */
u3d_status verify_predict(verify *v, const char *name, const u3d_config *c);

#endif
