/* The memory that a network needs: what is added up, and the plan that may trade time for memory.
 *
 *   program    code, libraries and stacks, measured once (PROGRAM_BYTES, THREAD_BYTES)
 *   params     parameter blocks, each in whole pages of the device
 *   arena      activations and workspaces, from the memory plan (engine/plan)
 *   tensors    copies of inputs and outputs
 *
 * Volumes, batches and checkpoints are not included; net/train and net/predict add theirs. */
#include "net/model/footprint.h"

#include "engine/base/log.h"
#include "engine/run/params.h"

/* Measured with networks of a few parameters. */
static const uint64_t PROGRAM_BYTES = 4000000, THREAD_BYTES = 200000;

uint64_t u3d_footprint_sum(const u3d_footprint *f)
{
    return f->program + f->params + f->arena + f->tensors;
}

uint64_t u3d_footprint_cap(const u3d_backend *b, uint64_t memory_cap)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    if (caps.host_memory || caps.mem_bytes == 0) return memory_cap;
    return memory_cap > 0 && memory_cap < caps.mem_bytes ? memory_cap : caps.mem_bytes;
}

/* Bytes as they are allocated: buffers of at least a page of the device take whole pages. */
static uint64_t in_pages(const u3d_backend *b, uint64_t bytes)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    if (caps.page_bytes == 0 || bytes < caps.page_bytes) return bytes;
    return (bytes + caps.page_bytes - 1) / caps.page_bytes * caps.page_bytes;
}

uint64_t u3d_footprint_params(const u3d_backend *b, const u3d_graph *g, uint32_t blocks)
{
    const uint64_t state = u3d_params_planned_bytes(g, 0);
    const uint64_t block = u3d_params_planned_bytes(g, 1U << U3D_BLOCK_VALUE) - state;
    const uint64_t n = (uint64_t)__builtin_popcount(blocks);
    return n * in_pages(b, block) + in_pages(b, state);
}

uint64_t u3d_footprint_program(const u3d_backend *b)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    return PROGRAM_BYTES + THREAD_BYTES * (uint64_t)(caps.gpu ? 1 : caps.compute_units);
}

u3d_status u3d_net_plan(const u3d_unet3d *net, u3d_backend *b, uint64_t arena_cap, u3d_plan **plan,
                        u3d_recomputed *again)
{
    const u3d_plan_opts o = {.memory_cap = arena_cap};
    *plan = NULL;
    U3D_TRY(u3d_graph_recompute(net->graph, b, arena_cap, again));
    if (again->n > 0)
        U3D_INFO("plan",
                 "memory: %d forward node%s run again in the backward pass (%s): "
                 "activations take %.3f instead of %.3f GB, at the cost of %.1f GFLOP",
                 again->n, again->n == 1 ? "" : "s", again->names, (double)again->peak / 1e9,
                 (double)again->peak_without / 1e9, again->flops / 1e9);
    return u3d_plan_new(b, net->graph, &o, plan);
}

uint64_t u3d_footprint_tensors(const u3d_backend *b, const u3d_graph *g)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    uint64_t bytes = 0, largest = 0;
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++) {
        const u3d_value *value = u3d_graph_value(g, v);
        if (value->role != U3D_ROLE_INPUT && value->role != U3D_ROLE_OUTPUT) continue;
        uint64_t more = u3d_type_bytes(&value->type);
        bytes += more;
        if (more > largest) largest = more;
    }
    if (caps.host_memory) return bytes;
    return 2 * largest < caps.staging_bytes ? 2 * largest : caps.staging_bytes;
}

u3d_status u3d_footprint_plan(const u3d_unet3d *net, u3d_backend *b, uint32_t blocks, uint64_t memory_cap,
                              u3d_plan **plan, u3d_recomputed *again, u3d_footprint *out)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    *out = (u3d_footprint){.program = caps.host_memory ? u3d_footprint_program(b) : 0,
                           .params = u3d_footprint_params(b, net->graph, blocks),
                           .tensors = u3d_footprint_tensors(b, net->graph)};
    uint64_t rest = u3d_footprint_sum(out), cap = u3d_footprint_cap(b, memory_cap);
    uint64_t arena_cap = cap == 0 ? 0 : cap > rest ? cap - rest : 1;
    U3D_TRY(u3d_net_plan(net, b, arena_cap, plan, again));
    out->arena = in_pages(b, u3d_plan_peak_bytes(*plan));
    return U3D_OK;
}
