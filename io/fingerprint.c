/* A fingerprint that tells two sets of weights apart: the xxh64 of the bytes of all tensors. They are hashed
 * in the order of their names, so that the result does not depend on their order in a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/mem.h"
#include "io/checkpoint.h"

static int by_name(const void *a, const void *b)
{
    const u3d_tensor *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

u3d_status u3d_checkpoint_fingerprint(const u3d_checkpoint *c, char text[24])
{
    size_t n = (size_t)c->n_tensors;
    u3d_status status = U3D_OK;
    u3d_tensor **sorted = u3d_new(n, sizeof(u3d_tensor *));
    XXH64_state_t *state = XXH64_createState();
    if (!sorted || !state) {
        status = sorted ? u3d_fail(U3D_E_NOMEM, "fingerprint of %zu tensors: out of memory", n) : U3D_E_NOMEM;
        goto done;
    }
    if (n > 0) memcpy(sorted, c->tensors, n * sizeof(u3d_tensor *));
    qsort(sorted, n, sizeof(u3d_tensor *), by_name);
    XXH64_reset(state, 0);
    for (size_t i = 0; i < n; i++) XXH64_update(state, sorted[i]->data, u3d_type_bytes(&sorted[i]->type));
    (void)snprintf(text, 24, "%016llx", (unsigned long long)XXH64_digest(state));
done:
    XXH64_freeState(state);
    u3d_free(sorted);
    return status;
}
