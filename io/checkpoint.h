/* safetensors files: named host tensors plus string metadata.
 *
 *   8 bytes little-endian header length, JSON header, raw little-endian data.
 * Interoperable with the Python package of that name. A checksum (xxh64) per tensor is kept in the
 * metadata under "xxh64" and verified on reading where present. Source: huggingface/safetensors, README "Format". */
#ifndef U3D_IO_CHECKPOINT_H
#define U3D_IO_CHECKPOINT_H

#include "engine/base/tensor.h"

typedef struct u3d_meta {
    char *key, *value;
} u3d_meta;

typedef struct u3d_checkpoint {
    u3d_tensor **tensors;
    int n_tensors;
    u3d_meta *meta;
    int n_meta;
} u3d_checkpoint;

u3d_status u3d_checkpoint_new(u3d_checkpoint **out);
void u3d_checkpoint_free(u3d_checkpoint *c);
u3d_status u3d_checkpoint_add(u3d_checkpoint *c, u3d_tensor *owned); /* takes the tensor, also on failure */
u3d_status u3d_checkpoint_set(u3d_checkpoint *c, const char *key, const char *value);
const char *u3d_checkpoint_get(const u3d_checkpoint *c, const char *key); /* NULL if absent */
u3d_tensor *u3d_checkpoint_find(const u3d_checkpoint *c, const char *name);

/* xxh64 over all tensors' bytes in the order of their names, as 16 hexadecimal digits. */
u3d_status u3d_checkpoint_fingerprint(const u3d_checkpoint *c, char text[24]);

/* Complete or absent: written to a temporary file, flushed, renamed. */
u3d_status u3d_checkpoint_save(const char *path, const u3d_checkpoint *c);
u3d_status u3d_checkpoint_load(const char *path, u3d_checkpoint **out);

#endif
