/* A named array in host memory: the form in which data enter and leave the engine (feed, fetch, checkpoints,
 * golden files, reference loops). A tensor owns its `data`. */
#ifndef U3D_ENGINE_TENSOR_H
#define U3D_ENGINE_TENSOR_H

#include "engine/base/type.h"

typedef struct u3d_tensor {
    char name[U3D_NAME_CAP];
    u3d_type type;
    void *data;
} u3d_tensor;

/* The data are zeroed. A NULL name counts as "". U3D_E_ARG if the name has more than U3D_NAME_CAP - 1 bytes,
 * U3D_E_SHAPE if the type is not valid. */
u3d_status u3d_tensor_new(const char *name, u3d_type type, u3d_tensor **out);
void u3d_tensor_free(u3d_tensor *t); /* NULL is legal */
static inline float *u3d_tensor_f32(const u3d_tensor *t) { return (float *)t->data; }
static inline uint8_t *u3d_tensor_u8(const u3d_tensor *t) { return (uint8_t *)t->data; }

#endif
