/* Recomputation: saves memory at the price of more arithmetic. A map that the forward pass computes and the
 * backward pass reads much later is not kept in between; instead, its node runs a second time right before
 * the backward pass reads it:
 *
 *   before                                  after
 *   enc0.conv1        -> out                enc0.conv1        -> out
 *   ...               (out is kept)         ...               (the memory of out is free)
 *                                           enc0.conv1.again  -> out.again
 *   enc0.conv2.dw     reads out             enc0.conv2.dw     reads out.again
 *
 * The second run is the same op on the same inputs, so every bit of the results stays the same. */
#ifndef U3D_ENGINE_RECOMPUTE_H
#define U3D_ENGINE_RECOMPUTE_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"

typedef struct u3d_recomputed {
    int n;           /* number of nodes that run twice                                        */
    char names[200]; /* their names, for people: "enc0.conv1, enc1.conv1"; may be cut         */
    double flops;    /* FLOPs that the second runs add                                        */
    uint64_t peak_without, peak; /* peaks in bytes, planned with the smallest workspaces, without and with
                                  * recomputation; 0 and 0 if there is no memory cap */
} u3d_recomputed;

/* To be called after u3d_graph_fuse and before a plan is made. Does nothing if the temporaries fit into
 * memory_cap bytes anyway (0: no limit). Otherwise it chooses nodes whose results are alive at the peak,
 * those with the least arithmetic per byte first, until the temporaries fit or no candidate is left. A node
 * that does not lower the peak is left as it was. */
u3d_status u3d_graph_recompute(u3d_graph *g, u3d_backend *b, uint64_t memory_cap, u3d_recomputed *out);

#endif
