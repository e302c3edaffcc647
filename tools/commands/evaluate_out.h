/* What `u3d evaluate` makes of a summary (net/evaluate/evaluate.h) besides JSON: a table for people, CSV, a picture.
 */
#ifndef U3D_TOOLS_EVALUATE_OUT_H
#define U3D_TOOLS_EVALUATE_OUT_H

#include <cjson/cJSON.h>

#include "engine/base/status.h"

/* To stdout: a line per case and label, means, and what the numbers' units are. */
void evaluate_table(const cJSON *summary);

/* A line per case and label, then the means ("mean" and "foreground_mean" in place of a case); every measure
 * of the summary a column, empty where it is null. U3D_E_OUTPUT. */
u3d_status evaluate_csv(const cJSON *summary, const char *path);

/* The worst and the median case by mean foreground Dice: slices across x, y and z; image (where one is
 * known), reference, prediction, outlines. Of an even number of cases the median is the better of the middle
 * two; cases without any foreground are left out. `image`: the image of a single case, NULL: as the summary
 * says. Tells stderr which cases. */
u3d_status evaluate_picture(const cJSON *summary, const char *image, const char *path);

#endif
