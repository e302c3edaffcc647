/* Gradient of batch and instance normalisation. With xhat = (x - mean) * inv and m voxels per group:
 *
 *   dbias[c] = sum over groups of s1,  s1 = sum dy;   dgain[c] = sum over groups of s2,  s2 = sum dy * xhat
 *   dx = gain * inv * (dy - s1 / m - xhat * s2 / m)
 *
 * First pass: s1 and s2, per column and block in float, then in double. Second pass: dx, which may be dy.
 * Columns: mean, slope, constant, scale of dx = scale * (dy - constant - (x - mean) * slope). */
#include "backends/cpu/kernels/cpu_norm.h"

#include <string.h>

/* Sums of dy and of dy * (x - mean) over a block of rows. */
static void block_sums(const float *dy, const float *x, int64_t rows, int64_t width, const float *mean,
                       float *sum, float *product)
{
    memset(sum, 0, (size_t)width * sizeof *sum);
    memset(product, 0, (size_t)width * sizeof *product);
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
            float g = dy[r * width + j];
            sum[j] += g;
            product[j] += g * (x[r * width + j] - mean[j]);
        }
}

static void slice_sums(const cpu_wide *w, const float *dy, const float *x, int64_t rows, const float *mean,
                       double *scratch, double *part)
{
    double *s1 = scratch, *s2 = s1 + w->width;
    float *sum = (float *)(s2 + w->width), *product = sum + w->width;
    memset(s1, 0, 2 * (size_t)w->width * sizeof *s1);
    for (int64_t r = 0; r < rows; r += w->block_rows) {
        int64_t at = r * w->width;
        block_sums(dy + at, x + at, cpu_min(w->block_rows, rows - r), w->width, mean, sum, product);
#pragma omp simd
        for (int64_t j = 0; j < w->width; j++) {
            s1[j] += (double)sum[j];
            s2[j] += (double)product[j];
        }
    }
    for (int64_t c = 0; c < 2 * w->channels; c++) part[c] = 0;
    for (int64_t j = 0; j < w->width; j++) {
        part[j % w->channels] += s1[j];
        part[w->channels + j % w->channels] += s2[j];
    }
}

static void rest_sums(const cpu_wide *w, const float *dy, const float *x, const float *mean, double *part)
{
    for (int64_t c = 0; c < 2 * w->channels; c++) part[c] = 0;
    for (int64_t j = 0; j < w->rest; j++) {
        part[j % w->channels] += (double)dy[j];
        part[w->channels + j % w->channels] += (double)dy[j] * (double)(x[j] - mean[j]);
    }
}

static void find_sums(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const float *dy = c->in[0], *x = c->in[1];
    int64_t tasks = w->groups * (w->slices + 1);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (tasks > 2)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t group = t / (w->slices + 1), slice = t % (w->slices + 1), at = cpu_wide_at(w, group);
        const float *mean = cpu_norm_columns(w, k, group, 0);
        double *part = cpu_norm_part(w, k, group, slice);
        cpu_range r = cpu_wide_slice(w, slice);
        int64_t from = at + r.begin * w->width, rest = at + w->rows * w->width;
        if (slice < w->slices)
            slice_sums(w, dy + from, x + from, r.end - r.begin, mean, cpu_norm_scratch(k), part);
        else
            rest_sums(w, dy + rest, x + rest, mean, part);
    }
}

static void channel_sums(const cpu_wide *w, const cpu_norm_work *k, int64_t group, int64_t c, double *s1,
                         double *s2)
{
    *s1 = *s2 = 0;
    for (int64_t s = 0; s <= w->slices; s++) {
        const double *part = cpu_norm_part(w, k, group, s);
        *s1 += part[c];
        *s2 += part[w->channels + c];
    }
}

