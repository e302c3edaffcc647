/* The ops relu, relu_back, add, copy, scale and fill (kernels/pointwise.cl), and the optimizers' ops on flat
 * blocks (kernels/optim_step.cl). There is one work-item per piece of 4 floats, or per float if the number of
 * elements is not a multiple of 4. */
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_rows.h"

enum {
    GROUP = 256,
    SUM_UNIT = 16 * GROUP, /* pieces: each work-item of sum_squares adds 16 or more */
    MAX_SUM_GROUPS = 1024
};

/* Begins a step with one work-item per piece of out[0] and returns the number of pieces. */
static int64_t begin_pieces(cl_job *j, const char *file, const char *name)
{
    const int64_t elems = u3d_type_elems(&j->desc->out[0]), vec = cl_vec_of(elems);
    cl_defines d = {0};
    cl_define(&d, "VEC", vec);
    if (cl_adds(j->desc, 0)) cl_define(&d, "ADD", 1);
    cl_job_kernel(j, file, name, &d, cl_range_1d((uint64_t)(elems / vec), GROUP));
    return elems / vec;
}

/* Adds all inputs, then all outputs. */
static void add_operands(cl_job *j)
{
    for (int i = 0; i < j->desc->n_in; i++) cl_job_arg(j, cl_in(i));
    for (int i = 0; i < j->desc->n_out; i++) cl_job_arg(j, cl_out(i));
}

static void prepare_relu(cl_job *j)
{
    const int64_t n = begin_pieces(j, "pointwise", j->desc->op == U3D_OP_RELU ? "relu" : "relu_back");
    add_operands(j);
    cl_job_int(j, n);
    cl_job_float(j, j->desc->attr.relu.slope);
}

static void prepare_fill(cl_job *j)
{
    const int64_t n = begin_pieces(j, "pointwise", "fill");
    add_operands(j);
    cl_job_int(j, n);
    cl_job_float(j, j->desc->attr.fill.value);
}

static void prepare_scale(cl_job *j)
{
    const int64_t n = begin_pieces(j, "pointwise", "scale");
    add_operands(j);
    cl_job_int(j, n);
    cl_job_float(j, j->desc->attr.scale.factor);
}

static void prepare_pieces(cl_job *j, const char *file, const char *name)
{
    const int64_t n = begin_pieces(j, file, name);
    add_operands(j);
    cl_job_int(j, n);
}

static void prepare_add(cl_job *j)
{
    prepare_pieces(j, "pointwise", "add");
}

static void prepare_copy(cl_job *j)
{
    prepare_pieces(j, "pointwise", "copy");
}

static void prepare_sgd(cl_job *j)
{
    prepare_pieces(j, "optim_step", "sgd_step");
}

static void prepare_adam(cl_job *j)
{
    prepare_pieces(j, "optim_step", "adam_step");
}

static void prepare_lerp(cl_job *j)
{
    prepare_pieces(j, "optim_step", "lerp");
}

static cl_spans squares_spans(const u3d_op_desc *d)
{
    const int64_t n = u3d_type_elems(&d->in[0]);
    return cl_spans_of(n / cl_vec_of(n), SUM_UNIT, MAX_SUM_GROUPS);
}

static void work_sum_squares(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    (void)dev;
    *min = *best = (uint64_t)squares_spans(d).groups * sizeof(float);
}

static void prepare_sum_squares(cl_job *j)
{
    const int64_t n = u3d_type_elems(&j->desc->in[0]), vec = cl_vec_of(n);
    const cl_spans s = squares_spans(j->desc);
    cl_defines d = {0};
    cl_define(&d, "VEC", vec);
    cl_job_kernel(j, "optim_step", "sum_squares", &d, cl_range_1d((uint64_t)s.groups * GROUP, GROUP));
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_work(0));
    cl_job_int(j, n / vec);
    cl_job_int(j, s.span);
    cl_job_reduce_columns(j, cl_work(0), s.groups, 1, cl_out(0), false);
}

const cl_entry cl_relu_plain = {.name = "plain", .prepare = prepare_relu};
const cl_entry cl_relu_back_plain = {.name = "plain", .prepare = prepare_relu};
const cl_entry cl_fill_plain = {.name = "plain", .prepare = prepare_fill};
const cl_entry cl_copy_plain = {.name = "plain", .prepare = prepare_copy};
const cl_entry cl_add_plain = {.name = "plain", .prepare = prepare_add};
const cl_entry cl_scale_plain = {.name = "plain", .prepare = prepare_scale};
const cl_entry cl_sgd_step_plain = {.name = "plain", .prepare = prepare_sgd};
const cl_entry cl_adam_step_plain = {.name = "plain", .prepare = prepare_adam};
const cl_entry cl_lerp_plain = {.name = "plain", .prepare = prepare_lerp};
const cl_entry cl_sum_squares_plain = {
    .name = "plain", .work = work_sum_squares, .prepare = prepare_sum_squares};
