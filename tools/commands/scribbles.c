#include "tools/commands/scribbles.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "tools/commands/scribble_plane.h"

/* Spacings that differ by less than a tenth count as equal. */
static const double COARSER = 1.1;

/* What is known about one label of the volume. */
typedef struct entry {
    int32_t label;
    int64_t here;          /* its voxels in the plane that is being counted */
    int64_t largest, best; /* most voxels in a plane, and that plane        */
    bool drawn;
} entry;

typedef struct scribbler {
    u3d_volume *volume;
    int axis; /* planes lie across it */
    int32_t unlabeled;
    u3d_rng *r;
    plane plane;
    uint8_t *kept; /* [z, y, x]: 1 where there is ink     */
    int64_t n_kept;
    int64_t *usable; /* planes that have a labelled voxel   */
    int64_t n_usable, labelled;
    entry *entries; /* by increasing label                 */
    int64_t n_entries, cap_entries;
} scribbler;

u3d_status scribbles_parse(const char *text, double *share)
{
    char *end;
    *share = SCRIBBLES_SHARE;
    if (!*text) return U3D_OK;
    *share = strtod(text, &end);
    while (end != text && isspace((unsigned char)*end)) end++;
    const bool percent = *end == '%';
    if (percent) *share /= 100;
    if (end == text || end[percent] || !(*share > 0 && *share <= SCRIBBLES_SHARE_MAX))
        return u3d_fail(
            U3D_E_ARG,
            "--scribbles: found '%s', expected the share of the voxels to keep, such as 1%% or 0.01, "
            "up to %g%%",
            text, 100 * SCRIBBLES_SHARE_MAX);
    return U3D_OK;
}

/* ---- the volume ---- */

/* A single plane is drawn on as it is. Otherwise the coarsest axis is taken, and the one from bottom to top
 * if it is one of these. */
static int axis_choose(const u3d_volume *v)
{
    int up[3], best = -1;
    u3d_orientation_of(v->voxel_to_world, up);
    const int axial = u3d_volume_has_place(v) ? 3 - abs(up[2]) : 0;
    for (int i = 0; i < 3; i++) {
        const int a = (axial + i) % 3;
        if (v->size[a] == 1) return a;
        if (best < 0 || v->spacing[a] > COARSER * v->spacing[best]) best = a;
    }
    return best;
}

static u3d_status entry_find(scribbler *s, int32_t label, entry **out)
{
    int64_t low = 0, high = s->n_entries;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (s->entries[middle].label < label)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->n_entries || s->entries[low].label != label) {
        if (s->n_entries == s->cap_entries) {
            const int64_t cap = 2 * s->cap_entries + 16;
            entry *more = u3d_resize(s->entries, (size_t)s->cap_entries, (size_t)cap, sizeof *more);
            if (!more) return U3D_E_NOMEM;
            s->entries = more;
            s->cap_entries = cap;
        }
        memmove(s->entries + low + 1, s->entries + low, (size_t)(s->n_entries++ - low) * sizeof *s->entries);
        s->entries[low] = (entry){.label = label};
    }
    *out = &s->entries[low];
    return U3D_OK;
}

/* Counts the labels of a plane. */
static u3d_status plane_count(scribbler *s, int64_t at)
{
    const plane *p = &s->plane;
    int64_t n = 0;
    for (int64_t k = 0; k < s->n_entries; k++) s->entries[k].here = 0;
    for (int64_t i = 0, end; i < p->height * p->width; i = end) {
        for (end = i + 1; end < p->height * p->width && p->label[end] == p->label[i];) end++;
        entry *e;
        if (p->label[i] == s->unlabeled) continue;
        U3D_TRY(entry_find(s, p->label[i], &e));
        e->here += end - i;
        n += end - i;
    }
    for (entry *e = s->entries; e < s->entries + s->n_entries; e++) {
        if (e->here <= e->largest) continue;
        e->largest = e->here;
        e->best = at;
    }
    s->labelled += n;
    if (n) s->usable[s->n_usable++] = at;
    return U3D_OK;
}

static u3d_status volume_count(scribbler *s)
{
    s->usable = u3d_new((size_t)s->volume->size[s->axis], sizeof *s->usable);
    if (!s->usable) return U3D_E_NOMEM;
    for (int64_t at = 0; at < s->volume->size[s->axis]; at++) {
        plane_take(&s->plane, s->volume, s->axis, at);
        U3D_TRY(plane_count(s, at));
    }
    return U3D_OK;
}

/* ---- ink ---- */

