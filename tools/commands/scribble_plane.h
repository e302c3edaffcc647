/* The strokes that a person would draw on one plane (scribbles.h). */
#ifndef U3D_TOOLS_SCRIBBLE_PLANE_H
#define U3D_TOOLS_SCRIBBLE_PLANE_H

#include "engine/base/rng.h"
#include "tools/commands/plane.h"

/* Draws about `budget` voxels on a plane. The structures come in the order of p->regions, as far as the ink
 * goes. Returns how many voxels got ink. */
int64_t scribble_plane(plane *p, int64_t budget, u3d_rng *r);

/* Draws one stroke on a region, as long as the region is wide. Returns how many voxels got ink. */
int64_t scribble_once(plane *p, const region *g, u3d_rng *r);

#endif
