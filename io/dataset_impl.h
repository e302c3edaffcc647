/* Private to io/dataset*.c: builds a u3d_dataset case by case. */
#ifndef U3D_IO_DATASET_IMPL_H
#define U3D_IO_DATASET_IMPL_H

#include "io/dataset.h"

#include <cjson/cJSON.h>

u3d_status u3d_dataset_new(const char *path, const char *layout, u3d_dataset **out);
u3d_status u3d_dataset_add_case(u3d_dataset *d, const char *id, size_t id_len, u3d_case **out);
u3d_status u3d_case_add_image(u3d_case *c, char *owned); /* owns the path; NULL is reported as U3D_E_NOMEM */

/* How the images of a folder become cases. */
typedef struct u3d_case_rule {
    const char *image_dir;
    const char *label_dir; /* may be NULL; a label with the full name of an image makes that image a case   */
    const char *ending;    /* NULL: any ending of a volume; otherwise this one, in any case                 */
    bool numbered;         /* every name must end in a channel number: _0000, _0001, ...                    */
    int channels;          /* that the model wants; 0: unknown                                              */
} u3d_case_rule;
/* Adds the images of a folder to the dataset, grouped into cases. */
u3d_status u3d_dataset_group(u3d_dataset *d, const u3d_case_rule *rule);

/* Gives every case its label from the folder. With `needed`, a case without a label and a label without an
 * image are errors. */
u3d_status u3d_dataset_join_labels(u3d_dataset *d, const char *label_dir, bool needed);

/* Sorts the cases and checks what every layout requires: at least one case, unique ids, existing files, and
 * the same number of images in all cases. Warns of files beside those of the cases that are not read. */
u3d_status u3d_dataset_finish(u3d_dataset *d, const char *looked_in, bool labels_needed);

/* Read the labels, or labels and channels, from dataset.json (parsed as `json`, with `path` for messages),
 * and open the two layouts that it can describe. u3d_dataset_json_names is for plain folders: channels
 * without proper names cause a warning there. *exist: whether the images that the file describes are there.
 */
u3d_status u3d_dataset_json_labels(u3d_dataset *d, const char *path, const cJSON *json);
u3d_status u3d_dataset_json_names(u3d_dataset *d, const char *path, const cJSON *json);
u3d_status u3d_dataset_json_files(const char *dir, const cJSON *json, bool *exist);
u3d_status u3d_dataset_decathlon(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                                 u3d_dataset **out);
u3d_status u3d_dataset_nnunet(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                              u3d_dataset **out);

/* The length of the case's id in a file name without its ending: "_0000" at the end is the first channel and
 * not part of the id. */
size_t u3d_case_id_length(const char *name, size_t stem);

/* The volumes NAME_0001, NAME_0002, ... beside a file NAME_0000, in this order, perhaps with gaps; none for
 * other names. The caller frees them with u3d_path_list_free. */
u3d_status u3d_case_series(const char *path, char ***more, int *n);
/* Adds these volumes as the further channels of a case, and takes ownership of those that it adds.
 * U3D_E_FORMAT: a channel is missing, or there are two files for it. */
u3d_status u3d_case_add_series(u3d_case *c, char **more, int n);
/* Whether a file holds all of the channels that the model wants, so that it cannot be one of them. A file
 * that cannot be read is reported when its voxels are needed. */
u3d_status u3d_case_is_whole(const char *path, int channels, bool *whole);

/* Makes room for one more element after n. The array grows only if n is 0 or a power of two, so that no
 * capacity has to be stored. */
void *u3d_dataset_grow(void *array, int n, size_t size);

#endif
