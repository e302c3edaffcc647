/* What a network takes in memory, known before anything is allocated. The one home of this arithmetic: training,
 * `u3d info` and `u3d bench` ask here. */
#ifndef U3D_NET_FOOTPRINT_H
#define U3D_NET_FOOTPRINT_H

#include "engine/plan/plan.h"
#include "engine/rewrite/recompute.h"
#include "net/model/unet3d.h"

typedef struct u3d_footprint { /* bytes */
    uint64_t program; /* code, libraries, stacks; 0 for a device with memory of its own */
    uint64_t params;  /* parameter blocks                                             */
    uint64_t arena;   /* activations and workspaces                                   */
    uint64_t tensors; /* copies of what is fed and fetched, outside of the arena      */
} u3d_footprint;

uint64_t u3d_footprint_sum(const u3d_footprint *f);

/* Bytes that parameters and activations may take on the backend; 0: no limit. A device with memory of its own has as
 * much as it has, and `memory_cap` (0: none) where that is less. */
uint64_t u3d_footprint_cap(const u3d_backend *b, uint64_t memory_cap);
/* Resident size of the program around everything else. */
uint64_t u3d_footprint_program(const u3d_backend *b);
/* Parameter blocks of a graph as the backend's buffers hold them. */
uint64_t u3d_footprint_params(const u3d_backend *b, const u3d_graph *g, uint32_t blocks);

/* Copies of inputs and outputs beside the arena; on a device with memory of its own what inputs pass through. */
uint64_t u3d_footprint_tensors(const u3d_backend *b, const u3d_graph *g);

/* The plan of a network whose temporaries may take arena_cap bytes (0: no limit but the device's). Where they do not
 * fit, cheap maps are computed again in the backward pass; what was done is told in *again and the log. */
u3d_status u3d_net_plan(const u3d_unet3d *net, u3d_backend *b, uint64_t arena_cap, u3d_plan **plan,
                        u3d_recomputed *again);

/* The same for a program that does nothing else but run this network with these parameter blocks, below memory_cap
 * bytes for all of it (0: no limit). */
u3d_status u3d_footprint_plan(const u3d_unet3d *net, u3d_backend *b, uint32_t blocks, uint64_t memory_cap,
                              u3d_plan **plan, u3d_recomputed *again, u3d_footprint *out);

#endif
