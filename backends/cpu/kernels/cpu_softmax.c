/* Softmax over the last axis: p[v,k] = exp(x[v,k] - max_k x[v,k]) / sum over k. Works in place. */
#include "backends/cpu/kernels/cpu_softmax.h"

static void softmax_slice(const float *x, float *y, int64_t voxels, int64_t classes, int64_t lanes)
{
    cpu_softmax_block b;
    for (int64_t v = 0; v < voxels; v += lanes) {
        int64_t n = cpu_min(lanes, voxels - v);
        cpu_softmax_load(x + v * classes, n, classes, lanes, &b);
        cpu_softmax_exp(&b, classes, lanes);
        cpu_softmax_divide(&b, classes, lanes);
        cpu_softmax_store(&b, n, classes, lanes, false, y + v * classes);
    }
}

static void run_softmax(const cpu_call *c)
{
    const float *x = c->in[0];
    float *y = c->out[0];
    int64_t classes = cpu_channels(&c->desc->in[0]), lanes = cpu_softmax_lanes(classes);
    int64_t voxels = u3d_type_elems(&c->desc->in[0]) / classes;
    int64_t slices = cpu_slices(voxels, cpu_max(lanes, CPU_SLICE_ELEMS / 4 / classes));
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t s = 0; s < slices; s++) {
        cpu_range r = cpu_slice(voxels, slices, s, 16);
        softmax_slice(x + r.begin * classes, y + r.begin * classes, r.end - r.begin, classes, lanes);
    }
}

static const char *refuse_softmax(const u3d_op_desc *d)
{
    const char *reason = cpu_refuse_classes(d);
    return reason ? reason : cpu_refuse_accumulate(d);
}

const cpu_entry CPU_NAME(cpu_SOFTMAX)[] = {{.name = "plain", .refuses = refuse_softmax, .run = run_softmax},
                                           {0}};
