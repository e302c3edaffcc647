#include "tools/commands/cubes.h"

#include <string.h>

#include "engine/base/mem.h"

typedef struct box {
    int64_t start[3], size[3]; /* z, y, x */
} box;

/* The labels of a volume's structures, in increasing order. */
typedef struct structures {
    int32_t *label;
    int64_t *voxels;
    int64_t n, cap;
} structures;

static u3d_status structures_grow(structures *s)
{
    const int64_t cap = 2 * s->cap + 16;
    int32_t *label = u3d_resize(s->label, (size_t)s->cap, (size_t)cap, sizeof *label);
    if (label) s->label = label;
    int64_t *voxels = u3d_resize(s->voxels, (size_t)s->cap, (size_t)cap, sizeof *voxels);
    if (voxels) s->voxels = voxels;
    if (!label || !voxels) return U3D_E_NOMEM;
    s->cap = cap;
    return U3D_OK;
}

/* Counts n voxels of a label. */
static u3d_status structures_add(structures *s, int32_t label, int64_t n)
{
    int64_t low = 0, high = s->n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (s->label[middle] < label)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->n || s->label[low] != label) {
        if (s->n == s->cap) U3D_TRY(structures_grow(s));
        memmove(s->label + low + 1, s->label + low, (size_t)(s->n - low) * sizeof *s->label);
        memmove(s->voxels + low + 1, s->voxels + low, (size_t)(s->n - low) * sizeof *s->voxels);
        s->label[low] = label;
        s->voxels[low] = 0;
        s->n++;
    }
    s->voxels[low] += n;
    return U3D_OK;
}

static u3d_status structures_find(const u3d_volume *v, int32_t background, int32_t unlabeled, structures *s)
{
    const int32_t *label = v->data;
    const int64_t n = u3d_volume_voxels(v);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && label[end] == label[i];) end++;
        if (label[i] != background && label[i] != unlabeled) U3D_TRY(structures_add(s, label[i], end - i));
    }
    return U3D_OK;
}

/* Voxel k of a label, counted in the order of the data. */
static int64_t voxel_find(const u3d_volume *v, int32_t label, int64_t k)
{
    const int32_t *value = v->data;
    int64_t i = 0;
    while (value[i] != label || k-- > 0) i++;
    return i;
}

/* A box whose middle is a voxel of a structure, moved into the volume. */
static void box_on_structure(const u3d_volume *v, const structures *s, u3d_rng *r, box *b)
{
    const int64_t which = u3d_rng_below(r, s->n);
    int64_t voxel = voxel_find(v, s->label[which], u3d_rng_below(r, s->voxels[which]));
    for (int a = 2; a >= 0; voxel /= v->size[a--]) {
        const int64_t last = v->size[a] - b->size[a], start = voxel % v->size[a] - b->size[a] / 2;
        b->start[a] = start < 0 ? 0 : start > last ? last : start;
    }
}

static void box_anywhere(const u3d_volume *v, u3d_rng *r, box *b)
{
    for (int a = 0; a < 3; a++) b->start[a] = u3d_rng_below(r, v->size[a] - b->size[a] + 1);
}

static bool overlaps(const box *b, const box *earlier, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        bool apart = false;
        for (int a = 0; a < 3; a++)
            apart |= b->start[a] >= earlier[i].start[a] + earlier[i].size[a] ||
                     earlier[i].start[a] >= b->start[a] + b->size[a];
        if (!apart) return true;
    }
    return false;
}

/* Draws places until one is free. Returns false if none of them was; the last one then stays. */
static bool box_place(const u3d_volume *v, const structures *on, u3d_rng *r, box *boxes, int64_t n)
{
    for (int i = 0; i < CUBES_TRIES; i++) {
        if (on)
            box_on_structure(v, on, r, &boxes[n]);
        else
            box_anywhere(v, r, &boxes[n]);
        if (!overlaps(&boxes[n], boxes, n)) return true;
    }
    return false;
}

static void box_mark(const u3d_volume *v, const box *b, uint8_t *inside)
{
    for (int64_t z = b->start[0]; z < b->start[0] + b->size[0]; z++)
        for (int64_t y = b->start[1]; y < b->start[1] + b->size[1]; y++)
            memset(inside + (z * v->size[1] + y) * v->size[2] + b->start[2], 1, (size_t)b->size[2]);
}

/* Sets the voxels outside to `unlabeled` and returns how many others have a label. */
static int64_t outside_clear(u3d_volume *v, const uint8_t *inside, int32_t unlabeled)
{
    int32_t *label = v->data;
    int64_t kept = 0;
    for (int64_t i = u3d_volume_voxels(v); i-- > 0;) {
        if (!inside[i]) label[i] = unlabeled;
        kept += label[i] != unlabeled;
    }
    return kept;
}

/* How many cubes the next volume gets. */
static int64_t share_of_next(const cubes *c)
{
    return (c->wanted - c->placed + c->volumes_left - 1) / c->volumes_left;
}

u3d_status cubes_keep(u3d_volume *label, cubes *c, int32_t unlabeled, u3d_rng *r, int64_t *kept)
{
    u3d_status status = U3D_OK;
    cubes after = *c;
    structures on = {0};
    const int64_t n = share_of_next(c);
    uint8_t *inside = u3d_new((size_t)u3d_volume_voxels(label), sizeof *inside);
    box *boxes = u3d_new((size_t)n, sizeof *boxes);
    if (!inside || !boxes) U3D_GO(U3D_E_NOMEM);
    if (n) U3D_GO(structures_find(label, c->background, unlabeled, &on));
    for (int64_t i = 0; i < n; i++) {
        bool on_structure = on.n && 2 * after.on_structures <= after.placed;
        for (int a = 0; a < 3; a++)
            boxes[i].size[a] = c->size[a] < label->size[a] ? c->size[a] : label->size[a];
        on_structure = on_structure && box_place(label, &on, r, boxes, i);
        after.overlapping += !on_structure && !box_place(label, NULL, r, boxes, i);
        after.on_structures += on_structure;
        after.placed++;
        box_mark(label, &boxes[i], inside);
    }
    *kept = outside_clear(label, inside, unlabeled);
    after.volumes += n > 0;
    *c = after;
done:
    u3d_free(inside);
    u3d_free(boxes);
    u3d_free(on.label);
    u3d_free(on.voxels);
    return status;
}
