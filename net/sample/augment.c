/* Station 4b of training; before: a cut patch; after: the patch flipped and turned, both image and label.
 * Also decides which changes of patches are allowed.
 *
 * Flips and 90 degree turns are exact, because no voxel is interpolated. All flips and turns of a sample
 * together are one signed exchange of axes, dst[i] = src[j] with j[from[a]] = flip[a] ? n - 1 - i[a] : i[a],
 * which is made in one pass. */
#include "net/sample/augment.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "net/volume/label_sides.h"

/* ---- which changes are allowed ---- */

static bool augment_oriented(const u3d_data_facts *f)
{
    return f->orientation[0] != 0;
}

/* Leaves out the axes along which one label always lies on the same side of another, and adds that to the
 * reason. Files that do not say which axes they have may have stored them differently, but then no label is
 * always on one side. */
static u3d_status augment_leave_sides(u3d_cases *cases, bool mirror[3], char *why, size_t cap)
{
    const u3d_labels *l = u3d_cases_labels(cases);
    u3d_side_pair side[3];
    U3D_TRY(u3d_cases_sides(cases, side));
    for (int a = 2; a >= 0; a--) {
        const size_t used = strlen(why);
        if (!mirror[a] || side[a].first < 0) continue;
        mirror[a] = false;
        (void)snprintf(why + used, cap - used, "; along %c, label %d is always on the same side of label %d",
                       "zyx"[a], l->value[side[a].second], l->value[side[a].first]);
    }
    return U3D_OK;
}

/* The axes that mirror=auto allows by the names of labels; `why` (cap bytes) becomes the reason. */
static void augment_auto_mirror(const u3d_cases *cases, bool mirror[3], char *why, size_t cap)
{
    static const char *const ends[3] = {"left from right", "front from back", "up from down"};
    const bool placed = u3d_cases_placed(cases);
    const char *told[3];
    size_t used = 0;
    for (int a = 0; a < 3; a++) mirror[a] = true;
    if (!u3d_labels_told_axes(u3d_cases_labels(cases), told)) {
        (void)snprintf(why, cap, "no label names tell directions apart");
        return;
    }
    for (int w = 0; w < 3; w++) {
        if (!told[w]) continue;
        if (used < cap)
            used += (size_t)snprintf(why + used, cap - used, "%sthe label name '%s' tells %s",
                                     used ? ", " : "", told[w], ends[w]);
        for (int a = 0; a < 3; a++)
            if (!placed || a == 2 - w) mirror[a] = false;
    }
    if (!placed && used < cap)
        (void)snprintf(why + used, cap - used, ", but not all files say which axis that is");
}

/* Says once that patches are mirrored, if nothing tells left from right and several foreground labels have no
 * names that could. If 0 is not background, one label is expected to stand for it. */
static void augment_warn_nameless(const u3d_cases *cases, const char *axes)
{
    const u3d_labels *l = u3d_cases_labels(cases);
    const char *told[3];
    int nameless = l->background ? 0 : -1;
    for (int k = l->background ? 1 : 0; k < l->n; k++) nameless += l->name[k][0] == '\0';
    if (nameless < 2 || (u3d_labels_told_axes(l, told) && told[0])) return;
    U3D_WARN("augment",
             "patches are mirrored along %s, and %d foreground labels have no names that would tell whether "
             "one of them is the mirror image of another; if so, name them, as in --names "
             "1=left_kidney,2=right_kidney, or switch mirroring off with --set mirror=none",
             axes, nameless);
}

/* Whether axes a and b look alike to the network: they have the same patch size, kernels and poolings, and in
 * every case the same spacing within 1 %. For a resampled case the target spacing counts, although its own
 * spacing differs from that by the rounding to whole voxels. */
static bool augment_alike(const u3d_config *c, const u3d_cases *cases, int a, int b)
{
    if (c->patch[a] != c->patch[b]) return false;
    for (int64_t level = 0; level < c->levels; level++) {
        if (c->kernel[level][a] != c->kernel[level][b]) return false;
        if (level + 1 < c->levels && c->pool[level][a] != c->pool[level][b]) return false;
    }
    for (int i = 0; i < u3d_cases_count(cases); i++) {
        const double *spacing =
            u3d_cases_is_resampled(cases, i) ? u3d_cases_facts(cases)->spacing : u3d_cases_spacing(cases, i);
        if (!(fabs(spacing[a] - spacing[b]) <= 0.01 * fmax(spacing[a], spacing[b]))) return false;
    }
    return true;
}

