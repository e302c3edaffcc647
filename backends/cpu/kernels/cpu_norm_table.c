/* Turns moments into scale and shift, so that normalisation is scale * x + shift.
 *
 *   inv = 1 / sqrt(var + eps), scale = gain * inv, shift = bias - mean * scale
 *
 * There are only a few thousand numbers, so one thread computes them. */
#include "backends/cpu/kernels/cpu_slice.h"

#include <math.h>

/* Computes one set of the table, and inv [C] unless it is NULL, from mean [C] and var [C], which follows
 * mean in memory. */
static void write_set(const cpu_call *c, const float *mean, int64_t channels, float *table, float *inv)
{
    const float *var = mean + channels, *gain = c->in[1], *bias = c->in[2];
    for (int64_t ch = 0; ch < channels; ch++) {
        double rstd = 1 / sqrt((double)var[ch] + (double)c->desc->attr.norm.eps);
        double scale = (double)gain[ch] * rstd;
        table[ch] = (float)scale;
        table[channels + ch] = (float)((double)bias[ch] - (double)mean[ch] * scale);
        if (inv) inv[ch] = (float)rstd;
    }
}

/* Moves the running statistics towards the mean over the sets of mean and unbiased variance. With one voxel
 * per set, the variance is 0. */
static void move_running(const u3d_norm_attr *a, const float *moments, int64_t sets, int64_t channels,
                         float *running)
{
    double unbiased = (double)a->voxels / (double)cpu_max(1, a->voxels - 1);
    for (int64_t i = 0; i < 2 * channels; i++) {
        double sum = 0, old = (double)running[i];
        for (int64_t s = 0; s < sets; s++) sum += (double)moments[2 * s * channels + i];
        double batch = sum / (double)sets * (i < channels ? 1 : unbiased);
        running[i] = (float)(old + (double)a->momentum * (batch - old));
    }
}

static void run_norm_table(const cpu_call *c)
{
    const u3d_norm_attr *a = &c->desc->attr.norm;
    const float *statistics = c->in[0];
    const int64_t sets = c->desc->out[0].dim[0], channels = c->desc->out[0].dim[2];
    float *table = c->out[0], *stats = a->use_running ? NULL : c->out[1];
    for (int64_t s = 0; s < sets; s++) {
        const int64_t at = 2 * s * channels;
        write_set(c, statistics + at, channels, table + at, stats ? stats + at + channels : NULL);
        for (int64_t ch = 0; stats && ch < channels; ch++) stats[at + ch] = statistics[at + ch];
    }
    if (a->keep_running) move_running(a, statistics, sets, channels, c->out[2]);
}

const cpu_entry CPU_NAME(cpu_NORM_TABLE)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_norm_table}, {0}};
