/* Place values in memory so that values alive at the same time never overlap.
 * Pure: knows nothing of graphs. */
#ifndef U3D_ENGINE_PLACE_H
#define U3D_ENGINE_PLACE_H

#include "engine/base/status.h"

#include <stdint.h>

typedef struct u3d_life {
    int32_t first, last; /* node indices, inclusive                         */
    uint64_t bytes;      /* input                                           */
    int32_t chunk;       /* result                                          */
    uint64_t off;        /* result: bytes, multiple of `align`              */
} u3d_life;

/* Give every life a (chunk, off). Largest first, each into the smallest sufficient gap left
 * by lives that overlap its own in time; a new chunk where none fits below chunk_cap. Where that takes
 * more than the bound, some other orders are tried, and the best is kept.
 *
 *   chunk_bytes  out: bytes needed per chunk, *n_chunks entries (<= cap)
 *
 * U3D_E_NOMEM  one value exceeds chunk_cap, or more than `cap` chunks needed; the message
 *              names the value's index and bytes.
 * O(n^2). Source: Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net
 * Inference", 2020, arXiv:2001.03288, section 5.2. */
u3d_status u3d_place(u3d_life *lives, int n, uint64_t align, uint64_t chunk_cap, uint64_t *chunk_bytes, int cap,
                     int *n_chunks);

/* Lower bound for any placement: the largest sum of bytes alive at one node. */
uint64_t u3d_place_bound(const u3d_life *lives, int n);

#endif
