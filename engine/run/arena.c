/* Device memory for temporaries: one buffer per chunk, as large as the plan that needs the most for this
 * chunk. */
#include "engine/run/exec_impl.h"
#include "engine/base/mem.h"

u3d_status u3d_arena_new(u3d_backend *b, u3d_plan *const *plans, int n_plans, u3d_arena **out)
{
    *out = NULL;
    u3d_status status = U3D_OK;
    u3d_arena *a = u3d_new(1, sizeof *a);
    if (!a) return U3D_E_NOMEM;
    a->backend = b;
    for (int i = 0; i < n_plans; i++)
        for (int c = 0; c < plans[i]->n_chunks; c++)
            if (plans[i]->chunk_bytes[c] > a->bytes[c]) a->bytes[c] = plans[i]->chunk_bytes[c];
    for (int c = 0; c < U3D_MAX_CHUNKS; c++)
        if (a->bytes[c] > 0) U3D_GO(u3d_backend_alloc(b, a->bytes[c], &a->buf[c]));
    *out = a;
    a = NULL;

done:
    u3d_arena_free(a);
    return status;
}

void u3d_arena_free(u3d_arena *a)
{
    if (!a) return;
    for (int c = 0; c < U3D_MAX_CHUNKS; c++) u3d_backend_release(a->backend, a->buf[c]);
    u3d_free(a);
}

uint64_t u3d_arena_bytes(const u3d_arena *a)
{
    uint64_t sum = 0;
    for (int c = 0; c < U3D_MAX_CHUNKS; c++) sum += a->bytes[c];
    return sum;
}
