/* From options to cases: the data set, and the part of it that a fold selects. */
#ifndef U3D_TOOLS_ARGS_DATA_H
#define U3D_TOOLS_ARGS_DATA_H

#include "io/dataset.h"
#include "net/evaluate/evaluate.h"
#include "tools/cli/args.h"

typedef struct args_cases {
    u3d_dataset *data;
    int *train, *val; /* indices into data; without --split all cases are in `train` and none in `val` */
    int n_train, n_val;
} args_cases;

/* Reads --data, or --image with --label, and --split with --fold. `channels` as for u3d_dataset_open.
 * U3D_E_ARG: they do not fit together. */
u3d_status args_cases_open(const args *a, const char *command_name, int channels, bool labels_needed,
                           args_cases *out);
void args_cases_close(args_cases *c);

/* --names VALUE=NAME,...: names labels of `d`, or only checks the option if `d` is NULL. U3D_E_ARG: the
 * option is not such a list, names a value or uses a name twice, or names the value that means "unlabelled".
 */
u3d_status args_names(const args *a, u3d_dataset *d);
/* --unlabeled, --background. */
u3d_status args_unlabeled(const args *a, bool *given, int32_t *value);
u3d_status args_background(const args *a, bool *given, int32_t *value);
/* --prediction, --reference, --unlabeled, --dense, --background, --threads, --no-surface, --tolerance. */
u3d_status args_evaluate(const args *a, u3d_evaluate_opts *o);
/* --slices NX,NY,NZ -> counts across x, y, z. */
u3d_status args_slices(const char *text, int64_t n[3]);

/* The files that a label option stands for: the file itself, or the volumes of a folder, without its path.
 * The caller frees the names with u3d_path_list_free. */
u3d_status args_label_files(const char *path, char ***names, int *n, bool *folder);

#endif
