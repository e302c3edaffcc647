/* Bias gradient: db[c] = sum over voxels of dy[v][c], in double. The voxels are divided into a fixed number
 * of slices, whose sums are added in order. If voxels have few channels, several of them are treated as one
 * wide voxel, so that the inner loop fills vectors; at the end, the lanes that belong to one channel are
 * added. */
#include "backends/cpu/kernels/cpu_conv_impl.h"

enum { SLICES = 64, WIDE = 64 /* approximate number of lanes in the inner loop */ };

static int64_t lanes_of(const u3d_type *t)
{
    return t->dim[4] * cpu_max(1, WIDE / t->dim[4]);
}

uint64_t CPU_NAME(cpu_conv_bgrad_work)(const u3d_type *dy)
{
    return (uint64_t)(SLICES * lanes_of(dy)) * sizeof(double);
}

static void slice_sum(const float *from, const float *to, int64_t lanes, double *sum)
{
    for (int64_t i = 0; i < lanes; i++) sum[i] = 0.0;
    for (; to - from >= lanes; from += lanes)
        for (int64_t i = 0; i < lanes; i++) sum[i] += (double)from[i];
    for (int64_t i = 0; i < to - from; i++) sum[i] += (double)from[i];
}

void CPU_NAME(cpu_conv_bgrad)(const u3d_type *type, const float *dy, bool accumulate, float *db, void *work,
                              int threads)
{
    const int64_t channels = type->dim[4], lanes = lanes_of(type);
    const int64_t voxels = type->dim[0] * type->dim[1] * type->dim[2] * type->dim[3];
    double *sums = work;

#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t s = 0; s < SLICES; s++)
        slice_sum(dy + voxels * s / SLICES * channels, dy + voxels * (s + 1) / SLICES * channels, lanes,
                  sums + s * lanes);
    for (int64_t c = 0; c < channels; c++) {
        double total = accumulate ? (double)db[c] : 0.0;
        for (int64_t s = 0; s < SLICES; s++)
            for (int64_t i = c; i < lanes; i += channels) total += sums[s * lanes + i];
        db[c] = (float)total;
    }
}
