/* u3d picture: slices of a volume, a row each, with label files laid over them, a column each.
 *
 *            image | labels 1 | labels 2 | ...
 *   across x
 *   across y        superior and anterior up where axes run that way; pixels are square in space
 *   across z
 *
 * Each row is the slice of its part of the volume that shows most labels in the last file and was not
 * annotated whole in the first. Unlabeled voxels are dimmed, background is left as it is, every other label
 * gets a colour by its rank. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "io/path.h"
#include "io/png.h"
#include "io/volume.h"
#include "tools/args_data.h"

enum { TILE = 320, GAP = 6, GROUND = 20, MAX_COLUMNS = 8 };

/* Distinct for most eyes, also colour-blind ones: Okabe & Ito 2008, without black. */
static const uint8_t PALETTE[][3] = {{230, 159, 0}, {86, 180, 233}, {0, 158, 115},  {240, 228, 66},
                                     {0, 114, 178}, {213, 94, 0},   {204, 121, 167}};
enum { N_COLOURS = sizeof PALETTE / sizeof PALETTE[0] };

typedef struct view { /* how one slice lies on the picture; axes are indices into size[] (z, y, x) */
    int across, down, through;
    int64_t at;
    int width, height; /* pixels */
} view;

typedef struct picture {
    u3d_volume *image, *labels[MAX_COLUMNS];
    int n_labels;
    int32_t values[256]; /* label values met, increasing */
    int n_values;
    int32_t unlabeled;
    bool sparse; /* the first label file has unlabeled voxels */
    float black, white;
    view *views;
    int n_views;
    uint8_t *rgb;
    int width, height;
} picture;

static int compare_float(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Black and white at the 1st and 99th percentile of up to a hundred thousand voxels of the first channel. */
static u3d_status window_choose(picture *p)
{
    const int64_t n = u3d_volume_voxels(p->image), step = n / 100000 + 1;
    float *sample = u3d_new((size_t)(n / step + 1), sizeof *sample);
    if (!sample) return U3D_E_NOMEM;
    int64_t count = 0;
    for (int64_t v = 0; v < n; v += step)
        sample[count++] = ((const float *)p->image->data)[v * p->image->channels];
    qsort(sample, (size_t)count, sizeof *sample, compare_float);
    p->black = sample[count / 100];
    p->white = sample[count - 1 - count / 100];
    if (!(p->white > p->black)) p->white = p->black + 1;
    u3d_free(sample);
    return U3D_OK;
}

/* Rank of a label value among those met; -1 for background and unlabeled. */
static int value_rank(const picture *p, int32_t value)
{
    for (int i = 0; i < p->n_values; i++)
        if (p->values[i] == value) return i;
    return -1;
}

static u3d_status values_collect(picture *p)
{
    for (int c = 0; c < p->n_labels; c++) {
        const int32_t *label = p->labels[c]->data;
        const int64_t n = u3d_volume_voxels(p->labels[c]);
        for (int64_t v = 0; v < n; v++) {
            p->sparse |= c == 0 && label[v] == p->unlabeled;
            if (v && label[v] == label[v - 1]) continue;
            int i = 0;
            while (i < p->n_values && p->values[i] < label[v]) i++;
            if ((i < p->n_values && p->values[i] == label[v]) || label[v] == 0 || label[v] == p->unlabeled)
                continue;
            if (p->n_values == 256)
                return u3d_fail(U3D_E_UNSUPPORTED, "u3d picture: more than 256 different labels");
            memmove(p->values + i + 1, p->values + i, (size_t)(p->n_values - i) * sizeof p->values[0]);
            p->values[i] = label[v];
            p->n_values++;
        }
    }
    return U3D_OK;
}

typedef struct plane {  /* what one slice shows */
    int kinds;          /* different labels in the last label file  */
    int64_t foreground; /* its labelled voxels                      */
    int64_t annotated;  /* voxels of the first file with any label  */
    int64_t voxels;
} plane;

/* Slices across the axis at index `through` of size[]: what each shows. */
static plane plane_look(const picture *p, int through, int64_t at)
{
    const u3d_volume *first = p->labels[0], *last = p->labels[p->n_labels - 1];
    const int u = through == 0 ? 1 : 0, v = through == 2 ? 1 : 2;
    bool seen[256] = {false};
    plane look = {0};
    int64_t pos[3];
    pos[through] = at;
    for (pos[u] = 0; pos[u] < last->size[u]; pos[u]++)
        for (pos[v] = 0; pos[v] < last->size[v]; pos[v]++) {
            const int64_t voxel = (pos[0] * last->size[1] + pos[1]) * last->size[2] + pos[2];
            look.voxels++;
            look.annotated += ((const int32_t *)first->data)[voxel] != p->unlabeled;
            const int rank = value_rank(p, ((const int32_t *)last->data)[voxel]);
            if (rank < 0) continue;
            look.foreground++;
            look.kinds += !seen[rank];
            seen[rank] = true;
        }
    return look;
}

/* Best slice of [from, end): not one that was annotated whole, then most kinds of labels, then most of them.
 */
static int64_t slice_choose(const picture *p, int through, int64_t from, int64_t end)
{
    int64_t best_at = (from + end) / 2;
    plane best = {.kinds = -1};
    for (int64_t at = from; at < end; at++) {
        const plane look = plane_look(p, through, at);
        if (p->sparse && 2 * look.annotated > look.voxels) continue;
        if (look.kinds < best.kinds || (look.kinds == best.kinds && look.foreground <= best.foreground))
            continue;
        if (look.kinds == 0) continue;
        best = look;
        best_at = at;
    }
    return best_at;
}

static u3d_status views_choose(picture *p, const int64_t slices[3])
{
    static const int AXES[3][2] = {{1, 0}, {2, 0}, {2, 1}}; /* across x: y to the right, z up; and so on */
    const u3d_volume *v = p->image;
    double longest = 0;
    for (int a = 0; a < 3; a++) longest = fmax(longest, (double)v->size[a] * v->spacing[a]);
    p->views = u3d_new((size_t)(slices[0] + slices[1] + slices[2]) + 1, sizeof *p->views);
    if (!p->views) return U3D_E_NOMEM;
    for (int a = 0; a < 3; a++)
        for (int64_t i = 0; i < slices[a]; i++) {
            view *w = &p->views[p->n_views++];
            *w = (view){.across = AXES[a][0], .down = AXES[a][1], .through = 2 - a};
            const int64_t n = v->size[w->through];
            w->at = slice_choose(p, w->through, i * n / slices[a], (i + 1) * n / slices[a]);
            w->width = (int)lround((double)v->size[w->across] * v->spacing[w->across] / longest * TILE);
            w->height = (int)lround((double)v->size[w->down] * v->spacing[w->down] / longest * TILE);
            w->width = w->width < 8 ? 8 : w->width;
            w->height = w->height < 8 ? 8 : w->height;
        }
    return p->n_views ? U3D_OK : u3d_fail(U3D_E_ARG, "--slices: found none to show");
}

static void pixel(const picture *p, int64_t voxel, const u3d_volume *labels, uint8_t *rgb)
{
    const float value = ((const float *)p->image->data)[voxel * p->image->channels];
    double grey = 255 * fmin(1, fmax(0, (value - p->black) / (p->white - p->black)));
    const int32_t label = labels ? ((const int32_t *)labels->data)[voxel] : 0;
    if (labels && label == p->unlabeled) grey *= 0.4;
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)grey;
    const int rank = labels ? value_rank(p, label) : -1;
    for (int c = 0; rank >= 0 && c < 3; c++)
        rgb[c] = (uint8_t)(0.45 * grey + 0.55 * PALETTE[rank % N_COLOURS][c]);
}

