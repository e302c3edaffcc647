/* Recomputation: arithmetic for memory. A map that the forward pass made and the backward pass reads much later is
 * let go in between, and its node runs a second time right before that use:
 *
 *   before                                  after
 *   enc0.conv1        -> out                enc0.conv1        -> out
 *   ...               (out waits)           ...
 *                                           enc0.conv1.again  -> out.again
 *   enc0.conv2.dw     reads out             enc0.conv2.dw     reads out.again
 *
 * The same op on the same inputs: every bit of the results stays. */
#ifndef U3D_ENGINE_RECOMPUTE_H
#define U3D_ENGINE_RECOMPUTE_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"

typedef struct u3d_recomputed {
    int n;          /* nodes that run twice                                       */
    char names[200]; /* of them, for people: "enc0.conv1, enc1.conv1"; may be cut */
    double flops;   /* what that costs                                            */
    uint64_t peak_without, peak; /* bytes of temporaries with the smallest workspaces; 0 and 0 without a cap */
} u3d_recomputed;

/* After u3d_graph_fuse, before a plan is made. Does nothing where the temporaries fit into memory_cap bytes
 * (0: no limit) without it. Else nodes whose results are alive at the peak are taken, the least arithmetic per
 * byte first, until it fits; a node that does not lower the peak is left as it was. */
u3d_status u3d_graph_recompute(u3d_graph *g, u3d_backend *b, uint64_t memory_cap, u3d_recomputed *out);

#endif
