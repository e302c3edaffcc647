/* Exact distances between sets of voxels.
 *
 * Squared distances separate by axis. With targets T inside a box, and spacing sz, sy, sx:
 *
 *   steps[z,y,x] = min over (z',y,x) in T of |z - z'|                        two sweeps along z
 *   row[y,x]     = min over x' of ((x - x') sx)^2 + (steps[z,y,x'] sz)^2     lower envelope of parabolas
 *   distance^2   = min over y' of ((y - y') sy)^2 + row[y',x]                only for the points of `from`
 *
 * The last minimum is searched from y outwards. The search ends when ((y - y') sy)^2 alone reaches the best
 * value so far. Surfaces that are compared usually lie close together, so a few rows are enough. If they lie
 * far apart, a point looks at no more than all rows of its plane. Surfaces in n^3 voxels have about n^2
 * points, so even this is no more work than transforming the whole box.
 *
 * Values row[y,x] are found in the same way, by looking at x' outwards from x until the best value so far
 * rules out the rest. The whole row is computed only after these searches in it have cost as much as
 * computing it. Both ways give the same minimum up to rounding, and which one is used depends only on the
 * points of the plane. */
#include "net/evaluate/distance.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/thread.h"

enum { NONE = UINT16_MAX, ROWS_PER_ITEM = 16 };

/* Computing a row costs as much as ROW_COST looks per voxel of the row. (A look is at one voxel to the
 * left and one to the right.) A row is computed after that many looks, so the work is at most about twice
 * the least possible. */
enum { ROW_COST = 1 };
static const uint32_t COMPUTED = UINT32_MAX;

typedef struct sheet { /* the rows of one plane, for one thread */
    double *row;       /* [ny, nx]: squared distances                                         */
    double *height;    /* [nx]: the lowest value of each parabola in an envelope, squared     */
    int64_t *site;     /* [nx]: the x of that lowest value                                    */
    uint32_t *looks;   /* [ny]: number of looks at each row so far, or COMPUTED               */
    void *block;       /* the memory of the four arrays                                       */
} sheet;

typedef struct transform {
    int32_t low[3];
    int64_t size[3];
    double spacing[3];
    uint16_t *steps; /* [nz, ny, nx] */
    int64_t *first;  /* [nz + 1]: number of points of `from` before each plane */
    const u3d_points *from;
    double *distance;
    sheet *sheets;
    int n_sheets;
} transform;

/* ---- the box ---- */

static void box_grow(const u3d_points *p, int32_t low[3], int32_t high[3])
{
    for (int64_t i = 0; i < p->n; i++)
        for (int a = 0; a < 3; a++) {
            if (p->at[i][a] < low[a]) low[a] = p->at[i][a];
            if (p->at[i][a] > high[a]) high[a] = p->at[i][a];
        }
}

static void box_find(transform *t, const u3d_points *to)
{
    int32_t high[3];
    for (int a = 0; a < 3; a++) {
        t->low[a] = INT32_MAX;
        high[a] = INT32_MIN;
    }
    box_grow(t->from, t->low, high);
    box_grow(to, t->low, high);
    for (int a = 0; a < 3; a++) t->size[a] = (int64_t)high[a] - t->low[a] + 1;
}

static int64_t box_voxel(const transform *t, const int32_t at[3])
{
    return ((at[0] - t->low[0]) * t->size[1] + at[1] - t->low[1]) * t->size[2] + at[2] - t->low[2];
}

static void sheet_place(const transform *t, sheet *s)
{
    const size_t ny = (size_t)t->size[1], nx = (size_t)t->size[2];
    s->row = s->block;
    s->height = s->row + ny * nx;
    s->site = (int64_t *)(s->height + nx);
    s->looks = (uint32_t *)(s->site + nx);
}

