/* Fusion: a pass over a finished graph that replaces groups of nodes by fused forms (op.h) where the backend
 * takes them. Values that nobody touches any more stay in the graph without producer, uses and memory.
 *
 *   skip gradients  crop_concat_back writes the gradient of its skip last instead of first, so that what
 *                   pooling sends back is written and the crop added: no map of zeros, none that waits
 *   joins           a crop_concat whose readers are convolutions is read in place by them
 *   lazy maps       relu(norm(z)) whose readers can all apply it while loading is never written;
 *                   moments come from the convolution that stores z where it can gather them
 *   norm_back       takes the gradient of the activation along
 *
 * Without it the graph computes the same up to rounding. A backend that refuses a fused form keeps the plain nodes. */
#ifndef U3D_ENGINE_FUSE_H
#define U3D_ENGINE_FUSE_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"

/* After u3d_graph_backward, before a plan is made. */
u3d_status u3d_graph_fuse(u3d_graph *g, const u3d_backend *b);

#endif