static void augment_plan_turns(const u3d_config *c, const u3d_cases *cases, const bool coarse[3],
                               bool turn[3])
{
    const char *told[3];
    bool wanted = c->turn == U3D_SWITCH_ON;
    if (c->turn == U3D_SWITCH_AUTO)
        wanted =
            !augment_oriented(u3d_cases_facts(cases)) && !u3d_labels_told_axes(u3d_cases_labels(cases), told);
    for (int a = 0; a < 3; a++) {
        const int p = (a + 1) % 3, q = (a + 2) % 3;
        turn[a] = wanted && coarse[p] == coarse[q] && augment_alike(c, cases, p, q);
    }
}

/* nnU-Net's ANISO_THRESHOLD for the ratio of the patch's longest edge to its shortest. The same limit is used
 * for the spacing, because a patch need not follow it. */
static const double MOST_ANISOTROPIC = 3;

/* Chooses the coarse axis. There is at most one, because with two coarse axes no plane would be left to
 * rotate in.
 *
 *   2D network     the axis across its slices
 *   in_plane=on    the axis of the widest spacing, the first one among equals
 *   in_plane=auto  the same if that spacing is more than MOST_ANISOTROPIC times the finest; otherwise the
 *                  axis along which the patch is more than MOST_ANISOTROPIC times shorter than along its
 *                  longest axis, if there is exactly one such axis */
static void augment_plan_coarse(const u3d_config *c, const double spacing[3], bool coarse[3])
{
    int widest = 0, n_short = 0, shortest = 0;
    int64_t longest = 0;
    double finest = spacing[0];
    for (int a = 0; a < 3; a++) {
        longest = c->patch[a] > longest ? c->patch[a] : longest;
        finest = fmin(finest, spacing[a]);
        if (spacing[a] > spacing[widest]) widest = a;
    }
    for (int a = 0; a < 3; a++) {
        if ((double)longest <= MOST_ANISOTROPIC * (double)c->patch[a]) continue;
        shortest = a;
        n_short++;
    }
    memset(coarse, 0, 3 * sizeof *coarse);
    const int across = u3d_config_across(c);
    if (across >= 0)
        coarse[across] = true;
    else if (c->augment.in_plane == U3D_SWITCH_OFF)
        return;
    else if (c->augment.in_plane == U3D_SWITCH_ON || spacing[widest] > MOST_ANISOTROPIC * finest)
        coarse[widest] = true;
    else if (n_short == 1)
        coarse[shortest] = true;
}

/* Logs the changes other than flips and turns, each with its probability. */
static void augment_log_settings(const u3d_augment *o)
{
    const u3d_augment_settings *s = &o->set;
    const struct {
        const char *name;
        double chance;
    } changes[] = {{"rotation", s->p_rotation},
                   {"scaling", s->p_scaling},
                   {"elastic", s->p_elastic},
                   {"translation", s->translation > 0},
                   {"curve", s->p_curve},
                   {"noise", s->p_noise},
                   {"blur", s->p_blur},
                   {"brightness", s->p_brightness},
                   {"shift", s->p_shift},
                   {"contrast", s->p_contrast},
                   {"resolution", s->p_low_resolution},
                   {"inverted gamma", s->p_gamma_inverted},
                   {"gamma", s->p_gamma}};
    char text[512];
    size_t used = 0;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (changes[i].chance > 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %g", used ? ", " : "",
                                     changes[i].name, changes[i].chance);
    if (used == 0) return;
    U3D_INFO("augment", "chances per patch: %s%s", text,
             o->coarse[0] || o->coarse[1] || o->coarse[2] ? "; nothing moves across the coarse axis" : "");
}

u3d_status u3d_augment_plan(const u3d_config *c, u3d_cases *cases, u3d_augment *out)
{
    char why[512] = "as set";
    memset(out, 0, sizeof *out);
    if (strcmp(c->mirror, "auto") == 0) {
        augment_auto_mirror(cases, out->mirror, why, sizeof why);
        U3D_TRY(augment_leave_sides(cases, out->mirror, why, sizeof why));
        for (int a = 0; a < 3; a++) /* flipping a single slice changes nothing */
            if (c->patch[a] == 1) out->mirror[a] = false;
    } else if (strcmp(c->mirror, "none") != 0)
        for (int a = 0; a < 3; a++) out->mirror[a] = strchr(c->mirror, "zyx"[a]) != NULL;
    out->set = c->augment;
    memcpy(out->spacing, u3d_cases_facts(cases)->spacing, sizeof out->spacing);
    augment_plan_coarse(c, out->spacing, out->coarse);
    augment_plan_turns(c, cases, out->coarse, out->turn);

    static const char *const plane[3] = {" xy", " xz", " yz"}; /* perpendicular to z, y, x */
    char axes[4] = "";
    int n = 0;
    for (int a = 2; a >= 0; a--)
        if (out->mirror[a]) axes[n++] = "zyx"[a];
    bool turns = out->turn[0] || out->turn[1] || out->turn[2];
    U3D_INFO("augment", "flips along %s (%s); 90 degree turns in%s%s%s%s", n ? axes : "no axis", why,
             out->turn[0] ? plane[0] : "", out->turn[1] ? plane[1] : "", out->turn[2] ? plane[2] : "",
             turns ? "" : " no plane");
    if (out->mirror[2] && strcmp(c->mirror, "auto") == 0) augment_warn_nameless(cases, axes);
    augment_log_settings(out);
    return U3D_OK;
}

