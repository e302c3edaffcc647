/* Stations 5 and 6 of prediction; before: probabilities of tiles, in tile order; after: every voxel has a
 * class.
 *
 * Tiles come sorted by z. Once a tile starts at plane z, no later tile touches planes below z. So a ring of
 * as many planes as one tile is high holds all planes that are not complete yet:
 *
 *     plane z lives in slot z % n_slots:  sum f32 [n_slots, H, W, K],  weight f32 [n_slots, H, W]
 *
 * Sums are taken in tile order, so results do not depend on memory or threads.
 *
 * A complete plane either becomes classes here (station 6), or, if the volume was resampled, its
 * probabilities go on to net/volume/resample_planes.c (station 5b), which resamples them to the input's own
 * grid first. */
#include "net/predict/stitch.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"

struct u3d_stitch {
    u3d_stitch_opts o;
    u3d_volume *classes;
    int64_t n_slots, next; /* planes below `next` are reduced */
    float *sum, *weight;
    float *profile[3]; /* tile weight = product of one profile per axis */
    bool bad;          /* a probability was not finite */
};

static int64_t slot_count(const u3d_stitch_opts *o)
{
    return o->net_out[0] < o->volume[0] ? o->net_out[0] : o->volume[0];
}

uint64_t u3d_stitch_bytes(const u3d_stitch_opts *o)
{
    return (uint64_t)(slot_count(o) * o->volume[1] * o->volume[2] * (o->labels + 1)) * sizeof(float);
}

/* Gaussian with sigma = n/8 about the middle and largest value 1, as in nnU-Net v2 (compute_gaussian).
 * nnU-Net also replaces weights that round to zero by the smallest other weight. That is not needed here: the
 * ends of a profile are at most 4 sigma from the middle, where it is exp(-8) = 3.4e-4, and the bound 1e-4 is
 * never reached. */
static void profile_fill(float *w, int64_t n, bool gaussian)
{
    double sigma = (double)n / 8.0, middle = (double)(n / 2);
    for (int64_t i = 0; i < n; i++) {
        double d = ((double)i - middle) / sigma;
        w[i] = gaussian ? (float)fmax(exp(-0.5 * d * d), 1e-4) : 1.0f;
    }
}

u3d_status u3d_stitch_new(const u3d_stitch_opts *o, u3d_volume *classes, u3d_stitch **out)
{
    *out = NULL;
    u3d_stitch *s = u3d_new(1, sizeof *s);
    if (!s) return U3D_E_NOMEM;
    s->o = *o;
    s->classes = classes;
    s->n_slots = slot_count(o);
    size_t plane = (size_t)(o->volume[1] * o->volume[2]);
    s->sum = u3d_new((size_t)s->n_slots * plane, (size_t)o->labels * sizeof(float));
    s->weight = u3d_new((size_t)s->n_slots * plane, sizeof(float));
    bool ok = s->sum && s->weight;
    for (int a = 0; a < 3; a++) {
        s->profile[a] = u3d_new((size_t)o->net_out[a], sizeof(float));
        ok = ok && s->profile[a];
        if (s->profile[a]) profile_fill(s->profile[a], o->net_out[a], o->gaussian);
    }
    if (!ok) {
        u3d_stitch_free(s);
        return U3D_E_NOMEM;
    }
    *out = s;
    return U3D_OK;
}

void u3d_stitch_free(u3d_stitch *s)
{
    if (!s) return;
    for (int a = 0; a < 3; a++) u3d_free(s->profile[a]);
    u3d_free(s->sum);
    u3d_free(s->weight);
    u3d_free(s);
}

/* Turns the sums of one plane into mean probabilities, in place, and passes them on to be resampled. */
static void plane_pass_on(u3d_stitch *s, float *sum, const float *weight)
{
    const int64_t plane = s->o.volume[1] * s->o.volume[2];
    const int32_t n_labels = s->o.labels;
    for (int64_t v = 0; v < plane; v++)
        for (int32_t k = 0; k < n_labels; k++) {
            sum[v * n_labels + k] /= weight[v];
            if (!isfinite(sum[v * n_labels + k])) s->bad = true;
        }
    u3d_planes_back_add(s->o.back, sum);
}

