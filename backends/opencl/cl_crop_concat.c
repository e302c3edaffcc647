/* The skip connection (crop and concatenation) and its gradient (kernels/crop_concat.cl). */
#include "backends/opencl/cl_entries.h"
#include "backends/opencl/cl_rows.h"

typedef struct joint { /* the two maps; sizes in the order z, y, x */
    int64_t n, up_channels, skip_channels, vec;
    int64_t up[3], skip[3];
} joint;

static joint joint_of(const u3d_op_desc *d)
{
    const bool forward = d->op == U3D_OP_CROP_CONCAT;
    const u3d_type *up = &d->in[0]; /* in the gradient this is dy, which has the same size */
    joint b = {.n = up->dim[0]};
    b.up_channels = forward ? cl_channels(up) : d->attr.crop.up_channels;
    b.skip_channels = forward ? cl_channels(&d->in[1]) : cl_channels(up) - b.up_channels;
    b.vec = b.up_channels % 4 == 0 && b.skip_channels % 4 == 0 ? 4 : 1;
    for (int axis = 0; axis < 3; axis++) {
        b.up[axis] = up->dim[1 + axis];
        b.skip[axis] = forward ? d->in[1].dim[1 + axis] : d->attr.crop.skip_size[axis];
    }
    return b;
}

/* Begins a step over a map with this size and number of channels. */
static void begin_map(cl_job *j, const joint *b, const char *name, const int64_t size[3], int64_t channels,
                      bool add)
{
    const uint64_t row = (uint64_t)(size[2] * channels / b->vec);
    const cl_range range = {{row, (uint64_t)size[1], (uint64_t)(b->n * size[0])}, {64, 4, 1}};
    cl_defines d = {0};
    cl_define(&d, "VEC", b->vec);
    if (add) cl_define(&d, "ADD", 1);
    cl_job_kernel(j, "crop_concat", name, &d, range);
}

static void add_box(cl_job *j, const joint *b)
{
    cl_job_size(j, b->up);
    cl_job_size(j, b->skip);
    cl_job_int(j, b->up_channels / b->vec);
    cl_job_int(j, b->skip_channels / b->vec);
}

static void prepare_crop_concat(cl_job *j)
{
    const joint b = joint_of(j->desc);
    begin_map(j, &b, "crop_concat", b.up, b.up_channels + b.skip_channels, false);
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_out(0));
    add_box(j, &b);
}

static void add_back(cl_job *j, const joint *b, int out)
{
    cl_job_arg(j, cl_in(0));
    cl_job_arg(j, cl_out(out));
    add_box(j, b);
}

static void prepare_crop_concat_back(cl_job *j)
{
    const joint b = joint_of(j->desc);
    const u3d_crop_part part = j->desc->attr.crop.part;
    const int i_skip = j->desc->n_out - 1; /* output 1, or output 0 if it is the only one */
    if (part != U3D_CROP_SKIP) {
        begin_map(j, &b, "crop_concat_back_up", b.up, b.up_channels, cl_adds(j->desc, 0));
        add_back(j, &b, 0);
    }
    if (part != U3D_CROP_UP) {
        begin_map(j, &b, "crop_concat_back_skip", b.skip, b.skip_channels, cl_adds(j->desc, i_skip));
        add_back(j, &b, i_skip);
    }
}

const cl_entry cl_crop_concat_plain = {.name = "plain", .prepare = prepare_crop_concat};
const cl_entry cl_crop_concat_back_plain = {.name = "plain", .prepare = prepare_crop_concat_back};
