/* Batch and instance normalisation, forward (norm), and only its statistics (moments).
 *
 *   y = (x - mean[c]) * inv[c] * gain[c] + bias[c],  inv = 1 / sqrt(var + eps), var biased
 *
 * The first pass computes the statistics and reads memory once. For each block, which is small enough to stay
 * in cache, it computes first the mean and then the squares about that mean, both in float and relative to
 * the slice's first row, so that a large offset costs no digits. Blocks, slices and columns are combined in
 * double (Chan, Golub & LeVeque 1983). The second pass normalises; y may be x. The op moments consists of the
 * first pass. */
#include "backends/cpu/kernels/cpu_norm.h"

#include <math.h>
#include <string.h>

typedef struct moments {
    double n, mean, m2; /* m2: sum of squares about the mean */
} moments;

static moments merge(moments a, moments b)
{
    if (b.n == 0) return a;
    double n = a.n + b.n, delta = b.mean - a.mean;
    return (moments){n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n)};
}

/* mean[j] += sum over n rows of x - origin; n is a constant in every call. */
__attribute__((always_inline)) static inline void add_rows(const float *x, int n, int64_t width,
                                                           const float *origin, float *mean)
{
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
        float sum = 0;
#pragma GCC unroll 4
        for (int r = 0; r < n; r++) sum += x[r * width + j] - origin[j];
        mean[j] += sum;
    }
}

/* squares[j] += sum over n rows of (x - origin - mean)^2. */
__attribute__((always_inline)) static inline void
add_squares(const float *x, int n, int64_t width, const float *origin, const float *mean, float *squares)
{
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
        float sum = 0;
#pragma GCC unroll 4
        for (int r = 0; r < n; r++) {
            float d = (x[r * width + j] - origin[j]) - mean[j];
            sum += d * d;
        }
        squares[j] += sum;
    }
}

/* Mean of a block's rows minus `origin`. */
static void block_mean(const float *x, int64_t rows, int64_t width, const float *origin, float *mean)
{
    int64_t r = 0;
    memset(mean, 0, (size_t)width * sizeof *mean);
    for (; r + CPU_NORM_ROWS <= rows; r += CPU_NORM_ROWS)
        add_rows(x + r * width, CPU_NORM_ROWS, width, origin, mean);
    for (; r < rows; r++) add_rows(x + r * width, 1, width, origin, mean);
    float share = 1.0f / (float)rows;
    for (int64_t j = 0; j < width; j++) mean[j] *= share;
}

static void block_squares(const float *x, int64_t rows, int64_t width, const float *origin, const float *mean,
                          float *squares)
{
    int64_t r = 0;
    memset(squares, 0, (size_t)width * sizeof *squares);
    for (; r + CPU_NORM_ROWS <= rows; r += CPU_NORM_ROWS)
        add_squares(x + r * width, CPU_NORM_ROWS, width, origin, mean, squares);
    for (; r < rows; r++) add_squares(x + r * width, 1, width, origin, mean, squares);
}

/* merge() for all columns: `old` rows so far, `rows` new ones. */
static void add_block(double old, double rows, int64_t width, const float *block, const float *squares,
                      double *mean, double *m2)
{
    double share = rows / (old + rows), cross = old * share;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
        double delta = (double)block[j] - mean[j];
        mean[j] += delta * share;
        m2[j] += (double)squares[j] + delta * delta * cross;
    }
}

/* Folds columns into channels: part[0][c] is the mean and part[1][c] is m2 over rows * rep voxels. */
static void fold_columns(const cpu_wide *w, int64_t rows, const double *mean, const double *m2, double *part)
{
    for (int64_t c = 0; c < w->channels; c++) {
        moments all = {0};
        for (int64_t j = c; j < w->width; j += w->channels)
            all = merge(all, (moments){(double)rows, mean[j], m2[j]});
        part[c] = all.mean;
        part[w->channels + c] = all.m2;
    }
}