/* Classes of one plane by arg max (the first of equals wins), and its probabilities if they are kept. */
static void plane_label(u3d_stitch *s, int64_t z, const float *sum, const float *weight)
{
    const int64_t plane = s->o.volume[1] * s->o.volume[2];
    const int32_t n_labels = s->o.labels;
    uint8_t *classes = (uint8_t *)s->classes->data + z * plane;
    float *kept = s->o.probabilities ? (float *)s->o.probabilities->data + z * plane * n_labels : NULL;
    for (int64_t v = 0; v < plane; v++) {
        const float *p = sum + v * n_labels;
        float total = 0;
        int32_t best = 0;
        for (int32_t k = 0; k < n_labels; k++) {
            total += p[k];
            if (p[k] > p[best]) best = k;
        }
        if (!isfinite(total)) s->bad = true;
        classes[v] = (uint8_t)best;
        if (kept)
            for (int32_t k = 0; k < n_labels; k++) kept[v * n_labels + k] = p[k] / weight[v];
    }
}

/* Reduces a complete plane and clears its slot for a later plane. */
static void plane_reduce(u3d_stitch *s, int64_t z)
{
    const int32_t n_labels = s->o.labels;
    const int64_t plane = s->o.volume[1] * s->o.volume[2], slot = z % s->n_slots;
    float *sum = s->sum + slot * plane * n_labels, *weight = s->weight + slot * plane;
    if (s->o.back)
        plane_pass_on(s, sum, weight);
    else
        plane_label(s, z, sum, weight);
    memset(sum, 0, (size_t)(plane * n_labels) * sizeof *sum);
    memset(weight, 0, (size_t)plane * sizeof *weight);
}

static void reduce_below(u3d_stitch *s, int64_t z)
{
    for (; s->next < z && s->next < s->o.volume[0]; s->next++) plane_reduce(s, s->next);
}

/* Adds one row of a tile along x: sum += w p, weight += w, for the voxels that lie inside the volume. */
static void row_add(u3d_stitch *s, int64_t slot, int64_t y, const u3d_box *box, const float *p, float w_zy)
{
    const int32_t n_labels = s->o.labels;
    const int64_t width = s->o.volume[2];
    const int64_t from = box->start[2] < 0 ? -box->start[2] : 0;
    const int64_t end = box->start[2] + box->size[2] > width ? width - box->start[2] : box->size[2];
    for (int64_t x = from; x < end; x++) {
        const int64_t v = (slot * s->o.volume[1] + y) * width + box->start[2] + x;
        const float w = w_zy * s->profile[2][x];
        for (int32_t k = 0; k < n_labels; k++) s->sum[v * n_labels + k] += w * p[x * n_labels + k];
        s->weight[v] += w;
    }
}

u3d_status u3d_stitch_add(u3d_stitch *s, int i, const float *probability)
{
    U3D_ASSERT(i >= 0 && i < s->o.n_tiles, "tile %d of %d", i, s->o.n_tiles);
    const u3d_box *box = &s->o.tiles[i].out;
    reduce_below(s, box->start[0]);
    for (int64_t z = 0; z < box->size[0]; z++) {
        const int64_t vz = box->start[0] + z;
        if (vz < 0 || vz >= s->o.volume[0]) continue;
        for (int64_t y = 0; y < box->size[1]; y++) {
            const int64_t vy = box->start[1] + y;
            if (vy < 0 || vy >= s->o.volume[1]) continue;
            row_add(s, vz % s->n_slots, vy, box,
                    probability + (z * box->size[1] + y) * box->size[2] * s->o.labels,
                    s->profile[0][z] * s->profile[1][y]);
        }
    }
    return U3D_OK;
}

u3d_status u3d_stitch_finish(u3d_stitch *s)
{
    reduce_below(s, s->o.volume[0]);
    if (s->bad)
        return u3d_fail(U3D_E_NUMERIC,
                        "predicting: the network's probabilities are not finite; its weights are damaged");
    return U3D_OK;
}
