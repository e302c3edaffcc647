/* Stations 5 and 6 of prediction: weighted mean of overlapping tiles, reduced to labels slab by slab, so that
 * memory grows with the height of a tile times the volume's plane times the labels, not with the volume. */
#ifndef U3D_NET_STITCH_H
#define U3D_NET_STITCH_H

#include "net/volume/resample.h"
#include "net/volume/tiling.h"

typedef struct u3d_stitch_opts {
    int64_t volume[3], net_out[3];
    int32_t labels;
    bool gaussian;                /* weights: sigma = size/8 per axis, centre 1, zeros lifted (nnU-Net); else 1 */
    const u3d_tile *tiles;        /* sorted as u3d_tiling_make does: tells which slabs are complete */
    int n_tiles;
    u3d_volume *probabilities;    /* NULL, or f32 volume with `labels` channels to be filled */
    u3d_planes_back *back;        /* NULL, or who takes finished planes to another grid, classes and all; borrowed */
} u3d_stitch_opts;

typedef struct u3d_stitch u3d_stitch;
/* `classes`: u8 volume to be filled, borrowed; NULL where o->back fills its own. */
u3d_status u3d_stitch_new(const u3d_stitch_opts *o, u3d_volume *classes, u3d_stitch **out);
void u3d_stitch_free(u3d_stitch *s);
uint64_t u3d_stitch_bytes(const u3d_stitch_opts *o);
/* Tile number i (in order), probability [d,h,w,K]; planes that no later tile touches are reduced and let go. */
u3d_status u3d_stitch_add(u3d_stitch *s, int i, const float *probability);
/* All tiles added: reduce what is left. U3D_E_NUMERIC if a probability was not finite. */
u3d_status u3d_stitch_finish(u3d_stitch *s);

#endif
