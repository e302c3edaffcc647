/* Softmax, cross entropy, Dice, and the gradients of the losses (kernels/softmax.cl, softmax_xent.cl and
 * dice.cl). Sums over voxels have two stages: each work-group writes a partial sum to the workspace, then the
 * partial sums are added. */
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_rows.h"

enum {
    GROUP = 256,
    TILE = 256,           /* voxels, as in dice.cl                                                  */
    MAX_SUM_GROUPS = 512, /* four per multiprocessor of a large GPU: enough if not bound by memory  */
    XENT_COLUMNS = 2,     /* loss, weight                                                           */
    DICE_ROWS = 3
};

static cl_spans loss_spans(const u3d_op_desc *d)
{
    return cl_spans_of(cl_voxels(&d->in[0]), TILE, MAX_SUM_GROUPS);
}

/* Bytes of the partial sums, rounded up to where the next array may begin. */
static uint64_t part_bytes(const cl_spans *s, int64_t columns)
{
    return cl_floats_bytes(s->groups * columns);
}

static cl_range voxel_range(const u3d_op_desc *d)
{
    return cl_range_1d((uint64_t)cl_voxels(&d->in[0]), GROUP);
}

/* Adds the arguments for VOXEL_PARAMETERS of the losses' kernels. */
static void add_voxels(cl_job *j)
{
    for (int i = 0; i < 3; i++) cl_job_arg(j, cl_in(i));
    cl_job_int(j, cl_voxels(&j->desc->in[0]));
    cl_job_int(j, cl_channels(&j->desc->in[0]));
    cl_job_int(j, j->desc->attr.loss.ignore_label);
}

static void prepare_softmax(cl_job *j)
{
    cl_job_kernel(j, "softmax", "softmax", NULL, voxel_range(j->desc));
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_out(0));
    cl_job_int(j, cl_voxels(&j->desc->in[0]));
    cl_job_int(j, cl_channels(&j->desc->in[0]));
}

static void work_xent(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    (void)dev;
    const cl_spans s = loss_spans(d);
    *min = *best = part_bytes(&s, XENT_COLUMNS) + XENT_COLUMNS * sizeof(float);
}

static void prepare_xent(cl_job *j)
{
    const cl_spans s = loss_spans(j->desc);
    const cl_place part = cl_work(0), sums = cl_work(part_bytes(&s, XENT_COLUMNS));
    cl_job_kernel(j, "softmax_xent", "softmax_xent_part", NULL,
                  cl_range_1d((uint64_t)s.groups * GROUP, GROUP));
    add_voxels(j);
    cl_job_arg(j, part);
    cl_job_int(j, s.span);
    cl_job_reduce_columns(j, part, s.groups, XENT_COLUMNS, sums, false);
    cl_job_kernel(j, "softmax_xent", "softmax_xent_loss", NULL, cl_range_1d(1, 1));
    cl_job_arg(j, sums);
    cl_job_arg(j, cl_out(0));
    cl_job_arg(j, cl_out(1));
}

/* Begins the step of a gradient with respect to the logits. Inputs 0 to 2 are those of the loss; inputs 3 and
 * 4 are its sums and dloss. */
static void begin_back(cl_job *j, const char *name)
{
    cl_defines d = {0};
    if (cl_adds(j->desc, 0)) cl_define(&d, "ADD", 1);
    cl_job_kernel(j, j->desc->op == U3D_OP_DICE_BACK ? "dice" : "softmax_xent", name, &d,
                  voxel_range(j->desc));
    add_voxels(j);
    cl_job_arg(j, cl_in(3));
    cl_job_arg(j, cl_in(4));
    cl_job_arg(j, cl_out(0));
}

static void prepare_xent_back(cl_job *j)
{
    begin_back(j, "softmax_xent_back");
}

static void work_dice(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    (void)dev;
    const cl_spans s = loss_spans(d);
    *min = *best = part_bytes(&s, DICE_ROWS * cl_channels(&d->in[0]));
}

static void add_scoring(cl_job *j)
{
    cl_job_int(j, j->desc->attr.loss.skip_background ? 1 : 0);
    cl_job_float(j, j->desc->attr.loss.smooth);
}

static void prepare_dice(cl_job *j)
{
    const cl_spans s = loss_spans(j->desc);
    const int64_t classes = cl_channels(&j->desc->in[0]);
    cl_job_kernel(j, "dice", "dice_part", NULL, cl_range_1d((uint64_t)s.groups * GROUP, GROUP));
    add_voxels(j);
    cl_job_arg(j, cl_work(0));
    cl_job_int(j, s.span / TILE);
    cl_job_reduce_columns(j, cl_work(0), s.groups, DICE_ROWS * classes, cl_out(1), false);
    cl_job_kernel(j, "dice", "dice_loss", NULL, cl_range_1d(GROUP, GROUP));
    cl_job_arg(j, cl_out(1));
    cl_job_arg(j, cl_out(0));
    cl_job_int(j, classes);
    add_scoring(j);
}

static void prepare_dice_back(cl_job *j)
{
    begin_back(j, "dice_back");
    add_scoring(j);
}

const cl_entry cl_softmax_plain = {.name = "plain", .prepare = prepare_softmax};
const cl_entry cl_softmax_xent_plain = {.name = "plain", .work = work_xent, .prepare = prepare_xent};
const cl_entry cl_softmax_xent_back_plain = {.name = "plain", .prepare = prepare_xent_back};
const cl_entry cl_dice_plain = {.name = "plain", .work = work_dice, .prepare = prepare_dice};
const cl_entry cl_dice_back_plain = {.name = "plain", .prepare = prepare_dice_back};
