/* Does a label value mean "nobody painted here"? Asked only where neither the command line nor the data set
 * said so, and never answered silently: training on unpainted voxels as if they were background ruins a model
 * quietly.
 *
 * Annotation tools leave 0 where nobody painted, and dense labels use 0 for background. Two patterns are
 * suspicious:
 *
 *   empty     along some axis more than half of the planes are 0 throughout and others are not. A small
 *             organ labelled densely looks the same, so this stops only where nobody said what 0 means: a
 *             name for 0 in dataset.json ("background") says it.
 *   isolated  planes with at least 16 voxels of other values and at least twice as many as each neighbour:
 *             two such planes or more, with 9 of 10 of all such voxels on them. These are single painted
 *             slices, in one orientation or in several that cross; shapes fill neighbouring planes about
 *             equally. This stops whatever the data set says of 0, and also where another value than 0 fills
 *             more than half of the volume (255, left out on the command line). */
#include <stdio.h>
#include <string.h>

#include "engine/mem.h"
#include "net/cases_impl.h"

/* 4 x 4 voxels, one thick: a slice. Smaller things are about as thick as they are wide: a small lesion. */
enum { SPARSE_AREA = 16 };

typedef struct sparse_planes {
    int64_t *painted[3]; /* per axis and plane: voxels that differ from the value in question */
    int64_t all;         /* such voxels in the volume                                          */
} sparse_planes;

static void sparse_count(const u3d_volume *label, int32_t blank, sparse_planes *p)
{
    const int32_t *v = label->data;
    for (int a = 0; a < 3; a++) memset(p->painted[a], 0, (size_t)label->size[a] * sizeof p->painted[a][0]);
    p->all = 0;
    for (int64_t z = 0; z < label->size[0]; z++) {
        int64_t before = p->all;
        for (int64_t y = 0; y < label->size[1]; y++) {
            int64_t in_row = 0;
            for (int64_t x = 0; x < label->size[2]; x++, v++) {
                in_row += *v != blank;
                p->painted[2][x] += *v != blank;
            }
            p->painted[1][y] += in_row;
            p->all += in_row;
        }
        p->painted[0][z] = p->all - before;
    }
}

static bool sparse_isolated(const int64_t *painted, int64_t n, int64_t at)
{
    int64_t before = at > 0 ? painted[at - 1] : 0, after = at + 1 < n ? painted[at + 1] : 0;
    return n > 1 && painted[at] >= SPARSE_AREA && painted[at] >= 2 * (before > after ? before : after);
}

/* Isolated planes of all axes; *share of the painted voxels that lie on them. */
static int sparse_count_isolated(const u3d_volume *label, int32_t blank, const sparse_planes *p,
                                 double *share)
{
    const int32_t *v = label->data;
    int64_t on = 0;
    int isolated = 0;
    for (int a = 0; a < 3; a++)
        for (int64_t at = 0; at < label->size[a]; at++)
            isolated += sparse_isolated(p->painted[a], label->size[a], at);
    *share = 0;
    if (isolated == 0) return 0;
    for (int64_t z = 0; z < label->size[0]; z++) {
        bool z_on = sparse_isolated(p->painted[0], label->size[0], z);
        for (int64_t y = 0; y < label->size[1]; y++) {
            bool zy_on = z_on || sparse_isolated(p->painted[1], label->size[1], y);
            for (int64_t x = 0; x < label->size[2]; x++, v++)
                on += *v != blank && (zy_on || sparse_isolated(p->painted[2], label->size[2], x));
        }
    }
    *share = (double)on / (double)p->all;
    return isolated;
}

static u3d_status sparse_ask(const u3d_case *files, int32_t blank, const char *seen)
{
    return u3d_fail(
        U3D_E_ARG,
        "case '%s', labels '%s': %s; if %d there means that nobody painted, say --unlabeled %d; if it is "
        "a label like any other%s, say --dense",
        files->id, files->label, seen, (int)blank, (int)blank, blank == 0 ? " (background)" : "");
}

static u3d_status sparse_check_value(const u3d_case *files, const u3d_volume *label, int32_t blank,
                                     bool minds_empty, sparse_planes *p)
{
    static const char *const name[3] = {"z", "y", "x"};
    char seen[160];
    sparse_count(label, blank, p);
    for (int a = 0; a < 3 && minds_empty && p->all > 0; a++) {
        int64_t empty = 0, n = label->size[a];
        for (int64_t at = 0; at < n; at++) empty += p->painted[a][at] == 0;
        if (2 * empty <= n) continue;
        (void)snprintf(seen, sizeof seen, "%lld of %lld %s slices are %d throughout", (long long)empty,
                       (long long)n, name[a], (int)blank);
        return sparse_ask(files, blank, seen);
    }
    double share = 0;
    int isolated = sparse_count_isolated(label, blank, p, &share);
    if (isolated < 2 || share < 0.9) return U3D_OK;
    (void)snprintf(seen, sizeof seen, "%.0f %% of the voxels other than %d lie on %d single slices",
                   100 * share, (int)blank, isolated);
    return sparse_ask(files, blank, seen);
}

