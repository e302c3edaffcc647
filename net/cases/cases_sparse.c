/* Detects label values that probably mean "unlabelled". This is checked only if neither the command line nor
 * the data set say which value means it. u3d then stops and asks instead of guessing, because training on
 * unlabelled voxels as if they were background silently ruins a model.
 *
 * Annotation tools leave 0 in voxels that nobody painted, and dense labels use 0 for background. Two patterns
 * are suspicious:
 *
 *   empty     Along some axis, more than half of the planes are 0 throughout, and others are not. The dense
 *             labels of a small organ look the same, so this counts only if nothing says what 0 means. A name
 *             for 0 in dataset.json ("background") says it.
 *   isolated  A plane is isolated if at least 16 of its voxels have other values, and at least twice as many
 *             as in each neighbouring plane. The pattern is two or more isolated planes that contain 9 of 10
 *             of all voxels with other values. These are single painted slices, in one or in several
 *             orientations; whole shapes fill neighbouring planes about equally. This counts whatever the
 *             data set says about 0. It is also checked for any other value that fills more than half of the
 *             volume, such as 255 if --unlabeled 255 was forgotten. */
#include <stdio.h>

#include "net/cases/cases_impl.h"

/* 4 x 4 voxels, the smallest area that counts as a painted slice. A smaller group of voxels may be a whole
 * object, such as a small lesion, that is about as thick as it is wide. */
enum { SPARSE_AREA = 16 };

static bool sparse_isolated(const int64_t *painted, int64_t n, int64_t at)
{
    int64_t before = at > 0 ? painted[at - 1] : 0, after = at + 1 < n ? painted[at + 1] : 0;
    return n > 1 && painted[at] >= SPARSE_AREA && painted[at] >= 2 * (before > after ? before : after);
}

/* Counts the isolated planes of all axes. *share becomes the share of the voxels other than `blank` on
 * them. */
static int sparse_count_isolated(const u3d_volume *label, int32_t blank, const u3d_plane_counts *p,
                                 double *share)
{
    const int32_t *v = label->data;
    int64_t on = 0;
    int isolated = 0;
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at < label->size[a]; at++)
            isolated += sparse_isolated(p->of[a], label->size[a], at);
    *share = 0;
    if (isolated == 0) return 0;
    for (int64_t z = 0; z < label->size[0]; z++) {
        bool z_on = sparse_isolated(p->of[0], label->size[0], z);
        for (int64_t y = 0; y < label->size[1]; y++) {
            bool zy_on = z_on || sparse_isolated(p->of[1], label->size[1], y);
            for (int64_t x = 0; x < label->size[2]; x++, v++)
                on += *v != blank && (zy_on || sparse_isolated(p->of[2], label->size[2], x));
        }
    }
    *share = (double)on / (double)p->all;
    return isolated;
}

static u3d_status sparse_ask(const u3d_case *files, int32_t blank, const char *seen)
{
    return u3d_fail(
        U3D_E_ARG,
        "case '%s', labels '%s': %s; if %d means that nobody labelled the voxel, give --unlabeled %d; "
        "if it is a label like any other%s, give --dense",
        files->id, files->label, seen, (int)blank, (int)blank, blank == 0 ? " (background)" : "");
}

static u3d_status sparse_judge(const u3d_case *files, const u3d_volume *label, int32_t blank,
                               bool minds_empty, const u3d_plane_counts *p)
{
    char seen[160], letter;
    for (int a = 0; a < 3 && minds_empty && p->all > 0; a++) {
        int64_t empty = 0, n = label->size[a];
        for (int64_t at = 0; at < n; at++) empty += p->of[a][at] == 0;
        if (2 * empty <= n) continue;
        (void)u3d_volume_file_plane(label, a, 0, &letter);
        (void)snprintf(seen, sizeof seen, "%lld of %lld %c slices are %d throughout", (long long)empty,
                       (long long)n, letter, (int)blank);
        return sparse_ask(files, blank, seen);
    }
    double share = 0;
    int isolated = sparse_count_isolated(label, blank, p, &share);
    if (isolated < 2 || share < 0.9) return U3D_OK;
    (void)snprintf(seen, sizeof seen, "%.0f %% of the voxels other than %d lie on %d single slices",
                   100 * share, (int)blank, isolated);
    return sparse_ask(files, blank, seen);
}

static u3d_status sparse_check_value(const u3d_case *files, const u3d_volume *label, int32_t blank,
                                     bool minds_empty)
{
    u3d_plane_counts counts;
    U3D_TRY(u3d_plane_counts_make(label, blank, &counts));
    u3d_status status = sparse_judge(files, label, blank, minds_empty, &counts);
    u3d_plane_counts_free(&counts);
    return status;
}

/* Finds the value of more than half of the voxels; false if there is none. Uses Boyer & Moore's majority
 * vote, and then counts to verify the result. */
static bool sparse_majority(const u3d_volume *label, int32_t *value)
{
    const int32_t *v = label->data;
    int64_t n = u3d_volume_voxels(label), votes = 0, count = 0;
    int32_t leader = 0;
    for (int64_t i = 0; i < n; i++) {
        if (votes == 0) leader = v[i];
        votes += v[i] == leader ? 1 : -1;
    }
    for (int64_t i = 0; i < n; i++) count += v[i] == leader;
    *value = leader;
    return 2 * count > n;
}

u3d_status u3d_case_sparse_check(const u3d_case *files, const u3d_volume *label, bool zero_named)
{
    int32_t most = 0;
    U3D_TRY(sparse_check_value(files, label, 0, !zero_named));
    if (!sparse_majority(label, &most) || most == 0) return U3D_OK;
    return sparse_check_value(files, label, most, false);
}
