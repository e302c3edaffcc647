/* Scribbles as people draw them, made from dense labels: plane by plane, thin smooth strokes inside of
 * structures, along the outside of their borders, and a few elsewhere in the background.
 *
 *   planes      those across the axis with the coarsest spacing; of equal ones, axial planes. If a plane
 *               would get less ink than twice the side of a square of its size, fewer planes are drawn on,
 *               evenly spread.
 *   structures  two fifths of a plane's ink, at most a quarter of their voxels. The length of a stroke is
 *               in proportion to the diameter (square root of the area) of its structure. If there is too
 *               little ink for all structures, the labels take turns, those without ink first, and larger
 *               structures have better chances.
 *   background  three quarters of the rest are open arcs around structures, at a distance that is drawn
 *               for each; the others lie anywhere.
 *   labels      a label that got no stroke in any plane gets one where it is largest.
 *
 * Human scribbles of the heart (Valvano et al., IEEE TMI 2021) are the model: their length is about four
 * times the diameter, three fifths of their ink are background, and lines are one to two voxels wide. */
#ifndef U3D_TOOLS_SCRIBBLES_H
#define U3D_TOOLS_SCRIBBLES_H

#include "engine/base/rng.h"
#include "io/volume.h"

#define SCRIBBLES_SHARE     0.01 /* of the voxels, unless the user says otherwise  */
#define SCRIBBLES_SHARE_MAX 0.2  /* more than that are no strokes, but filled areas */

/* "1%" or "0.01" -> 0.01. An empty text stands for SCRIBBLES_SHARE. U3D_E_ARG: it is no such share. */
u3d_status scribbles_parse(const char *text, double *share);

/* Sets all voxels of an i32 label volume to `unlabeled` except about `share` of those that have a label, and
 * at least one stroke per label. `background` is the label that is no structure. *kept receives the number of
 * voxels that are still labelled. U3D_E_NOMEM. */
u3d_status scribbles_keep(u3d_volume *label, double share, int32_t background, int32_t unlabeled, u3d_rng *r,
                          int64_t *kept);

#endif
