/* Reads the volume at the positions of a map: images with linear or cubic interpolation, labels from the
 * nearest voxel.
 *
 * Positions are float offsets from a whole voxel near the middle of the patch, so that their precision does
 * not depend on where in the volume the patch lies. */
#include <math.h>
#include <string.h>

#include "net/sample/warp_impl.h"

typedef struct warp_source {
    const void *data;
    int64_t size[3];
    int64_t middle[3]; /* whole voxel from which positions are counted              */
    float rest[3];     /* distance from that voxel to the middle of the box, 0 or 1/2 */
    int channels;
    u3d_border border;
} warp_source;

static warp_source warp_open(const u3d_volume *v, const u3d_box *box, u3d_border border)
{
    warp_source s = {.data = v->data, .channels = v->channels, .border = border};
    for (int a = 0; a < 3; a++) {
        s.size[a] = v->size[a];
        s.middle[a] = box->start[a] + (box->size[a] - 1) / 2;
        s.rest[a] = (box->size[a] - 1) % 2 ? 0.5F : 0;
    }
    return s;
}

/* floor without a function call; the default target has no instruction for it. */
static inline int64_t warp_floor(float f)
{
    const int32_t i = (int32_t)f;
    return i - (f < (float)i);
}

/* Index from which voxel i of an axis is read; -1 if the voxel counts as zero. The first mirroring is tried
 * without u3d_mirror_index, because most voxels outside of the volume need no more. */
static inline int64_t warp_border_index(const warp_source *s, int axis, int64_t i)
{
    const int64_t n = s->size[axis];
    if (i >= 0 && i < n) return i;
    if (s->border != U3D_BORDER_MIRROR) return -1;
    const int64_t once = i < 0 ? -i : 2 * (n - 1) - i;
    return once >= 0 && once < n ? once : u3d_mirror_index(i, n);
}

/* Sets *first to the index from which voxel i is read. Returns the distance from there to the index for voxel
 * i + 1, or 0 if voxel i + 1 has no weight and therefore need not exist. */
static inline int64_t warp_border_step(const warp_source *s, int axis, int64_t i, float weight,
                                       int64_t *first)
{
    *first = warp_border_index(s, axis, i);
    return weight > 0 ? warp_border_index(s, axis, i + 1) - *first : 0;
}

/* Weighted sum over taps^3 neighbours, of which first[] is the lowest. Neighbours outside of a zero border
 * count as 0. */
static inline __attribute__((always_inline)) void
warp_sum(const warp_source *s, const int64_t first[3], float weight[3][4], int taps, int channels, float *out)
{
    const int64_t step[3] = {s->size[1] * s->size[2] * channels, s->size[2] * channels, channels};
    int64_t offset[3][4];
    for (int a = 0; a < 3; a++)
        for (int k = 0; k < taps; k++) {
            const int64_t i = warp_border_index(s, a, first[a] + k);
            if (i < 0) weight[a][k] = 0;
            offset[a][k] = i < 0 ? 0 : i * step[a];
        }
    for (int c = 0; c < channels; c++) out[c] = 0;
    for (int z = 0; z < taps; z++)
        for (int y = 0; y < taps; y++) {
            const float *row = (const float *)s->data + offset[0][z] + offset[1][y];
            const float w = weight[0][z] * weight[1][y];
            if (w == 0) continue;
            for (int c = 0; c < channels; c++) {
                float sum = 0;
                for (int x = 0; x < taps; x++) sum += weight[2][x] * row[offset[2][x] + c];
                out[c] += w * sum;
            }
        }
}

/* Linear interpolation of n voxels of `channels` values. A neighbour of weight 0 need not exist, so that the
 * last plane, row and column are read without the slower code for borders. */
