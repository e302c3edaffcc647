/* What a cross-validation comes to: from the summaries of its folds to one. */
#ifndef U3D_TOOLS_CROSSVAL_OUT_H
#define U3D_TOOLS_CROSSVAL_OUT_H

#include <cjson/cJSON.h>

#include "engine/base/status.h"

/* `summaries`: u3d_evaluate's of every fold, in order. {"folds": [{"cases", "foreground_mean": {...}, "mean":
 * {"1": ...}}], "mean": {"foreground": {"Dice", ...}, "1": ...}, "sd": the same}: mean and standard deviation
 * (n - 1) of the folds' means, over the folds where a measure is not null. */
u3d_status crossval_summary(const cJSON *summaries, cJSON **out);
void crossval_table(const cJSON *result);
/* A line per fold and label ("foreground" among them); a measure that is null is empty. */
u3d_status crossval_csv(const cJSON *result, const char *path);

#endif
