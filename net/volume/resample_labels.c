/* Resampling of classes: resample.h says which voxels of the result are labelled and how their class is
 * chosen.
 *
 * For every axis there is a table with one label_span per voxel of the result. The cells in it are
 * computed with integers, so that rounding cannot put the centre of an input voxel into two cells or into
 * none. */
#include "net/volume/resample_impl.h"

#include <string.h>

#include "engine/base/mem.h"
#include "net/volume/labels.h"

typedef struct label_span {
    int64_t near;          /* input voxel nearest to the centre, the lower one of two equals         */
    int64_t cell, n_cell;  /* input voxels whose centres lie in this voxel; `near` if there are none */
    int64_t first, n_taps; /* input voxels with a weight                                             */
    const float *weight;   /* [n_taps]                                                               */
} label_span;

typedef struct label_axis {
    label_span *span; /* [n_out] */
    float *weight;
} label_axis;

/* First input voxel whose centre is not below the lower edge of voxel o of the result:
 * ceil(o n_in / n_out - 1/2). */
static int64_t cell_begin(int64_t o, int64_t n_in, int64_t n_out)
{
    const int64_t above = 2 * o * n_in - n_out, below = 2 * n_out;
    return above <= 0 ? 0 : (above + below - 1) / below;
}

static u3d_status axis_make(int64_t n_in, int64_t n_out, label_axis *axis)
{
    const double half = fmax(1, 0.5 + 0.5 * (double)n_in / (double)n_out);
    const int64_t most = 2 * (int64_t)ceil(half) + 1;
    axis->span = u3d_new((size_t)n_out, sizeof *axis->span);
    axis->weight = u3d_new((size_t)n_out, (size_t)most * sizeof *axis->weight);
    if (!axis->span || !axis->weight) return U3D_E_NOMEM;
    for (int64_t o = 0; o < n_out; o++) {
        label_span *s = &axis->span[o];
        float *weight = axis->weight + o * most;
        const double c = u3d_resample_centre(o, n_in, n_out);
        s->near = (int64_t)fmin(fmax(ceil(c - 0.5), 0), (double)(n_in - 1));
        s->cell = cell_begin(o, n_in, n_out);
        s->n_cell = cell_begin(o + 1, n_in, n_out) - s->cell;
        if (s->n_cell < 1) {
            s->cell = s->near;
            s->n_cell = 1;
        }
        s->first = (int64_t)fmax(floor(c - half) + 1, 0);
        s->weight = weight;
        for (int64_t k = s->first; k < n_in && (double)k < c + half; k++)
            weight[s->n_taps++] = (float)(1 - fabs((double)k - c) / half);
    }
    return U3D_OK;
}

static void axis_done(label_axis *axis)
{
    u3d_free(axis->span);
    u3d_free(axis->weight);
}

/* Whether a labelled voxel lies in the cell of the three spans. */
static bool cell_is_labelled(const uint8_t *in, const int64_t size[3], const label_span *s[3])
{
    for (int64_t z = s[0]->cell; z < s[0]->cell + s[0]->n_cell; z++)
        for (int64_t y = s[1]->cell; y < s[1]->cell + s[1]->n_cell; y++)
            for (int64_t x = s[2]->cell; x < s[2]->cell + s[2]->n_cell; x++)
                if (in[(z * size[1] + y) * size[2] + x] != U3D_UNLABELED) return true;
    return false;
}

static const uint8_t *taps_row(const uint8_t *in, const int64_t size[3], const label_span *s[3], int64_t z,
                               int64_t y)
{
    return in + ((s[0]->first + z) * size[1] + s[1]->first + y) * size[2] + s[2]->first;
}

/* Finds the lowest and the highest class among the labelled voxels of the three spans. There is at least
 * one such voxel. */
static void taps_range(const uint8_t *in, const int64_t size[3], const label_span *s[3], int *lowest,
                       int *highest)
{
    *lowest = U3D_UNLABELED;
    *highest = -1;
    for (int64_t z = 0; z < s[0]->n_taps; z++)
        for (int64_t y = 0; y < s[1]->n_taps; y++) {
            const uint8_t *row = taps_row(in, size, s, z, y);
            for (int64_t x = 0; x < s[2]->n_taps; x++) {
                if (row[x] == U3D_UNLABELED) continue;
                if (row[x] < *lowest) *lowest = row[x];
                if (row[x] > *highest) *highest = row[x];
            }
        }
    U3D_ASSERT(*highest >= 0, "no labelled voxel near %lld", (long long)s[0]->near);
}

/* Class with the largest weight of the three spans. */
static uint8_t taps_class(const uint8_t *in, const int64_t size[3], const label_span *s[3], uint8_t near)
{
    float sum[U3D_UNLABELED];
    int lowest, highest, best;
    taps_range(in, size, s, &lowest, &highest);
    if (lowest == highest) return (uint8_t)lowest; /* true nearly everywhere */
    for (int k = lowest; k <= highest; k++) sum[k] = 0;
    for (int64_t z = 0; z < s[0]->n_taps; z++)
        for (int64_t y = 0; y < s[1]->n_taps; y++) {
            const uint8_t *row = taps_row(in, size, s, z, y);
            const float w = s[0]->weight[z] * s[1]->weight[y];
            for (int64_t x = 0; x < s[2]->n_taps; x++)
                if (row[x] != U3D_UNLABELED) sum[row[x]] += w * s[2]->weight[x];
        }
    best = lowest;
    for (int k = lowest; k <= highest; k++)
        if (sum[k] > sum[best]) best = k;
    return near != U3D_UNLABELED && sum[near] == sum[best] ? near : (uint8_t)best;
}

static void labels_fill(const uint8_t *in, const int64_t size[3], const label_axis axis[3],
                        const int64_t out[3], uint8_t *to)
{
    const label_span *s[3];
    for (int64_t z = 0; z < out[0]; z++)
        for (int64_t y = 0; y < out[1]; y++)
            for (int64_t x = 0; x < out[2]; x++) {
                s[0] = &axis[0].span[z];
                s[1] = &axis[1].span[y];
                s[2] = &axis[2].span[x];
                const uint8_t near = in[(s[0]->near * size[1] + s[1]->near) * size[2] + s[2]->near];
                const bool labelled = near != U3D_UNLABELED || cell_is_labelled(in, size, s);
                *to++ = labelled ? taps_class(in, size, s, near) : (uint8_t)U3D_UNLABELED;
            }
}

u3d_status u3d_resample_labels_to(u3d_volume *v, const int64_t out[3])
{
    label_axis axis[3] = {{0}};
    u3d_status status = U3D_OK;
    uint8_t *data = NULL;
    U3D_ASSERT(v->dtype == U3D_U8 && v->channels == 1, "dtype %d, %d channels", (int)v->dtype,
               (int)v->channels);
    if (memcmp(v->size, out, sizeof v->size) == 0) return U3D_OK;
    int64_t elements;
    uint64_t bytes;
    const u3d_type type = u3d_type_of(U3D_U8, 3, out);
    U3D_GO(u3d_type_count(&type, &elements, &bytes));
    for (int a = 0; a < 3; a++) U3D_GO(axis_make(v->size[a], out[a], &axis[a]));
    data = u3d_new_uninit((size_t)elements, 1);
    if (!data) U3D_GO(U3D_E_NOMEM);
    labels_fill(v->data, v->size, axis, out, data);
    u3d_free(v->data);
    v->data = data;
    u3d_resample_header(v, out);
done:
    for (int a = 0; a < 3; a++) axis_done(&axis[a]);
    return status;
}
