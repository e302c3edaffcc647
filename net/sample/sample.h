/* Stations 3, 4 and 4b of training for one sample: it is chosen, cut or resampled, and changed at random. The
 * result is what the network sees. */
#ifndef U3D_NET_SAMPLE_H
#define U3D_NET_SAMPLE_H

#include "net/sample/augment.h"
#include "net/sample/choose.h"
#include "net/volume/patch.h"

/* How patches are chosen and cut for a network of these input and output sizes. Outside of a volume, valid
 * networks see the volume mirrored and same-padded networks see zeros. Boxes of same-padded networks roam if
 * labels are sparse. */
u3d_patch_opts u3d_sample_patch_opts(const u3d_config *c, const u3d_cases *cases, const int64_t in[3],
                                     const int64_t out[3]);

/* One worker's memory; nothing is allocated per sample. */
typedef struct u3d_sampler u3d_sampler;
u3d_status u3d_sampler_new(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels,
                           u3d_sampler **out);
void u3d_sampler_free(u3d_sampler *s);
uint64_t u3d_sampler_bytes(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels);

/* Makes sample k: image [D,H,W,C], label [d,h,w] and, unless it is NULL, pseudo [d,h,w]: the label, and the
 * pseudo-label of voxels without one (u3d_cases_pseudo). *case_index and *box receive where it was cut; both
 * may be NULL. Depends only on (seed, k) and the options that the sampler was made with. If no rotation,
 * scaling or deformation is drawn for a sample, its voxels are copied from the volume without interpolation.
 */
u3d_status u3d_sampler_fill(u3d_sampler *s, u3d_cases *cases, uint64_t seed, int64_t k, float *image,
                            uint8_t *label, uint8_t *pseudo, int *case_index, u3d_box *box);

#endif
