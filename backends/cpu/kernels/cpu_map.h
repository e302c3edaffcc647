/* A feature map as an op reads it: plain, lazy or joined (engine/ops/op.h, fused forms). A lazy map stands
 * for act(scale * x + shift) of the stored x. A joined map consists of two maps (the second one cropped about
 * its centre), whose channels follow each other in every voxel.
 *
 * Some kernels apply scale, shift and activation and join the parts while they load. The others first call
 * cpu_map_dense, which writes the map as read into their workspace. */
#ifndef U3D_CPU_MAP_H
#define U3D_CPU_MAP_H

#include "backends/cpu/cpu_impl.h"

typedef struct cpu_part { /* f32 [N, size, c]; the voxels from `crop` on are read */
    const float *x;       /* NULL if only sizes are known, as when workspace is computed */
    int64_t size[3], crop[3], c;
    const float *table; /* [S, 2, c]: scale, shift; NULL: not lazy, or only sizes are known */
    int64_t table_step; /* floats from one sample's scale to the next: 2 * c, or 0 for one table */
} cpu_part;

typedef struct cpu_map {
    int64_t n, size[3], c; /* as read; c is the sum over parts */
    int n_parts;
    cpu_part part[2];
    float slope; /* act(v) = v > 0 ? v : slope * v on lazy parts */
    bool lazy;   /* at least one part is lazy                     */
} cpu_map;

/* The number of inputs that follow the plain ones: skip map and tables. */
static inline int32_t cpu_map_extras(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return a->joined + a->lazy[0] + a->lazy[1];
}

/* The bias of conv3d and upconv3d: input 2, or NULL if there is no bias. */
static inline const float *cpu_map_bias(const u3d_op_desc *d, const void *const *in)
{
    return d->n_in - cpu_map_extras(d) > 2 ? in[2] : NULL;
}

/* Input 0 of conv3d, conv3d_dw, maxpool3d, upconv3d or upconv3d_dw, plain or fused. If `in` is NULL, the
 * result holds sizes but no pointers. */
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

/* The type of the map as read: f32 [N, D, H, W, C]. */
static inline u3d_type cpu_map_type(const cpu_map *m)
{
    return u3d_type_map(m->n, m->size, m->c);
}

/* The value that a stored x of a lazy map stands for. */
static inline float cpu_map_act(float x, float scale, float shift, float slope)
{
    const float v = scale * x + shift;
    return v > 0 ? v : slope * v;
}

/* Bytes that the map takes when written out, a multiple of 64; 0 if it is plain already. */
static inline uint64_t cpu_map_dense_bytes(const cpu_map *m)
{
    const u3d_type t = cpu_map_type(m);
    return cpu_map_is_plain(m) ? 0 : (u3d_type_bytes(&t) + 63) / 64 * 64;
}

/* Returns the map as a dense array: the stored array itself if the map is plain, otherwise `to`, to which
 * the map is written. `to` is 64-byte aligned and holds cpu_map_dense_bytes bytes. */
const float *CPU_NAME(cpu_map_dense)(const cpu_map *m, void *to, int threads);

#endif
