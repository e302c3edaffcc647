/* Plain convolutions and up-convolutions: they accept every description and compute each output element
 * directly from its formula. */
#include "backends/opencl/cl_conv3d.h"
#include "backends/opencl/cl_entries.h"

enum {
    GROUP = 128,
    ITEMS = 1 << 18, /* enough work-items to fill the largest GPUs */
    MAX_SLICES = 1024
};

static void prepare(cl_job *j)
{
    const cl_conv c = cl_conv_of(j->desc);
    const int64_t wide = cl_vec_of(c.out_c);
    cl_defines defines = {""};
    cl_map_define(&defines, &c.map, 1);
    cl_define(&defines, "ADJOINT", c.adjoint);
    cl_define(&defines, "WEIGHT_T", c.weight_t);
    cl_define(&defines, "WIDE", wide);
    cl_define(&defines, "ADD", cl_adds(j->desc, 0));
    cl_job_kernel(j, "conv3d", "conv3d", &defines,
                  cl_range_1d((uint64_t)(c.voxels * (c.out_c / wide)), GROUP));
    cl_map_args(j, &c.map);
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_conv_bias(j->desc));
    cl_job_arg(j, cl_out(0));
    cl_job_int(j, cl_conv_has_bias(j->desc));
    cl_job_int(j, c.voxels);
    cl_job_size(j, &c.out->dim[1]);
    cl_job_int(j, c.out_c);
    cl_job_window(j, c.attr->kernel);
    cl_job_window(j, c.attr->stride);
    cl_job_window(j, c.attr->pad);
}

/* ---- weight gradient ---- */

/* The number of rows of the smaller map, which are divided among the slices. */
static int64_t rows_of(const cl_conv_dw *c)
{
    const int64_t *dim = (c->up ? c->x : c->dy)->dim;
    return dim[0] * dim[1] * dim[2];
}

static int64_t items_of(const cl_conv_dw *c)
{
    return c->n_weights / cl_vec_of(c->co);
}

/* The number of slices that gives every compute unit work, at most one per row. */
static int64_t wanted_slices(const cl_conv_dw *c)
{
    int64_t wanted = cl_ceil_div(ITEMS, items_of(c)), rows = rows_of(c);
    return cl_min(cl_min(wanted, MAX_SLICES), rows);
}

static void dw_work(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    const cl_conv_dw c = cl_conv_dw_of(d);
    (void)dev;
    cl_conv_dw_work(&c, d, wanted_slices(&c), min, best);
}

static void dw_prepare(cl_job *j)
{
    const cl_conv_dw c = cl_conv_dw_of(j->desc);
    const cl_conv_slices s = cl_conv_dw_slices(j, &c, wanted_slices(&c));
    int64_t items = items_of(&c), rows = rows_of(&c);
    cl_defines defines = {""};
    cl_map_define(&defines, &c.map, 1);
    cl_define(&defines, "UP", c.up);
    cl_define(&defines, "WIDE", cl_vec_of(c.co));
    cl_job_kernel(j, "conv3d_dw", "conv3d_dw", &defines,
                  (cl_range){{(uint64_t)items, (uint64_t)s.slices, 1}, {GROUP, 1, 1}});
    cl_map_args(j, &c.map);
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_work(s.bias_bytes));
    cl_job_int(j, items);
    cl_job_int(j, rows);
    cl_job_int(j, cl_ceil_div(rows, s.slices));
    cl_job_size(j, &c.dy->dim[1]);
    cl_job_int(j, c.co);
    cl_job_window(j, c.attr->kernel);
    cl_job_window(j, c.attr->stride);
    cl_job_window(j, c.attr->pad);
    cl_conv_dw_finish(j, &c, s);
}

/* Up-convolutions are adjoints of the convolutions whose stride is their kernel. */
const cl_entry cl_conv3d_plain = {"plain", cl_conv_refuses, NULL, prepare};
const cl_entry cl_conv3d_dx_plain = {"plain", cl_conv_refuses, NULL, prepare};
const cl_entry cl_conv3d_dw_plain = {"plain", cl_conv_refuses, dw_work, dw_prepare};
const cl_entry cl_upconv3d_plain = {"plain", cl_conv_refuses, NULL, prepare};
const cl_entry cl_upconv3d_dx_plain = {"plain", cl_conv_refuses, NULL, prepare};
const cl_entry cl_upconv3d_dw_plain = {"plain", cl_conv_refuses, dw_work, dw_prepare};
