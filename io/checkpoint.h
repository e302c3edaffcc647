/* safetensors files: named tensors in host memory, and metadata that consists of strings.
 *
 *   8 bytes with the header's length (little-endian), JSON header, raw little-endian data
 *
 * The Python package of the same name can exchange files with u3d. The metadata entry "xxh64" holds a
 * checksum (xxh64) per tensor, which is verified on loading if it is present. Source:
 * huggingface/safetensors, README "Format". */
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
u3d_status u3d_checkpoint_add(u3d_checkpoint *c, u3d_tensor *owned); /* owns the tensor, also on failure */
u3d_status u3d_checkpoint_set(u3d_checkpoint *c, const char *key, const char *value);
const char *u3d_checkpoint_get(const u3d_checkpoint *c, const char *key); /* NULL if absent */
u3d_tensor *u3d_checkpoint_find(const u3d_checkpoint *c, const char *name);

/* The xxh64 of the bytes of all tensors in the order of their names, as 16 hexadecimal digits. */
u3d_status u3d_checkpoint_fingerprint(const u3d_checkpoint *c, char text[24]);

/* Writes a temporary file, flushes it to disk and renames it, so that the file is complete or absent. */
u3d_status u3d_checkpoint_save(const char *path, const u3d_checkpoint *c);
u3d_status u3d_checkpoint_load(const char *path, u3d_checkpoint **out);

#endif
