/* Output of `u3d evaluate` other than JSON: prints a summary (net/evaluate/evaluate.h) as a table, and writes
 * it as CSV and as a picture. */
#ifndef U3D_TOOLS_EVALUATE_OUT_H
#define U3D_TOOLS_EVALUATE_OUT_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "engine/base/status.h"

/* Prints a line per case and label, the means, and the units of the numbers. */
void evaluate_table(const cJSON *summary);

/* Writes a line per case and label, then the means ("mean" and "foreground_mean" in place of a case). Every
 * measure of the summary is a column; a measure that is null is an empty field. Error: U3D_E_OUTPUT. */
u3d_status evaluate_csv(const cJSON *summary, const char *path);

/* Draws the worst and the median case by mean foreground Dice: slices across x, y and z, with the columns
 * image (if there is one), reference, prediction, outlines. If the number of cases is even, the median is the
 * better of the two in the middle. Cases without foreground are left out. `image` is the image of a single
 * case; NULL means the images that the summary names. Which cases are drawn is logged. `caption` (cap bytes)
 * becomes a sentence that says what the columns show, which image, and where the patient's left is. */
u3d_status evaluate_picture(const cJSON *summary, const char *image, const char *path, char *caption,
                            size_t cap);

#endif