/* Adds the ink of a plane to the volume's. */
static u3d_status ink_keep(scribbler *s, int64_t at)
{
    int side[2];
    const plane *p = &s->plane;
    plane_axes(s->axis, side);
    uint8_t *to = s->kept + at * plane_step(s->volume, s->axis);
    for (int64_t i = 0; i < p->height * p->width; i++) {
        if (!p->ink[i]) continue;
        uint8_t *voxel = to + i / p->width * plane_step(s->volume, side[0]) +
                         i % p->width * plane_step(s->volume, side[1]);
        s->n_kept += !*voxel;
        *voxel = 1;
        entry *e;
        U3D_TRY(entry_find(s, p->label[i], &e));
        e->drawn = true;
    }
    return U3D_OK;
}

static int region_by_key(const void *a, const void *b)
{
    return u3d_order_double(&((const region *)a)->key, &((const region *)b)->key);
}

static int region_by_label(const void *a, const void *b)
{
    const region *p = a, *q = b;
    return p->label != q->label ? (p->label > q->label) - (p->label < q->label) : region_by_key(a, b);
}

/* Puts the structures of a plane in the order in which they are drawn. Within a label they are drawn at
 * random without replacement, with a chance in proportion to their diameter (Efraimidis & Spirakis, "Weighted
 * random sampling with a reservoir", 2006); the labels take turns in a random order, those without a stroke
 * first. */
static u3d_status regions_arrange(scribbler *s)
{
    region *g = s->plane.regions;
    const int64_t n = s->plane.n_regions;
    for (int64_t i = 0; i < n; i++) g[i].key = -log(1 - u3d_rng_uniform(s->r)) / sqrt((double)g[i].n);
    if (n) qsort(g, (size_t)n, sizeof *g, region_by_label);
    for (int64_t i = 0, turn = 0; i < n; i++) {
        entry *e;
        U3D_TRY(entry_find(s, g[i].label, &e));
        turn = i && g[i].label == g[i - 1].label ? turn + 1 : e->drawn ? 1 : 0;
        g[i].key = (double)turn + u3d_rng_uniform(s->r);
    }
    if (n) qsort(g, (size_t)n, sizeof *g, region_by_key);
    return U3D_OK;
}

static u3d_status planes_draw(scribbler *s, double share)
{
    const double area = (double)(s->plane.height * s->plane.width), total = share * (double)s->labelled;
    const double enough = fmin(2 * sqrt(area), SCRIBBLES_SHARE_MAX * area);
    const int64_t fit = (int64_t)fmax(1, total / enough), n = fit < s->n_usable ? fit : s->n_usable;
    const double offset = u3d_rng_uniform(s->r);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = s->usable[(int64_t)(((double)i + offset) * (double)s->n_usable / (double)n)];
        U3D_TRY(plane_look(&s->plane, s->volume, s->axis, at));
        U3D_TRY(regions_arrange(s));
        const double left = (total - (double)s->n_kept) / (double)(n - i);
        if (left >= 1) (void)scribble_plane(&s->plane, (int64_t)left, s->r);
        U3D_TRY(ink_keep(s, at));
    }
    return U3D_OK;
}

/* The largest region of a label in the plane; the label has one. */
static const region *region_largest(const plane *p, int32_t label)
{
    const region *best = &p->background;
    for (const region *g = p->regions; g < p->regions + p->n_regions; g++)
        if (g->label == label && (best->label != label || g->n > best->n)) best = g;
    return best;
}

/* Gives a stroke to each label that has none, plane by plane. */
static u3d_status labels_complete(scribbler *s)
{
    const entry *end = s->entries + s->n_entries;
    for (const entry *e = s->entries; e < end; e++) {
        if (e->drawn) continue;
        const int64_t at = e->best;
        U3D_TRY(plane_look(&s->plane, s->volume, s->axis, at));
        for (const entry *f = e; f < end; f++)
            if (!f->drawn && f->best == at)
                (void)scribble_once(&s->plane, region_largest(&s->plane, f->label), s->r);
        U3D_TRY(ink_keep(s, at));
    }
    return U3D_OK;
}

u3d_status scribbles_keep(u3d_volume *label, double share, int32_t background, int32_t unlabeled, u3d_rng *r,
                          int64_t *kept)
{
    u3d_status status = U3D_OK;
    scribbler s = {.volume = label, .axis = axis_choose(label), .unlabeled = unlabeled, .r = r};
    const int64_t n = u3d_volume_voxels(label);
    int32_t *value = label->data;
    int side[2];
    plane_axes(s.axis, side);
    U3D_GO(plane_init(&s.plane, label->size[side[0]], label->size[side[1]], background, unlabeled));
    s.kept = u3d_new((size_t)n, sizeof *s.kept);
    if (!s.kept) U3D_GO(U3D_E_NOMEM);
    U3D_GO(volume_count(&s));
    U3D_GO(planes_draw(&s, share));
    U3D_GO(labels_complete(&s));
    for (int64_t i = 0; i < n; i++)
        if (!s.kept[i]) value[i] = unlabeled;
    *kept = s.n_kept;
done:
    plane_done(&s.plane);
    u3d_free(s.kept);
    u3d_free(s.usable);
    u3d_free(s.entries);
    return status;
}
