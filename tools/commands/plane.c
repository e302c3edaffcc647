#include "tools/commands/plane.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"

static const float DIAGONAL = 1.4142135F;

u3d_status plane_init(plane *p, int64_t height, int64_t width, int32_t background, int32_t unlabeled)
{
    const size_t n = (size_t)(height * width);
    *p = (plane){.height = height, .width = width, .background_label = background, .unlabeled = unlabeled};
    p->label = u3d_new(n, sizeof *p->label);
    p->depth = u3d_new(n, sizeof *p->depth);
    p->ink = u3d_new(n, sizeof *p->ink);
    p->order = u3d_new(n, sizeof *p->order);
    p->seen = u3d_new(n, sizeof *p->seen);
    return p->label && p->depth && p->ink && p->order && p->seen ? U3D_OK : U3D_E_NOMEM;
}

void plane_done(plane *p)
{
    u3d_free(p->label);
    u3d_free(p->depth);
    u3d_free(p->ink);
    u3d_free(p->order);
    u3d_free(p->seen);
    u3d_free(p->regions);
}

int64_t plane_step(const u3d_volume *v, int axis)
{
    return axis == 2 ? 1 : axis == 1 ? v->size[2] : v->size[1] * v->size[2];
}

void plane_axes(int axis, int rows_columns[2])
{
    rows_columns[0] = axis == 0 ? 1 : 0;
    rows_columns[1] = axis == 2 ? 1 : 2;
}

/* Lowers the depth of voxel i to that of its neighbour j plus `step`, if both have the same label. */
static void depth_relax(plane *p, int64_t i, int64_t y, int64_t x, float step)
{
    if (y < 0 || x < 0 || y >= p->height || x >= p->width) return;
    const int64_t j = y * p->width + x;
    const float through = p->label[i] == p->label[j] ? p->depth[j] + step : step;
    p->depth[i] = fminf(p->depth[i], through);
}

/* Distances by two passes, each of which adds steps from the neighbours that it has visited already.
 * Source: Borgefors, "Distance transformations in digital images", 1986. */
static void depth_measure(plane *p)
{
    const int64_t h = p->height, w = p->width;
    for (int64_t i = 0; i < h * w; i++) p->depth[i] = PLANE_DEEP;
    for (int64_t i = 0; i < h * w; i++) {
        const int64_t y = i / w, x = i % w;
        depth_relax(p, i, y, x - 1, 1);
        depth_relax(p, i, y - 1, x, 1);
        depth_relax(p, i, y - 1, x - 1, DIAGONAL);
        depth_relax(p, i, y - 1, x + 1, DIAGONAL);
    }
    for (int64_t i = h * w; i-- > 0;) {
        const int64_t y = i / w, x = i % w;
        depth_relax(p, i, y, x + 1, 1);
        depth_relax(p, i, y + 1, x, 1);
        depth_relax(p, i, y + 1, x + 1, DIAGONAL);
        depth_relax(p, i, y + 1, x - 1, DIAGONAL);
    }
}

static u3d_status region_add(plane *p, region r)
{
    if (p->n_regions == p->cap_regions) {
        const int64_t cap = 2 * p->cap_regions + 16;
        region *more = u3d_resize(p->regions, (size_t)p->cap_regions, (size_t)cap, sizeof *more);
        if (!more) return U3D_E_NOMEM;
        p->regions = more;
        p->cap_regions = cap;
    }
    p->regions[p->n_regions++] = r;
    return U3D_OK;
}

/* Appends to `order` the voxels that are connected to voxel i, and returns the new length of `order`. */
static int64_t region_fill(plane *p, int64_t i, int64_t n)
{
    int64_t next = n;
    p->order[n++] = i;
    p->seen[i] = 1;
    for (; next < n; next++) {
        const int64_t y = p->order[next] / p->width, x = p->order[next] % p->width;
        for (int64_t yy = y - (y > 0); yy <= y + (y + 1 < p->height); yy++)
            for (int64_t xx = x - (x > 0); xx <= x + (x + 1 < p->width); xx++) {
                const int64_t j = yy * p->width + xx;
                if (p->seen[j] || p->label[j] != p->label[i]) continue;
                p->seen[j] = 1;
                p->order[n++] = j;
            }
    }
    return n;
}

static u3d_status regions_find(plane *p)
{
    const int64_t area = p->height * p->width;
    int64_t n = 0;
    p->n_regions = 0;
    memset(p->seen, 0, (size_t)p->height * (size_t)p->width);
    for (int64_t i = 0; i < area; i++) {
        if (p->seen[i] || p->label[i] == p->background_label || p->label[i] == p->unlabeled) continue;
        const int64_t end = region_fill(p, i, n);
        U3D_TRY(region_add(p, (region){.label = p->label[i], .first = n, .n = end - n}));
        n = end;
    }
    p->background = (region){.label = p->background_label, .first = n};
    for (int64_t i = 0; i < area; i++)
        if (p->label[i] == p->background_label && p->label[i] != p->unlabeled) p->order[n++] = i;
    p->background.n = n - p->background.first;
    return U3D_OK;
}

void plane_take(plane *p, const u3d_volume *label, int axis, int64_t at)
{
    int side[2];
    plane_axes(axis, side);
    const int32_t *from = (const int32_t *)label->data + at * plane_step(label, axis);
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++)
            p->label[y * p->width + x] =
                from[y * plane_step(label, side[0]) + x * plane_step(label, side[1])];
}

u3d_status plane_look(plane *p, const u3d_volume *label, int axis, int64_t at)
{
    plane_take(p, label, axis, at);
    memset(p->ink, 0, (size_t)p->height * (size_t)p->width);
    depth_measure(p);
    return regions_find(p);
}
