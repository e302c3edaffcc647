/* The changes of grey values that look at neighbours: blur and simulated low resolution, axis by axis on one
 * channel. grey.h has the definitions and grey.c the random choices. */
#include <math.h>
#include <string.h>

#include "net/sample/grey.h"

/* ---- blur ---- */

/* Four standard deviations of at most 8 voxels each (the limit is in net/config/config_table.c). */
enum { BLUR_REACH = 32 };

/* Fills weight[0 .. 2 * reach], whose sum is 1, and returns reach. */
static int blur_weights(double sd, float weight[2 * BLUR_REACH + 1])
{
    int reach = (int)ceil(4 * sd);
    double sum = 0;
    reach = reach > BLUR_REACH ? BLUR_REACH : reach;
    for (int k = -reach; k <= reach; k++) sum += exp(-0.5 * (double)(k * k) / (sd * sd));
    for (int k = -reach; k <= reach; k++)
        weight[k + reach] = (float)(exp(-0.5 * (double)(k * k) / (sd * sd)) / sum);
    return reach;
}

/* Blurs rows of `n` values in place. `line` holds a copy of one row with mirrored ends. */
static void blur_rows(const float *weight, int reach, int64_t rows, int64_t n, float *v, float *line)
{
    for (int64_t r = 0; r < rows; r++, v += n) {
        for (int64_t i = -reach; i < n + reach; i++) line[i + reach] = v[u3d_mirror_index(i, n)];
        memset(v, 0, (size_t)n * sizeof *v);
        for (int k = 0; k <= 2 * reach; k++)
            for (int64_t i = 0; i < n; i++) v[i] += weight[k] * line[i + k];
    }
}

/* Blurs across rows: `from` has `blocks` blocks of `count` rows of `width` values, and each row of `out` is
 * the weighted sum of rows of the same block. */
static void blur_across(const float *weight, int reach, int64_t blocks, int64_t count, int64_t width,
                        const float *from, float *out)
{
    for (int64_t b = 0; b < blocks; b++, from += count * width)
        for (int64_t r = 0; r < count; r++, out += width) {
            memset(out, 0, (size_t)width * sizeof *out);
            for (int k = 0; k <= 2 * reach; k++) {
                const float *row = from + u3d_mirror_index(r + k - reach, count) * width;
                for (int64_t i = 0; i < width; i++) out[i] += weight[k] * row[i];
            }
        }
}

void u3d_grey_blur(const double sd[3], const int64_t size[3], float *v, float *work)
{
    float weight[2 * BLUR_REACH + 1];
    int reach = blur_weights(sd[2], weight);
    blur_rows(weight, reach, size[0] * size[1], size[2], v, work);
    reach = blur_weights(sd[1], weight);
    blur_across(weight, reach, size[0], size[1], size[2], v, work);
    reach = blur_weights(sd[0], weight);
    blur_across(weight, reach, 1, size[0], size[1] * size[2], work, v);
}

/* ---- low resolution ---- */

/* Number of coarse voxels along an axis of n voxels. */
static int64_t low_size(int64_t n, double scale)
{
    const int64_t m = (int64_t)lround((double)n * scale);
    return m < 1 ? 1 : m > n ? n : m;
}

/* Index of the voxel (of n) whose middle is nearest to the middle of coarse voxel i (of m). */
static int64_t low_nearest(int64_t i, int64_t m, int64_t n)
{
    return (2 * i + 1) * n / (2 * m);
}

/* Finds the coarse voxels on both sides of voxel i, *lower and *upper, and returns the weight of *upper. */
static float low_between(int64_t i, int64_t m, int64_t n, int64_t *lower, int64_t *upper)
{
    double at = ((double)i + 0.5) * (double)m / (double)n - 0.5;
    at = at < 0 ? 0 : at;
    *lower = (int64_t)at;
    *upper = *lower + 1 < m ? *lower + 1 : *lower;
    return (float)(at - (double)*lower);
}

/* coarse [m] = the nearest voxels of v [size]. */
static void low_sample(const int64_t size[3], const int64_t m[3], const float *v, float *coarse)
{
    for (int64_t z = 0; z < m[0]; z++)
        for (int64_t y = 0; y < m[1]; y++, coarse += m[2]) {
            const int64_t row = low_nearest(z, m[0], size[0]) * size[1] + low_nearest(y, m[1], size[1]);
            for (int64_t x = 0; x < m[2]; x++) coarse[x] = v[row * size[2] + low_nearest(x, m[2], size[2])];
        }
}

void u3d_grey_low_resolution(const double scale[3], const int64_t size[3], float *v, float *work)
{
    int64_t m[3], z0, z1, y0, y1, x1;
    for (int a = 0; a < 3; a++) m[a] = low_size(size[a], scale[a]);
    float *coarse = work, *line = work + m[0] * m[1] * m[2], *weight = line + m[2];
    int32_t *lower = (int32_t *)(void *)(weight + size[2]);
    low_sample(size, m, v, coarse);
    for (int64_t x = 0; x < size[2]; x++) {
        int64_t x0;
        weight[x] = low_between(x, m[2], size[2], &x0, &x1);
        lower[x] = (int32_t)x0;
    }
    for (int64_t z = 0; z < size[0]; z++) {
        const float wz = low_between(z, m[0], size[0], &z0, &z1);
        for (int64_t y = 0; y < size[1]; y++, v += size[2]) {
            const float wy = low_between(y, m[1], size[1], &y0, &y1);
            const float *a = coarse + (z0 * m[1] + y0) * m[2], *b = coarse + (z0 * m[1] + y1) * m[2];
            const float *c = coarse + (z1 * m[1] + y0) * m[2], *d = coarse + (z1 * m[1] + y1) * m[2];
            for (int64_t x = 0; x < m[2]; x++) {
                const float near = a[x] + wy * (b[x] - a[x]), far = c[x] + wy * (d[x] - c[x]);
                line[x] = near + wz * (far - near);
            }
            for (int64_t x = 0; x < size[2]; x++) {
                const int32_t at = lower[x], next = at + 1 < m[2] ? at + 1 : at;
                v[x] = line[at] + weight[x] * (line[next] - line[at]);
            }
        }
    }
}