/* Value of more than half of the voxels; false where there is none. Boyer & Moore's majority vote, then a
 * count. */
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
    int64_t n = label->size[0] + label->size[1] + label->size[2];
    int64_t *counts = u3d_new((size_t)n, sizeof *counts);
    if (!counts) return U3D_E_NOMEM;
    sparse_planes p = {
        .painted = {counts, counts + label->size[0], counts + label->size[0] + label->size[1]}};
    int32_t most = 0;
    u3d_status status = sparse_check_value(files, label, 0, !zero_named, &p);
    if (status == U3D_OK && sparse_majority(label, &most) && most != 0)
        status = sparse_check_value(files, label, most, false, &p);
    u3d_free(counts);
    return status;
}

void u3d_case_only_planes(const u3d_volume *classes, int n, u3d_only_plane *only)
{
    const uint8_t *v = classes->data;
    int64_t low[U3D_MAX_LABELS][3], high[U3D_MAX_LABELS][3], at[3];
    for (int k = 0; k < n; k++)
        for (int a = 0; a < 3; a++) low[k][a] = INT64_MAX, high[k][a] = -1;
    for (at[0] = 0; at[0] < classes->size[0]; at[0]++)
        for (at[1] = 0; at[1] < classes->size[1]; at[1]++)
            for (at[2] = 0; at[2] < classes->size[2]; at[2]++, v++)
                for (int a = 0; a < 3 && *v != U3D_UNLABELED; a++) {
                    if (at[a] < low[*v][a]) low[*v][a] = at[a];
                    if (at[a] > high[*v][a]) high[*v][a] = at[a];
                }
    for (int k = 0; k < n; k++) {
        only[k] = (u3d_only_plane){.axis = -1};
        for (int a = 0; a < 3; a++)
            if (low[k][a] == high[k][a] && classes->size[a] > 1 && only[k].axis < 0)
                only[k] = (u3d_only_plane){a, low[k][a]};
    }
}

/* ---- slices as images of their own ---- */

/* The plane across `axis` that voxel `at` (z, y, x in one number) lies in. */
static int64_t plane_of(const int64_t size[3], int axis, int64_t at)
{
    return axis == 2 ? at % size[2] : axis == 1 ? at / size[2] % size[1] : at / (size[1] * size[2]);
}

/* Which planes across `axis` are annotated ones among others: (*slice)[plane]; NULL: none stand out. */
static u3d_status slices_across(const u3d_volume *classes, int axis, bool **slice)
{
    const uint8_t *v = classes->data;
    const int64_t n = classes->size[axis], voxels = u3d_volume_voxels(classes);
    int64_t *count = u3d_new((size_t)n, sizeof *count), *at = u3d_new((size_t)n, sizeof *at), found = 0;
    *slice = u3d_new((size_t)n, sizeof **slice);
    const bool made = count && at && *slice;
    for (int64_t i = 0; made && i < voxels; i++)
        if (v[i] != U3D_UNLABELED) count[plane_of(classes->size, axis, i)]++;
    if (made) found = u3d_case_annotated(count, n, at);
    for (int64_t i = 0; i < found; i++) (*slice)[at[i]] = true;
    u3d_free(count);
    u3d_free(at);
    if (found > 0) return U3D_OK;
    u3d_free(*slice);
    *slice = NULL;
    return made ? U3D_OK : U3D_E_NOMEM;
}

u3d_status u3d_case_find_slices(const u3d_cases *c, const u3d_volume *classes, u3d_case_entry *e)
{
    if (!c->slices_only) return U3D_OK;
    bool *others = NULL;
    U3D_TRY(slices_across(classes, c->across, &e->slice));
    for (int axis = 0; axis < 3 && !e->slice && !others; axis++)
        if (axis != c->across) U3D_TRY(slices_across(classes, axis, &others));
    const bool elsewhere = others != NULL;
    u3d_free(others);
    if (!elsewhere) return U3D_OK; /* dense labels, boxes and scribbles: every slice is one */
    return u3d_fail(
        U3D_E_ARG,
        "case '%s': no slice across %c is annotated, and a 2D network learns from whole slices; choose "
        "another --set plane, or a 3D network",
        e->files.id, "zyx"[c->across]);
}

void u3d_case_keep_slices(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *classes)
{
    uint8_t *v = classes->data;
    const int64_t voxels = u3d_volume_voxels(classes);
    for (int64_t i = 0; e->slice && i < voxels; i++)
        if (!e->slice[plane_of(classes->size, c->across, i)]) v[i] = U3D_UNLABELED;
}
