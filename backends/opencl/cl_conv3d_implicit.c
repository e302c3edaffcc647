/* Convolutions with stride 1 as matrix products over tiles in local memory; kernels/conv3d_implicit.cl and
 * conv3d_dw_implicit.cl describe the algorithm.
 *
 * Small maps with many channels give few tiles. The long axis of the product (taps and channels; voxels for
 * the weight gradient) is therefore split into parts, whose results go to the workspace and are added in
 * order. The number of parts follows only from the shape and the workspace, never from the device. */
#include "backends/opencl/cl_conv3d.h"
#include "backends/opencl/cl_entries.h"

enum {
    LOCAL_BYTES = 32 << 10, /* what every usable device has */
    MAX_EXTENT = 10,        /* taps along an axis: an int has a bit for each tap of three such axes    */
    TILE_PAD = 4,           /* floats, as in tile.clh                                                  */
    FULL = 528,             /* work-groups that fill the largest GPUs: 132 compute units, four on each */
    MIN_STEPS = 16,         /* slices of the tile's depth: a shorter part costs more than it saves     */
    ACCURATE = 4096         /* voxels that a work-item may sum in float: no less exact than other steps */
};

/* The part of a product that a work-group computes, and the share of a work-item (tile.clh). */
typedef struct tile {
    int rows, columns, depth, item_rows, item_columns;
} tile;

static const tile conv_tiles[] = {{128, 64, 8, 8, 8}, {256, 32, 8, 8, 8}, {256, 16, 8, 8, 4}};
static const tile dw_tiles[] = {{128, 64, 8, 8, 8}, {128, 32, 8, 8, 4}, {128, 16, 8, 4, 4}};

/* The widest tile that does not waste half of its width on the last columns. */
static tile tile_for(const tile *tiles, int64_t columns)
{
    if (columns <= tiles[2].columns) return tiles[2];
    int64_t rest = columns % tiles[0].columns;
    return rest > 0 && rest <= tiles[1].columns ? tiles[1] : tiles[0];
}

static uint32_t tile_items(tile t)
{
    return (uint32_t)(t.rows / t.item_rows * (t.columns / t.item_columns));
}

static int64_t tile_count(tile t, int64_t rows, int64_t columns)
{
    return cl_ceil_div(rows, t.rows) * cl_ceil_div(columns, t.columns);
}

static void tile_defines(cl_defines *defines, tile t)
{
    int bytes = 2 * t.depth * (t.rows + t.columns + 2 * TILE_PAD) * (int)sizeof(float);
    U3D_ASSERT(bytes <= LOCAL_BYTES, "a tile of %d x %d x %d needs %d bytes of local memory; the limit is %d",
               t.rows, t.columns, t.depth, bytes, LOCAL_BYTES);
    cl_define(defines, "BM", t.rows);
    cl_define(defines, "BN", t.columns);
    cl_define(defines, "BK", t.depth);
    cl_define(defines, "TM", t.item_rows);
    cl_define(defines, "TN", t.item_columns);
}

static const char *refuses(const cl_device *dev, const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    const char *reason = cl_conv_refuses(dev, d);
    if (reason) return reason;
    for (int axis = 0; axis < 3; axis++) {
        if (a->stride[axis] != 1) return "only for stride 1";
        if (a->kernel[axis] > MAX_EXTENT) return "only for kernels up to 10 along each axis";
    }
    return NULL;
}

/* ---- forward and input gradient ---- */

typedef struct product {
    tile tile;
    int64_t voxels, tiles; /* voxels of a sample, tiles of all samples */
    int64_t depth;         /* taps times channels                     */
    int64_t n, parts;      /* elements of the result; parts at best   */
} product;

static product product_of(const cl_conv *c)
{
    product p = {.tile = tile_for(conv_tiles, c->out_c),
                 .voxels = c->voxels / c->out->dim[0],
                 .depth = c->taps * c->map.c,
                 .n = c->voxels * c->out_c,
                 .parts = 1};
    p.tiles = tile_count(p.tile, p.voxels, c->out_c) * c->out->dim[0];
    int64_t most = p.depth / (MIN_STEPS * p.tile.depth),
            fit = (int64_t)(CL_CONV_SLICES_BYTES / sizeof(float)) / p.n;
    int64_t parts = cl_min(FULL / p.tiles, cl_min(most, fit));
    if (parts > 1) p.parts = parts;
    return p;
}

static void work(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    const cl_conv c = cl_conv_of(d);
    const product p = product_of(&c);
    (void)dev;
    *min = 0;
    *best = p.parts > 1 ? (uint64_t)(p.parts * p.n) * sizeof(float) : 0;
}

/* Adds the padding of the gather. The input gradient has mirrored windows and therefore mirrored padding. */
static void pad_args(cl_job *j, const cl_conv *c)
{
    int32_t pad[3];
    for (int axis = 0; axis < 3; axis++)
        pad[axis] = c->adjoint ? c->attr->kernel[axis] - 1 - c->attr->pad[axis] : c->attr->pad[axis];
    cl_job_window(j, pad);
}

