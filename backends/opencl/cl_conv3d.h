/* Code that the convolutions share: their geometry, the bias, and sums in slices.
 *
 * Convolutions, up-convolutions and their input gradients are one formula with different roles
 * (kernels/conv3d.cl): an output of `out_c` channels gathers from a map of `in_c` channels, directly or as
 * the adjoint, with the weights as stored or transposed. Weight gradients are a second formula
 * (kernels/conv3d_dw.cl). */
#ifndef U3D_BACKENDS_OPENCL_CL_CONV3D_H
#define U3D_BACKENDS_OPENCL_CL_CONV3D_H

#include "backends/opencl/cl_map.h"

/* The map that is read (dy for input gradients), the result, and how the two are related. */
typedef struct cl_conv {
    cl_map map;
    const u3d_type *out;
    const u3d_conv_attr *attr;
    int64_t out_c;        /* channels of the result                                             */
    int64_t voxels, taps; /* voxels of the result including the batch; taps of the kernel       */
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

/* Returns NULL, or in a few words why no convolution accepts the description. */
const char *cl_conv_refuses(const cl_device *dev, const u3d_op_desc *d);

/* Whether the op has a bias, and its place. An op without a bias gets the place of another operand, because
 * the kernels' parameter needs a buffer; it is never read. */
bool cl_conv_has_bias(const u3d_op_desc *d);
cl_place cl_conv_bias(const u3d_op_desc *d);

/* ---- slices: kernels/reduce.cl ---- */

/* The most workspace that slices may take in all; more slices than that do not pay off. */
#define CL_CONV_SLICES_BYTES (64ULL << 20)

/* The workspace of a weight gradient: partial bias gradients, then `slices` partial weight gradients. */
typedef struct cl_conv_slices {
    int64_t slices;
    uint64_t bias_bytes; /* size of the partial bias gradients before the slices */
} cl_conv_slices;

/* The workspace for one slice (`min`) and for `wanted` slices, or for as many as fit into
 * CL_CONV_SLICES_BYTES (`best`). */
void cl_conv_dw_work(const cl_conv_dw *c, const u3d_op_desc *d, int64_t wanted, uint64_t *min,
                     uint64_t *best);
/* The number of slices that the job's workspace holds, at most `wanted`. */
cl_conv_slices cl_conv_dw_slices(const cl_job *j, const cl_conv_dw *c, int64_t wanted);
/* Adds the steps that follow the slices: dw as their sum, and dbias from dy if the op computes it. */
void cl_conv_dw_finish(cl_job *j, const cl_conv_dw *c, cl_conv_slices s);

/* Adds the step out = bias + sum of `slices` partial results of n elements each, which begin at byte `at` of
 * the workspace; += if the op accumulates into output i_out. */
void cl_conv_add_slices(cl_job *j, uint64_t at, int64_t slices, int64_t n, int i_out, bool with_bias);

#endif
