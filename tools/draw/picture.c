/* Draws slices of volumes with labels over them.
 *
 *            image | labels 1 | labels 2 | ... | outlines
 *   across x
 *   across y
 *   across z
 *   (the next volume)
 *
 * y or z points up, which is anterior or superior if the axes of the file run that way. Pixels are square in
 * space. Unlabelled voxels are dimmed, background is left as it is, and every other label gets a colour by
 * its rank among the labels of the picture. */
#include "tools/draw/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "io/png.h"

enum { TILE = 320, GAP = 6, PART_GAP = 30, GROUND = 20, NO_IMAGE = 70, OUTLINE = 2, MAX_VALUES = 256 };

/* Colours that most people can distinguish, including colour-blind people: Okabe and Ito 2008, without
 * black. */
static const uint8_t PALETTE[][3] = {{230, 159, 0}, {86, 180, 233}, {0, 158, 115},  {240, 228, 66},
                                     {0, 114, 178}, {213, 94, 0},   {204, 121, 167}};
enum { N_COLOURS = sizeof PALETTE / sizeof PALETTE[0] };

typedef struct view { /* how a slice is drawn; axes are indices into size[] (z, y, x) */
    int across, down, through;
    int64_t at;
    int width, height; /* pixels */
} view;

typedef struct part { /* a part and how it is drawn */
    const picture_part *p;
    bool sparse; /* the first label volume has unlabelled voxels */
    float black, white;
    view *views;
    int n_views;
    int column, n_columns; /* width of a column in pixels, number of columns */
} part;

typedef struct picture {
    const picture_opts *o;
    int32_t values[MAX_VALUES]; /* label values that occur, increasing */
    int n_values;
    part *parts;
    int n_parts;
    uint8_t *rgb;
    int width, height;
} picture;

/* Sets black and white to the 1st and 99th percentile of at most 100,000 voxels of the first channel. */
static u3d_status window_choose(part *t)
{
    const u3d_volume *image = t->p->image;
    if (!image) return U3D_OK;
    const int64_t n = u3d_volume_voxels(image), step = n / 100000 + 1;
    float *sample = u3d_new((size_t)(n / step + 1), sizeof *sample);
    if (!sample) return U3D_E_NOMEM;
    int64_t count = 0;
    for (int64_t v = 0; v < n; v += step) sample[count++] = ((const float *)image->data)[v * image->channels];
    qsort(sample, (size_t)count, sizeof *sample, u3d_order_float);
    t->black = sample[count / 100];
    t->white = sample[count - 1 - count / 100];
    if (!(t->white > t->black)) t->white = t->black + 1;
    u3d_free(sample);
    return U3D_OK;
}

/* ---- label values ---- */

static bool is_unlabeled(const picture *p, int32_t value)
{
    return p->o->has_unlabeled && value == p->o->unlabeled;
}

/* Rank of a label value among those that occur; -1 for background and unlabelled. */
static int value_rank(const picture *p, int32_t value)
{
    for (int i = 0; i < p->n_values; i++)
        if (p->values[i] == value) return i;
    return -1;
}

static u3d_status values_add(picture *p, int32_t value)
{
    int i = 0;
    if (value == 0 || is_unlabeled(p, value)) return U3D_OK;
    while (i < p->n_values && p->values[i] < value) i++;
    if (i < p->n_values && p->values[i] == value) return U3D_OK;
    if (p->n_values == MAX_VALUES)
        return u3d_fail(U3D_E_UNSUPPORTED, "cannot draw a picture with more than %d labels", MAX_VALUES);
    memmove(p->values + i + 1, p->values + i, (size_t)(p->n_values - i) * sizeof p->values[0]);
    p->values[i] = value;
    p->n_values++;
    return U3D_OK;
}

static u3d_status values_collect(picture *p, part *t)
{
    for (int c = 0; c < t->p->n_labels; c++) {
        const int32_t *label = t->p->labels[c]->data;
        const int64_t n = u3d_volume_voxels(t->p->labels[c]);
        for (int64_t v = 0; v < n; v++) {
            t->sparse |= c == 0 && is_unlabeled(p, label[v]);
            if (v == 0 || label[v] != label[v - 1]) U3D_TRY(values_add(p, label[v]));
        }
    }
    return U3D_OK;
}

/* ---- which slices ---- */

