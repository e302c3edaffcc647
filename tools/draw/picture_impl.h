/* Private to tools/draw/: what picture.c draws, and which slices picture_view.c chooses for it. */
#ifndef U3D_TOOLS_PICTURE_IMPL_H
#define U3D_TOOLS_PICTURE_IMPL_H

#include "tools/draw/picture.h"

enum { PICTURE_TILE = 320, PICTURE_VALUES = 256 };

typedef struct view { /* how a slice is drawn; axes are indices into size[] (z, y, x) */
    int across, up, through;
    int64_t at;
    char left_end;     /* 'R' or 'A': what lies to the left, so `across` runs to the left; 0: as stored */
    int width, height; /* pixels */
} view;

typedef struct part { /* a part and how it is drawn */
    const picture_part *p;
    bool placed; /* drawn by its place in space, not as stored */
    bool sparse; /* the first label volume has unlabelled voxels */
    float black, white;
    view *views;
    int n_views;
    int column, n_columns; /* width of a column in pixels, number of columns */
} part;

typedef struct picture {
    const picture_opts *o;
    int32_t values[PICTURE_VALUES]; /* label values that occur, increasing */
    int n_values;
    part *parts;
    int n_parts;
    uint8_t *rgb;
    int width, height;
} picture;

bool picture_unlabeled(const picture *p, int32_t value);
/* Rank of a label value among those that occur; -1 for background and unlabelled. */
int picture_rank(const picture *p, int32_t value);
/* Chooses the slices of a part, and how they are turned. U3D_E_ARG: no slice is wanted. */
u3d_status picture_views(const picture *p, part *t);

#endif
