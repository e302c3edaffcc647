/* Folders of volumes: which cases there are, and what their labels mean. Reads no voxels.
 *
 * Layouts, detected by content:
 *   Decathlon   dataset.json with "training": [{image, label}] and "modality"; 4D files hold the channels
 *   nnU-Net v2  dataset.json with "channel_names" and "file_ending"; imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz
 *   plain       images/NAME.nii(.gz) (or NAME_0000 ...) and labels/NAME.nii(.gz)
 *   pair        one image and one label file
 * Files starting with "._" are ignored. */
#ifndef U3D_IO_DATASET_H
#define U3D_IO_DATASET_H

#include "engine/base/type.h"

typedef struct u3d_case {
    char *id;         /* "hippocampus_001"                                                  */
    char **image;     /* one file per channel, or one 4D file                               */
    int n_images;
    char *label;      /* NULL: none                                                         */
} u3d_case;

typedef struct u3d_label_name {
    int32_t value;
    char *name;
} u3d_label_name;

typedef struct u3d_dataset {
    char *path, *layout;      /* layout: "decathlon", "nnunet", "plain", "pair"             */
    u3d_case *cases;          /* sorted by id                                               */
    int n_cases;
    char **channel_names;     /* may be NULL                                                */
    int n_channel_names;
    u3d_label_name *labels;   /* sorted by value, without the unlabeled one; may be empty   */
    int n_labels;
    bool has_unlabeled;       /* dataset.json names "ignore" or "unlabeled"                 */
    int32_t unlabeled;
} u3d_dataset;

/* U3D_E_IO, U3D_E_FORMAT: file, field, found, expected; a listed file that is missing, a case without a label
 * (when `labels_needed`) and an empty folder are errors that say what was looked for. */
u3d_status u3d_dataset_open(const char *dir, bool labels_needed, u3d_dataset **out);
u3d_status u3d_dataset_pair(const char *image, const char *label, u3d_dataset **out);
void u3d_dataset_free(u3d_dataset *d);
int u3d_dataset_find(const u3d_dataset *d, const char *id); /* -1 if absent */

/* Images to predict: `path` is a file, or a folder of files (CASE.nii.gz or CASE_0000.nii.gz ... grouped by case,
 * or a folder that u3d_dataset_open understands). */
u3d_status u3d_dataset_images(const char *path, u3d_dataset **out);
/* A folder of label files as cases of one image each, whatever their names end in: the image is the label file. */
u3d_status u3d_dataset_labels(const char *path, u3d_dataset **out);

/* nnU-Net's splits_final.json: case indices of fold `fold`, in increasing order; arrays owned by the caller (u3d_free).
 * A name that the dataset lacks, a fold out of range, a case in both lists are errors. */
u3d_status u3d_split_read(const char *path, int fold, const u3d_dataset *d, int **train, int *n_train, int **val,
                          int *n_val);
/* How many folds such a file has. */
u3d_status u3d_split_count(const char *path, int *n);
/* Writes one of n folds: case i is tested in fold[i] and trained on in the others. */
u3d_status u3d_split_write(const char *path, const u3d_dataset *d, int n, const int *fold);

#endif
