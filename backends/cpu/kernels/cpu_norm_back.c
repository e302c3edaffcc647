/* Gradient of batch and instance normalisation, or of normalisation and the activation that follows it. With
 * xhat = (x - mean) * inv and m voxels per group:
 *
 *   dbias[c] = sum over groups of s1,  s1 = sum dy;   dgain[c] = sum over groups of s2,  s2 = sum dy * xhat
 *   dx = gain * inv * (dy - s1 / m - xhat * s2 / m)
 *
 * With an activation, dy above stands for the gradient before the activation: dy where the activation's
 * argument is positive, slope * dy elsewhere. Both passes compute it again from x and the table, which costs
 * no memory.
 *
 * The first pass computes s1 and s2, per column and block in float, then in double. The second pass computes
 * dx, which may share dy's memory. The parameters per column are mean, slope, constant and scale of
 *
 *   dx = scale * (dy - constant - (x - mean) * slope)
 *
 * and the table's scale and shift. */
#include "backends/cpu/kernels/cpu_norm.h"

#include <string.h>

enum { MEAN, SLOPE, CONSTANT, SCALE, ACT_SCALE, ACT_SHIFT }; /* parameters per column */

typedef struct act { /* the activation after the norm; `on` is a constant in loops that depend on it */
    bool on;
    float slope;
} act;

/* The gradient before the activation, in column j, whose parameters are columns[..][j]. */
__attribute__((always_inline)) static inline float before_act(act a, float dy, float x, const float *columns,
                                                              int64_t width, int64_t j)
{
    if (!a.on) return dy;
    float v = columns[ACT_SCALE * width + j] * x + columns[ACT_SHIFT * width + j], less = a.slope * dy;
    return v > 0 ? dy : less;
}

/* Adds up n rows of dy and of dy * (x - mean); n and a.on are constants in every call. */
__attribute__((always_inline)) static inline void add_rows(act a, const float *dy, const float *x, int n,
                                                           int64_t width, const float *columns, float *sum,
                                                           float *product)
{
    const float *mean = columns + MEAN * width;
#pragma omp simd
    for (int64_t j = 0; j < width; j++) {
        float s1 = 0, s2 = 0;
#pragma GCC unroll 4
        for (int r = 0; r < n; r++) {
            float v = x[r * width + j], g = before_act(a, dy[r * width + j], v, columns, width, j);
            s1 += g;
            s2 += g * (v - mean[j]);
        }
        sum[j] += s1;
        product[j] += s2;
    }
}

__attribute__((always_inline)) static inline void block_body(act a, const float *dy, const float *x,
                                                             int64_t rows, int64_t width,
                                                             const float *columns, float *sum, float *product)
{
    int64_t r = 0;
    memset(sum, 0, (size_t)width * sizeof *sum);
    memset(product, 0, (size_t)width * sizeof *product);
    for (; r + CPU_NORM_ROWS <= rows; r += CPU_NORM_ROWS)
        add_rows(a, dy + r * width, x + r * width, CPU_NORM_ROWS, width, columns, sum, product);
    for (; r < rows; r++) add_rows(a, dy + r * width, x + r * width, 1, width, columns, sum, product);
}

/* Sums of dy and of dy * (x - mean) over a block of rows. */
static void block_sums(act a, const float *dy, const float *x, int64_t rows, int64_t width,
                       const float *columns, float *sum, float *product)
{
    if (a.on)
        block_body((act){true, a.slope}, dy, x, rows, width, columns, sum, product);
    else
        block_body((act){false, 0}, dy, x, rows, width, columns, sum, product);
}