static u3d_status transform_open(transform *t, const u3d_points *to, int threads)
{
    box_find(t, to);
    const size_t nz = (size_t)t->size[0], ny = (size_t)t->size[1], nx = (size_t)t->size[2];
    if (nz > NONE)
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "surface distances: the box around both surfaces has %zu planes; at most %d are supported",
                        nz, NONE);
    t->n_sheets = threads < 1 ? 1 : threads > U3D_THREAD_MAX ? U3D_THREAD_MAX : threads;
    t->steps = u3d_new_uninit(nz * ny * nx, sizeof *t->steps);
    t->first = u3d_new(nz + 1, sizeof *t->first);
    t->sheets = u3d_new((size_t)t->n_sheets, sizeof *t->sheets);
    if (!t->steps || !t->first || !t->sheets) return U3D_E_NOMEM;
    for (int i = 0; i < t->n_sheets; i++) {
        t->sheets[i].block = u3d_new_uninit((ny * nx + 2 * nx) * 8 + ny * 4, 1);
        if (!t->sheets[i].block) return U3D_E_NOMEM;
        sheet_place(t, &t->sheets[i]);
    }
    memset(t->steps, 0xFF, nz * ny * nx * sizeof *t->steps);
    for (int64_t i = 0; i < to->n; i++) t->steps[box_voxel(t, to->at[i])] = 0;
    for (int64_t i = 0; i < t->from->n; i++) t->first[t->from->at[i][0] - t->low[0] + 1]++;
    for (size_t z = 0; z < nz; z++) t->first[z + 1] += t->first[z];
    return U3D_OK;
}

static void transform_close(transform *t)
{
    for (int i = 0; t->sheets && i < t->n_sheets; i++) u3d_free(t->sheets[i].block);
    u3d_free(t->sheets);
    u3d_free(t->first);
    u3d_free(t->steps);
}

/* ---- along z ---- */

/* row = min(row, next + 1); NONE + 1 stays NONE. */
static void steps_relax(uint16_t *restrict row, const uint16_t *restrict next, int64_t n)
{
    for (int64_t x = 0; x < n; x++) {
        const uint16_t one_more = (uint16_t)(next[x] + (next[x] != NONE));
        row[x] = row[x] < one_more ? row[x] : one_more;
    }
}

static u3d_status steps_sweep(void *context, int worker, int64_t item)
{
    const transform *t = context;
    const int64_t plane = t->size[1] * t->size[2], from = item * ROWS_PER_ITEM * t->size[2];
    int64_t n = ROWS_PER_ITEM * t->size[2];
    if (n > plane - from) n = plane - from;
    (void)worker;
    uint16_t *top = t->steps + from;
    for (int64_t z = 1; z < t->size[0]; z++) steps_relax(top + z * plane, top + (z - 1) * plane, n);
    for (int64_t z = t->size[0] - 2; z >= 0; z--) steps_relax(top + z * plane, top + (z + 1) * plane, n);
    return U3D_OK;
}

/* ---- along x ---- */

static double square(double v)
{
    return v * v;
}

/* Three parabolas over one line have their lowest points at u < v < w, with values fu, fv and fw. Returns
 * whether the middle one is nowhere the lowest, that is, whether u and v cross to the right of the point
 * where v and w cross. */
static bool envelope_hides(double u, double v, double w, double fu, double fv, double fw)
{
    const double a = v - u, b = w - v, c = w - u;
    return c * fv - b * fu - a * fw - a * b * c > 0;
}

/* Finds the parabolas of the lower envelope of a row, in order, and returns their number. */
static int64_t envelope_build(const transform *t, const uint16_t *steps, const sheet *s)
{
    const double sz = t->spacing[0], sx = t->spacing[2];
    int64_t n = 0;
    for (int64_t x = 0; x < t->size[2]; x++) {
        if (steps[x] == NONE) continue;
        const double f = square(steps[x] * sz);
        while (n >= 2 && envelope_hides((double)s->site[n - 2] * sx, (double)s->site[n - 1] * sx,
                                        (double)x * sx, s->height[n - 2], s->height[n - 1], f))
            n--;
        s->site[n] = x;
        s->height[n++] = f;
    }
    return n;
}

