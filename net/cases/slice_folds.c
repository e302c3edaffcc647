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
    int *fold[3]; /* per axis z, y, x: the fold of each plane; NO_FOLD: it was not painted */
};

/* ---- which planes were painted ---- */

/* A plane that adds less than this share of what the fullest plane of its orientation has is not a slice of
 * its own: stray voxels stay in the training labels of every fold. */
static const double LEAST_PART = 0.05;

typedef struct painted {
    const int64_t *size;
    u3d_plane_counts counts; /* labelled voxels that lie on no plane found so far */
    bool *open;              /* [voxels]: these voxels                            */
    bool *is[3];             /* per axis: planes that were found                  */
} painted;

static int64_t area(const painted *p, int axis)
{
    return p->size[(axis + 1) % 3] * p->size[(axis + 2) % 3];
}

static int64_t most_in(const painted *p, int axis)
{
    int64_t most = 0;
    for (int64_t at = 0; at < p->size[axis]; at++)
        if (p->counts.of[axis][at] > most) most = p->counts.of[axis][at];
    return most;
}

/* Gives the plane with the most voxels that are on no plane found so far; false if none has at least `least`
 * of its orientation. */
static bool fullest(const painted *p, const double least[3], int *axis, int64_t *plane)
{
    int64_t most = 0;
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at < p->size[a]; at++)
            if (p->counts.of[a][at] > most && (double)p->counts.of[a][at] >= least[a]) {
                most = p->counts.of[a][at];
                *axis = a;
                *plane = at;
            }
    return most > 0;
}

static void take(painted *p, int axis, int64_t plane)
{
    int64_t low[3] = {0, 0, 0}, high[3] = {p->size[0], p->size[1], p->size[2]}, at[3];
    low[axis] = plane;
    high[axis] = plane + 1;
    p->is[axis][plane] = true;
    for (at[0] = low[0]; at[0] < high[0]; at[0]++)
        for (at[1] = low[1]; at[1] < high[1]; at[1]++)
            for (at[2] = low[2]; at[2] < high[2]; at[2]++) {
                bool *open = &p->open[(at[0] * p->size[1] + at[1]) * p->size[2] + at[2]];
                for (int a = 0; a < 3 && *open; a++) p->counts.of[a][at[a]]--;
                *open = false;
            }
}

/* Takes the planes that were painted from edge to edge. In dense labels, those of the first orientation
 * contain all the others. */
static void take_whole(painted *p)
{
    for (int64_t a = 0, at = 0; a < 3; a++)
        for (int64_t plane = 0; plane < p->size[a]; plane++, at++)
            p->counts.scratch[at] = p->counts.of[a][plane] == area(p, (int)a);
    for (int64_t a = 0, at = 0; a < 3; a++)
        for (int64_t plane = 0; plane < p->size[a]; plane++, at++)
            if (p->counts.scratch[at] && p->counts.of[a][plane] > 0) take(p, (int)a, plane);
}

/* Finds the planes, of all three orientations, that were painted: first whole planes, then the fewest that
 * contain the other labelled voxels, by always taking the fullest. It does not matter how many there are, or
 * whether they are slices, parts of slices or scribbles. */
static u3d_status painted_find(const u3d_volume *label, int32_t unlabeled, painted *p)
{
    const int64_t n = u3d_volume_voxels(label), *size = label->size;
    const int32_t *v = label->data;
    double least[3];
    int axis = 0;
    int64_t plane = 0;
    *p = (painted){.size = size};
    U3D_TRY(u3d_plane_counts_make(label, unlabeled, &p->counts));
    p->open = u3d_new((size_t)n, sizeof *p->open);
    p->is[0] = u3d_new((size_t)(size[0] + size[1] + size[2]), sizeof *p->is[0]);
    if (!p->open || !p->is[0]) return U3D_E_NOMEM;
    p->is[1] = p->is[0] + size[0];
    p->is[2] = p->is[1] + size[1];
    for (int64_t i = 0; i < n; i++) p->open[i] = v[i] != unlabeled;
    for (int a = 0; a < 3; a++) least[a] = LEAST_PART * (double)most_in(p, a);
    take_whole(p);
    while (fullest(p, least, &axis, &plane)) take(p, axis, plane);
    return U3D_OK;
}

static void painted_free(painted *p)
{
    u3d_plane_counts_free(&p->counts);
    u3d_free(p->open);
    u3d_free(p->is[0]);
}

static int64_t painted_count(const painted *p)
{
    int64_t n = 0;
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at < p->size[a]; at++) n += p->is[a][at];
    return n;
}

u3d_status u3d_slice_count(const u3d_volume *label, int32_t unlabeled, int64_t *n)
{
    painted p;
    u3d_status status = painted_find(label, unlabeled, &p);
    *n = status == U3D_OK ? painted_count(&p) : 0;
    painted_free(&p);
    return status;
}

/* ---- folds ---- */

/* Assigns the painted planes to folds in turn. */
static void folds_deal(u3d_slice_folds *f, const painted *p)
{
    int64_t dealt = 0;
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at < f->size[a]; at++)
            f->fold[a][at] = p->is[a][at] ? (int)(dealt++ % f->n) : NO_FOLD;
}

u3d_status u3d_slice_folds_new(const u3d_volume *label, int32_t unlabeled, int n, u3d_slice_folds **out)
{
    const int64_t *size = label->size, planes = size[0] + size[1] + size[2];
    painted p;
    u3d_slice_folds *f = NULL;
    *out = NULL;
    u3d_status status;
    U3D_GO(painted_find(label, unlabeled, &p));
    const int64_t found = painted_count(&p);
    if (found < n)
        U3D_GO(u3d_fail(U3D_E_UNSUPPORTED, "found %lld annotated slices, which is too few for %d folds%s",
                        (long long)found, n,
                        found < 2 ? "; paint more slices" : "; give a smaller number of --folds"));
    f = u3d_new(1, sizeof *f);
    int *fold = u3d_new((size_t)planes, sizeof *fold);
    if (!f || !fold) {
        u3d_free(fold);
        U3D_GO(U3D_E_NOMEM);
    }
    *f = (u3d_slice_folds){
        .n = n, .unlabeled = unlabeled, .fold = {fold, fold + size[0], fold + size[0] + size[1]}};
    memcpy(f->size, size, sizeof f->size);
    folds_deal(f, &p);
    *out = f;
    f = NULL;
done:
    u3d_free(f);
    painted_free(&p);
    return status;
}

bool u3d_slice_folds_adjoin(const u3d_slice_folds *f)
{
    int64_t slices = 0, beside = 0;
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at < f->size[a]; at++) {
            slices += f->fold[a][at] != NO_FOLD;
            beside += f->fold[a][at] != NO_FOLD && at > 0 && f->fold[a][at - 1] != NO_FOLD;
        }
    return 2 * beside > slices;
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
