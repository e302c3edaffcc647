/* Private to io/dataset*.c: building a u3d_dataset case by case. */
#ifndef U3D_IO_DATASET_IMPL_H
#define U3D_IO_DATASET_IMPL_H

#include "io/dataset.h"

#include <cjson/cJSON.h>

u3d_status u3d_dataset_new(const char *path, const char *layout, u3d_dataset **out);
u3d_status u3d_dataset_add_case(u3d_dataset *d, const char *id, size_t id_len, u3d_case **out);
u3d_status u3d_case_add_image(u3d_case *c, char *owned); /* takes the path; NULL means out of memory */

/* How the images of a folder become cases. */
typedef struct u3d_case_rule {
    const char *image_dir;
    const char *label_dir; /* NULL: none; a label of exactly a file's name makes it a case of its own      */
    const char *ending;    /* NULL: any NIfTI ending (.img only through its .hdr)                          */
    bool numbered;         /* every name must end in a channel, _0000, _0001, ...                          */
} u3d_case_rule;
u3d_status u3d_dataset_group(u3d_dataset *d, const u3d_case_rule *rule);

/* Give every case its label from the folder; a label without an image is an error (a warning without
 * `needed`). */
u3d_status u3d_dataset_join_labels(u3d_dataset *d, const char *label_dir, bool needed);

/* Sort, and check what all layouts promise: at least one case, ids unique, files present, equally many
 * images. */
u3d_status u3d_dataset_finish(u3d_dataset *d, const char *looked_in, bool labels_needed);

/* What dataset.json (already parsed, at `path`) says of labels and channels, and the two layouts it
 * describes. */
u3d_status u3d_dataset_json_labels(u3d_dataset *d, const char *path, const cJSON *json);
u3d_status u3d_dataset_decathlon(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                                 u3d_dataset **out);
u3d_status u3d_dataset_nnunet(const char *dir, const char *path, const cJSON *json, bool labels_needed,
                              u3d_dataset **out);

/* Length of the id in a file name without ending: a last "_0000" is the first channel, not part of the id. */
size_t u3d_case_id_length(const char *name, size_t stem);

/* Room for one more element after n; grows at powers of two, so that no capacity needs to be kept. */
void *u3d_dataset_grow(void *array, int n, size_t size);

#endif
