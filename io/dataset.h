/* Folders of volumes: lists the cases of a dataset and the names of its labels, without reading voxels.
 *
 * The layout is detected from the content:
 *   Decathlon   dataset.json with "training": [{image, label}] and "modality"; 4D files hold the channels, or
 *               (nnU-Net v1) files NAME_0000, NAME_0001, ... for a listed NAME
 *   nnU-Net v2  dataset.json with "channel_names" and "file_ending"; imagesTr/CASE_0000.nii.gz and
 *               labelsTr/CASE.nii.gz
 *   plain       images/NAME.nii(.gz) (or NAME_0000 ...) and labels/NAME.nii(.gz); a dataset.json may name
 *               labels and channels
 *   pair        one image and one label file
 *
 * Hidden files in folders, and files "._*" that Decathlon's dataset.json lists, are ignored. Other files that
 * lie beside the volumes and are not read are named in a warning. Two files of one name, such as a.nii and
 * a.nii.gz, are refused in every folder whose files are listed. */
#ifndef U3D_IO_DATASET_H
#define U3D_IO_DATASET_H

#include "engine/base/type.h"

typedef struct u3d_case {
    char *id;         /* "hippocampus_001"                                                  */
    char **image;     /* one file per channel, or one 4D file                               */
    int n_images;
    char *label;      /* NULL if there is none                                              */
} u3d_case;

typedef struct u3d_label_name {
    int32_t value;
    char *name;
} u3d_label_name;

typedef struct u3d_dataset {
    char *path, *layout;      /* layout: "decathlon", "nnunet", "plain", "pair", "labels"   */
    u3d_case *cases;          /* sorted by id                                               */
    int n_cases;
    char **channel_names;     /* may be NULL                                                */
    int n_channel_names;
    u3d_label_name *labels;   /* sorted by value, without `unlabeled`; may be empty         */
    int n_labels;
    bool has_unlabeled;       /* dataset.json has a label "ignore", "unlabeled" or the like */
    int32_t unlabeled;
} u3d_dataset;

/* Open a dataset, or an image and its label (may be NULL) as a dataset with one case. U3D_E_IO, U3D_E_FORMAT:
 * the message has the file, the field, what was found and what was expected. If a listed file is missing, if
 * a case has no label although `labels_needed` is true, or if a folder is empty, the message says what was
 * looked for. If `labels_needed` is false, the files of single cases are not checked, so that a batch can go
 * on without those that are missing. `channels` is the number that the model wants (0: unknown); if it is 1,
 * images NAME_0000 and NAME_0001 of a plain folder are two cases, unless a label says that they are one. */
u3d_status u3d_dataset_open(const char *dir, int channels, bool labels_needed, u3d_dataset **out);
u3d_status u3d_dataset_pair(const char *image, const char *label, u3d_dataset **out);
void u3d_dataset_free(u3d_dataset *d);
/* Names a label value; a name that it has already is replaced. U3D_E_NOMEM. */
u3d_status u3d_dataset_name_label(u3d_dataset *d, int32_t value, const char *name);
/* Whether a label of this name, such as "ignore" in any case, says that nobody labelled the voxel. */
bool u3d_label_means_unlabeled(const char *name);
int u3d_dataset_find(const u3d_dataset *d, const char *id); /* -1 if absent */
/* The label that is called "background", in any case; false if none is. */
bool u3d_dataset_background(const u3d_dataset *d, int32_t *value);
/* Finds the case for a file that is called `name` (without ending): the case of that id, or otherwise the one
 * whose id differs by the number _0000 of a first channel, which one tool keeps and another drops. -1 if
 * absent; *status becomes U3D_E_NOMEM if memory ran out. */
int u3d_dataset_match(const u3d_dataset *d, const char *name, u3d_status *status);

/* Opens images to predict. `path` is a file, a folder of files CASE.nii.gz or CASE_0000.nii.gz ... (grouped
 * by case), or a folder that u3d_dataset_open accepts. `channels` as above. A file NAME_0000 that does not
 * hold all of several channels stands for the files NAME_0001, ... beside it, too. A dataset.json that
 * describes files which are not there does not matter. */
u3d_status u3d_dataset_images(const char *path, int channels, u3d_dataset **out);
/* Opens the labels in a folder: a data set with its labels, or a folder of label files. Each of these files
 * becomes a case of its own, even if its name ends like a channel (_0000); the label file is the image of its
 * case. */
u3d_status u3d_dataset_labels(const char *path, u3d_dataset **out);

/* Reads fold `fold` of nnU-Net's splits_final.json: the indices of its cases, in increasing order. The caller
 * owns the arrays (u3d_free). It is an error if the dataset lacks a named case, if the fold is out of range,
 * or if a case is named twice. */
u3d_status u3d_split_read(const char *path, int fold, const u3d_dataset *d, int **train, int *n_train,
                          int **val, int *n_val);
/* Counts the folds of such a file. */
u3d_status u3d_split_count(const char *path, int *n);
/* Writes such a file with n folds. Case i is in the list "val" of fold fold[i] and in the list "train" of all
 * other folds, or in no list if fold[i] < 0. */
u3d_status u3d_split_write(const char *path, const u3d_dataset *d, int n, const int *fold);

#endif
