/* One fold of a cross-validation: training, prediction and scores. */
#ifndef U3D_TOOLS_CROSSVAL_FOLD_H
#define U3D_TOOLS_CROSSVAL_FOLD_H

#include <cjson/cJSON.h>

#include "tools/cli/args.h"

typedef struct crossval {
    const args *a;
    int n;       /* folds */
    char *split; /* the file that lists them; NULL: slices of one volume */
    int32_t unlabeled;
} crossval;

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
