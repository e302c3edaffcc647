/* Stations 3, 4 and 4b for one sample: chosen, cut or resampled, changed. What the network sees. */
#ifndef U3D_NET_SAMPLE_H
#define U3D_NET_SAMPLE_H

#include "net/sample/augment.h"
#include "net/sample/choose.h"
#include "net/volume/patch.h"

/* How patches are chosen and cut for a network of these input and output sizes: outside of a volume valid
 * networks see it mirrored, same-padded ones zero; those roam where labels are sparse. */
u3d_patch_opts u3d_sample_patch_opts(const u3d_config *c, const u3d_cases *cases, const int64_t in[3],
                                     const int64_t out[3]);

/* One worker's memory; nothing is allocated per sample. */
typedef struct u3d_sampler u3d_sampler;
u3d_status u3d_sampler_new(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels,
                           u3d_sampler **out);
void u3d_sampler_free(u3d_sampler *s);
uint64_t u3d_sampler_bytes(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels);

/* Sample k: image [D,H,W,C] and label [d,h,w]. Where it was cut in *case_index and *box (NULL: not asked).
 * Depends on (seed, k) only; the settings are those that the sampler was made for. A sample that draws no
 * resampling is cut as it is, bit for bit. */
u3d_status u3d_sampler_fill(u3d_sampler *s, u3d_cases *cases, uint64_t seed, int64_t k, float *image,
                            uint8_t *label, int *case_index, u3d_box *box);

#endif
