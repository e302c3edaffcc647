/* Label values of files <-> classes 0..K-1 of the network; U3D_UNLABELED is "nobody painted here". */
#ifndef U3D_NET_LABELS_H
#define U3D_NET_LABELS_H

#include <cjson/cJSON.h>

#include "io/dataset.h"
#include "io/volume.h"

enum { U3D_UNLABELED = 255 }; /* in u8 class volumes */

typedef struct u3d_labels {
    int32_t n;            /* classes                                           */
    int32_t value[254];   /* value in files, increasing; value[0] usually 0    */
    char name[254][64];   /* "" where unknown                                  */
    bool has_unlabeled;
    int32_t unlabeled;    /* value in files                                    */
    bool background;      /* class 0 is value 0: Dice and reports leave it out */
} u3d_labels;

/* File labels (i32) -> classes (u8). U3D_E_FORMAT: a value that the table lacks, with its position. */
u3d_status u3d_labels_to_classes(const u3d_labels *l, const u3d_volume *file, const char *path, u3d_volume **out);
/* Classes -> file values (u8 where they fit, else i32). */
u3d_status u3d_labels_to_values(const u3d_labels *l, const u3d_volume *classes, u3d_volume **out);
u3d_status u3d_labels_to_json(const u3d_labels *l, cJSON **out);
u3d_status u3d_labels_from_json(u3d_labels *l, const cJSON *json, const char *where);

#endif
