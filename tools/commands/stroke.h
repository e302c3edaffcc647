/* Draws one stroke of a pen on a plane: a thin smooth curve with a direction that changes slowly, as people
 * scribble. It stays on the voxels of one label and off their border, prefers voxels far from ink, and turns
 * round when it meets an end. */
#ifndef U3D_TOOLS_STROKE_H
#define U3D_TOOLS_STROKE_H

#include "engine/base/rng.h"
#include "tools/commands/plane.h"

typedef struct stroke {
    int32_t label;
    double aim;   /* distance from the border that the stroke keeps, in voxels, give or take a third */
    bool deeper;  /* it only prefers to keep that distance, and anything further is as good         */
    bool broad;   /* two voxels wide instead of one                                             */
    int64_t want; /* voxels to draw                                                             */
} stroke;

/* Draws from a voxel of the label and returns how many voxels got ink. It ends early if it cannot go on. */
int64_t stroke_draw(plane *p, const stroke *s, int64_t start, u3d_rng *r);

/* How well voxel y, x suits the stroke, from 0 to 1; negative if the pen must not go there. */
double stroke_appeal(const plane *p, const stroke *s, int64_t y, int64_t x);
/* How much ink there is within 2 voxels, from 0 to 1. */
double stroke_crowd(const plane *p, int64_t y, int64_t x);

#endif
