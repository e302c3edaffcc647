#include "tools/commands/scribble_plane.h"

#include <math.h>

#include "tools/commands/stroke.h"

enum {
    CANDIDATES = 12, /* voxels that are looked at to find a good start                       */
    ATTEMPTS = 40,   /* strokes that may fail before a person would give up                  */
    FILLED = 4,      /* a region gets ink on one of this many voxels at most: lines, not areas */
    SHORTEST = 20    /* voxels of a stroke in the background, if there is ink for it           */
};

static double between(u3d_rng *r, double low, double high)
{
    return low + (high - low) * u3d_rng_uniform(r);
}

/* A quarter of the lines are two voxels wide. */
static bool is_broad(u3d_rng *r)
{
    return u3d_rng_below(r, 4) == 0;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A voxel of the region that suits the stroke and is not close to ink: the best of a few, or the deepest one
 * if the pen must go to none of these. */
static int64_t start_inside(const plane *p, const region *g, const stroke *s, u3d_rng *r)
{
    const int64_t *voxel = p->order + g->first;
    int64_t best = -1;
    double best_value = -INFINITY;
    for (int i = 0; i < CANDIDATES; i++) {
        const int64_t v = voxel[u3d_rng_below(r, g->n)], y = v / p->width, x = v % p->width;
        const double appeal = stroke_appeal(p, s, y, x), value = appeal - stroke_crowd(p, y, x);
        if (appeal < 0 || value <= best_value) continue;
        best = v;
        best_value = value;
    }
    for (int64_t i = 0; best_value == -INFINITY && i < g->n; i++)
        if (best < 0 || p->depth[voxel[i]] > p->depth[best]) best = voxel[i];
    return best;
}

/* How long a stroke in the background shall be, of the ink that is left: no rest is too short for a stroke.
 */
static int64_t background_length(int64_t left, double length)
{
    const int64_t n = most(SHORTEST, (int64_t)length);
    return left - n < SHORTEST ? left : n;
}

static double region_depth(const plane *p, const region *g)
{
    float depth = 0;
    for (int64_t i = 0; i < g->n; i++) depth = fmaxf(depth, p->depth[p->order[g->first + i]]);
    return depth;
}

/* Draws `want` voxels inside of a structure, in one stroke if possible. */
static int64_t structure_draw(plane *p, const region *g, int64_t want, u3d_rng *r)
{
    const double depth = region_depth(p, g);
    stroke s = {.label = g->label,
                .aim = fmax(3, fmin(0.4 * depth, 0.25 * sqrt((double)g->n))),
                .deeper = true,
                .broad = depth >= 4 && want >= 16 && is_broad(r)};
    int64_t drawn = 0;
    for (int i = 0; i < 3 && drawn < want; i++) {
        s.want = want - drawn;
        drawn += stroke_draw(p, &s, start_inside(p, g, &s, r), r);
    }
    return drawn;
}

static int64_t structures_draw(plane *p, int64_t budget, u3d_rng *r)
{
    int64_t drawn = 0, before = -1;
    double diameters = 0;
    for (int64_t i = 0; i < p->n_regions; i++) diameters += sqrt((double)p->regions[i].n);
    const double scale = fmax(1, (double)budget / diameters);
    for (int round = 0; round < ATTEMPTS && drawn < budget && drawn > before; round++) {
        before = drawn;
        for (int64_t i = 0; i < p->n_regions && drawn < budget; i++) {
            const region *g = &p->regions[i];
            const int64_t length = (int64_t)(scale * sqrt((double)g->n)), left = budget - drawn,
                          want = left < length * 3 / 2 ? left : length;
            drawn += structure_draw(p, g, most(1, least(want, g->n / FILLED)), r);
        }
    }
    return drawn;
}

/* Where an arc around a structure starts: from one of its voxels straight on in a random direction, the
 * background voxel whose distance from all structures is closest to s->aim, which becomes that distance.
 * Returns -1 if there is no background in that direction. */
static int64_t start_outside(const plane *p, const region *g, stroke *s, u3d_rng *r)
{
    const int64_t from = p->order[g->first + u3d_rng_below(r, g->n)];
    const double heading = between(r, 0, 6.283185307179586);
    const stroke any = {.label = s->label, .aim = 1, .deeper = true};
    double y = (double)(from / p->width), x = (double)(from % p->width);
    int64_t best = -1;
    for (;; y += sin(heading), x += cos(heading)) {
        const int64_t row = lround(y), column = lround(x), v = row * p->width + column;
        if (row < 0 || column < 0 || row >= p->height || column >= p->width) break;
        if (p->label[v] == g->label) continue;
        if (stroke_appeal(p, &any, row, column) < 0) {
            if (best >= 0) break;
            continue;
        }
        if (best < 0 || fabs(p->depth[v] - s->aim) < fabs(p->depth[best] - s->aim)) best = v;
    }
    if (best >= 0) s->aim = fmax(1, p->depth[best]);
    return best;
}

static int64_t arcs_draw(plane *p, int64_t budget, u3d_rng *r)
{
    int64_t drawn = 0;
    for (int failed = 0; failed < ATTEMPTS && drawn < budget;) {
        const region *g = &p->regions[u3d_rng_below(r, p->n_regions)];
        stroke s = {.label = p->background_label,
                    .aim = 2 + between(r, 0.05, 0.3) * sqrt((double)g->n),
                    .broad = is_broad(r)};
        s.want = background_length(budget - drawn, between(r, 0.5, 1) * (double)(budget - drawn));
        const int64_t start = start_outside(p, g, &s, r);
        const int64_t n = start >= 0 ? stroke_draw(p, &s, start, r) : 0;
        failed += n < SHORTEST / 2;
        drawn += n;
    }
    return drawn;
}

static int64_t elsewhere_draw(plane *p, int64_t budget, u3d_rng *r)
{
    int64_t drawn = 0;
    const double side = sqrt((double)p->background.n);
    for (int failed = 0; failed < ATTEMPTS && drawn < budget;) {
        stroke s = {.label = p->background_label, .aim = 4, .deeper = true, .broad = is_broad(r)};
        s.want = background_length(budget - drawn, between(r, 0.3, 0.8) * side);
        const int64_t n = stroke_draw(p, &s, start_inside(p, &p->background, &s, r), r);
        failed += n < SHORTEST / 2;
        drawn += n;
    }
    return drawn;
}

int64_t scribble_plane(plane *p, int64_t budget, u3d_rng *r)
{
    int64_t structures = 0;
    for (int64_t i = 0; i < p->n_regions; i++) structures += p->regions[i].n;
    const int64_t room = p->background.n / FILLED;
    int64_t drawn = 0;
    if (structures)
        drawn = structures_draw(p, least(most(budget * 2 / 5, budget - room), structures / FILLED), r);
    const int64_t rest = least(budget - drawn, room);
    if (rest <= 0) return drawn;
    const int64_t arcs = structures ? arcs_draw(p, rest * 3 / 4, r) : 0;
    return drawn + arcs + elsewhere_draw(p, rest - arcs, r);
}

int64_t scribble_once(plane *p, const region *g, u3d_rng *r)
{
    return structure_draw(p, g, most(1, least((int64_t)sqrt((double)g->n), g->n / FILLED)), r);
}
