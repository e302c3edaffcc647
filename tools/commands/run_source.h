/* What a training run says about the files that it was trained on, for commands that show or score files. */
#ifndef U3D_TOOLS_RUN_SOURCE_H
#define U3D_TOOLS_RUN_SOURCE_H

#include <cjson/cJSON.h>

#include "net/volume/labels.h"

/* Reads the labels of a model. `path`: a RUN folder, whose checkpoint is read if there is no model yet, or a
 * model file. The caller frees them with u3d_free. */
u3d_status run_labels(const char *path, u3d_labels **out);

/* Adds "image_file" to the cases of a summary (net/evaluate/evaluate.h) that have none, from the "source" of
 * a run's config.json: the image of the same name in the data set, or, if the summary has a single case, the
 * single image that the run was trained on. Images that are not there any more are left out. U3D_E_NOMEM. */
u3d_status run_add_images(const cJSON *config, cJSON *summary);

#endif
