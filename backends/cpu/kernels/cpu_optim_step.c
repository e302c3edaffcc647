/* Optimizer updates over flat blocks of parameters, and the sum of squares from which the norm of the
 * gradient is computed. The formulas are in engine/run/optim.h. Bound by memory: one pass over each block. */
#include "backends/cpu/kernels/cpu_slice.h"

#include <math.h>

static void sgd_slice(const float *grad, const float *hyper, float *value, float *velocity, int64_t n)
{
    float lr = hyper[0], momentum = hyper[1], decay = hyper[2], scale = hyper[3];
    /* Nesterov steps along g + momentum * velocity, plain momentum along velocity. */
    float own = hyper[4] > 0 ? 1 : 0, follow = hyper[4] > 0 ? momentum : 1;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * scale + decay * value[i];
        float v = momentum * velocity[i] + g;
        velocity[i] = v;
        value[i] -= lr * (own * g + follow * v);
    }
}

static void run_sgd(const cpu_call *c)
{
    const float *grad = c->in[0], *hyper = c->in[1];
    float *value = c->out[0], *velocity = c->out[1];
    int64_t n = u3d_type_elems(&c->desc->in[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        sgd_slice(grad + r.begin, hyper, value + r.begin, velocity + r.begin, r.end - r.begin);
    }
}

static void adam_slice(const float *grad, const float *hyper, float *value, float *m, float *v, int64_t n)
{
    float lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], eps = hyper[3], decay = hyper[4],
          scale = hyper[5];
    float c1 = hyper[6], c2 = hyper[7], rest1 = 1 - beta1, rest2 = 1 - beta2;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * scale;
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        value[i] -= lr * (m[i] / c1 / (sqrtf(v[i] / c2) + eps) + decay * value[i]);
    }
}

static void run_adam(const cpu_call *c)
{
    const float *grad = c->in[0], *hyper = c->in[1];
    float *value = c->out[0], *m = c->out[1], *v = c->out[2];
    int64_t n = u3d_type_elems(&c->desc->in[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        adam_slice(grad + r.begin, hyper, value + r.begin, m + r.begin, v + r.begin, r.end - r.begin);
    }
}

static void lerp_slice(const float *x, float t, float *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] += t * (x[i] - y[i]);
}

static void run_lerp(const cpu_call *c)
{
    const float *x = c->in[0], *t = c->in[1];
    float *y = c->out[0];
    int64_t n = u3d_type_elems(&c->desc->in[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        lerp_slice(x + r.begin, *t, y + r.begin, r.end - r.begin);
    }
}

/* Sums squares in sixteen chains of doubles, so that the additions overlap and fill vectors. */
static double squares_slice(const float *x, int64_t n)
{
    double lane[CPU_LINE_ELEMS] = {0};
    int64_t whole = n / CPU_LINE_ELEMS * CPU_LINE_ELEMS;
    for (int64_t i = 0; i < whole; i += CPU_LINE_ELEMS)
        for (int l = 0; l < CPU_LINE_ELEMS; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
    double sum = 0;
    for (int64_t i = whole; i < n; i++) sum += (double)x[i] * (double)x[i];
    for (int l = 0; l < CPU_LINE_ELEMS; l++) sum += lane[l];
    return sum;
}

static void run_sum_squares(const cpu_call *c)
{
    const float *x = c->in[0];
    int64_t n = u3d_type_elems(&c->desc->in[0]), slices = cpu_slices(n, CPU_SLICE_ELEMS);
    double part[CPU_SLICES_MAX], sum = 0;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(n, slices, s, CPU_LINE_ELEMS);
        part[s] = squares_slice(x + r.begin, r.end - r.begin);
    }
    for (int64_t s = 0; s < slices; s++) sum += part[s];
    *(float *)c->out[0] = (float)sum;
}

const cpu_entry CPU_NAME(cpu_SGD_STEP)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_sgd}, {0}};
const cpu_entry CPU_NAME(cpu_ADAM_STEP)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_adam}, {0}};
const cpu_entry CPU_NAME(cpu_LERP)[] = {{.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_lerp},
                                        {0}};
const cpu_entry CPU_NAME(cpu_SUM_SQUARES)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_sum_squares}, {0}};
