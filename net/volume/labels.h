/* The label table: label values of files <-> classes 0..n-1 of the network. Station 1b of training, station
 * 6c of prediction.
 *
 * A voxel is unlabelled if nobody said what it is. Unlabelled voxels have the class U3D_UNLABELED; they
 * take no part in losses and scores. Labels are sparse if a large part of a volume is unlabelled, for
 * example because only some slices were annotated. The network sees only background that is labelled.
 *
 * If one label is the background, it is class 0, whatever its value in files is. The other classes follow in
 * the order of their values. */
#ifndef U3D_NET_LABELS_H
#define U3D_NET_LABELS_H

#include <cjson/cJSON.h>

#include "io/dataset.h"
#include "io/volume.h"

enum { U3D_UNLABELED = 255 }; /* in u8 class volumes */

typedef struct u3d_labels {
    int32_t n;            /* classes                                           */
    int32_t value[254];   /* values in files: the background first, then increasing      */
    char name[254][64];   /* "" if unknown                                               */
    bool has_unlabeled;   /* one value in files means "unlabelled"                       */
    int32_t unlabeled;    /* that value                                                  */
    bool background;      /* class 0 is the background; Dice and reports leave it out    */
} u3d_labels;

/* Label values of a file (i32, one channel) -> classes (u8). The result belongs to the caller.
 * U3D_E_FORMAT: a value is not in the table; the message gives the value and its position in `path`. */
u3d_status u3d_labels_to_classes(const u3d_labels *l, const u3d_volume *file, const char *path,
                                 u3d_volume **out);
/* Classes (u8) -> label values of files: u8 if all of them fit, otherwise i32. The result belongs to the
 * caller. U3D_E_FORMAT: a voxel has a class that is not in the table. */
u3d_status u3d_labels_to_values(const u3d_labels *l, const u3d_volume *classes, u3d_volume **out);
/* Gives the background the value 0, which is what files of predictions usually have there. Returns false, and
 * changes nothing, if there is no background or if 0 is the value of another class. */
bool u3d_labels_zero_background(u3d_labels *l);
/* The form that is stored in the model, and back. `where` names the source in error messages. */
u3d_status u3d_labels_to_json(const u3d_labels *l, cJSON **out);
u3d_status u3d_labels_from_json(u3d_labels *l, const cJSON *json, const char *where);

#endif