static void slice_sums(const cpu_wide *w, act a, const float *dy, const float *x, int64_t rows,
                       const float *columns, double *scratch, double *part)
{
    double *s1 = scratch, *s2 = s1 + w->width;
    float *sum = (float *)(s2 + w->width), *product = sum + w->width;
    memset(s1, 0, 2 * (size_t)w->width * sizeof *s1);
    for (int64_t r = 0; r < rows; r += w->block_rows) {
        int64_t at = r * w->width;
        block_sums(a, dy + at, x + at, cpu_min(w->block_rows, rows - r), w->width, columns, sum, product);
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

static void rest_sums(const cpu_wide *w, act a, const float *dy, const float *x, const float *columns,
                      double *part)
{
    const float *mean = columns + MEAN * w->width;
    for (int64_t c = 0; c < 2 * w->channels; c++) part[c] = 0;
    for (int64_t j = 0; j < w->rest; j++) {
        double g = (double)before_act(a, dy[j], x[j], columns, w->width, j);
        part[j % w->channels] += g;
        part[w->channels + j % w->channels] += g * (double)(x[j] - mean[j]);
    }
}

static act act_of(const cpu_call *c)
{
    return (act){c->desc->attr.norm.act, c->desc->attr.norm.slope};
}

static void find_sums(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const float *dy = c->in[0], *x = c->in[1];
    const act a = act_of(c);
    int64_t tasks = w->groups * (w->slices + 1);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (tasks > 2)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t group = t / (w->slices + 1), slice = t % (w->slices + 1), at = cpu_wide_at(w, group);
        const float *columns = cpu_norm_columns(w, k, group, 0);
        double *part = cpu_norm_part(w, k, group, slice);
        cpu_range r = cpu_wide_slice(w, slice);
        int64_t from = at + r.begin * w->width, rest = at + w->rows * w->width;
        if (slice < w->slices)
            slice_sums(w, a, dy + from, x + from, r.end - r.begin, columns, cpu_norm_scratch(k), part);
        else
            rest_sums(w, a, dy + rest, x + rest, columns, part);
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

/* Writes one channel of dgain and dbias, and the parameters SLOPE and CONSTANT of its columns. */
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
        float *slope = cpu_norm_columns(w, k, g, SLOPE), *constant = cpu_norm_columns(w, k, g, CONSTANT);
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

/* Writes dx for `rows` rows of which each has `width` floats; only the first n of a row are written, so that
 * the rest can be passed as one row. */
__attribute__((always_inline)) static inline void dx_body(act a, const float *dy, const float *x, float *dx,
                                                          int64_t rows, int64_t n, int64_t width,
                                                          const float *columns)
{
    const float *mean = columns + MEAN * width, *slope = columns + SLOPE * width,
                *constant = columns + CONSTANT * width, *scale = columns + SCALE * width;
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            int64_t i = r * width + j;
            float v = x[i], g = before_act(a, dy[i], v, columns, width, j);
            dx[i] = scale[j] * (g - constant[j] - (v - mean[j]) * slope[j]);
        }
}

static void dx_rows(act a, const float *dy, const float *x, float *dx, int64_t rows, int64_t n, int64_t width,
                    const float *columns)
{
    if (a.on)
        dx_body((act){true, a.slope}, dy, x, dx, rows, n, width, columns);
    else
        dx_body((act){false, 0}, dy, x, dx, rows, n, width, columns);
}

static void write_dx(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k)
{
    const float *dy = c->in[0], *x = c->in[1];
    float *dx = c->out[0];
    const act a = act_of(c);
    int64_t tasks = w->groups * w->slices, width = w->width;
#pragma omp parallel for num_threads(c->threads) schedule(static) if (tasks > 1)
    for (int64_t t = 0; t < tasks; t++) {
        int64_t group = t / w->slices, slice = t % w->slices, at = cpu_wide_at(w, group);
        const float *columns = cpu_norm_columns(w, k, group, 0);
        cpu_range r = cpu_wide_slice(w, slice);
        int64_t from = at + r.begin * width, rest = at + w->rows * width;
        dx_rows(a, dy + from, x + from, dx + from, r.end - r.begin, width, width, columns);
        if (slice + 1 == w->slices) dx_rows(a, dy + rest, x + rest, dx + rest, 1, w->rest, width, columns);
    }
}

/* Sets the parameters that are known before the first pass. */
static void set_columns(const cpu_call *c, const cpu_wide *w, const cpu_norm_work *k, int64_t group)
{
    const float *gain = c->in[2], *mean = (const float *)c->in[3] + 2 * group * w->channels,
                *inv = mean + w->channels;
    const float *table = c->desc->attr.norm.act ? (const float *)c->in[4] + 2 * group * w->channels : NULL;
    float *columns = cpu_norm_columns(w, k, group, 0);
    for (int64_t j = 0; j < w->width; j++) {
        int64_t ch = j % w->channels;
        columns[MEAN * w->width + j] = mean[ch];
        columns[SCALE * w->width + j] = gain[ch] * inv[ch];
        if (!table) continue;
        columns[ACT_SCALE * w->width + j] = table[ch];
        columns[ACT_SHIFT * w->width + j] = table[w->channels + ch];
    }
}

static void run_norm_back(const cpu_call *c)
{
    cpu_wide w = cpu_wide_of(&c->desc->in[0], c->desc->attr.norm.per_instance);
    cpu_norm_work k = cpu_norm_work_of(&w, c->threads, c->work);
    for (int64_t g = 0; g < w.groups; g++) set_columns(c, &w, &k, g);
    find_sums(c, &w, &k);
    write_channels(c, &w, &k);
    write_dx(c, &w, &k);
}

static void work_norm_back(const u3d_op_desc *d, int threads, uint64_t *min, uint64_t *best)
{
    cpu_wide w = cpu_wide_of(&d->in[0], d->attr.norm.per_instance);
    *min = *best = cpu_norm_work_of(&w, threads, NULL).bytes;
}

const cpu_entry CPU_NAME(cpu_NORM_BACK)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .work = work_norm_back, .run = run_norm_back}, {0}};
