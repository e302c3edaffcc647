/* Steps that write slabs of windows (kernels/unfold.cl), and the choice of a slab's length. */
#include "backends/opencl/cl_unfold.h"

enum {
    GROUP = 256,
    UNIT_ROWS = 128, /* a multiple of CLBlast's tiles, so that a whole slab needs no padding    */
    SLABS_MAX = 512  /* limits the number of steps in a job, however small the workspace is     */
};

static const uint64_t BEST_BYTES = 128U << 20;

int64_t cl_windows_rows(const cl_windows *w)
{
    return w->map.n * w->grid[0] * w->grid[1] * w->grid[2];
}

int64_t cl_windows_columns(const cl_windows *w)
{
    return cl_taps(w->kernel) * w->map.c;
}

bool cl_windows_are_map(const cl_windows *w)
{
    for (int axis = 0; axis < 3; axis++)
        if (w->kernel[axis] != 1 || w->stride[axis] != 1 || w->pad[axis] != 0) return false;
    return cl_map_is_plain(&w->map);
}

uint64_t cl_windows_bytes(const cl_device *dev, const cl_windows *w, int64_t rows)
{
    if (cl_windows_are_map(w)) return 0;
    return cl_round_up((uint64_t)(rows * cl_windows_columns(w)) * sizeof(float), dev->align);
}

/* The work-items of a slab, in groups of 256. Neighbours write neighbouring elements of the stored matrix. */
static cl_range slab_range(const cl_windows *w, int64_t rows, bool transposed)
{
    const uint64_t groups = (uint64_t)(w->map.c / cl_map_vec(&w->map)), taps = (uint64_t)cl_taps(w->kernel);
    uint32_t side = 1;
    if (!transposed) return (cl_range){{(uint64_t)rows * groups, 1, taps}, {GROUP, 1, 1}};
    while (side < 8 && 2 * side <= groups) side *= 2; /* 8 groups of 4 channels fill a cache line */
    return (cl_range){{(uint64_t)rows, groups, taps}, {GROUP / side, side, 1}};
}

static cl_place in_map(const cl_windows *w, int64_t row0)
{
    cl_place at = w->map.part[0].data;
    at.off += (uint64_t)(row0 * w->map.c) * sizeof(float);
    return at;
}

cl_place cl_windows_slab(cl_job *j, const cl_windows *w, int64_t row0, int64_t rows, bool transposed,
                         cl_place work)
{
    if (cl_windows_are_map(w)) return in_map(w, row0);
    cl_defines defines = {{0}};
    cl_map_define(&defines, &w->map, cl_map_vec(&w->map));
    cl_define(&defines, "TRANSPOSED", transposed);
    cl_job_kernel(j, "unfold", "unfold", &defines, slab_range(w, rows, transposed));
    cl_map_args(j, &w->map);
    cl_job_arg(j, work);
    cl_job_int(j, row0);
    cl_job_int(j, rows);
    cl_job_size(j, w->grid);
    cl_job_window(j, w->kernel);
    cl_job_window(j, w->stride);
    cl_job_window(j, w->pad);
    return work;
}

/* ---- slabs ---- */

/* The number of rows in each of n slabs. It is rounded so that every slab begins where a sub-buffer may
 * begin. */
static int64_t rows_of(const cl_slabs *s, int64_t n)
{
    const int64_t unit =
        s->dev->align > UNIT_ROWS * sizeof(float) ? s->dev->align / (int64_t)sizeof(float) : UNIT_ROWS;
    const int64_t rows = (int64_t)cl_round_up((uint64_t)cl_ceil_div(s->total, n), (uint64_t)unit);
    return cl_min(rows, s->total);
}

/* The larger need of the two lengths that occur: that of the equal slabs and that of the last one. */
static uint64_t need_of(const cl_slabs *s, int64_t rows)
{
    const int64_t last = s->total % rows;
    const uint64_t bytes = s->need(s->user, rows), bytes_last = last > 0 ? s->need(s->user, last) : 0;
    return bytes > bytes_last ? bytes : bytes_last;
}

int64_t cl_slab_rows(const cl_slabs *s, uint64_t bytes)
{
    for (int64_t n = cl_ceil_div(s->total, s->rows_max); n < SLABS_MAX; n += cl_ceil_div(n, 4)) {
        const int64_t rows = rows_of(s, n);
        if (need_of(s, rows) <= bytes) return rows;
    }
    return rows_of(s, SLABS_MAX);
}

void cl_slab_work(const cl_slabs *s, uint64_t fixed, uint64_t *min, uint64_t *best)
{
    const uint64_t least = need_of(s, rows_of(s, SLABS_MAX));
    const uint64_t good = need_of(s, cl_slab_rows(s, BEST_BYTES > least ? BEST_BYTES : least));
    *min = fixed + least;
    *best = fixed + (good > least ? good : least);
}
