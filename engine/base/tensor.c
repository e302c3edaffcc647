/* Host arrays: a name, a type, and zeroed memory of that size. Type and name may come from a file, so both
 * are checked here, once. */
#include "engine/base/tensor.h"

#include <string.h>

#include "engine/base/mem.h"

u3d_status u3d_tensor_new(const char *name, u3d_type type, u3d_tensor **out)
{
    int64_t elements;
    uint64_t bytes;
    *out = NULL;
    if (!name) name = "";
    if (strlen(name) >= U3D_NAME_CAP) {
        return u3d_fail(U3D_E_ARG, "tensor name '%s' has %zu bytes; at most %d are allowed", name,
                        strlen(name), U3D_NAME_CAP - 1);
    }
    if (u3d_type_count(&type, &elements, &bytes) != U3D_OK) return u3d_wrap(U3D_E_SHAPE, "tensor '%s'", name);
    u3d_tensor *t = u3d_new(1, sizeof *t);
    if (!t) return U3D_E_NOMEM;
    t->type = type;
    memcpy(t->name, name, strlen(name) + 1);
    t->data = u3d_new(bytes, 1);
    if (!t->data) {
        u3d_tensor_free(t);
        return u3d_wrap(U3D_E_NOMEM, "tensor '%s'", name);
    }
    *out = t;
    return U3D_OK;
}

void u3d_tensor_free(u3d_tensor *t)
{
    if (!t) return;
    u3d_free(t->data);
    u3d_free(t);
}