/* Moments of rows x[0..rows) of one slice. Means are relative to the first row until the blocks are done. */
static void slice_moments(const cpu_wide *w, const float *x, int64_t rows, double *scratch, double *part)
{
    double *mean = scratch, *m2 = mean + w->width;
    float *block = (float *)(m2 + w->width), *squares = block + w->width;
    memset(mean, 0, 2 * (size_t)w->width * sizeof *mean);
    for (int64_t r = 0; r < rows; r += w->block_rows) {
        int64_t n = cpu_min(w->block_rows, rows - r);
        const float *at = x + r * w->width;
        block_mean(at, n, w->width, x, block);
        block_squares(at, n, w->width, x, block, squares);
        add_block((double)r, (double)n, w->width, block, squares, mean, m2);
    }
    for (int64_t j = 0; rows > 0 && j < w->width; j++) mean[j] += (double)x[j];
    fold_columns(w, rows, mean, m2, part);
}

/* Moments of the rest: the voxels, fewer than `rep`, that do not fill a row. */
static void rest_moments(const cpu_wide *w, const float *x, double *part)
{
    for (int64_t c = 0; c < w->channels; c++) {
        moments all = {0};
        for (int64_t j = c; j < w->rest; j += w->channels) all = merge(all, (moments){1, (double)x[j], 0});
        part[c] = all.mean;
        part[w->channels + c] = all.m2;
    }
}

static moments channel_moments(const cpu_wide *w, const cpu_norm_work *k, int64_t group, int64_t c)
{
    moments all = {0};
    for (int64_t s = 0; s <= w->slices; s++) {
        const double *part = cpu_norm_part(w, k, group, s);
        cpu_range r = cpu_wide_slice(w, s);
        int64_t n = s < w->slices ? (r.end - r.begin) * w->rep : w->rest / w->channels;
        all = merge(all, (moments){(double)n, part[c], part[w->channels + c]});
    }
    return all;
}

static void find_moments(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const float *x = c->in[0];
    int64_t tasks = w->groups * (w->slices + 1);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (tasks > 2)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t group = t / (w->slices + 1), slice = t % (w->slices + 1);
        const float *from = x + cpu_wide_at(w, group);
        double *part = cpu_norm_part(w, k, group, slice);
        cpu_range r = cpu_wide_slice(w, slice);
        if (slice < w->slices)
            slice_moments(w, from + r.begin * w->width, r.end - r.begin, cpu_norm_scratch(k), part);
        else
            rest_moments(w, from + w->rows * w->width, part);
    }
}

static void move_towards(float *running, double batch, double momentum)
{
    *running = (float)((double)*running + momentum * (batch - (double)*running));
}

/* Writes one channel of stats [S, 2, C] and updates it in the running statistics. These move towards the mean
 * over the groups of mean and unbiased variance (0 if a group has one voxel). */
static void write_channel(const cpu_wide *w, const cpu_norm_work *k, const u3d_norm_attr *a, int64_t c,
                          float *stats, float *running)
{
    double mean = 0, var = 0, groups = (double)w->groups;
    for (int64_t g = 0; g < w->groups; g++) {
        moments m = channel_moments(w, k, g, c);
        stats[2 * g * w->channels + c] = (float)m.mean;
        stats[(2 * g + 1) * w->channels + c] = (float)(1 / sqrt(m.m2 / m.n + (double)a->eps));
        mean += m.mean / groups;
        var += m.m2 / (m.n > 1 ? m.n - 1 : 1) / groups;
    }
    if (!running) return;
    move_towards(&running[c], mean, (double)a->momentum);
    move_towards(&running[w->channels + c], var, (double)a->momentum);
}

static void write_stats(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const u3d_norm_attr *a = &c->desc->attr.norm;
    float *stats = c->out[1], *running = a->keep_running ? c->out[2] : NULL;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (w->slices > 1)
    for (int64_t ch = 0; ch < w->channels; ch++) write_channel(w, k, a, ch, stats, running);
}

