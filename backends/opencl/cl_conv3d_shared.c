/* The geometry of convolutions, and sums in slices: see cl_conv3d.h. */
#include "backends/opencl/cl_conv3d.h"
#include "backends/opencl/cl_rows.h"

enum { GROUP = 256 };

cl_conv cl_conv_of(const u3d_op_desc *d)
{
    bool up = d->op == U3D_OP_UPCONV3D || d->op == U3D_OP_UPCONV3D_DX;
    bool dx = d->op == U3D_OP_CONV3D_DX || d->op == U3D_OP_UPCONV3D_DX;
    return (cl_conv){.map = cl_map_of(d),
                     .out = &d->out[0],
                     .attr = &d->attr.conv,
                     .out_c = cl_channels(&d->out[0]),
                     .voxels = cl_voxels(&d->out[0]),
                     .taps = cl_taps(d->attr.conv.kernel),
                     .adjoint = up != dx,
                     .weight_t = dx};
}

cl_conv_dw cl_conv_dw_of(const u3d_op_desc *d)
{
    return (cl_conv_dw){.map = cl_map_of(d),
                        .x = &d->in[0],
                        .dy = &d->in[1],
                        .attr = &d->attr.conv,
                        .co = cl_channels(&d->in[1]),
                        .taps = cl_taps(d->attr.conv.kernel),
                        .n_weights = u3d_type_elems(&d->out[0]),
                        .up = d->op == U3D_OP_UPCONV3D_DW};
}

const char *cl_conv_refuses(const cl_device *dev, const u3d_op_desc *d)
{
    (void)dev;
    return d->attr.conv.moments ? "fused moments are not supported" : NULL;
}

bool cl_conv_has_bias(const u3d_op_desc *d)
{
    return (d->op == U3D_OP_CONV3D || d->op == U3D_OP_UPCONV3D) && d->n_in - cl_map_extras(d) == 3;
}

cl_place cl_conv_bias(const u3d_op_desc *d)
{
    return cl_in(cl_conv_has_bias(d) ? 2 : 1);
}

/* ---- slices ---- */

static uint64_t bias_bytes(const u3d_op_desc *d)
{
    return d->n_out > 1 ? cl_sum_voxels_bytes(&d->in[1]) : 0;
}

static uint64_t slice_bytes(const cl_conv_dw *c)
{
    return (uint64_t)c->n_weights * sizeof(float);
}

static int64_t slices_that_fit(int64_t wanted, int64_t fit)
{
    return cl_min(wanted, fit) > 1 ? cl_min(wanted, fit) : 1;
}

void cl_conv_dw_work(const cl_conv_dw *c, const u3d_op_desc *d, int64_t wanted, uint64_t *min, uint64_t *best)
{
    int64_t fit = (int64_t)(CL_CONV_SLICES_BYTES / slice_bytes(c));
    *min = bias_bytes(d) + slice_bytes(c);
    *best = bias_bytes(d) + (uint64_t)slices_that_fit(wanted, fit) * slice_bytes(c);
}

cl_conv_slices cl_conv_dw_slices(const cl_job *j, const cl_conv_dw *c, int64_t wanted)
{
    uint64_t bias = bias_bytes(j->desc);
    int64_t fit = (int64_t)((j->work_bytes - bias) / slice_bytes(c));
    return (cl_conv_slices){.slices = slices_that_fit(wanted, fit), .bias_bytes = bias};
}

void cl_conv_add_slices(cl_job *j, uint64_t at, int64_t slices, int64_t n, int i_out, bool with_bias)
{
    cl_defines defines = {""};
    cl_define(&defines, "ADD", cl_adds(j->desc, i_out));
    cl_job_kernel(j, "reduce", "add_slices", &defines, cl_range_1d((uint64_t)n, GROUP));
    cl_job_arg(j, cl_work(at));
    cl_job_arg(j, cl_conv_bias(j->desc));
    cl_job_arg(j, cl_out(i_out));
    cl_job_int(j, n);
    cl_job_int(j, slices);
    cl_job_int(j, with_bias && cl_conv_has_bias(j->desc));
    cl_job_int(j, j->desc->out[i_out].dim[j->desc->out[i_out].rank - 1]);
}

void cl_conv_dw_finish(cl_job *j, const cl_conv_dw *c, cl_conv_slices s)
{
    cl_conv_add_slices(j, s.bias_bytes, s.slices, c->n_weights, 0, false);
    if (j->desc->n_out > 1) cl_job_sum_voxels(j, cl_in(1), c->dy, cl_out(1), cl_adds(j->desc, 1), cl_work(0));
}