static void row_compute(const transform *t, const uint16_t *steps, const sheet *s, double *row)
{
    const int64_t n = envelope_build(t, steps, s);
    const double sx = t->spacing[2];
    int64_t k = 0;
    for (int64_t x = 0; x < t->size[2]; x++) {
        double d = n ? square((double)(x - s->site[k]) * sx) + s->height[k] : INFINITY;
        for (; k + 1 < n; k++) {
            const double other = square((double)(x - s->site[k + 1]) * sx) + s->height[k + 1];
            if (other > d) break;
            d = other;
        }
        row[x] = d;
    }
}

/* ---- along y, for the points of one plane ---- */

static void look_at(const transform *t, uint16_t steps, double beside, double *best)
{
    const double d = beside + square(steps * t->spacing[0]);
    if (steps != NONE && d < *best) *best = d;
}

/* Returns the smaller of `best` and row[y,x] + aside. */
static double row_nearer(const transform *t, const sheet *s, const uint16_t *steps, int64_t y, int64_t x,
                         double aside, double best)
{
    const int64_t nx = t->size[2];
    steps += y * nx;
    for (int64_t d = 0; s->looks[y] != COMPUTED; d++) {
        const double beside = aside + square((double)d * t->spacing[2]);
        if (beside >= best || (d > x && x + d >= nx)) return best;
        if (d <= x) look_at(t, steps[x - d], beside, &best);
        if (x + d < nx) look_at(t, steps[x + d], beside, &best);
        if (++s->looks[y] < ROW_COST * nx) continue;
        row_compute(t, steps, s, s->row + y * nx);
        s->looks[y] = COMPUTED;
    }
    const double d = aside + s->row[y * nx + x];
    return d < best ? d : best;
}

static double point_nearest(const transform *t, const sheet *s, int64_t z, int64_t y, int64_t x)
{
    const uint16_t *steps = t->steps + z * t->size[1] * t->size[2];
    double best = row_nearer(t, s, steps, y, x, 0, INFINITY);
    for (int64_t d = 1; d <= y || y + d < t->size[1]; d++) {
        const double aside = square((double)d * t->spacing[1]);
        if (aside >= best) break;
        if (d <= y) best = row_nearer(t, s, steps, y - d, x, aside, best);
        if (y + d < t->size[1]) best = row_nearer(t, s, steps, y + d, x, aside, best);
    }
    return sqrt(best);
}

static u3d_status plane_query(void *context, int worker, int64_t z)
{
    const transform *t = context;
    const sheet *s = &t->sheets[worker];
    memset(s->looks, 0, (size_t)t->size[1] * sizeof *s->looks);
    for (int64_t i = t->first[z]; i < t->first[z + 1]; i++) {
        const int32_t *at = t->from->at[i];
        t->distance[i] = t->steps[box_voxel(t, at)] == 0
                             ? 0
                             : point_nearest(t, s, z, at[1] - t->low[1], at[2] - t->low[2]);
    }
    return U3D_OK;
}

u3d_status u3d_distance_nearest(const u3d_points *from, const u3d_points *to, const double spacing[3],
                                int threads, double *distance)
{
    u3d_status status = U3D_OK;
    transform t = {.from = from, .distance = distance, .spacing = {spacing[0], spacing[1], spacing[2]}};
    for (int64_t i = 0; to->n == 0 && i < from->n; i++) distance[i] = INFINITY;
    if (to->n == 0 || from->n == 0) return U3D_OK;
    U3D_GO(transform_open(&t, to, threads));
    U3D_GO(u3d_thread_each(threads, (t.size[1] + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM, steps_sweep, &t));
    U3D_GO(u3d_thread_each(threads, t.size[0], plane_query, &t));
done:
    transform_close(&t);
    return status;
}
