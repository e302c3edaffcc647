/* Geometry, the map's arguments, and sums in slices. */
#include "backends/opencl/cl_conv3d.h"

enum {
    GROUP = 256,
    MAX_BIAS_SLICES = 512,
    BIAS_VOXELS = 256 /* a slice's least: fewer do not fill a group */
};

static int64_t conv_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t conv_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t voxels_of(const u3d_type *map)
{
    return map->dim[0] * map->dim[1] * map->dim[2] * map->dim[3];
}

static int64_t taps_of(const u3d_conv_attr *a)
{
    return (int64_t)a->kernel[0] * a->kernel[1] * a->kernel[2];
}

/* Index of skip, which all tables follow. */
static int skip_index(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return d->n_in - a->joined - a->lazy[0] - a->lazy[1];
}

static int64_t map_channels(const u3d_op_desc *d)
{
    return d->in[0].dim[4] + (d->attr.conv.joined ? d->in[skip_index(d)].dim[4] : 0);
}

cl_conv cl_conv_of(const u3d_op_desc *d)
{
    bool up = d->op == U3D_OP_UPCONV3D || d->op == U3D_OP_UPCONV3D_DX;
    bool dx = d->op == U3D_OP_CONV3D_DX || d->op == U3D_OP_UPCONV3D_DX;
    return (cl_conv){.in = &d->in[0],
                     .out = &d->out[0],
                     .attr = &d->attr.conv,
                     .in_c = map_channels(d),
                     .out_c = d->out[0].dim[4],
                     .voxels = voxels_of(&d->out[0]),
                     .taps = taps_of(&d->attr.conv),
                     .adjoint = up != dx,
                     .weight_t = dx};
}

cl_conv_dw cl_conv_dw_of(const u3d_op_desc *d)
{
    return (cl_conv_dw){.x = &d->in[0],
                        .dy = &d->in[1],
                        .attr = &d->attr.conv,
                        .ci = map_channels(d),
                        .co = d->in[1].dim[4],
                        .taps = taps_of(&d->attr.conv),
                        .n_weights = u3d_type_elems(&d->out[0]),
                        .up = d->op == U3D_OP_UPCONV3D_DW};
}

const char *cl_conv_refuses(const cl_device *dev, const u3d_op_desc *d)
{
    (void)dev;
    if (d->attr.conv.moments) return "moments are an op of their own";
    for (int i = 0; i < d->n_in; i++)
        if (u3d_type_elems(&d->in[i]) > INT32_MAX) return "an input of 2^31 elements or more";
    for (int i = 0; i < d->n_out; i++)
        if (u3d_type_elems(&d->out[i]) > INT32_MAX) return "an output of 2^31 elements or more";
    return NULL;
}

/* ---- the map ---- */

bool cl_conv_map_by_four(const u3d_op_desc *d)
{
    return d->in[0].dim[4] % 4 == 0 && (!d->attr.conv.joined || d->in[skip_index(d)].dim[4] % 4 == 0);
}

void cl_conv_map_defines(cl_defines *defines, const u3d_op_desc *d, int vec)
{
    cl_define(defines, "VEC", vec);
    cl_define(defines, "JOINED", d->attr.conv.joined);
    cl_define(defines, "LAZY_X", d->attr.conv.lazy[0]);
    cl_define(defines, "LAZY_SKIP", d->attr.conv.lazy[1]);
}

/* Size and channels of a part, and the floats between the tables of two samples. */
static void part_args(cl_job *j, const u3d_type *part, const u3d_type *table)
{
    cl_conv_size_args(j, part);
    cl_job_int(j, part->dim[4]);
    cl_job_int(j, table && table->dim[0] > 1 ? 2 * part->dim[4] : 0);
}

void cl_conv_map_args(cl_job *j)
{
    const u3d_op_desc *d = j->desc;
    const u3d_conv_attr *a = &d->attr.conv;
    int skip = a->joined ? skip_index(d) : 0, up_table = skip_index(d) + a->joined;
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_in(skip));
    cl_job_arg(j, cl_in(a->lazy[0] ? up_table : 0));
    cl_job_arg(j, cl_in(a->lazy[1] ? d->n_in - 1 : 0));
    part_args(j, &d->in[0], a->lazy[0] ? &d->in[up_table] : NULL);
    part_args(j, &d->in[skip], a->lazy[1] ? &d->in[d->n_in - 1] : NULL);
    cl_job_float(j, a->slope);
}