static void prepare(cl_job *j)
{
    const u3d_op_desc *d = j->desc;
    const cl_conv c = cl_conv_of(d);
    const product p = product_of(&c);
    int64_t fit = (int64_t)(j->work_bytes / sizeof(float)) / p.n;
    int64_t parts = cl_min(fit, p.parts);
    if (parts < 2) parts = 1;
    int64_t per_part = (int64_t)cl_round_up((uint64_t)cl_ceil_div(p.depth, parts), (uint64_t)p.tile.depth);
    parts = cl_ceil_div(p.depth, per_part);
    bool split = parts > 1, four = c.out_c % 4 == 0;
    const int64_t vec = cl_map_vec(&c.map);

    cl_defines defines = {""};
    cl_map_define(&defines, &c.map, vec);
    tile_defines(&defines, p.tile);
    cl_define(&defines, "FLIP", c.adjoint);
    cl_define(&defines, "WIDE", c.adjoint ? vec : four ? 4 : 1);
    cl_define(&defines, "STORE4", four);
    cl_define(&defines, "ADD", !split && cl_adds(d, 0));
    uint32_t items = tile_items(p.tile);
    uint64_t samples = (uint64_t)c.out->dim[0], groups = (uint64_t)p.tiles / samples;
    cl_job_kernel(j, "conv3d_implicit", "conv3d_implicit", &defines,
                  (cl_range){{groups * items, samples, (uint64_t)parts}, {items, 1, 1}});
    cl_map_args(j, &c.map);
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_conv_bias(d));
    cl_job_arg(j, split ? cl_work(0) : cl_out(0));
    cl_job_int(j, !split && cl_conv_has_bias(d));
    cl_job_size(j, &c.out->dim[1]);
    cl_job_int(j, c.out_c);
    cl_job_window(j, c.attr->kernel);
    pad_args(j, &c);
    cl_job_int(j, per_part);
    if (split) cl_conv_add_slices(j, 0, parts, p.n, 0, true);
}

/* ---- weight gradient ---- */

/* The number of slices: enough to fill a GPU and to keep each slice's sums accurate, but not so many that the
 * slices become too short to pay off. */
static int64_t dw_slices(const cl_conv_dw *c, tile t, int64_t voxels)
{
    int64_t slices = 2 * FULL / tile_count(t, c->taps * c->map.c, c->co);
    int64_t accurate = voxels * c->dy->dim[0] / ACCURATE, most = voxels / (MIN_STEPS * t.depth / 2);
    if (slices < accurate) slices = accurate;
    if (slices > most) slices = most;
    return slices > 1 ? slices : 1;
}

static int64_t dw_voxels(const cl_conv_dw *c)
{
    return c->dy->dim[1] * c->dy->dim[2] * c->dy->dim[3];
}

static void dw_work(const cl_device *dev, const u3d_op_desc *d, uint64_t *min, uint64_t *best)
{
    const cl_conv_dw c = cl_conv_dw_of(d);
    (void)dev;
    cl_conv_dw_work(&c, d, dw_slices(&c, tile_for(dw_tiles, c.co), dw_voxels(&c)), min, best);
}

static void dw_prepare(cl_job *j)
{
    const u3d_op_desc *d = j->desc;
    const cl_conv_dw c = cl_conv_dw_of(d);
    const tile t = tile_for(dw_tiles, c.co);
    int64_t voxels = dw_voxels(&c);
    const cl_conv_slices s = cl_conv_dw_slices(j, &c, dw_slices(&c, t, voxels));
    uint32_t items = tile_items(t);
    cl_defines defines = {""};
    cl_map_define(&defines, &c.map, cl_map_vec(&c.map));
    tile_defines(&defines, t);
    cl_define(&defines, "WIDE", cl_vec_of(c.co));
    cl_job_kernel(j, "conv3d_dw_implicit", "conv3d_dw_implicit", &defines,
                  (cl_range){{(uint64_t)tile_count(t, c.taps * c.map.c, c.co) * items, (uint64_t)s.slices, 1},
                             {items, 1, 1}});
    cl_map_args(j, &c.map);
    cl_job_arg(j, cl_in(1));
    cl_job_arg(j, cl_work(s.bias_bytes));
    cl_job_int(j, c.dy->dim[0]);
    cl_job_size(j, &c.dy->dim[1]);
    cl_job_int(j, c.co);
    cl_job_window(j, c.attr->kernel);
    cl_job_window(j, c.attr->pad);
    cl_job_int(j, cl_ceil_div(voxels, s.slices));
    cl_conv_dw_finish(j, &c, s);
}

const cl_entry cl_conv3d_implicit = {"implicit", refuses, work, prepare};
const cl_entry cl_conv3d_dx_implicit = {"implicit", refuses, work, prepare};
const cl_entry cl_conv3d_dw_implicit = {"implicit", refuses, dw_work, dw_prepare};
