/* Assigns annotated slices to folds, and makes the label volumes for training and testing of each fold. */
#include "net/cases/slice_folds.h"

#include <string.h>

#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

enum { NO_FOLD = -1 };

struct u3d_slice_folds {
    int n;
    int32_t unlabeled;
    int64_t size[3];
    int *fold[3]; /* per axis z, y, x: the fold of each plane; NO_FOLD: it is not an annotated slice */
};

/* Finds the annotated slices and assigns them to folds in turn; returns their number. */
static int64_t folds_deal(u3d_slice_folds *f, const u3d_plane_counts *counts)
{
    int64_t dealt = 0;
    for (int a = 0; a < 3; a++) {
        const int64_t found = u3d_case_annotated(counts->of[a], f->size[a], counts->scratch);
        for (int64_t i = 0; i < found; i++) f->fold[a][counts->scratch[i]] = (int)(dealt++ % f->n);
    }
    return dealt;
}

u3d_status u3d_slice_folds_new(const u3d_volume *label, int32_t unlabeled, int n, u3d_slice_folds **out)
{
    const int64_t *size = label->size, planes = size[0] + size[1] + size[2];
    u3d_plane_counts counts;
    *out = NULL;
    U3D_TRY(u3d_plane_counts_make(label, unlabeled, &counts));
    u3d_status status = U3D_OK;
    u3d_slice_folds *f = u3d_new(1, sizeof *f);
    int *fold = u3d_new((size_t)planes, sizeof *fold);
    if (!f || !fold) {
        u3d_free(fold);
        status = U3D_E_NOMEM;
        goto done;
    }
    *f = (u3d_slice_folds){
        .n = n, .unlabeled = unlabeled, .fold = {fold, fold + size[0], fold + size[0] + size[1]}};
    memcpy(f->size, size, sizeof f->size);
    for (int64_t i = 0; i < planes; i++) fold[i] = NO_FOLD;
    const int64_t found = folds_deal(f, &counts);
    if (found < n)
        U3D_GO(u3d_fail(U3D_E_UNSUPPORTED, "found %lld annotated slices, which is too few for %d folds",
                        (long long)found, n));
    *out = f;
    f = NULL;
done:
    u3d_slice_folds_free(f);
    u3d_plane_counts_free(&counts);
    return status;
}

void u3d_slice_folds_free(u3d_slice_folds *f)
{
    if (!f) return;
    u3d_free(f->fold[0]);
    u3d_free(f);
}

void u3d_slice_folds_count(const u3d_slice_folds *f, int k, int64_t across[3])
{
    for (int a = 0; a < 3; a++) {
        across[2 - a] = 0;
        for (int64_t i = 0; i < f->size[a]; i++) across[2 - a] += f->fold[a][i] == k;
    }
}

u3d_status u3d_slice_folds_make(const u3d_slice_folds *f, const u3d_volume *label, int k, u3d_volume **train,
                                u3d_volume **test)
{
    *train = *test = NULL;
    U3D_TRY(u3d_volume_new_like(label, U3D_I32, 1, train));
    u3d_status status = u3d_volume_new_like(label, U3D_I32, 1, test);
    if (status != U3D_OK) {
        u3d_volume_free(*train);
        *train = NULL;
        return status;
    }
    const int32_t *v = label->data;
    int32_t *kept = (*train)->data, *left = (*test)->data;
    for (int64_t z = 0; z < f->size[0]; z++)
        for (int64_t y = 0; y < f->size[1]; y++)
            for (int64_t x = 0; x < f->size[2]; x++, v++) {
                const bool tested = f->fold[0][z] == k || f->fold[1][y] == k || f->fold[2][x] == k;
                *kept++ = tested ? f->unlabeled : *v;
                *left++ = tested ? *v : f->unlabeled;
            }
    return U3D_OK;
}
