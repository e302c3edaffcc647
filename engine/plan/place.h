/* Places values in memory so that values that are alive at the same time never overlap. A life is the
 * interval in which a value is needed, in node indices. This file knows nothing about graphs. */
#ifndef U3D_ENGINE_PLACE_H
#define U3D_ENGINE_PLACE_H

#include "engine/base/status.h"

#include <stdint.h>

typedef struct u3d_life {
    int32_t first, last; /* input: node indices, inclusive                  */
    uint64_t bytes;      /* input: size                                     */
    int32_t chunk;       /* result: index of the chunk                      */
    uint64_t off;        /* result: bytes, a multiple of `align`            */
} u3d_life;

/* Gives every life a chunk and an offset. The largest life goes first, each into the smallest sufficient gap
 * that is left by lives at the same time. If there is no such gap, a chunk grows; if it would grow beyond
 * chunk_cap, a new chunk is begun. If the result needs more than u3d_place_bound, other orders are tried, and
 * the best result is kept.
 *
 *   chunk_bytes  out: bytes needed per chunk, *n_chunks entries (<= cap)
 *
 * U3D_E_NOMEM  one value exceeds chunk_cap, or more than `cap` chunks are needed; the message gives the index
 * and the
 *              bytes of the value.
 * O(n^2) for each of at most 128 orders. Source: Pisarchyk & Lee, "Efficient Memory Management for Deep
 * Neural Net Inference", 2020, arXiv:2001.03288, section 5.2. */
u3d_status u3d_place(u3d_life *lives, int n, uint64_t align, uint64_t chunk_cap, uint64_t *chunk_bytes,
                     int cap, int *n_chunks);

/* A lower bound for any placement: the largest sum of bytes that are alive at one node. */
uint64_t u3d_place_bound(const u3d_life *lives, int n);

#endif
