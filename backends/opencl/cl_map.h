/* A feature map as an op reads it: plain, lazy or joined (the fused forms of engine/ops/op.h). Also passes
 * the map to kernels with MAP_PARAMS (kernels/map.clh). */
#ifndef U3D_BACKENDS_OPENCL_CL_MAP_H
#define U3D_BACKENDS_OPENCL_CL_MAP_H

#include "backends/opencl/cl_impl.h"

typedef struct cl_map_part { /* f32 [N, size, c]; a skip map is cropped about its centre */
    cl_place data, table;    /* the table is read only if the part is lazy */
    int64_t size[3], c;
    int64_t table_step; /* floats from one sample's table to the next; 0: one table for all */
    bool lazy;
} cl_map_part;

typedef struct cl_map {
    int64_t n, size[3], c; /* as the op reads them: c is the sum over the parts */
    int n_parts;
    cl_map_part part[2];
    float slope;
} cl_map;

/* Input 0 of a convolution or pooling, in any of the three forms. */
cl_map cl_map_of(const u3d_op_desc *d);

/* A plain map of this type, as it lies in memory. */
cl_map cl_map_plain(cl_place data, const u3d_type *t);

bool cl_map_is_plain(const cl_map *m);

/* The number of inputs after those of the plain form: the skip map and the tables. */
static inline int32_t cl_map_extras(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return (int32_t)a->joined + (int32_t)a->lazy[0] + (int32_t)a->lazy[1];
}

/* The number of channels that a work-item can load at once: 4 or 1. */
int64_t cl_map_vec(const cl_map *m);

/* Define the macros that map.clh needs (VEC, which is 1 or cl_map_vec; LAZY_X, LAZY_SKIP, JOINED), and add
 * the arguments for MAP_PARAMS. */
void cl_map_define(cl_defines *defines, const cl_map *m, int64_t vec);
void cl_map_args(cl_job *j, const cl_map *m);

#endif
