/* A feature map as an op reads it: plain, lazy or joined (op.h, fused forms).
 *
 * Kernels that know how apply it while loading; the others call cpu_map_dense first, which writes the map
 * into their workspace. */
#ifndef U3D_CPU_MAP_H
#define U3D_CPU_MAP_H

#include "backends/cpu/cpu_impl.h"

typedef struct cpu_part { /* f32 [N, size, c], of which the voxels from `crop` on are read */
    const float *x;       /* NULL while only sizes are known (workspace rules) */
    int64_t size[3], crop[3], c;
    const float *table; /* [S, 2, c]: scale, shift; NULL: not lazy, or only sizes are known */
    int64_t table_step; /* floats from one sample's scale to the next: 2 * c, or 0 for one table */
} cpu_part;

typedef struct cpu_map {
    int64_t n, size[3], c; /* as read: c is the sum over parts */
    int n_parts;
    cpu_part part[2];
    float slope; /* act(v) = v > 0 ? v : slope * v on lazy parts */
    bool lazy;   /* some part is                                  */
} cpu_map;

/* Inputs behind the plain ones: skip and tables. */
static inline int32_t cpu_map_extras(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return a->joined + a->lazy[0] + a->lazy[1];
}

/* The bias of conv3d and upconv3d, input 2, or NULL. */
static inline const float *cpu_map_bias(const u3d_op_desc *d, const void *const *in)
{
    return d->n_in - cpu_map_extras(d) > 2 ? in[2] : NULL;
}

/* Input 0 of conv3d, conv3d_dw, maxpool3d, upconv3d, upconv3d_dw in whatever form; `in` may be NULL. */
static inline cpu_map cpu_map_of(const u3d_op_desc *d, const void *const *in)
{
    const u3d_conv_attr *attr = &d->attr.conv;
    int32_t next = d->n_in - cpu_map_extras(d);
    const int32_t from[2] = {0, next};
    cpu_map m = {.n = d->in[0].dim[0], .n_parts = attr->joined ? 2 : 1, .slope = attr->slope};

    next += attr->joined;
    for (int axis = 0; axis < 3; axis++) m.size[axis] = d->in[0].dim[1 + axis];
    for (int i = 0; i < m.n_parts; i++) {
        const u3d_type *t = &d->in[from[i]];
        cpu_part *p = &m.part[i];
        p->x = in ? in[from[i]] : NULL;
        p->c = t->dim[4];
        m.c += p->c;
        for (int axis = 0; axis < 3; axis++) {
            p->size[axis] = t->dim[1 + axis];
            p->crop[axis] = (p->size[axis] - m.size[axis]) / 2;
        }
        if (!attr->lazy[i]) continue;
        p->table = in ? in[next] : NULL;
        p->table_step = d->in[next++].dim[0] > 1 ? 2 * p->c : 0;
        m.lazy = true;
    }
    return m;
}

static inline bool cpu_map_is_plain(const cpu_map *m)
{
    return m->n_parts == 1 && !m->lazy;
}

/* f32 [N, D, H, W, C] as read. */
static inline u3d_type cpu_map_type(const cpu_map *m)
{
    return u3d_type_map(m->n, m->size, m->c);
}

/* What stands for x in a lazy map. */
static inline float cpu_map_act(float x, float scale, float shift, float slope)
{
    const float v = scale * x + shift;
    return v > 0 ? v : slope * v;
}

/* Bytes of the map written out, 0 where it is plain already; a multiple of 64. */
static inline uint64_t cpu_map_dense_bytes(const cpu_map *m)
{
    const u3d_type t = cpu_map_type(m);
    return cpu_map_is_plain(m) ? 0 : (u3d_type_bytes(&t) + 63) / 64 * 64;
}

/* The map as a dense array: itself where plain, else written to `to`, 64-byte aligned, of that many bytes. */
const float *CPU_NAME(cpu_map_dense)(const cpu_map *m, void *to, int threads);

#endif
