/* Stations 5 and 6 of prediction: the weighted mean of overlapping tiles, reduced to labels plane by plane,
 * so that memory grows with height of a tile * size of a plane * labels, and not with the volume. */
#ifndef U3D_NET_STITCH_H
#define U3D_NET_STITCH_H

#include "net/volume/resample.h"
#include "net/volume/tiling.h"

typedef struct u3d_stitch_opts {
    int64_t volume[3], net_out[3]; /* size of the volume and of a tile's output, z, y, x */
    int32_t labels;
    bool gaussian;         /* weights of a tile's voxels: Gaussian, sigma = size/8 per axis; otherwise 1 */
    const u3d_tile *tiles; /* sorted by u3d_tiling_make; the order tells which planes are complete       */
    int n_tiles;
    u3d_volume *probabilities; /* NULL, or f32 volume with `labels` channels to be filled */
    u3d_planes_back *back;     /* NULL, or it resamples complete planes and fills the classes; borrowed */
} u3d_stitch_opts;

typedef struct u3d_stitch u3d_stitch;
/* `classes`: u8 volume to be filled, borrowed; NULL if o->back fills the classes. */
u3d_status u3d_stitch_new(const u3d_stitch_opts *o, u3d_volume *classes, u3d_stitch **out);
void u3d_stitch_free(u3d_stitch *s);
uint64_t u3d_stitch_bytes(const u3d_stitch_opts *o);
/* Adds tile number i, probability [d,h,w,K]. Tiles must come in order; planes that no later tile touches are
 * reduced to labels and their memory is used again. */
u3d_status u3d_stitch_add(u3d_stitch *s, int i, const float *probability);
/* Reduces the planes that are left, after all tiles were added. U3D_E_NUMERIC: a probability was not
 * finite. */
u3d_status u3d_stitch_finish(u3d_stitch *s);

#endif
