/* Normalisation, its parts for fused graphs, and its gradient (kernels/norm.cl and norm_back.cl).
 *
 * The workspace holds the partial results of the work-groups, part [S][groups][2][C]. For norm_back it is
 * followed by means [S][2][C], which are computed from the parts but are not an output. */
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_rows.h"

static cl_rows norm_rows(const u3d_op_desc *d)
{
    return cl_rows_of(&d->in[0], d->attr.norm.per_instance);
}

static uint64_t part_bytes(const cl_rows *r)
{
    return cl_floats_bytes(r->sets * cl_rows_sum_spans(r).groups * 2 * r->width * r->vec);
}

static void work_moments(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    (void)dev;
    const cl_rows r = norm_rows(d);
    *min = *best = d->attr.norm.use_running ? 0 : part_bytes(&r);
}

static cl_defines norm_defines(const u3d_op_desc *d, int64_t vec)
{
    cl_defines defines = {0};
    cl_define(&defines, "VEC", vec);
    if (d->op != U3D_OP_MOMENTS) cl_define(&defines, "STATS", 1);
    if (d->attr.norm.keep_running) cl_define(&defines, "KEEP", 1);
    if (d->attr.norm.use_running) cl_define(&defines, "GIVEN", 1);
    return defines;
}

/* Adds the running statistics, the momentum, and the factor that makes a variance over this
 * number of voxels unbiased. */
static void add_running(cl_job *j, int64_t voxels)
{
    if (!j->desc->attr.norm.keep_running) return;
    cl_job_arg(j, cl_out(2));
    cl_job_float(j, j->desc->attr.norm.momentum);
    cl_job_float(j, (float)((double)voxels / (double)(voxels > 1 ? voxels - 1 : 1)));
}

/* Adds two steps, which write the moments or the statistics of x to out[i_out] and update the running
 * statistics. */
static void add_moments(cl_job *j, const cl_rows *r, const cl_defines *defines, int i_out)
{
    const cl_spans s = cl_rows_sum_spans(r);
    cl_rows_kernel(j, r, &s, "norm", "norm_part", defines);
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_work(0));
    cl_rows_arguments(j, r, &s);
    cl_job_kernel(j, "norm", "norm_moments", defines, cl_reduce_range(r->width, r->sets));
    cl_job_arg(j, cl_work(0));
    cl_job_arg(j, cl_out(i_out));
    add_running(j, r->voxels);
    cl_job_int(j, r->voxels);
    cl_job_int(j, r->width);
    cl_job_int(j, s.span);
    cl_job_int(j, s.groups);
    cl_job_float(j, j->desc->attr.norm.eps);
}

static void prepare_moments(cl_job *j)
{
    const cl_rows r = norm_rows(j->desc);
    const cl_defines defines = norm_defines(j->desc, r.vec);
    add_moments(j, &r, &defines, 0);
}

static void prepare_norm(cl_job *j)
{
    const cl_rows r = norm_rows(j->desc);
    const cl_spans s = cl_rows_map_spans(&r);
    const cl_defines defines = norm_defines(j->desc, r.vec);
    const bool given = j->desc->attr.norm.use_running;
    if (!given) add_moments(j, &r, &defines, 1);
    cl_rows_kernel(j, &r, &s, "norm", "norm_apply", &defines);
    for (int i = 0; i < 3; i++) cl_job_arg(j, cl_in(i));
    cl_job_arg(j, given ? cl_in(3) : cl_out(1));
    cl_job_arg(j, cl_out(0));
    cl_rows_arguments(j, &r, &s);
    cl_job_float(j, j->desc->attr.norm.eps);
}

static void prepare_norm_table(cl_job *j)
{
    const u3d_norm_attr *a = &j->desc->attr.norm;
    const u3d_type *table = &j->desc->out[0];
    const cl_defines defines = norm_defines(j->desc, 1);
    const cl_range range = {{(uint64_t)table->dim[2], (uint64_t)table->dim[0], 1}, {64, 1, 1}};
    cl_job_kernel(j, "norm", "norm_table", &defines, range);
    for (int i = 0; i < 3; i++) cl_job_arg(j, cl_in(i));
    cl_job_arg(j, cl_out(0));
    if (!a->use_running) cl_job_arg(j, cl_out(1));
    add_running(j, a->voxels);
    cl_job_int(j, table->dim[2]);
    cl_job_float(j, a->eps);
}

/* ---- gradient ---- */

static void work_norm_back(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    (void)dev;
    const cl_rows r = norm_rows(d);
    *min = *best = part_bytes(&r) + (uint64_t)(r.sets * 2 * r.width * r.vec) * sizeof(float);
}

/* Adds the arguments for CHANNEL_PARAMETERS of norm_back.cl. */
static void add_channel(cl_job *j)
{
    cl_job_arg(j, cl_in(3));
    if (!j->desc->attr.norm.act) return;
    cl_job_arg(j, cl_in(4));
    cl_job_float(j, j->desc->attr.norm.slope);
}

/* Adds two steps, which compute dgain, dbias and the means that dx needs. */
static void add_gradient_sums(cl_job *j, const cl_rows *r, const cl_defines *defines)
{
    const cl_spans s = cl_rows_sum_spans(r);
    cl_rows_kernel(j, r, &s, "norm_back", "norm_back_part", defines);
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_in(1));
    add_channel(j);
    cl_job_arg(j, cl_work(0));
    cl_rows_arguments(j, r, &s);
    cl_job_kernel(j, "norm_back", "norm_back_sums", defines, cl_reduce_range(r->width, 1));
    cl_job_arg(j, cl_work(0));
    cl_job_arg(j, cl_out(1));
    cl_job_arg(j, cl_out(2));
    cl_job_arg(j, cl_work(part_bytes(r)));
    cl_job_int(j, r->sets);
    cl_job_int(j, r->voxels);
    cl_job_int(j, r->width);
    cl_job_int(j, s.groups);
}

static void prepare_norm_back(cl_job *j)
{
    const cl_rows r = norm_rows(j->desc);
    const cl_spans s = cl_rows_map_spans(&r);
    cl_defines defines = {0};
    cl_define(&defines, "VEC", r.vec);
    if (j->desc->attr.norm.act) cl_define(&defines, "ACT", 1);
    add_gradient_sums(j, &r, &defines);
    cl_rows_kernel(j, &r, &s, "norm_back", "norm_back", &defines);
    for (int i = 0; i < 3; i++) cl_job_arg(j, cl_in(i));
    cl_job_arg(j, cl_work(part_bytes(&r)));
    add_channel(j);
    cl_job_arg(j, cl_out(0));
    cl_rows_arguments(j, &r, &s);
}

const cl_entry cl_norm_plain = {.name = "plain", .work = work_moments, .prepare = prepare_norm};
const cl_entry cl_norm_back_plain = {.name = "plain", .work = work_norm_back, .prepare = prepare_norm_back};
const cl_entry cl_moments_plain = {.name = "plain", .work = work_moments, .prepare = prepare_moments};
const cl_entry cl_norm_table_plain = {.name = "plain", .prepare = prepare_norm_table};
