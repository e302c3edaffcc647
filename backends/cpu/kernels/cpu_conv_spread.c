/* The adjoint of a convolution big -> small, computed as convolutions small -> big.
 *
 *   big[i] = sum over k, o with o*s - p + k = i of small[o] * w[k]        on each axis
 *
 * Voxels of big with the same remainder r = i mod s form a phase. Only taps k = k0 + s*t, k0 = (r + p) mod s,
 * reach a phase, and for voxel i = r + s*q they meet small at o = q + (r + p - k0)/s - t. So each of the
 * sz*sy*sx phases is a convolution with stride 1 that uses every s-th tap in reverse order, has a padding of
 * its own and writes every s-th voxel. With stride 1 there is only one phase: the correlation with flipped,
 * transposed weights. */
#include "backends/cpu/kernels/cpu_conv_impl.h"

typedef struct phase {
    cpu_conv g;
    int64_t w_off, big_off; /* offsets of its first weight and first voxel, in floats */
    int64_t w_sign_step[3];
} phase;

/* Describes the phase with remainders `rest`; returns false if it holds no voxel. */
static bool phase_of(const cpu_conv *g, const int64_t step[5], const int64_t rest[3], phase *out)
{
    bool taps = true;

    *out = (phase){.g = {.n = g->n, .in_c = g->out_c, .out_c = g->in_c, .accumulate = g->accumulate}};
    out->g.out_step[0] = g->out_step[0];
    for (int a = 0; a < 3; a++) {
        const int64_t s = g->stride[a], k0 = (rest[a] + g->pad[a]) % s;
        const int64_t n_taps = k0 < g->kernel[a] ? (g->kernel[a] - 1 - k0) / s + 1 : 0;
        if (rest[a] >= g->in_size[a]) return false;
        taps = taps && n_taps > 0;
        out->g.in_size[a] = g->out_size[a];
        out->g.out_size[a] = (g->in_size[a] - rest[a] + s - 1) / s;
        out->g.kernel[a] = n_taps;
        out->g.stride[a] = 1;
        out->g.pad[a] = n_taps - 1 - (rest[a] + g->pad[a] - k0) / s;
        out->g.out_step[a + 1] = g->out_step[a + 1] * s;
        out->big_off += rest[a] * g->out_step[a + 1];
        out->w_off += (k0 + s * (n_taps - 1)) * step[a];
        out->w_sign_step[a] = -s * step[a];
    }
    if (!taps) { /* no tap reaches this phase: a convolution without taps writes the bias */
        for (int a = 0; a < 3; a++) out->g.kernel[a] = out->g.pad[a] = 0;
        out->w_off = 0;
    }
    return true;
}

static void phase_rest(const cpu_conv *g, int64_t i, int64_t rest[3])
{
    rest[2] = i % g->stride[2];
    rest[1] = i / g->stride[2] % g->stride[1];
    rest[0] = i / g->stride[2] / g->stride[1];
}

uint64_t CPU_NAME(cpu_conv_spread_work)(const cpu_conv *g, int threads)
{
    const int64_t no_step[5] = {0}, phases = g->stride[0] * g->stride[1] * g->stride[2];
    uint64_t most = 0;

    for (int64_t i = 0; i < phases; i++) {
        int64_t rest[3];
        phase p;
        phase_rest(g, i, rest);
        if (!phase_of(g, no_step, rest, &p)) continue;
        const uint64_t bytes = CPU_NAME(cpu_conv_rows_work)(&p.g, threads);
        if (bytes > most) most = bytes;
    }
    return most;
}

void CPU_NAME(cpu_conv_spread)(const cpu_conv *g, const float *small, const cpu_conv_weights *w,
                               const float *bias, float *big, void *work, int threads)
{
    const int64_t phases = g->stride[0] * g->stride[1] * g->stride[2];

    for (int64_t i = 0; i < phases; i++) {
        int64_t rest[3];
        phase p;
        phase_rest(g, i, rest);
        if (!phase_of(g, w->step, rest, &p)) continue;
        const cpu_conv_weights flipped = {
            w->w + p.w_off, {p.w_sign_step[0], p.w_sign_step[1], p.w_sign_step[2], w->step[3], w->step[4]}};
        CPU_NAME(cpu_conv_rows)(&p.g, small, &flipped, bias, big + p.big_off, work, threads);
    }
}