static inline __attribute__((always_inline)) void warp_linear(const warp_source *s, float *const coord[3],
                                                              int64_t n, int channels, float *out)
{
    const float *data = s->data;
    const int64_t row = s->size[2] * channels, plane = s->size[1] * row;
    for (int64_t i = 0; i < n; i++, out += channels) {
        const float fz = coord[0][i] + s->rest[0], fy = coord[1][i] + s->rest[1],
                    fx = coord[2][i] + s->rest[2];
        const int64_t iz = warp_floor(fz), iy = warp_floor(fy), ix = warp_floor(fx);
        const float wz = fz - (float)iz, wy = fy - (float)iy, wx = fx - (float)ix;
        int64_t z = iz + s->middle[0], y = iy + s->middle[1], x = ix + s->middle[2];
        int64_t dz = wz > 0, dy = wy > 0, dx = wx > 0; /* step to the next voxel, 0 if it has no weight */
        if (z < 0 || z + dz >= s->size[0] || y < 0 || y + dy >= s->size[1] || x < 0 || x + dx >= s->size[2]) {
            if (s->border == U3D_BORDER_ZERO) {
                float weight[3][4] = {{1 - wz, wz}, {1 - wy, wy}, {1 - wx, wx}};
                warp_sum(s, (const int64_t[]){z, y, x}, weight, 2, channels, out);
                continue;
            }
            dz = warp_border_step(s, 0, z, wz, &z);
            dy = warp_border_step(s, 1, y, wy, &y);
            dx = warp_border_step(s, 2, x, wx, &x);
        }
        dz *= plane;
        dy *= row;
        dx *= channels;
        const float *p = data + z * plane + y * row + x * channels;
        for (int c = 0; c < channels; c++, p++) {
            const float a = p[0] + wx * (p[dx] - p[0]), b = p[dy] + wx * (p[dy + dx] - p[dy]);
            const float e = p[dz] + wx * (p[dz + dx] - p[dz]),
                        f = p[dz + dy] + wx * (p[dz + dy + dx] - p[dz + dy]);
            const float near = a + wy * (b - a), far = e + wy * (f - e);
            out[c] = near + wz * (far - near);
        }
    }
}

/* Keys' kernel with a = -1/2, which is exact for polynomials of degree 2. */
static inline void warp_cubic_weights(float t, float w[4])
{
    w[0] = t * (-0.5F + t * (1 - 0.5F * t));
    w[1] = 1 + t * t * (-2.5F + 1.5F * t);
    w[2] = t * (0.5F + t * (2 - 1.5F * t));
    w[3] = t * t * (-0.5F + 0.5F * t);
}

static inline __attribute__((always_inline)) void warp_cubic(const warp_source *s, float *const coord[3],
                                                             int64_t n, int channels, float *out)
{
    for (int64_t i = 0; i < n; i++, out += channels) {
        int64_t first[3];
        float weight[3][4];
        for (int a = 0; a < 3; a++) {
            const float f = coord[a][i] + s->rest[a];
            const int64_t at = warp_floor(f);
            warp_cubic_weights(f - (float)at, weight[a]);
            first[a] = at + s->middle[a] - 1;
        }
        warp_sum(s, first, weight, 4, channels, out);
    }
}

/* One and three channels, the most frequent numbers, get loops of their own. */
static void warp_image_row(const u3d_warp *w, const warp_source *s, float *const coord[3], int64_t n,
                           float *out)
{
    if (w->cubic) {
        if (s->channels == 1)
            warp_cubic(s, coord, n, 1, out);
        else if (s->channels == 3)
            warp_cubic(s, coord, n, 3, out);
        else
            warp_cubic(s, coord, n, s->channels, out);
    } else {
        if (s->channels == 1)
            warp_linear(s, coord, n, 1, out);
        else if (s->channels == 3)
            warp_linear(s, coord, n, 3, out);
        else
            warp_linear(s, coord, n, s->channels, out);
    }
}

void u3d_warp_image(u3d_warp *w, const u3d_volume *image, const u3d_box *box, u3d_border border, float *out)
{
    const warp_source s = warp_open(image, box, border);
    U3D_ASSERT(image->dtype == U3D_F32, "dtype %d", (int)image->dtype);
    for (int64_t z = 0; z < box->size[0]; z++)
        for (int64_t y = 0; y < box->size[1]; y++, out += box->size[2] * s.channels) {
            float *coord[3];
            u3d_warp_row(w, z, y, 0, box->size[2], coord);
            warp_image_row(w, &s, coord, box->size[2], out);
        }
}

static void warp_label_row(const warp_source *s, float *const coord[3], int64_t n, uint8_t *out)
{
    const uint8_t *data = s->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t at[3];
        for (int a = 0; a < 3; a++)
            at[a] = warp_border_index(s, a, warp_floor(coord[a][i] + s->rest[a] + 0.5F) + s->middle[a]);
        out[i] = at[0] < 0 || at[1] < 0 || at[2] < 0
                     ? U3D_UNLABELED
                     : data[(at[0] * s->size[1] + at[1]) * s->size[2] + at[2]];
    }
}

void u3d_warp_label(u3d_warp *w, const u3d_volume *label, const u3d_box *box, const int64_t size[3],
                    u3d_border border, uint8_t *out)
{
    const warp_source s = warp_open(label, box, border);
    U3D_ASSERT(label->dtype == U3D_U8 && label->channels == 1, "dtype %d, %d channels", (int)label->dtype,
               (int)label->channels);
    int64_t first[3];
    for (int a = 0; a < 3; a++) first[a] = (box->size[a] - size[a]) / 2;
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++, out += size[2]) {
            float *coord[3];
            u3d_warp_row(w, first[0] + z, first[1] + y, first[2], size[2], coord);
            warp_label_row(&s, coord, size[2], out);
        }
}