bool cl_conv_has_bias(const u3d_op_desc *d)
{
    return (d->op == U3D_OP_CONV3D || d->op == U3D_OP_UPCONV3D) && skip_index(d) == 3;
}

cl_place cl_conv_bias(const u3d_op_desc *d)
{
    return cl_in(cl_conv_has_bias(d) ? 2 : 1);
}

void cl_conv_args3(cl_job *j, const int32_t v[3])
{
    for (int axis = 0; axis < 3; axis++) cl_job_int(j, v[axis]);
}

void cl_conv_size_args(cl_job *j, const u3d_type *map)
{
    for (int axis = 0; axis < 3; axis++) cl_job_int(j, map->dim[1 + axis]);
}

/* ---- slices ---- */

static int64_t bias_slices(const cl_conv_dw *c)
{
    return conv_max(1, conv_min(MAX_BIAS_SLICES, voxels_of(c->dy) / BIAS_VOXELS));
}

static uint64_t bias_bytes(const cl_conv_dw *c, const u3d_op_desc *d)
{
    if (d->n_out < 2) return 0;
    return cl_round_up((uint64_t)(bias_slices(c) * c->co) * sizeof(float), 256);
}

static uint64_t slice_bytes(const cl_conv_dw *c)
{
    return (uint64_t)c->n_weights * sizeof(float);
}

void cl_conv_dw_work(const cl_conv_dw *c, const u3d_op_desc *d, int64_t wanted, uint64_t *min, uint64_t *best)
{
    int64_t fit = (int64_t)(CL_CONV_SLICES_BYTES / slice_bytes(c));
    *min = bias_bytes(c, d) + slice_bytes(c);
    *best = bias_bytes(c, d) + (uint64_t)conv_max(1, conv_min(wanted, fit)) * slice_bytes(c);
}

cl_conv_slices cl_conv_dw_slices(const cl_job *j, const cl_conv_dw *c, int64_t wanted)
{
    uint64_t bias = bias_bytes(c, j->desc);
    int64_t fit = (int64_t)((j->work_bytes - bias) / slice_bytes(c));
    return (cl_conv_slices){.slices = conv_max(1, conv_min(wanted, fit)), .bias_bytes = bias};
}

void cl_conv_add_slices(cl_job *j, uint64_t at, int64_t slices, int64_t n, int i_out, bool with_bias)
{
    cl_defines defines = {""};
    cl_define(&defines, "ADD", cl_adds(j->desc, i_out));
    cl_job_kernel(j, "conv3d_slices", "conv3d_add_slices", &defines, cl_range_1d((uint64_t)n, GROUP));
    cl_job_arg(j, cl_work(at));
    cl_job_arg(j, cl_conv_bias(j->desc));
    cl_job_arg(j, cl_out(i_out));
    cl_job_int(j, n);
    cl_job_int(j, slices);
    cl_job_int(j, with_bias && cl_conv_has_bias(j->desc));
    cl_job_int(j, j->desc->out[i_out].dim[j->desc->out[i_out].rank - 1]);
}

static void bias_gradient(cl_job *j, const cl_conv_dw *c)
{
    int64_t slices = bias_slices(c), voxels = voxels_of(c->dy);
    uint64_t blocks = cl_round_up((uint64_t)c->co, GROUP) / GROUP;
    cl_job_kernel(j, "conv3d_slices", "conv3d_dbias", NULL,
                  (cl_range){{(uint64_t)slices * GROUP, blocks, 1}, {GROUP, 1, 1}});
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_work(0));
    cl_job_int(j, voxels);
    cl_job_int(j, c->co);
    cl_job_int(j, (voxels + slices - 1) / slices);
    cl_conv_add_slices(j, 0, slices, c->co, 1, false);
}

void cl_conv_dw_finish(cl_job *j, const cl_conv_dw *c, cl_conv_slices s)
{
    cl_conv_add_slices(j, s.bias_bytes, s.slices, c->n_weights, 0, false);
    if (j->desc->n_out > 1) bias_gradient(j, c);
}