typedef struct plane {  /* what one slice shows                                        */
    bool has_reference; /* with `compare`: the reference has a label here              */
    int64_t differing;  /* with `compare`: annotated voxels whose labels differ        */
    int kinds;          /* number of different labels in the last label volume         */
    int64_t foreground; /* its foreground voxels; with `compare`: of either volume     */
    int64_t annotated;  /* annotated voxels of the first label volume                  */
    int64_t voxels;
} plane;

static void plane_add(const picture *p, const part *t, int64_t voxel, bool seen[MAX_VALUES], plane *look)
{
    const int32_t first = ((const int32_t *)t->p->labels[0]->data)[voxel],
                  last = ((const int32_t *)t->p->labels[t->p->n_labels - 1]->data)[voxel];
    const int rank = value_rank(p, last);
    look->voxels++;
    look->annotated += !is_unlabeled(p, first);
    if (t->p->compare) {
        look->differing += !is_unlabeled(p, first) && first != last;
        look->has_reference |= value_rank(p, first) >= 0;
        look->foreground += rank >= 0 || value_rank(p, first) >= 0;
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
    bool seen[MAX_VALUES] = {false};
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
    const int pixels = (int)lround((double)v->size[axis] * v->spacing[axis] / longest * TILE);
    return pixels < 8 ? 8 : pixels;
}

static u3d_status views_choose(const picture *p, part *t)
{
    static const int AXES[3][2] = {{1, 0}, {2, 0}, {2, 1}}; /* right and up: y and z across x, and so on */
    const u3d_volume *v = t->p->labels[0];
    const int64_t *slices = t->p->slices;
    double longest = 0;
    for (int a = 0; a < 3; a++) longest = fmax(longest, (double)v->size[a] * v->spacing[a]);
    t->views = u3d_new((size_t)(slices[0] + slices[1] + slices[2]) + 1, sizeof *t->views);
    if (!t->views) return U3D_E_NOMEM;
    for (int a = 0; a < 3; a++)
        for (int64_t i = 0; i < slices[a]; i++) {
            view *w = &t->views[t->n_views++];
            *w = (view){.across = AXES[a][0], .down = AXES[a][1], .through = 2 - a};
            const int64_t n = v->size[w->through];
            w->at = slice_choose(p, t, w->through, i * n / slices[a], (i + 1) * n / slices[a]);
            w->width = extent_pixels(v, w->across, longest);
            w->height = extent_pixels(v, w->down, longest);
            t->column = w->width > t->column ? w->width : t->column;
        }
    t->n_columns = t->p->n_labels + (t->p->image != NULL) + t->p->compare;
    return t->n_views ? U3D_OK : u3d_fail(U3D_E_ARG, "--slices: expected at least one slice");
}

/* ---- drawing ---- */

/* Index of the voxel under a pixel of a slice. A pixel outside of the slice counts as the nearest one
 * inside. */
static int64_t view_voxel(const u3d_volume *v, const view *w, int x, int y)
{
    int64_t at[3];
    x = x < 0 ? 0 : x >= w->width ? w->width - 1 : x;
    y = y < 0 ? 0 : y >= w->height ? w->height - 1 : y;
    at[w->through] = w->at;
    at[w->across] = (int64_t)x * v->size[w->across] / w->width;
    at[w->down] = (int64_t)(w->height - 1 - y) * v->size[w->down] / w->height;
    return (at[0] * v->size[1] + at[1]) * v->size[2] + at[2];
}

static double part_grey(const part *t, int64_t voxel)
{
    const u3d_volume *image = t->p->image;
    if (!image) return NO_IMAGE;
    const float value = ((const float *)image->data)[voxel * image->channels];
    return 255 * fmin(1, fmax(0, (value - t->black) / (t->white - t->black)));
}

/* Draws the image and, if `labels` is not NULL, the colour of the label over it. */
static void pixel_overlay(const picture *p, const part *t, int64_t voxel, const u3d_volume *labels,
                          uint8_t *rgb)
{
    const int32_t label = labels ? ((const int32_t *)labels->data)[voxel] : 0;
    const double grey = part_grey(t, voxel) * (labels && is_unlabeled(p, label) ? 0.4 : 1);
    const int rank = labels ? value_rank(p, label) : -1;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(rank < 0 ? grey : 0.45 * grey + 0.55 * PALETTE[rank % N_COLOURS][c]);
}

/* Rank of the label whose outline runs through a pixel, or -1. A pixel is on the outline of its label if a
 * pixel at a distance of OUTLINE has another label. */
static int outline_rank(const picture *p, const u3d_volume *labels, const view *w, int x, int y)
{
    static const int ASIDE[4][2] = {{-OUTLINE, 0}, {OUTLINE, 0}, {0, -OUTLINE}, {0, OUTLINE}};
    const int32_t *data = labels->data, label = data[view_voxel(labels, w, x, y)];
    const int rank = value_rank(p, label);
    for (int i = 0; rank >= 0 && i < 4; i++)
        if (data[view_voxel(labels, w, x + ASIDE[i][0], y + ASIDE[i][1])] != label) return rank;
    return -1;
}

static void pixel_outlines(const picture *p, const part *t, const view *w, int x, int y, uint8_t *rgb)
{
    static const uint8_t WHITE[3] = {255, 255, 255};
    const int reference = outline_rank(p, t->p->labels[0], w, x, y),
              prediction = outline_rank(p, t->p->labels[1], w, x, y);
    if (prediction >= 0)
        memcpy(rgb, PALETTE[prediction % N_COLOURS], 3);
    else if (reference >= 0)
        memcpy(rgb, WHITE, 3);
    else
        pixel_overlay(p, t, view_voxel(t->p->labels[0], w, x, y), NULL, rgb);
}

/* Draws column c of a slice. The columns are the image (if there is one), the label volumes, the outlines. */
static void view_draw(picture *p, const part *t, const view *w, int c, int left, int top)
{
    const int label = c - (t->p->image != NULL);
    const bool outlines = label == t->p->n_labels;
    const u3d_volume *labels = label >= 0 && !outlines ? t->p->labels[label] : NULL;
    for (int y = 0; y < w->height; y++)
        for (int x = 0; x < w->width; x++) {
            uint8_t *rgb = p->rgb + ((int64_t)(top + y) * p->width + left + x) * 3;
            if (outlines)
                pixel_outlines(p, t, w, x, y, rgb);
            else
                pixel_overlay(p, t, view_voxel(t->p->labels[0], w, x, y), labels, rgb);
        }
}

static u3d_status picture_draw(picture *p)
{
    p->height = GAP - PART_GAP;
    for (int i = 0; i < p->n_parts; i++) {
        const part *t = &p->parts[i];
        const int width = (t->column + GAP) * t->n_columns + GAP;
        p->width = width > p->width ? width : p->width;
        p->height += PART_GAP;
        for (int k = 0; k < t->n_views; k++) p->height += t->views[k].height + GAP;
    }
    p->rgb = u3d_new((size_t)p->width * (size_t)p->height, 3);
    if (!p->rgb) return U3D_E_NOMEM;
    memset(p->rgb, GROUND, (size_t)p->width * (size_t)p->height * 3);
    int top = GAP;
    for (int i = 0; i < p->n_parts; i++, top += PART_GAP) {
        const part *t = &p->parts[i];
        for (int k = 0; k < t->n_views; top += t->views[k].height + GAP, k++)
            for (int c = 0; c < t->n_columns; c++)
                view_draw(p, t, &t->views[k], c,
                          GAP + c * (t->column + GAP) + (t->column - t->views[k].width) / 2, top);
    }
    return U3D_OK;
}

u3d_status picture_write(const char *path, const picture_part *parts, int n_parts, const picture_opts *o,
                         int *n_slices)
{
    u3d_status status = U3D_OK;
    picture p = {.o = o, .n_parts = n_parts, .parts = u3d_new((size_t)n_parts, sizeof *p.parts)};
    *n_slices = 0;
    if (!p.parts) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < n_parts; i++) { /* colours depend on the labels of all parts */
        p.parts[i].p = &parts[i];
        U3D_GO(window_choose(&p.parts[i]));
        U3D_GO(values_collect(&p, &p.parts[i]));
    }
    for (int i = 0; i < n_parts; i++) {
        U3D_GO(views_choose(&p, &p.parts[i]));
        *n_slices += p.parts[i].n_views;
    }
    U3D_GO(picture_draw(&p));
    U3D_GO(u3d_png_write(path, p.rgb, p.width, p.height));
done:
    for (int i = 0; p.parts && i < n_parts; i++) u3d_free(p.parts[i].views);
    u3d_free(p.parts);
    u3d_free(p.rgb);
    return status;
}
