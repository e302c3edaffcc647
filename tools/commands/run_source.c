/* Reads the labels of a run from its model, and finds the images that its config.json names. */
#include "tools/commands/run_source.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/dataset.h"
#include "io/json.h"
#include "io/path.h"
#include "net/model/model.h"

/* The file to read from a run: its model, or its last checkpoint if training has not ended. */
static char *run_file(const char *path)
{
    if (!u3d_path_is_dir(path)) return u3d_strdup(path);
    char *model = u3d_path_join(path, U3D_RUN_MODEL);
    if (!model || u3d_path_exists(model)) return model;
    char *checkpoint = u3d_path_join(path, U3D_RUN_CHECKPOINT);
    if (!checkpoint || !u3d_path_exists(checkpoint)) {
        u3d_free(checkpoint);
        return model;
    }
    u3d_free(model);
    return checkpoint;
}

u3d_status run_labels(const char *path, u3d_labels **out)
{
    *out = NULL;
    u3d_model *model = NULL;
    char *file = run_file(path);
    if (!file) return U3D_E_NOMEM;
    u3d_status status = u3d_model_load(file, &model);
    u3d_free(file);
    if (status != U3D_OK) return status;
    *out = u3d_new(1, sizeof **out);
    if (*out) **out = model->labels;
    u3d_model_free(model);
    return *out ? U3D_OK : U3D_E_NOMEM;
}

static const char *text_member(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(u3d_json_member(object, name));
}

/* The image of a case in the data set, which is matched as in scoring; NULL if it has none. */
static const char *image_in(const u3d_dataset *data, const char *id)
{
    u3d_status status = U3D_OK;
    const int at = id && data ? u3d_dataset_match(data, id, &status) : -1;
    return at >= 0 && data->cases[at].n_images > 0 ? data->cases[at].image[0] : NULL;
}

u3d_status run_add_images(const cJSON *config, cJSON *summary)
{
    const cJSON *source = u3d_json_member(config, "source"),
                *cases = u3d_json_member(summary, "metric_per_case");
    const char *folder = text_member(source, "data"), *single = text_member(source, "image");
    u3d_dataset *data = NULL;
    cJSON *entry;
    bool ok = true;
    if (folder && u3d_dataset_open(folder, 0, false, &data) != U3D_OK)
        U3D_INFO("report", "the images of the run are not shown: %s", u3d_error_text());
    cJSON_ArrayForEach(entry, cases)
    {
        if (u3d_json_member(entry, "image_file")) continue;
        const char *image = folder ? image_in(data, text_member(entry, "case")) : NULL;
        if (single && cJSON_GetArraySize(cases) == 1 && u3d_path_exists(single)) image = single;
        if (image) ok = ok && cJSON_AddStringToObject(entry, "image_file", image);
    }
    u3d_dataset_free(data);
    return ok ? U3D_OK : u3d_fail(U3D_E_NOMEM, "out of memory while looking for images");
}
