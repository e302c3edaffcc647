/* Private to u3d crossval: what its files share. */
#ifndef U3D_TOOLS_CROSSVAL_IMPL_H
#define U3D_TOOLS_CROSSVAL_IMPL_H

#include <cjson/cJSON.h>

#include "tools/cli/args.h"

enum { CROSSVAL_FOLDS_MOST = 1000 };

typedef struct crossval {
    const args *a;
    int n;       /* folds */
    char *split; /* the file that lists them; NULL: slices of one volume */
    char *plan;  /* the file that says what they share; NULL: there is none, and folds plan for themselves */
    int32_t unlabeled;
} crossval;

/* ---- crossval_task.c ---- */

/* Runs a command in a process of its own. `what` stands for it if it ends without a result. */
u3d_status crossval_task(const char *what, u3d_status (*run)(const args *a), const args *a);

/* ---- crossval_plan.c ---- */

/* Sets c->n by --folds, --split, or the number of annotated slices. */
u3d_status crossval_number(crossval *c);
/* Sets c->plan, and makes the plan unless training has begun. Volumes that cannot be read do not keep the
 * others from being planned for. */
u3d_status crossval_plan(crossval *c, bool begun);
/* Sets c->split: the file of --split, or splits_final.json, which is written if it is missing. */
u3d_status crossval_split(crossval *c);

/* ---- crossval_fold.c ---- */

typedef struct fold_failure {
    u3d_status status;
    char *text; /* NULL: nothing failed; the caller frees it */
} fold_failure;

/* Does what is left to do of fold k and adds its summary to `summaries`. A fold that fails, or of which some
 * volumes could not be predicted, does not keep the others from being run: *failure then says what went wrong
 * first, and the next call tries it again. Its summary has the cases that were scored, perhaps none. Other
 * failures, such as a wrong option or a full disk, are returned. */
u3d_status crossval_fold(const crossval *c, int k, cJSON *summaries, fold_failure *failure);

#endif
