/* Labels at a lower resolution, one row of the result at a time. In nearly every window the middle voxel
 * decides; its neighbours are searched only if its label is to be ignored. Bound by memory, and short: it
 * runs once per patch. */
#include "backends/cpu/kernels/cpu_slice.h"

enum { ROWS_PER_SLICE = 64 };

/* Of the labels in a window that are not to be ignored, the one nearest to the middle; `ignore` if there is
 * none. `corner` is the window's first voxel. */
static uint8_t window_label(const uint8_t *corner, const int32_t s[3], int64_t row, int64_t plane, int ignore)
{
    uint8_t nearest = (uint8_t)ignore;
    int64_t least = INT64_MAX;
    for (int64_t kz = 0; kz < s[0]; kz++)
        for (int64_t ky = 0; ky < s[1]; ky++)
            for (int64_t kx = 0; kx < s[2]; kx++) {
                const uint8_t label = corner[kz * plane + ky * row + kx];
                const int64_t dz = kz - s[0] / 2, dy = ky - s[1] / 2, dx = kx - s[2] / 2;
                const int64_t far = dz * dz + dy * dy + dx * dx;
                if (label == ignore || far >= least) continue;
                least = far;
                nearest = label;
            }
    return nearest;
}

static void run_subsample(const cpu_call *c)
{
    const uint8_t *x = c->in[0];
    uint8_t *y = c->out[0];
    const u3d_type *t = &c->desc->out[0];
    const int32_t *s = c->desc->attr.subsample.stride;
    const int ignore = c->desc->attr.subsample.ignore_label;
    const int64_t oh = t->dim[2], ow = t->dim[3], rows = t->dim[0] * t->dim[1] * oh;
    const int64_t row = ow * s[2], plane = row * oh * s[1];
    const int64_t middle = s[0] / 2 * plane + s[1] / 2 * row + s[2] / 2;
    const int64_t slices = cpu_slices(rows, ROWS_PER_SLICE);
#pragma omp parallel for num_threads(c->threads) schedule(static) if (slices > 1)
    for (int64_t i = 0; i < slices; i++) {
        cpu_range r = cpu_slice(rows, slices, i, 1);
        for (int64_t at = r.begin; at < r.end; at++) { /* the planes of all samples follow each other */
            const uint8_t *corner = x + at / oh * s[0] * plane + at % oh * s[1] * row;
            for (int64_t ox = 0; ox < ow; ox++, corner += s[2]) {
                uint8_t label = corner[middle];
                y[at * ow + ox] = label != ignore ? label : window_label(corner, s, row, plane, ignore);
            }
        }
    }
}

const cpu_entry CPU_NAME(cpu_SUBSAMPLE)[] = {
    {.name = "plain", .refuses = cpu_refuse_accumulate, .run = run_subsample}, {0}};