/* ---- flips and turns ---- */

/* Adds a quarter turn in the plane of axes a and b: axis a now reads what axis b read, flipped, and axis b
 * reads what axis a read. */
static void augment_quarter(u3d_axes *t, int a, int b)
{
    int from = t->from[a];
    bool flip = t->flip[a];
    t->from[a] = t->from[b];
    t->flip[a] = !t->flip[b];
    t->from[b] = from;
    t->flip[b] = flip;
}

/* Copies n elements that are `step` bytes apart to consecutive places. Elements of 1 and 4 bytes (labels and
 * one-channel images, the most frequent ones) have loops of their own, because a call of memcpy for each
 * element takes several times as long. */
static void augment_row(const char *src, int64_t step, int64_t n, size_t bytes, char *dst)
{
    if (bytes == 1) {
        for (int64_t i = 0; i < n; i++) dst[i] = src[i * step];
    } else if (bytes == sizeof(float)) {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + i * (int64_t)sizeof(float), src + i * step, sizeof(float));
    } else {
        for (int64_t i = 0; i < n; i++) memcpy(dst + i * (int64_t)bytes, src + i * step, bytes);
    }
}

/* Copies src to dst with the exchange of axes; both are arrays [size] of elements of `bytes` bytes. Axes that
 * are exchanged have equal sizes. */
static void augment_exchange(const u3d_axes *t, const int64_t size[3], size_t bytes, const char *src,
                             char *dst)
{
    const int64_t stride[3] = {size[1] * size[2], size[2], 1};
    int64_t step[3], first = 0; /* elements of src per step along each axis of dst; element of dst[0] */
    for (int a = 0; a < 3; a++) {
        step[a] = t->flip[a] ? -stride[t->from[a]] : stride[t->from[a]];
        if (t->flip[a]) first += (size[t->from[a]] - 1) * stride[t->from[a]];
    }
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++) {
            int64_t at = first + z * step[0] + y * step[1];
            if (step[2] == 1)
                memcpy(dst, src + (size_t)at * bytes, (size_t)size[2] * bytes);
            else
                augment_row(src + at * (int64_t)bytes, step[2] * (int64_t)bytes, size[2], bytes, dst);
            dst += (size_t)size[2] * bytes;
        }
}

/* Every random number is drawn whether it is used or not, so that switching one change on or off leaves the
 * others as they were. */
u3d_axes u3d_augment_axes(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3],
                          const int64_t out[3])
{
    u3d_axes t = {.from = {0, 1, 2}};
    u3d_rng rng = u3d_rng_at(seed, U3D_RNG_AUGMENT, (uint64_t)k);
    for (int axis = 0; axis < 3; axis++) {
        bool flip = u3d_rng_u32(&rng) & 1;
        t.flip[axis] = flip && a->mirror[axis];
    }
    for (int axis = 0; axis < 3; axis++) {
        uint32_t quarters = u3d_rng_u32(&rng) & 3;
        int p = (axis + 1) % 3, q = (axis + 2) % 3;
        if (!a->turn[axis] || in[p] != in[q] || out[p] != out[q]) continue;
        for (uint32_t i = 0; i < quarters; i++) augment_quarter(&t, p, q);
    }
    return t;
}

static bool changes_nothing(const u3d_axes *t)
{
    bool same = true;
    for (int axis = 0; axis < 3; axis++) same = same && t->from[axis] == axis && !t->flip[axis];
    return same;
}

void u3d_augment_label(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3],
                       const int64_t out[3], uint8_t *label, void *work)
{
    const u3d_axes t = u3d_augment_axes(a, seed, k, in, out);
    if (changes_nothing(&t)) return;
    memcpy(work, label, (size_t)(out[0] * out[1] * out[2]));
    augment_exchange(&t, out, 1, work, (char *)label);
}

void u3d_augment_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t in[3], int32_t channels,
                       float *image, const int64_t out[3], uint8_t *label, void *work)
{
    const u3d_axes t = u3d_augment_axes(a, seed, k, in, out);
    if (changes_nothing(&t)) return;
    const size_t voxel = sizeof(float) * (size_t)channels;
    memcpy(work, image, (size_t)(in[0] * in[1] * in[2]) * voxel);
    augment_exchange(&t, in, voxel, work, (char *)image);
    u3d_augment_label(a, seed, k, in, out, label, work);
}