/* One channel of dgain and dbias, and its columns slope and constant. */
static void write_channel(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k, int64_t ch)
{
    const float *stats = c->in[3];
    float *dgain = c->out[1], *dbias = c->out[2];
    double gain_sum = 0, bias_sum = 0, voxels = (double)w->voxels;
    for (int64_t g = 0; g < w->groups; g++) {
        double s1, s2, inv = (double)stats[(2 * g + 1) * w->channels + ch];
        channel_sums(w, k, g, ch, &s1, &s2);
        bias_sum += s1;
        gain_sum += s2 * inv;
        float *slope = cpu_norm_columns(w, k, g, 1), *constant = cpu_norm_columns(w, k, g, 2);
        for (int64_t j = ch; j < w->width; j += w->channels) {
            slope[j] = (float)(s2 * inv * inv / voxels);
            constant[j] = (float)(s1 / voxels);
        }
    }
    dgain[ch] = (float)gain_sum;
    dbias[ch] = (float)bias_sum;
}

static void write_channels(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
#pragma omp parallel for num_threads(c->threads) schedule(static) if (w->slices > 1)
    for (int64_t ch = 0; ch < w->channels; ch++) write_channel(c, w, k, ch);
}

static void dx_rows(const float *dy, const float *x, float *dx, int64_t rows, int64_t width,
                    const float *columns)
{
    const float *mean = columns, *slope = columns + width, *constant = slope + width,
                *scale = constant + width;
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
            int64_t i = r * width + j;
            dx[i] = scale[j] * (dy[i] - constant[j] - (x[i] - mean[j]) * slope[j]);
        }
}

static void dx_rest(const float *dy, const float *x, float *dx, int64_t n, int64_t width,
                    const float *columns)
{
    const float *mean = columns, *slope = columns + width, *constant = slope + width,
                *scale = constant + width;
    for (int64_t j = 0; j < n; j++) dx[j] = scale[j] * (dy[j] - constant[j] - (x[j] - mean[j]) * slope[j]);
}

static void write_dx(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const float *dy = c->in[0], *x = c->in[1];
    float *dx = c->out[0];
    int64_t tasks = w->groups * w->slices, width = w->width;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (tasks > 1)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t group = t / w->slices, slice = t % w->slices, at = cpu_wide_at(w, group);
        const float *columns = cpu_norm_columns(w, k, group, 0);
        cpu_range r = cpu_wide_slice(w, slice);
        int64_t from = at + r.begin * width, rest = at + w->rows * width;
        dx_rows(dy + from, x + from, dx + from, r.end - r.begin, width, columns);
        if (slice + 1 == w->slices) dx_rest(dy + rest, x + rest, dx + rest, w->rest, width, columns);
    }
}

static void run_norm_back(const cpu_call *c)
{
    cpu_wide w = cpu_wide_of(&c->desc->in[0], c->desc->attr.norm.per_instance);
    cpu_norm_work k = cpu_norm_work_of(&w, c->threads, c->work);
    const float *gain = c->in[2], *stats = c->in[3];
    for (int64_t g = 0; g < w.groups; g++) {
        float *mean = cpu_norm_columns(&w, &k, g, 0), *scale = cpu_norm_columns(&w, &k, g, 3);
        const float *group_stats = stats + 2 * g * w.channels;
        for (int64_t j = 0; j < w.width; j++) {
            int64_t ch = j % w.channels;
            mean[j] = group_stats[ch];
            scale[j] = gain[ch] * group_stats[w.channels + ch];
        }
    }
    find_sums(c, &w, &k);
    write_channels(c, &w, &k);
    write_dx(c, &w, &k);
}

static void work_norm_back(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    cpu_wide w = cpu_wide_of(&d->in[0], d->attr.norm.per_instance);
    *min = *best = cpu_norm_work_of(&w, threads, NULL).bytes;
}

const cpu_entry CPU_NAME(cpu_NORM_BACK)[] = {{"plain", cpu_refuse_accumulate, work_norm_back, run_norm_back},
                                             {0}};
