/* Which axes have two ends that the labels themselves tell apart: one label always lies on the same side of
 * another, as the right ventricle does of the left one. Mirrored along such an axis, volumes show what does
 * not exist. */
#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

/* Enough cases show it if MOST_CASES do; fewer than LEAST_CASES, in which it could be chance, show nothing.
 * The distance of the labels' middles must be SURE times its standard deviation over the cases, and a voxel.
 */
enum { MOST_CASES = 32, LEAST_CASES = 8 };
static const double SURE = 3;

typedef struct middles { /* of the labelled voxels of each class, z, y, x */
    double sum[U3D_MAX_LABELS][3];
    int64_t n[U3D_MAX_LABELS];
} middles;

static void find_middles(const u3d_volume *label, middles *m)
{
    const uint8_t *class = label->data;
    memset(m, 0, sizeof *m);
    for (int64_t z = 0; z < label->size[0]; z++)
        for (int64_t y = 0; y < label->size[1]; y++)
            for (int64_t x = 0; x < label->size[2]; x++, class++) {
                if (*class == U3D_UNLABELED) continue;
                m->sum[*class][0] += (double)z;
                m->sum[*class][1] += (double)y;
                m->sum[*class][2] += (double)x;
                m->n[*class]++;
            }
}

/* Whether class `second` always lies on the same side of class `first` along the axis. */
static bool on_one_side(const middles *m, int n, int first, int second, int axis)
{
    double sum = 0, squares = 0;
    int seen = 0, above = 0;
    for (int i = 0; i < n; i++) {
        if (m[i].n[first] == 0 || m[i].n[second] == 0) continue;
        const double apart =
            m[i].sum[second][axis] / (double)m[i].n[second] - m[i].sum[first][axis] / (double)m[i].n[first];
        sum += apart;
        squares += apart * apart;
        above += apart > 0;
        seen++;
    }
    if (seen < LEAST_CASES || (above != 0 && above != seen)) return false;
    const double mean = sum / seen, variance = squares / seen - mean * mean;
    return fabs(mean) >= 1 && fabs(mean) >= SURE * sqrt(fmax(variance, 0));
}

u3d_status u3d_cases_sides(u3d_cases *c, u3d_side_pair side[3])
{
    u3d_status status = U3D_OK;
    const int step = (c->n + MOST_CASES - 1) / MOST_CASES, n_labels = c->labels.n;
    int n = 0;
    for (int a = 0; a < 3; a++) side[a] = (u3d_side_pair){-1, -1};
    if (c->n < LEAST_CASES) return U3D_OK;
    middles *m = u3d_new(MOST_CASES, sizeof *m);
    if (!m) return U3D_E_NOMEM;
    for (int i = 0; i < c->n; i += step) {
        const u3d_case_data *data;
        U3D_GO(u3d_cases_acquire(c, i, &data));
        if (data->label) find_middles(data->label, &m[n++]);
        u3d_cases_release(c, i);
    }
    for (int a = 0; a < 3; a++)
        for (int first = c->labels.background ? 1 : 0; first < n_labels && side[a].first < 0; first++)
            for (int second = first + 1; second < n_labels && side[a].first < 0; second++)
                if (on_one_side(m, n, first, second, a)) side[a] = (u3d_side_pair){first, second};
done:
    u3d_free(m);
    return status;
}