static void view_draw(picture *p, const view *w, const u3d_volume *labels, int left, int top)
{
    const u3d_volume *v = p->image;
    for (int y = 0; y < w->height; y++)
        for (int x = 0; x < w->width; x++) {
            int64_t at[3];
            at[w->through] = w->at;
            at[w->across] = (int64_t)x * v->size[w->across] / w->width;
            at[w->down] = (int64_t)(w->height - 1 - y) * v->size[w->down] / w->height;
            pixel(p, (at[0] * v->size[1] + at[1]) * v->size[2] + at[2], labels,
                  p->rgb + ((int64_t)(top + y) * p->width + left + x) * 3);
        }
}

static u3d_status picture_draw(picture *p)
{
    int column = 0, height = GAP;
    for (int i = 0; i < p->n_views; i++) {
        column = p->views[i].width > column ? p->views[i].width : column;
        height += p->views[i].height + GAP;
    }
    p->width = (column + GAP) * (p->n_labels + 1) + GAP;
    p->height = height;
    p->rgb = u3d_new((size_t)p->width * (size_t)p->height, 3);
    if (!p->rgb) return U3D_E_NOMEM;
    memset(p->rgb, GROUND, (size_t)p->width * (size_t)p->height * 3);
    int top = GAP;
    for (int i = 0; i < p->n_views; top += p->views[i].height + GAP, i++)
        for (int c = 0; c <= p->n_labels; c++)
            view_draw(p, &p->views[i], c ? p->labels[c - 1] : NULL,
                      GAP + c * (column + GAP) + (column - p->views[i].width) / 2, top);
    return U3D_OK;
}

static u3d_status picture_read(const args *a, picture *p)
{
    double off_by;
    if (a->n_rest + 1 > MAX_COLUMNS)
        return u3d_fail(U3D_E_ARG, "u3d picture: found %d label files, expected at most %d", a->n_rest + 1,
                        MAX_COLUMNS);
    U3D_TRY(u3d_nifti_read(a->image, U3D_VOLUME_IMAGE, &p->image));
    for (int i = 0; i <= a->n_rest; i++) {
        const char *path = i == 0 ? a->label : a->rest[i - 1];
        U3D_TRY(u3d_nifti_read(path, U3D_VOLUME_LABEL, &p->labels[i]));
        p->n_labels++;
        U3D_TRY(u3d_volume_same_grid(p->image, a->image, p->labels[i], path, &off_by));
    }
    return U3D_OK;
}

u3d_status cmd_picture(const args *a)
{
    u3d_status status = U3D_OK;
    picture p = {.unlabeled = 255};
    int64_t slices[3] = {1, 1, 1};
    bool given;
    U3D_GO(args_need("picture", "--image FILE", a->image));
    U3D_GO(args_need("picture", "--label FILE", a->label));
    U3D_GO(args_need("picture", "--output PNG", a->output));
    if (a->slices) U3D_GO(args_slices(a->slices, slices));
    if (a->unlabeled) U3D_GO(args_unlabeled(a, &given, &p.unlabeled));
    U3D_GO(args_free_output(a, a->output));
    U3D_GO(picture_read(a, &p));
    U3D_GO(window_choose(&p));
    U3D_GO(values_collect(&p));
    U3D_GO(views_choose(&p, slices));
    U3D_GO(picture_draw(&p));
    U3D_GO(u3d_png_write(a->output, p.rgb, p.width, p.height));
    printf("%s: %d slices, columns: image, %d label file%s\n", a->output, p.n_views, p.n_labels,
           p.n_labels == 1 ? "" : "s");
done:
    u3d_volume_free(p.image);
    for (int i = 0; i < p.n_labels; i++) u3d_volume_free(p.labels[i]);
    u3d_free(p.views);
    u3d_free(p.rgb);
    return status;
}
