#include "tools/commands/stroke.h"

#include <math.h>

#define PI 3.14159265358979323846

/* The pen goes a voxel at a time. It compares the directions that differ from its present one by up to
 * BEND, and looks AHEAD voxels to each side of the curve that it would take. */
static const double BEND = 0.48, BEND_STEP = 0.12, AHEAD = 4, SHARP_STEP = PI / 8;

typedef struct pen {
    double y, x, heading;
    double bend; /* the change of direction that it tends to, per voxel */
} pen;

static int64_t voxel_at(const plane *p, int64_t y, int64_t x)
{
    return y < 0 || x < 0 || y >= p->height || x >= p->width ? -1 : y * p->width + x;
}

/* Whether a voxel lies at the border of its label although there is room beside it. Of structures that are so
 * thin that they have nothing but a border, every voxel will do. */
static bool is_border(const plane *p, int64_t voxel, int64_t y, int64_t x)
{
    if (p->depth[voxel] >= 2) return false;
    for (int64_t dy = -1; dy <= 1; dy++)
        for (int64_t dx = -1; dx <= 1; dx++) {
            const int64_t j = voxel_at(p, y + dy, x + dx);
            if (j >= 0 && p->label[j] == p->label[voxel] && p->depth[j] >= 2) return true;
        }
    return false;
}

/* Distance from the edge of the plane, 1 at the edge. */
static double edge_distance(const plane *p, int64_t y, int64_t x)
{
    return 1 +
           fmin(fmin((double)y, (double)(p->height - 1 - y)), fmin((double)x, (double)(p->width - 1 - x)));
}

double stroke_appeal(const plane *p, const stroke *s, int64_t y, int64_t x)
{
    const int64_t voxel = voxel_at(p, y, x);
    if (voxel < 0 || p->label[voxel] != s->label || is_border(p, voxel, y, x)) return -1;
    if (s->deeper) return fmin(1, fmin(p->depth[voxel], edge_distance(p, y, x)) / s->aim);
    const double off = fabs(p->depth[voxel] - s->aim) / (3 + s->aim / 3);
    return off < 1 ? 1 - off : -1;
}

double stroke_crowd(const plane *p, int64_t y, int64_t x)
{
    int n = 0;
    for (int64_t dy = -2; dy <= 2; dy++)
        for (int64_t dx = -2; dx <= 2; dx++) {
            const int64_t j = voxel_at(p, y + dy, x + dx);
            n += j >= 0 && p->ink[j];
        }
    return fmin(1, n / 5.0);
}

static pen pen_move(pen q, double turn, double distance)
{
    q.heading += turn;
    q.y += distance * sin(q.heading);
    q.x += distance * cos(q.heading);
    return q;
}

/* How good it is to turn by `turn` now; -INFINITY if the next voxel is none of the label. */
static double turn_value(const plane *p, const stroke *s, const pen *q, double turn)
{
    const pen next = pen_move(*q, turn, 1), middle = pen_move(*q, turn, AHEAD / 2),
              far = pen_move(*q, turn, AHEAD);
    const double here = stroke_appeal(p, s, lround(next.y), lround(next.x));
    if (here < 0) return -INFINITY;
    return here + stroke_appeal(p, s, lround(middle.y), lround(middle.x)) +
           stroke_appeal(p, s, lround(far.y), lround(far.x)) - fabs(turn - q->bend) -
           1.2 * stroke_crowd(p, lround(far.y), lround(far.x));
}

/* Finds the best turn of up to `most` radians to either side. Returns false if the pen can go nowhere. */
static bool turn_choose(const plane *p, const stroke *s, const pen *q, double most, double step, double *turn)
{
    double best = -INFINITY;
    for (double t = -most; t <= most + 1e-9; t += step) {
        const double value = turn_value(p, s, q, t);
        if (value <= best) continue;
        best = value;
        *turn = t;
    }
    return best > -INFINITY;
}

/* Puts ink on a voxel if it has the label; returns how many voxels are new. */
static int64_t ink_put(plane *p, const stroke *s, int64_t y, int64_t x)
{
    if (stroke_appeal(p, s, y, x) < 0) return 0;
    const int64_t voxel = voxel_at(p, y, x);
    const bool fresh = !p->ink[voxel];
    p->ink[voxel] = 1;
    return fresh;
}

/* A broad pen also marks the voxel beside its path, across the main direction. */
static int64_t ink_dot(plane *p, const stroke *s, const pen *q)
{
    const int64_t y = lround(q->y), x = lround(q->x);
    const bool along_x = fabs(cos(q->heading)) > fabs(sin(q->heading));
    int64_t n = ink_put(p, s, y, x);
    if (s->broad) n += ink_put(p, s, y + along_x, x + !along_x);
    return n;
}

int64_t stroke_draw(plane *p, const stroke *s, int64_t start, u3d_rng *r)
{
    pen q = {.y = (double)(start / p->width), .x = (double)(start % p->width)};
    double turn = 0;
    q.heading = 2 * PI * u3d_rng_uniform(r);
    if (turn_choose(p, s, &q, PI, SHARP_STEP, &turn)) q.heading += turn;
    q.bend = 0.1 * u3d_rng_normal(r);
    int64_t drawn = 0;
    /* A pen that only goes over its own ink has filled its place. */
    for (int64_t i = 0, last = 0; drawn < s->want && i - last < 24; i++) {
        const int64_t fresh = ink_dot(p, s, &q);
        if (fresh) last = i;
        drawn += fresh;
        if (!turn_choose(p, s, &q, BEND, BEND_STEP, &turn) && !turn_choose(p, s, &q, PI, SHARP_STEP, &turn))
            break;
        q = pen_move(q, turn, 1);
        q.bend = 0.95 * q.bend + 0.03 * u3d_rng_normal(r);
    }
    return drawn;
}
