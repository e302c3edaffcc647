/* A feature map as an op reads it, plain, lazy or joined (op.h, fused forms), and how kernels with MAP_PARAMS
 * get it (kernels/map.clh). */
#ifndef U3D_BACKENDS_OPENCL_CL_MAP_H
#define U3D_BACKENDS_OPENCL_CL_MAP_H

#include "backends/opencl/cl_impl.h"

typedef struct cl_map_part { /* f32 [N, size, c], cropped about its centre */
    cl_place data, table;    /* table: only where lazy */
    int64_t size[3], c;
    int64_t table_step; /* floats from one sample's table to the next; 0: one table for all */
    bool lazy;
} cl_map_part;

typedef struct cl_map {
    int64_t n, size[3], c; /* as read: c is the sum over parts */
    int n_parts;
    cl_map_part part[2];
    float slope;
} cl_map;

/* Input 0 of a convolution or pooling in whatever form. */
cl_map cl_map_of(const u3d_op_desc *d);

/* A map of this type as it lies in memory. */
cl_map cl_map_plain(cl_place data, const u3d_type *t);

bool cl_map_is_plain(const cl_map *m);

/* Inputs behind the plain ones: skip and tables. */
static inline int32_t cl_map_extras(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return (int32_t)a->joined + (int32_t)a->lazy[0] + (int32_t)a->lazy[1];
}

/* Channels that a work-item can load at once: 4 or 1. */
int64_t cl_map_vec(const cl_map *m);

/* What map.clh asks for: VEC, which is 1 or cl_map_vec, LAZY_X, LAZY_SKIP, JOINED; and the arguments of
 * MAP_PARAMS. */
void cl_map_define(cl_defines *defines, const cl_map *m, int64_t vec);
void cl_map_args(cl_job *j, const cl_map *m);

#endif
