/* Draws slices of volumes with labels over them.
 *
 *            image | labels 1 | labels 2 | ... | outlines
 *   across x
 *   across y
 *   across z
 *   (the next volume)
 *
 * picture_view.c chooses the slices and turns them. A letter at the edge of the first column says which side
 * of the patient is there. Pixels are square in space. Unlabelled voxels are dimmed, background is left as it
 * is, and every other label gets a colour by its rank among the labels of the picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "io/png.h"
#include "tools/draw/picture_impl.h"

enum { GAP = 6, PART_GAP = 30, GROUND = 20, NO_IMAGE = 70, OUTLINE = 2 };

/* Colours that most people can distinguish, including colour-blind people: Okabe and Ito 2008, without
 * black. */
static const uint8_t PALETTE[][3] = {{230, 159, 0}, {86, 180, 233}, {0, 158, 115},  {240, 228, 66},
                                     {0, 114, 178}, {213, 94, 0},   {204, 121, 167}};
enum { N_COLOURS = sizeof PALETTE / sizeof PALETTE[0] };

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

bool picture_unlabeled(const picture *p, int32_t value)
{
    return p->o->has_unlabeled && value == p->o->unlabeled;
}

int picture_rank(const picture *p, int32_t value)
{
    for (int i = 0; i < p->n_values; i++)
        if (p->values[i] == value) return i;
    return -1;
}

static u3d_status values_add(picture *p, int32_t value)
{
    int i = 0;
    if (value == 0 || picture_unlabeled(p, value)) return U3D_OK;
    while (i < p->n_values && p->values[i] < value) i++;
    if (i < p->n_values && p->values[i] == value) return U3D_OK;
    if (p->n_values == PICTURE_VALUES)
        return u3d_fail(U3D_E_UNSUPPORTED, "cannot draw a picture with more than %d labels", PICTURE_VALUES);
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
            t->sparse |= c == 0 && picture_unlabeled(p, label[v]);
            if (v == 0 || label[v] != label[v - 1]) U3D_TRY(values_add(p, label[v]));
        }
    }
    return U3D_OK;
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
    if (w->left_end) at[w->across] = v->size[w->across] - 1 - at[w->across];
    at[w->up] = (int64_t)(w->height - 1 - y) * v->size[w->up] / w->height;
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
    const double grey = part_grey(t, voxel) * (labels && picture_unlabeled(p, label) ? 0.4 : 1);
    const int rank = labels ? picture_rank(p, label) : -1;
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(rank < 0 ? grey : 0.45 * grey + 0.55 * PALETTE[rank % N_COLOURS][c]);
}

/* Rank of the label whose outline runs through a pixel, or -1. A pixel is on the outline of its label if a
 * pixel at a distance of OUTLINE has another label. */
static int outline_rank(const picture *p, const u3d_volume *labels, const view *w, int x, int y)
{
    static const int ASIDE[4][2] = {{-OUTLINE, 0}, {OUTLINE, 0}, {0, -OUTLINE}, {0, OUTLINE}};
    const int32_t *data = labels->data, label = data[view_voxel(labels, w, x, y)];
    const int rank = picture_rank(p, label);
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

/* Writes the letter that says what lies to the left of a slice, white on black, at its left edge. */
static void letter_draw(picture *p, const view *w, int left, int top)
{
    /* 5 x 7 pixels, the leftmost one in the highest of 5 bits, each drawn as SCALE x SCALE pixels */
    static const uint8_t R[7] = {30, 17, 17, 30, 20, 18, 17}, A[7] = {14, 17, 17, 31, 17, 17, 17};
    enum { SCALE = 2, WIDTH = 7, HEIGHT = 9 };
    const uint8_t *letter = w->left_end == 'R' ? R : A;
    if (!w->left_end || w->width < 2 * WIDTH * SCALE || w->height < HEIGHT * SCALE) return;
    top += (w->height - HEIGHT * SCALE) / 2;
    for (int y = 0; y < HEIGHT * SCALE; y++)
        for (int x = 0; x < WIDTH * SCALE; x++) {
            const int row = y / SCALE - 1, bit = 5 - x / SCALE;
            const bool ink = row >= 0 && row < 7 && bit >= 0 && bit < 5 && (letter[row] >> bit & 1);
            memset(p->rgb + ((int64_t)(top + y) * p->width + left + x) * 3, ink ? 255 : 0, 3);
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
        for (int k = 0; k < t->n_views; top += t->views[k].height + GAP, k++) {
            const int left = GAP + (t->column - t->views[k].width) / 2;
            for (int c = 0; c < t->n_columns; c++)
                view_draw(p, t, &t->views[k], c, left + c * (t->column + GAP), top);
            letter_draw(p, &t->views[k], left, top);
        }
    }
    return U3D_OK;
}

static const char *convention_of(const picture *p)
{
    int placed = 0;
    for (int i = 0; i < p->n_parts; i++) placed += p->parts[i].placed;
    if (placed == p->n_parts) return "radiological: the patient's left is on the right";
    if (placed == 0) return "drawn as stored: the files do not say where left and right are";
    return "radiological: the patient's left is on the right; a volume without a place in space is drawn as "
           "stored";
}

u3d_status picture_write(const char *path, const picture_part *parts, int n_parts, const picture_opts *o,
                         picture_result *result)
{
    u3d_status status = U3D_OK;
    picture p = {.o = o, .n_parts = n_parts, .parts = u3d_new((size_t)n_parts, sizeof *p.parts)};
    *result = (picture_result){0};
    if (!p.parts) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < n_parts; i++) { /* colours depend on the labels of all parts */
        p.parts[i].p = &parts[i];
        U3D_GO(window_choose(&p.parts[i]));
        U3D_GO(values_collect(&p, &p.parts[i]));
    }
    for (int i = 0; i < n_parts; i++) {
        U3D_GO(picture_views(&p, &p.parts[i]));
        result->n_slices += p.parts[i].n_views;
    }
    result->convention = convention_of(&p);
    U3D_GO(picture_draw(&p));
    U3D_GO(u3d_png_write(path, p.rgb, p.width, p.height));
done:
    for (int i = 0; p.parts && i < n_parts; i++) u3d_free(p.parts[i].views);
    u3d_free(p.parts);
    u3d_free(p.rgb);
    return status;
}
