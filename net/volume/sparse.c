/* Counts labelled voxels per plane, and finds signs that a value means "unlabelled". */
#include "net/volume/sparse.h"

#include <stdio.h>

#include "engine/base/mem.h"

static int32_t value_at(const u3d_volume *label, int64_t at)
{
    return label->dtype == U3D_U8 ? ((const uint8_t *)label->data)[at] : ((const int32_t *)label->data)[at];
}

u3d_status u3d_plane_counts_make(const u3d_volume *label, int32_t unlabeled, u3d_plane_counts *out)
{
    const int64_t *size = label->size, planes = size[0] + size[1] + size[2];
    int64_t *counts = u3d_new((size_t)(2 * planes), sizeof *counts), at = 0;
    if (!counts) return U3D_E_NOMEM;
    *out = (u3d_plane_counts){.of = {counts, counts + size[0], counts + size[0] + size[1]},
                              .scratch = counts + planes};
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++) {
            int64_t in_row = 0;
            for (int64_t x = 0; x < size[2]; x++) {
                const bool labelled = value_at(label, at++) != unlabeled;
                in_row += labelled;
                out->of[2][x] += labelled;
            }
            out->of[0][z] += in_row;
            out->of[1][y] += in_row;
            out->all += in_row;
        }
    return U3D_OK;
}

void u3d_plane_counts_free(u3d_plane_counts *counts)
{
    u3d_free(counts->of[0]);
}

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

bool u3d_sparse_isolated(const u3d_volume *label, int32_t blank, const u3d_plane_counts *counts, char *seen,
                         size_t cap)
{
    double share = 0;
    const int isolated = sparse_count_isolated(label, blank, counts, &share);
    if (isolated < 2 || share < 0.9) return false;
    (void)snprintf(seen, cap, "%.0f %% of the voxels other than %d lie on %d single slices", 100 * share,
                   (int)blank, isolated);
    return true;
}

u3d_status u3d_sparse_looks(const u3d_volume *label, int32_t blank, bool *looks, char *seen, size_t cap)
{
    u3d_plane_counts counts;
    U3D_TRY(u3d_plane_counts_make(label, blank, &counts));
    *looks = u3d_sparse_isolated(label, blank, &counts, seen, cap);
    u3d_plane_counts_free(&counts);
    return U3D_OK;
}

/* Boyer & Moore's majority vote, and then a count to verify the result. */
bool u3d_sparse_majority(const u3d_volume *label, int32_t *value)
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
