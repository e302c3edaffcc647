/* Which slices of a volume a picture shows, and how they are turned.
 *
 * Reading has turned volumes that have a place in space, so that x runs to the right, y to the front and z
 * up. Their slices are drawn as radiologists look at them:
 *
 *   across x (sagittal)   anterior on the left, superior at the top
 *   across y (coronal)    the patient's right on the left, superior at the top
 *   across z (axial)      the patient's right on the left, anterior at the top
 *
 * Without a place in space, x, y and z are the axes of the file; x or y runs to the right, and y or z points
 * up. */
#include <math.h>

#include "engine/base/mem.h"
#include "tools/draw/picture_impl.h"

typedef struct plane {  /* what one slice shows                                        */
    bool has_reference; /* with `compare`: the reference has a label here              */
    int64_t differing;  /* with `compare`: annotated voxels whose labels differ        */
    int kinds;          /* number of different labels in the last label volume         */
    int64_t foreground; /* its foreground voxels; with `compare`: of either volume     */
    int64_t annotated;  /* annotated voxels of the first label volume                  */
    int64_t voxels;
} plane;

static void plane_add(const picture *p, const part *t, int64_t voxel, bool seen[PICTURE_VALUES], plane *look)
{
    const int32_t first = ((const int32_t *)t->p->labels[0]->data)[voxel],
                  last = ((const int32_t *)t->p->labels[t->p->n_labels - 1]->data)[voxel];
    const int rank = picture_rank(p, last);
    look->voxels++;
    look->annotated += !picture_unlabeled(p, first);
    if (t->p->compare) {
        look->differing += !picture_unlabeled(p, first) && first != last;
        look->has_reference |= picture_rank(p, first) >= 0;
        look->foreground += rank >= 0 || picture_rank(p, first) >= 0;
    } else if (rank >= 0) {
        look->foreground++;
        look->kinds += !seen[rank];
        seen[rank] = true;
    }
}

/* Counts what slice `at` across the axis with index `through` of size[] shows. */
static plane plane_look(const picture *p, const part *t, int through, int64_t at)
{
    const int64_t *size = t->p->labels[0]->size;
    const int u = through == 0 ? 1 : 0, v = through == 2 ? 1 : 2;
    bool seen[PICTURE_VALUES] = {false};
    plane look = {0};
    int64_t pos[3];
    pos[through] = at;
    for (pos[u] = 0; pos[u] < size[u]; pos[u]++)
        for (pos[v] = 0; pos[v] < size[v]; pos[v]++)
            plane_add(p, t, (pos[0] * size[1] + pos[1]) * size[2] + pos[2], seen, &look);
    return look;
}

static bool plane_is_better(const plane *a, const plane *b)
{
    if (a->has_reference != b->has_reference) return a->has_reference;
    if (a->differing != b->differing) return a->differing > b->differing;
    return a->kinds != b->kinds ? a->kinds > b->kinds : a->foreground > b->foreground;
}

/* Chooses the best slice of [from, end) as picture_write describes. If none shows anything, it is the middle
 * one. */
static int64_t slice_choose(const picture *p, const part *t, int through, int64_t from, int64_t end)
{
    int64_t best_at = (from + end) / 2;
    plane best = {0};
    for (int64_t at = from; at < end; at++) {
        const plane look = plane_look(p, t, through, at);
        if (!t->p->compare && t->sparse && 2 * look.annotated > look.voxels) continue;
        if (!plane_is_better(&look, &best)) continue;
        best = look;
        best_at = at;
    }
    return best_at;
}

static int extent_pixels(const u3d_volume *v, int axis, double longest)
{
    const int pixels = (int)lround((double)v->size[axis] * v->spacing[axis] / longest * PICTURE_TILE);
    return pixels < 8 ? 8 : pixels;
}

u3d_status picture_views(const picture *p, part *t)
{
    static const int AXES[3][2] = {{1, 0}, {2, 0}, {2, 1}}; /* across and up: y and z for x, and so on */
    const u3d_volume *v = t->p->labels[0];
    const int64_t *slices = t->p->slices;
    double longest = 0;
    for (int a = 0; a < 3; a++) longest = fmax(longest, (double)v->size[a] * v->spacing[a]);
    t->placed = u3d_volume_has_place(v) && !p->o->as_stored;
    t->views = u3d_new((size_t)(slices[0] + slices[1] + slices[2]) + 1, sizeof *t->views);
    if (!t->views) return U3D_E_NOMEM;
    for (int a = 0; a < 3; a++)
        for (int64_t i = 0; i < slices[a]; i++) {
            view *w = &t->views[t->n_views++];
            *w = (view){.across = AXES[a][0], .up = AXES[a][1], .through = 2 - a};
            if (t->placed) w->left_end = a == 0 ? 'A' : 'R';
            const int64_t n = v->size[w->through];
            w->at = slice_choose(p, t, w->through, i * n / slices[a], (i + 1) * n / slices[a]);
            w->width = extent_pixels(v, w->across, longest);
            w->height = extent_pixels(v, w->up, longest);
            t->column = w->width > t->column ? w->width : t->column;
        }
    t->n_columns = t->p->n_labels + (t->p->image != NULL) + t->p->compare;
    return t->n_views ? U3D_OK : u3d_fail(U3D_E_ARG, "--slices: expected at least one slice");
}
