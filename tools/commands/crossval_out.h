/* Results of a cross-validation: the summaries of its folds are combined, printed and written as CSV. */
#ifndef U3D_TOOLS_CROSSVAL_OUT_H
#define U3D_TOOLS_CROSSVAL_OUT_H

#include <cjson/cJSON.h>

#include "engine/base/status.h"

/* `summaries`: the summary by u3d_evaluate of every fold, in order. *out is
 *
 *   {"folds": [{"cases", "foreground_mean": {...}, "mean": {"1": ...}, "error": if it failed}],
 *    "mean": {"foreground": {"Dice", ...}, "1": ...},
 *    "sd": like "mean"}
 *
 * "mean" and "sd" are the mean and the standard deviation (n - 1) of the means of the folds. A fold in which
 * a measure is null is left out. */
u3d_status crossval_summary(const cJSON *summaries, cJSON **out);
void crossval_table(const cJSON *result);
/* Writes a line per fold and label, including "foreground"; a measure that is null is an empty field. */
u3d_status crossval_csv(const cJSON *result, const char *path);

#endif
