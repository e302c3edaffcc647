/* Private to io/checkpoint*.c: names and limits of the format, which saving and loading share. */
#ifndef U3D_IO_CHECKPOINT_IMPL_H
#define U3D_IO_CHECKPOINT_IMPL_H

#include "io/checkpoint.h"

#define U3D_CHECKPOINT_META   "__metadata__" /* header key of the metadata: a map of strings      */
#define U3D_CHECKPOINT_HASHES "xxh64"        /* metadata key of a JSON text: tensor name -> hex   */

/* Names are searched linearly, so without a limit on tensors a hostile header could cost hours. */
enum {
    U3D_CHECKPOINT_MAX_HEADER = 100000000, /* bytes; the format's own limit */
    U3D_CHECKPOINT_MAX_TENSORS = 16384
};

extern const char *const u3d_checkpoint_dtypes[3]; /* by u3d_dtype: "F32", "I32", "U8" */

uint64_t u3d_checkpoint_hash(const void *data, uint64_t bytes);

#endif
