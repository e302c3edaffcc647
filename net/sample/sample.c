/* Stations 3, 4 and 4b of training; before: cases and a sample number; after: image and label as the network
 * gets them.
 *
 *   u3d_patch_choose      station 3: case and box
 *   u3d_warp_shift        moves the box at random (setting `translation`)
 *   sample_read           station 4: one pass through the volume, either resampled (warp.h), or cut
 *                         (net/volume/patch.h) and then flipped and turned (augment.h)
 *   u3d_grey_apply        station 4b: grey values (grey.h) */
#include "net/sample/sample.h"

#include <string.h>

#include "engine/base/mem.h"
#include "net/sample/grey.h"
#include "net/sample/warp.h"

struct u3d_sampler {
    u3d_patch_opts patch;
    u3d_augment augment;
    int32_t channels;
    u3d_warp *warp; /* NULL if no sample is ever resampled                */
    void *work;     /* used by u3d_augment_apply, then by u3d_grey_apply  */
};

u3d_patch_opts u3d_sample_patch_opts(const u3d_config *c, const u3d_cases *cases, const int64_t in[3],
                                     const int64_t out[3])
{
    u3d_patch_opts p = {.foreground_share = c->foreground_share,
                        .border = c->padding == U3D_PAD_VALID ? U3D_BORDER_MIRROR : U3D_BORDER_ZERO,
                        .roam = c->padding == U3D_PAD_SAME && u3d_cases_facts(cases)->sparse,
                        .pseudo = c->pseudo_labels == U3D_SWITCH_ON};
    memcpy(p.in, in, sizeof p.in);
    memcpy(p.out, out, sizeof p.out);
    return p;
}

static int64_t sample_voxels(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

static uint64_t sample_work_bytes(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels)
{
    uint64_t bytes = (uint64_t)sample_voxels(p->in) * (uint64_t)channels * sizeof(float);
    const uint64_t label = (uint64_t)sample_voxels(p->out), grey = u3d_grey_bytes(a, p->in, channels);
    if (label > bytes) bytes = label;
    return grey > bytes ? grey : bytes;
}

uint64_t u3d_sampler_bytes(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels)
{
    return sample_work_bytes(p, a, channels) + u3d_warp_bytes(a, p->in);
}

u3d_status u3d_sampler_new(const u3d_patch_opts *p, const u3d_augment *a, int32_t channels, u3d_sampler **out)
{
    *out = NULL;
    u3d_sampler *s = u3d_new(1, sizeof *s);
    if (!s) return U3D_E_NOMEM;
    s->patch = *p;
    s->augment = *a;
    s->channels = channels;
    s->work = u3d_new_uninit((size_t)sample_work_bytes(p, a, channels), 1);
    u3d_status status = s->work ? u3d_warp_new(a, p->in, &s->warp) : U3D_E_NOMEM;
    if (status == U3D_OK)
        *out = s;
    else
        u3d_sampler_free(s);
    return status;
}

void u3d_sampler_free(u3d_sampler *s)
{
    if (!s) return;
    u3d_warp_free(s->warp);
    u3d_free(s->work);
    u3d_free(s);
}

/* What a sample is made of, and where its parts go. */
typedef struct source {
    const u3d_volume *image, *label, *pseudo; /* pseudo: NULL if the case has no pseudo-labels */
    float *to_image;
    uint8_t *to_label, *to_pseudo; /* to_pseudo: NULL if none are wanted */
} source;

/* The labels win, and unlabelled voxels of the sample get the pseudo-label. */
static void join_labels(const u3d_patch_opts *p, const source *from)
{
    const int64_t n = sample_voxels(p->out);
    if (!from->pseudo) {
        memcpy(from->to_pseudo, from->to_label, (size_t)n);
        return;
    }
    for (int64_t v = 0; v < n; v++)
        if (from->to_label[v] != U3D_UNLABELED) from->to_pseudo[v] = from->to_label[v];
}

/* Station 4, with the flips and turns of station 4b. Each volume is read in a single pass, no matter which
 * changes were drawn. */
static void sample_read(u3d_sampler *s, const source *from, const double spacing[3], uint64_t seed, int64_t k,
                        const int64_t voxel[3], u3d_box *in)
{
    const u3d_patch_opts *p = &s->patch;
    const u3d_volume *pseudo = from->to_pseudo ? from->pseudo : NULL;
    u3d_warp_draw draw;
    if (s->warp && u3d_warp_choose(&s->augment, seed, k, &draw)) {
        const u3d_axes axes = u3d_augment_axes(&s->augment, seed, k, p->in, p->out);
        u3d_warp_set(s->warp, &draw, spacing, &axes);
        u3d_warp_keep(s->warp, &axes, voxel, in);
        u3d_warp_image(s->warp, from->image, in, p->border, from->to_image);
        u3d_warp_label(s->warp, from->label, in, p->out, p->border, from->to_label);
        if (pseudo) u3d_warp_label(s->warp, pseudo, in, p->out, p->border, from->to_pseudo);
        return;
    }
    u3d_box out;
    for (int a = 0; a < 3; a++) {
        out.size[a] = p->out[a];
        out.start[a] = in->start[a] + (p->in[a] - p->out[a]) / 2;
    }
    u3d_patch_cut_image(from->image, in, p->border, from->to_image);
    u3d_patch_cut_label(from->label, &out, p->border, from->to_label);
    u3d_augment_apply(&s->augment, seed, k, p->in, s->channels, from->to_image, p->out, from->to_label,
                      s->work);
    if (!pseudo) return;
    u3d_patch_cut_label(pseudo, &out, p->border, from->to_pseudo);
    u3d_augment_label(&s->augment, seed, k, p->in, p->out, from->to_pseudo, s->work);
}

u3d_status u3d_sampler_fill(u3d_sampler *s, u3d_cases *cases, uint64_t seed, int64_t k, float *image,
                            uint8_t *label, uint8_t *pseudo, int *case_index, u3d_box *box)
{
    const u3d_case_data *data = NULL;
    u3d_box in;
    int64_t voxel[3];
    int i = 0;
    U3D_TRY(u3d_patch_choose(cases, &s->patch, seed, k, &i, &in, voxel));
    u3d_warp_shift(&s->augment, seed, k, &in);
    U3D_TRY(u3d_cases_acquire(cases, i, &data));
    const source from = {.image = data->image,
                         .label = data->label,
                         .pseudo = pseudo ? u3d_cases_pseudo(cases, i, k) : NULL,
                         .to_image = image,
                         .to_label = label,
                         .to_pseudo = pseudo};
    sample_read(s, &from, u3d_cases_spacing(cases, i), seed, k, voxel, &in);
    if (pseudo) join_labels(&s->patch, &from);
    u3d_cases_release(cases, i);
    if (u3d_grey_bytes(&s->augment, s->patch.in, s->channels) > 0)
        u3d_grey_apply(&s->augment, seed, k, s->patch.in, s->channels, image, s->work);
    if (case_index) *case_index = i;
    if (box) *box = in;
    return U3D_OK;
}
