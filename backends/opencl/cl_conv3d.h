/* What the convolutions share: their geometry, the bias, sums in slices.
 *
 * Forward, input gradients and up-convolutions are one formula with different roles (kernels/conv3d.cl):
 * outputs of `out_c` channels gather from a map of `in_c` channels, forwards or adjoint, with weights as
 * stored or transposed. Weight gradients are another (kernels/conv3d_dw.cl). */
#ifndef U3D_BACKENDS_OPENCL_CL_CONV3D_H
#define U3D_BACKENDS_OPENCL_CL_CONV3D_H

#include "backends/opencl/cl_map.h"

/* The map as read (for input gradients: dy), the result, and how they meet. */
typedef struct cl_conv {
    cl_map map;
    const u3d_type *out;
    const u3d_conv_attr *attr;
    int64_t out_c;        /* channels of the result                       */
    int64_t voxels, taps; /* of the result, batch included; of the kernel */
    bool adjoint, weight_t;
} cl_conv;

cl_conv cl_conv_of(const u3d_op_desc *d);

/* Weight gradients: the map, dy, and the numbers that size their work. */
typedef struct cl_conv_dw {
    cl_map map;
    const u3d_type *x, *dy;
    const u3d_conv_attr *attr;
    int64_t co, taps;
    int64_t n_weights; /* elements of dw */
    bool up;           /* dy is the larger of the two maps */
} cl_conv_dw;

cl_conv_dw cl_conv_dw_of(const u3d_op_desc *d);

/* Why no convolution takes the description: NULL, or a few words. */
const char *cl_conv_refuses(const cl_device *dev, const u3d_op_desc *d);

/* The bias of a forward op, or whatever is there instead: has_bias says which. */
bool cl_conv_has_bias(const u3d_op_desc *d);
cl_place cl_conv_bias(const u3d_op_desc *d);

/* ---- slices: kernels/reduce.cl ---- */

/* Most workspace that slices take; beyond it more of them do not pay. */
#define CL_CONV_SLICES_BYTES (64ULL << 20)

/* Workspace of a weight gradient: partial bias gradients, then `slices` partial weight gradients. */
typedef struct cl_conv_slices {
    int64_t slices;
    uint64_t bias_bytes; /* in front of the slices */
} cl_conv_slices;

/* Workspace for one slice and for `wanted` of them, as far as these fit into CL_CONV_SLICES_BYTES. */
void cl_conv_dw_work(const cl_conv_dw *c, const u3d_op_desc *d, int64_t wanted, uint64_t *min,
                     uint64_t *best);
/* How many the job's workspace holds, at most `wanted`. */
cl_conv_slices cl_conv_dw_slices(const cl_job *j, const cl_conv_dw *c, int64_t wanted);
/* The steps after the slices: dw from them and, where the op has it, dbias from dy. */
void cl_conv_dw_finish(cl_job *j, const cl_conv_dw *c, cl_conv_slices s);

/* out (+)= bias + sum of `slices` partial results of n elements at byte `at` of the workspace. */
void cl_conv_add_slices(cl_job *j, uint64_t at, int64_t slices, int64_t n, int i_out, bool with_bias);

#endif
