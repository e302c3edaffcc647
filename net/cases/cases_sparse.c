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
 *   isolated  Nearly all voxels with other values lie on single slices (net/volume/sparse.h). This counts
 *             whatever the data set says about 0. It is also checked for any other value that fills more than
 *             half of the volume, such as 255 if --unlabeled 255 was forgotten.
 *
 * A label other than 0 that more than nine tenths of a volume have is only warned about. */
#include <stdio.h>

#include "engine/base/log.h"
#include "net/cases/cases_impl.h"

static u3d_status sparse_ask(const u3d_case *files, int32_t blank, const char *seen)
{
    return u3d_fail(
        U3D_E_ARG,
        "case '%s', labels '%s': %s; if %d means that nobody labelled the voxel, give --unlabeled %d; "
        "if it is a label like any other%s, give --dense",
        files->id, files->label, seen, (int)blank, (int)blank, blank == 0 ? " (background)" : "");
}

/* Scribbles fill neighbouring planes alike, as whole shapes do. But a label other than 0 that is nearly
 * everywhere is more often what nobody painted than a structure. */
static void sparse_hint(const u3d_case *files, const u3d_volume *label, int32_t blank,
                        const u3d_plane_counts *p)
{
    const int64_t voxels = u3d_volume_voxels(label);
    if (blank == 0 || 10 * p->all >= voxels) return;
    u3d_log_first(
        U3D_LOG_WARN, "cases",
        "case '%s': %.0f %% of the voxels of '%s' have the label %d; if that means that nobody labelled "
        "them, give --unlabeled %d, and if it is a label like any other, --dense (other such cases are "
        "not mentioned)",
        files->id, 100 * (double)(voxels - p->all) / (double)voxels, files->label, (int)blank, (int)blank);
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
    if (u3d_sparse_isolated(label, blank, p, seen, sizeof seen)) return sparse_ask(files, blank, seen);
    sparse_hint(files, label, blank, p);
    return U3D_OK;
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

u3d_status u3d_case_sparse_check(const u3d_case *files, const u3d_volume *label, bool zero_named)
{
    int32_t most = 0;
    U3D_TRY(sparse_check_value(files, label, 0, !zero_named));
    if (!u3d_sparse_majority(label, &most) || most == 0) return U3D_OK;
    return sparse_check_value(files, label, most, false);
}
