/* Fusion: a pass over a finished graph that replaces groups of nodes by fused forms (engine/ops/op.h), if the
 * backend accepts them. Values that no node uses any more stay in the graph, without producer, uses and
 * memory.
 *
 *   skip gradients  The part of crop_concat_back that computes the gradient of skip moves after the nodes
 *                   that add to this gradient (for example maxpool3d_dx). The first of these then writes
 *                   instead of adding, and the crop is added at the end. So crop_concat_back need not fill
 *                   the rest of the map with zeros, and the map need not be kept while the coarser levels
 *                   are computed.
 *   joins           If all readers of a crop_concat are convolutions, they read its two inputs instead, and
 *                   the joined map is not written.
 *   lazy maps       If all readers of relu(norm(z)) can apply it while they load z, its result is not
 *                   written. The convolution that computes z also computes its moments, if the backend can.
 *   norm_back       It also computes the gradient of the activation.
 *
 * The graph computes the same with and without fusion, up to rounding. If the backend refuses a fused form,
 * the plain nodes stay. */
#ifndef U3D_ENGINE_FUSE_H
#define U3D_ENGINE_FUSE_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"

/* To be called after u3d_graph_backward (if the graph has a backward pass) and before a plan is made. */
u3d_status u3d_graph_fuse(u3d_graph *g, const u3d_backend *b);

#endif
