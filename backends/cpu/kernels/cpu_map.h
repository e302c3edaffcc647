/* A feature map as an op reads it: plain, lazy or joined (op.h, fused forms).
 *
 * Kernels that know how apply it while loading; the others call cpu_map_dense first, which writes the map into
 * their workspace. */
#ifndef U3D_CPU_MAP_H
#define U3D_CPU_MAP_H

#include "backends/cpu/cpu_impl.h"

typedef struct cpu_part { /* f32 [N, size, c], of which the voxels from `crop` on are read */
    const float *x;       /* NULL while only sizes are known (workspace rules) */
    int64_t size[3], crop[3], c;
    const float *table; /* NULL: not lazy; else [S, 2, c]: scale, shift */
    int64_t table_step; /* floats from one sample's scale to the next: 2 * c, or 0 for one table */
} cpu_part;

typedef struct cpu_map {
    int64_t n, size[3], c; /* as read: c is the sum over parts */
    int n_parts;
    cpu_part part[2];
    float slope; /* act(v) = v > 0 ? v : slope * v on lazy parts */
    bool lazy;   /* some part is                                  */
} cpu_map;

/* Input 0 of conv3d, conv3d_dw, maxpool3d, upconv3d, upconv3d_dw in whatever form; `in` may be NULL. */
cpu_map cpu_map_of(const u3d_op_desc *d, const void *const *in);

static inline bool cpu_map_is_plain(const cpu_map *m)
{
    return m->n_parts == 1 && !m->lazy;
}

/* Bytes of the map written out, 0 where it is plain already; a multiple of 64. */
uint64_t cpu_map_dense_bytes(const cpu_map *m);

/* The map as a dense array: itself where plain, else written to `to`, 64-byte aligned, of that many bytes. */
const float *CPU_NAME(cpu_map_dense)(const cpu_map *m, void *to, int threads);

#endif
