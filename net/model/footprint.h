/* The memory that a network needs, known before anything is allocated. This is the only place with this
 * arithmetic: training, prediction, and the commands `u3d info`, `u3d bench` and `u3d verify` use it. */
#ifndef U3D_NET_FOOTPRINT_H
#define U3D_NET_FOOTPRINT_H

#include "engine/plan/plan.h"
#include "engine/rewrite/recompute.h"
#include "net/model/unet3d.h"

typedef struct u3d_footprint { /* bytes */
    uint64_t program; /* code, libraries, stacks; 0 for a device with memory of its own */
    uint64_t params;  /* parameter blocks                                               */
    uint64_t arena;   /* activations and workspaces                                     */
    uint64_t tensors; /* copies of what is fed and fetched, outside of the arena        */
} u3d_footprint;

uint64_t u3d_footprint_sum(const u3d_footprint *f);

/* Bytes that parameters and activations may take on the backend; 0: no limit. For a device with memory of its
 * own this is the size of that memory, or `memory_cap` if that is smaller and not 0. */
uint64_t u3d_footprint_cap(const u3d_backend *b, uint64_t memory_cap);
/* Resident size of the program itself: code, libraries, stacks. */
uint64_t u3d_footprint_program(const u3d_backend *b);
/* Bytes of a graph's parameter blocks (`blocks`: one bit per u3d_block) in the backend's buffers. */
uint64_t u3d_footprint_params(const u3d_backend *b, const u3d_graph *g, uint32_t blocks);

/* Bytes of the copies of inputs and outputs outside of the arena. For a device with memory of its own these
 * are the staging buffers that inputs pass through. */
uint64_t u3d_footprint_tensors(const u3d_backend *b, const u3d_graph *g);

/* Plans a network whose temporaries may take arena_cap bytes (0: only the device limits them). If they do not
 * fit, maps that are cheap to compute are computed again in the backward pass instead of being kept; *again
 * and the log say which. */
u3d_status u3d_net_plan(const u3d_unet3d *net, u3d_backend *b, uint64_t arena_cap, u3d_plan **plan,
                        u3d_recomputed *again);

/* Makes such a plan for a program that only runs this network with these parameter blocks. memory_cap: bytes
 * for the whole program, 0: no limit. *out: what each part takes. */
u3d_status u3d_footprint_plan(const u3d_unet3d *net, u3d_backend *b, uint32_t blocks, uint64_t memory_cap,
                              u3d_plan **plan, u3d_recomputed *again, u3d_footprint *out);

#endif
