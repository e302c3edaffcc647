/* Ops that work element by element: relu, relu_back, fill, copy, add, scale. They treat arrays as flat,
 * because the layout does not matter to them. Bound by memory.
 *
 * `omp simd` says that iterations are independent, which also holds if an output occupies exactly the memory
 * of an input. Without it, the compiler's check for overlap would send that case to scalar code. */
#include "backends/cpu/kernels/cpu_slice.h"

#include <string.h>

static void relu_slice(const float *x, float *y, int64_t n, float slope)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

static void run_relu(const cpu_call *c)
{
    const float *x = c->in[0];
    float *y = c->out[0], slope = c->desc->attr.relu.slope;
    int64_t n = u3d_type_elems(&c->desc->out[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        relu_slice(x + r.begin, y + r.begin, r.end - r.begin, slope);
    }
}

static void relu_back_slice(const float *dy, const float *y, float *dx, int64_t n, float slope)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

static void run_relu_back(const cpu_call *c)
{
    const float *dy = c->in[0], *y = c->in[1];
    float *dx = c->out[0], slope = c->desc->attr.relu.slope;
    int64_t n = u3d_type_elems(&c->desc->out[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        relu_back_slice(dy + r.begin, y + r.begin, dx + r.begin, r.end - r.begin, slope);
    }
}

/* The op gives only scalars today, but this works for any size. */
static void run_fill(const cpu_call *c)
{
    float *y = c->out[0];
    int64_t n = u3d_type_elems(&c->desc->out[0]);
    for (int64_t i = 0; i < n; i++) y[i] = c->desc->attr.fill.value;
}

static void add_to_slice(const float *x, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void run_copy_add(const cpu_call *c)
{
    const float *x = c->in[0];
    float *y = c->out[0];
    int64_t n = u3d_type_elems(&c->desc->out[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        add_to_slice(x + r.begin, y + r.begin, r.end - r.begin);
    }
}

/* A copy without accumulation works on bytes and therefore for any element type. */
static void run_copy(const cpu_call *c)
{
    const char *x = c->in[0];
    char *y = c->out[0];
    if (c->desc->accumulate & 1) {
        run_copy_add(c);
        return;
    }
    int64_t n = (int64_t)u3d_type_bytes(&c->desc->out[0]), slices = cpu_slices(n, 4 * CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, 64);
        memcpy(y + r.begin, x + r.begin, (size_t)(r.end - r.begin));
    }
}

static const char *refuse_copy(const u3d_op_desc *d)
{
    return d->accumulate && d->out[0].dtype != U3D_F32 ? "only f32 can be accumulated" : NULL;
}

static void add_slice(const float *a, const float *b, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void run_add(const cpu_call *c)
{
    const float *a = c->in[0], *b = c->in[1];
    float *y = c->out[0];
    int64_t n = u3d_type_elems(&c->desc->out[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        add_slice(a + r.begin, b + r.begin, y + r.begin, r.end - r.begin);
    }
}

static void scale_slice(const float *x, float *y, int64_t n, float factor)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
}

static void run_scale(const cpu_call *c)
{
    const float *x = c->in[0];
    float *y = c->out[0], factor = c->desc->attr.scale.factor;
    int64_t n = u3d_type_elems(&c->desc->out[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        scale_slice(x + r.begin, y + r.begin, r.end - r.begin, factor);
    }
}

const cpu_entry CPU_NAME(cpu_RELU)[] = {{.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_relu},
                                        {0}};
const cpu_entry CPU_NAME(cpu_RELU_BACK)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_relu_back}, {0}};
const cpu_entry CPU_NAME(cpu_FILL)[] = {{.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_fill},
                                        {0}};
const cpu_entry CPU_NAME(cpu_COPY)[] = {{.name = "plain", .refuses = refuse_copy, .run = run_copy}, {0}};
const cpu_entry CPU_NAME(cpu_ADD)[] = {{.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_add},
                                       {0}};
const cpu_entry CPU_NAME(cpu_SCALE)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_scale}, {0}};
