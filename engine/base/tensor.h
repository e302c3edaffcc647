/* Host array: what crosses the border of the engine (feed, fetch, checkpoint, golden
 * files, reference loops). Owns `data`. */
#ifndef U3D_ENGINE_TENSOR_H
#define U3D_ENGINE_TENSOR_H

#include "engine/base/type.h"

typedef struct u3d_tensor {
    char name[U3D_NAME_CAP];
    u3d_type type;
    void *data;
} u3d_tensor;

u3d_status u3d_tensor_new(const char *name, u3d_type type, u3d_tensor **out); /* zeroed */
void u3d_tensor_free(u3d_tensor *t);
static inline float *u3d_tensor_f32(const u3d_tensor *t) { return (float *)t->data; }
static inline uint8_t *u3d_tensor_u8(const u3d_tensor *t) { return (uint8_t *)t->data; }

#endif