static void apply_rows(const float *x, float *y, int64_t rows, int64_t width, const float *columns)
{
    const float *mean = columns, *scale = columns + width, *bias = columns + 2 * width;
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++)
            y[r * width + j] = (x[r * width + j] - mean[j]) * scale[j] + bias[j];
}

static void apply_rest(const float *x, float *y, int64_t n, int64_t width, const float *columns)
{
    for (int64_t j = 0; j < n; j++) y[j] = (x[j] - columns[j]) * columns[width + j] + columns[2 * width + j];
}

static void apply(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const float *x = c->in[0];
    float *y = c->out[0];
    int64_t tasks = w->groups * w->slices;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (tasks > 1)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t group = t / w->slices, slice = t % w->slices, at = cpu_wide_at(w, group);
        const float *columns = cpu_norm_columns(w, k, group, 0);
        cpu_range r = cpu_wide_slice(w, slice);
        int64_t from = at + r.begin * w->width, rest = at + w->rows * w->width;
        apply_rows(x + from, y + from, r.end - r.begin, w->width, columns);
        if (slice + 1 == w->slices) apply_rest(x + rest, y + rest, w->rest, w->width, columns);
    }
}

/* Sets the columns of one group: mean, scale and bias. `second` is inv, or the variance if running statistics
 * are used. */
static void set_columns(const cpu_call *c, const cpu_wide *w, const float *mean, const float *second,
                        float *columns)
{
    const u3d_norm_attr *a = &c->desc->attr.norm;
    const float *gain = c->in[1], *bias = c->in[2];
    for (int64_t j = 0; j < w->width; j++) {
        int64_t ch = j % w->channels;
        float inv = second[ch];
        if (a->use_running) inv = (float)(1 / sqrt((double)inv + (double)a->eps));
        columns[j] = mean[ch];
        columns[w->width + j] = inv * gain[ch];
        columns[2 * w->width + j] = bias[ch];
    }
}

static cpu_wide norm_wide(const u3d_op_desc *d)
{
    return cpu_wide_of(&d->in[0], d->attr.norm.per_instance && !d->attr.norm.use_running);
}

static void run_norm(const cpu_call *c)
{
    bool given = c->desc->attr.norm.use_running;
    cpu_wide w = norm_wide(c->desc);
    cpu_norm_work k = cpu_norm_work_of(&w, c->threads, c->work);
    if (!given) {
        find_moments(c, &w, &k);
        write_stats(c, &w, &k);
    }
    const float *stats = given ? c->in[3] : c->out[1];
    for (int64_t g = 0; g < w.groups; g++) {
        const float *mean = stats + 2 * g * w.channels;
        set_columns(c, &w, mean, mean + w.channels, cpu_norm_columns(&w, &k, g, 0));
    }
    apply(c, &w, &k);
}

static cpu_wide moments_wide(const u3d_op_desc *d)
{
    return cpu_wide_of(&d->in[0], d->attr.norm.per_instance);
}

static void run_moments(const cpu_call *c)
{
    cpu_wide w = moments_wide(c->desc);
    cpu_norm_work k = cpu_norm_work_of(&w, c->threads, c->work);
    float *out = c->out[0];
    find_moments(c, &w, &k);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (w.slices > 1)
    for (int64_t i = 0; i < w.groups * w.channels; i++) {
        int64_t group = i / w.channels, ch = i % w.channels;
        moments m = channel_moments(&w, &k, group, ch);
        out[2 * group * w.channels + ch] = (float)m.mean;
        out[(2 * group + 1) * w.channels + ch] = (float)(m.m2 / m.n);
    }
}

static void work_moments(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    cpu_wide w = moments_wide(d);
    *min = *best = cpu_norm_work_of(&w, threads, NULL).bytes;
}

static void work_norm(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    cpu_wide w = norm_wide(d);
    *min = *best = cpu_norm_work_of(&w, threads, NULL).bytes;
}

const cpu_entry CPU_NAME(cpu_NORM)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .work = work_norm, .run = run_norm}, {0}};
const cpu_entry CPU_NAME(cpu_MOMENTS)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .work = work_moments, .run = run_moments}, {0}};
