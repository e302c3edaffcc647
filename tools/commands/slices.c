/* Makes sparse annotation from dense labels: keeps evenly spaced slices, or copies them to the voxels
 * between. */
#include "tools/commands/slices.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/mem.h"

static bool is_missing(const slices *s, int axis, int64_t at)
{
    return axis == s->missing.axis && at >= s->missing.first && at < s->missing.first + s->missing.n;
}

/* The plane at which slice i of n lies. */
static int64_t slice_position(const slices *s, int axis, int64_t i, int64_t n, int64_t extent)
{
    const int64_t at = (2 * i + 1) * extent / (2 * n), below = s->missing.first - 1,
                  above = s->missing.first + s->missing.n;
    if (!is_missing(s, axis, at)) return at;
    if (below < 0 || above >= extent) return below < 0 ? above : below;
    return at - below < above - at ? below : above;
}

/* Whether plane `at` across an axis (0 x, 1 y, 2 z) is kept by any of the sets. */
static bool plane_kept(const slices *s, int axis, int64_t at, int64_t extent)
{
    for (int set = 0; set < s->n_sets; set++)
        for (int64_t i = 0, n = s->counts[set][axis]; i < n; i++)
            if (at == slice_position(s, axis, i, n, extent)) return true;
    return false;
}

void slices_blank_missing(u3d_volume *label, const slices *s, int32_t unlabeled)
{
    int32_t *v = label->data;
    for (int64_t z = 0; z < label->size[0]; z++)
        for (int64_t y = 0; y < label->size[1]; y++)
            for (int64_t x = 0; x < label->size[2]; x++, v++)
                if (is_missing(s, 0, x) || is_missing(s, 1, y) || is_missing(s, 2, z)) *v = unlabeled;
}

int64_t slices_keep(u3d_volume *label, const slices *s, int32_t unlabeled)
{
    int32_t *v = label->data;
    int64_t kept = 0;
    for (int64_t z = 0; z < label->size[0]; z++) {
        const bool keep_z = plane_kept(s, 2, z, label->size[0]);
        for (int64_t y = 0; y < label->size[1]; y++) {
            const bool keep_row = keep_z || plane_kept(s, 1, y, label->size[1]);
            for (int64_t x = 0; x < label->size[2]; x++, v++) {
                if (!keep_row && !plane_kept(s, 0, x, label->size[2])) *v = unlabeled;
                kept += *v != unlabeled;
            }
        }
    }
    return kept;
}

/* Sets nearest[p] to the kept plane nearest to plane p across axis a (z, y, x), or to -1 if no plane is
 * kept. */
static void nearest_planes(const slices *s, int a, int64_t extent, int64_t *nearest)
{
    for (int64_t at = 0; at < extent; at++) {
        nearest[at] = -1;
        for (int64_t far = 0; far < extent && nearest[at] < 0; far++) {
            if (at - far >= 0 && plane_kept(s, 2 - a, at - far, extent))
                nearest[at] = at - far;
            else if (at + far < extent && plane_kept(s, 2 - a, at + far, extent))
                nearest[at] = at + far;
        }
    }
}

u3d_status slices_copy(const u3d_volume *dense, const slices *s, u3d_volume *out)
{
    const int64_t *size = dense->size;
    int64_t *nearest[3], *planes = u3d_new((size_t)(size[0] + size[1] + size[2]), sizeof *planes);
    if (!planes) return U3D_E_NOMEM;
    for (int64_t a = 0, first = 0; a < 3; first += size[a++]) {
        nearest[a] = planes + first;
        nearest_planes(s, (int)a, size[a], nearest[a]);
    }
    const int32_t *from = dense->data;
    int32_t *to = out->data;
    int64_t p[3];
    for (p[0] = 0; p[0] < size[0]; p[0]++)
        for (p[1] = 0; p[1] < size[1]; p[1]++)
            for (p[2] = 0; p[2] < size[2]; p[2]++) {
                int64_t q[3] = {p[0], p[1], p[2]};
                double least = INFINITY;
                int across = 0;
                for (int a = 0; a < 3; a++) {
                    const double far = (double)llabs(p[a] - nearest[a][p[a]]) * dense->spacing[a];
                    if (nearest[a][p[a]] < 0 || far >= least) continue;
                    least = far;
                    across = a;
                }
                if (least < INFINITY) q[across] = nearest[across][p[across]];
                *to++ = from[(q[0] * size[1] + q[1]) * size[2] + q[2]];
            }
    u3d_free(planes);
    return U3D_OK;
}
