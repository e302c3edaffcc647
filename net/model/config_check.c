/* u3d_config_check: relations between settings that no single row of the settings table can check, above all
 * whether the patch fits the network. The rule that decides which lengths fit is in unet3d.c; it is applied
 * here before any data are read or any graph is built. This file is not in net/config because it needs
 * unet3d.c. */
#include <stdio.h>
#include <string.h>

#include "net/config/config.h"
#include "net/model/unet3d.h"

static u3d_status check_patch(const u3d_config *c)
{
    int64_t out[3], legal[3];
    if (u3d_unet3d_output_size(c, c->patch, out) == U3D_OK) return U3D_OK;
    u3d_wrap(U3D_E_ARG, "setting 'patch'");
    char reason[1024];
    (void)snprintf(reason, sizeof reason, "%s", u3d_error_text());
    u3d_unet3d_legal_size(c, c->patch, legal);
    if (u3d_unet3d_output_size(c, legal, out) != U3D_OK) return u3d_fail(U3D_E_ARG, "%s", reason);
    return u3d_fail(U3D_E_ARG, "%s; the next legal size is patch=%lldx%lldx%lld", reason, (long long)legal[2],
                    (long long)legal[1], (long long)legal[0]);
}

/* Zero padding can keep the size only if the kernel's length is odd. */
static u3d_status check_kernels(const u3d_config *c)
{
    if (c->padding == U3D_PAD_VALID) return U3D_OK;
    for (int level = 0; level < (int)c->levels; level++)
        for (int axis = 0; axis < 3; axis++)
            if (c->kernel[level][axis] % 2 == 0)
                return u3d_fail(U3D_E_ARG,
                                "padding=same needs odd kernel sizes, but level %d has a kernel of %d voxels",
                                level, (int)c->kernel[level][axis]);
    return U3D_OK;
}

/* A norm needs more than one value per channel: over a single voxel it turns every feature into 0. */
static u3d_status check_coarsest(const u3d_config *c)
{
    if (c->norm == U3D_NORM_NONE) return U3D_OK;
    int64_t values = c->norm == U3D_NORM_BATCH ? c->batch : 1;
    for (int axis = 0; axis < 3; axis++) {
        int64_t n = c->patch[axis];
        for (int level = 0; level < (int)c->levels; level++) {
            if (c->padding == U3D_PAD_VALID) n -= c->convs * (c->kernel[level][axis] - 1);
            if (level + 1 < (int)c->levels) n /= c->pool[level][axis];
        }
        values *= n;
    }
    if (values > 1) return U3D_OK;
    return u3d_fail(
        U3D_E_ARG,
        "patch %lldx%lldx%lld leaves one voxel at the coarsest of %lld levels, which norm=%s turns into 0; "
        "use a larger patch or fewer levels",
        (long long)c->patch[2], (long long)c->patch[1], (long long)c->patch[0], (long long)c->levels,
        c->norm == U3D_NORM_BATCH ? "batch" : "instance");
}

/* A list of class weights has one number per label. */
static u3d_status check_weights(const u3d_config *c)
{
    if (c->labels == 0 || strcmp(c->class_weights, "none") == 0 || strcmp(c->class_weights, "auto") == 0)
        return U3D_OK;
    double weight[U3D_MAX_LABELS];
    int n = 0;
    U3D_TRY(u3d_parse_numbers(c->class_weights, weight, U3D_MAX_LABELS, &n));
    if (n == c->labels) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "class_weights has %d numbers for %lld labels", n, (long long)c->labels);
}

/* The grey-value curve rises from black to white with slopes inside the given range. At least one choice of
 * black and white must make that possible. */
static u3d_status check_curve(const u3d_augment_settings *a)
{
    if (a->p_curve == 0) return U3D_OK;
    const double flattest = a->curve_white[0] - a->curve_black[1];
    const double steepest = a->curve_white[1] - a->curve_black[0];
    if (flattest > 0 && a->curve_slope[0] <= steepest && a->curve_slope[1] >= flattest) return U3D_OK;
    return u3d_fail(U3D_E_ARG,
                    "no curve with curve_slope %g to %g leads from curve_black %g to %g up to "
                    "curve_white %g to %g",
                    a->curve_slope[0], a->curve_slope[1], a->curve_black[0], a->curve_black[1],
                    a->curve_white[0], a->curve_white[1]);
}

u3d_status u3d_config_check(const u3d_config *c)
{
    if (c->deep_supervision != U3D_DEEP_OFF && c->padding == U3D_PAD_VALID)
        return u3d_fail(U3D_E_ARG,
                        "deep_supervision needs padding=same: with valid convolutions the coarser levels "
                        "cover more of the volume than the output, and only the output has labels; "
                        "change one of the two settings");
    if (c->labels == 1)
        return u3d_fail(U3D_E_ARG, "labels is 1; a network needs at least two classes to tell apart");
    if (c->max_width > 0 && c->max_width < c->base)
        return u3d_fail(U3D_E_ARG, "max_width %lld is below base %lld; raise it or set it to 0 (no limit)",
                        (long long)c->max_width, (long long)c->base);
    if (c->norm_statistics == U3D_STAT_RUNNING && c->norm != U3D_NORM_BATCH)
        return u3d_fail(U3D_E_ARG,
                        "norm_statistics=running needs norm=batch; other norms keep no running statistics");
    if (c->resample == U3D_RESAMPLE_OFF && strcmp(c->spacing, "auto") != 0)
        return u3d_fail(U3D_E_ARG,
                        "spacing=%s has no effect with resample=off; "
                        "set resample=auto as well, or spacing=auto",
                        c->spacing);
    U3D_TRY(check_weights(c));
    U3D_TRY(check_curve(&c->augment));
    U3D_TRY(check_kernels(c));
    U3D_TRY(check_patch(c));
    return check_coarsest(c);
}
