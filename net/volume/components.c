/* Connected components by runs: each row of voxels is cut into runs of equal class, and runs of neighbouring
 * rows that touch are united (union-find). The memory needed grows with the surface of the classes, not with
 * the volume.
 *
 * Rows are numbered z * height + y. A run is compared with the runs of the four neighbouring rows that have
 * smaller numbers than its own row: (z, y-1), (z-1, y-1), (z-1, y), (z-1, y+1). */
#include "net/volume/components.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"

typedef struct run {
    int64_t up;         /* index of a smaller run of the same component; a root has its own index */
    int32_t begin, end; /* x, half open                                                           */
} run;

typedef struct runs {
    const bool *wanted;
    bool joined; /* all wanted classes count as one, class 1 */
    int n_classes;
    int64_t size[3]; /* z, y, x                                             */
    uint8_t *data;
    int64_t n;
    run *run;
    int64_t *first;  /* [rows + 1]: index of each row's first run           */
    int64_t *voxels; /* [n]: at a root, the voxels of its component that count: all, or the annotated ones */
} runs;

static int64_t n_rows(const runs *r)
{
    return r->size[0] * r->size[1];
}

static bool is_wanted(const runs *r, uint8_t class)
{
    return class < r->n_classes && r->wanted[class];
}

/* The class of a voxel as components see it; 0: not wanted. */
static uint8_t kind_of(const runs *r, uint8_t class)
{
    return !is_wanted(r, class) ? 0 : r->joined ? 1 : class;
}

/* Cuts a row into runs of wanted classes and returns their number. If `out` is NULL, they are only
 * counted. */
static int64_t cut_row(const runs *r, int64_t row, run *out)
{
    const uint8_t *x = r->data + row * r->size[2];
    int64_t n = 0, width = r->size[2];
    for (int64_t begin = 0, end; begin < width; begin = end) {
        const uint8_t kind = kind_of(r, x[begin]);
        for (end = begin + 1; end < width && kind_of(r, x[end]) == kind;) end++;
        if (kind == 0) continue;
        if (out) out[n] = (run){.begin = (int32_t)begin, .end = (int32_t)end};
        n++;
    }
    return n;
}

static u3d_status cut_rows(runs *r)
{
    r->first = u3d_new_uninit((size_t)n_rows(r) + 1, sizeof *r->first);
    if (!r->first) return U3D_E_NOMEM;
    for (int64_t row = 0; row < n_rows(r); row++) {
        r->first[row] = r->n;
        r->n += cut_row(r, row, NULL);
    }
    r->first[n_rows(r)] = r->n;
    r->run = u3d_new_uninit((size_t)r->n, sizeof *r->run);
    r->voxels = u3d_new((size_t)r->n, sizeof *r->voxels);
    if (!r->run || !r->voxels) return U3D_E_NOMEM;
    for (int64_t row = 0; row < n_rows(r); row++) cut_row(r, row, r->run + r->first[row]);
    for (int64_t i = 0; i < r->n; i++) r->run[i].up = i;
    return U3D_OK;
}

static int64_t find_root(const runs *r, int64_t i)
{
    while (r->run[i].up != i) i = r->run[i].up = r->run[r->run[i].up].up; /* halves the path */
    return i;
}

static void unite(const runs *r, int64_t a, int64_t b)
{
    a = find_root(r, a);
    b = find_root(r, b);
    if (a < b)
        r->run[b].up = a;
    else
        r->run[a].up = b;
}

static uint8_t class_of(const runs *r, int64_t row, int64_t i)
{
    return kind_of(r, r->data[row * r->size[2] + r->run[i].begin]);
}

/* Unites run a of `row` and run b of row `other` if they have the same class and overlap or touch at a
 * corner. */
static void meet(const runs *r, int64_t row, int64_t a, int64_t other, int64_t b)
{
    const run *p = &r->run[a], *q = &r->run[b];
    if (p->begin <= q->end && q->begin <= p->end && class_of(r, row, a) == class_of(r, other, b))
        unite(r, a, b);
}

/* Unites the touching runs of two neighbouring rows. Both lists are sorted by x, so the run that ends
 * first has been compared with all runs that it can touch. If two runs end at the same x, each of them may
 * also touch the run after the other one, at a corner. */
static void unite_rows(const runs *r, int64_t row, int64_t other)
{
    int64_t a = r->first[row], b = r->first[other], a_end = r->first[row + 1], b_end = r->first[other + 1];
    while (a < a_end && b < b_end) {
        int32_t p_end = r->run[a].end, q_end = r->run[b].end;
        meet(r, row, a, other, b);
        if (p_end == q_end && a + 1 < a_end) meet(r, row, a + 1, other, b);
        if (p_end < q_end)
            a++;
        else
            b++;
    }
}

static void unite_all(const runs *r)
{
    for (int64_t z = 0; z < r->size[0]; z++)
        for (int64_t y = 0; y < r->size[1]; y++) {
            int64_t row = z * r->size[1] + y, above = row - r->size[1];
            if (y > 0) unite_rows(r, row, row - 1);
            if (z == 0) continue;
            if (y > 0) unite_rows(r, row, above - 1);
            unite_rows(r, row, above);
            if (y + 1 < r->size[1]) unite_rows(r, row, above + 1);
        }
}

static void count_voxels(const runs *r)
{
    for (int64_t i = 0; i < r->n; i++) r->voxels[find_root(r, i)] += r->run[i].end - r->run[i].begin;
}

/* Of the voxels that count: those in the component of each class that has the most, and, unless it is NULL,
 * those in all. */
static void find_most(const runs *r, int64_t *most, int64_t *all, u3d_kept *kept)
{
    for (int64_t row = 0; row < n_rows(r); row++)
        for (int64_t i = r->first[row]; i < r->first[row + 1]; i++) {
            uint8_t class = class_of(r, row, i);
            if (r->run[i].up != i) continue;
            if (r->voxels[i] > most[class]) most[class] = r->voxels[i];
            if (all) all[class] += r->voxels[i];
            if (kept) kept[class].components++;
        }
}

/* Clears the components that have fewer voxels that count than `least` of their class. */
static void clear_small(const runs *r, const int64_t *least, u3d_kept *kept)
{
    for (int64_t row = 0; row < n_rows(r); row++)
        for (int64_t i = r->first[row]; i < r->first[row + 1]; i++) {
            const run *p = &r->run[i];
            uint8_t class = class_of(r, row, i);
            if (r->voxels[find_root(r, i)] >= least[class]) continue;
            memset(r->data + row * r->size[2] + p->begin, 0, (size_t)(p->end - p->begin));
            if (!kept) continue;
            kept[class].voxels += p->end - p->begin;
            kept[class].removed += find_root(r, i) == i;
        }
}

/* Counts the voxels of each component that are annotated as its class. */
static void count_annotated(const runs *r, const uint8_t *annotation)
{
    for (int64_t row = 0; row < n_rows(r); row++)
        for (int64_t i = r->first[row]; i < r->first[row + 1]; i++) {
            const uint8_t *at = annotation + row * r->size[2], class = class_of(r, row, i);
            int64_t n = 0;
            for (int32_t x = r->run[i].begin; x < r->run[i].end; x++) n += kind_of(r, at[x]) == class;
            r->voxels[find_root(r, i)] += n;
        }
}

/* least[k] = 1 if nearly all annotated voxels of class k lie in one component; otherwise 0. */
static void find_single(const runs *r, double one_object, int64_t *least, u3d_kept *kept)
{
    int64_t all[256] = {0}, most[256] = {0};
    find_most(r, most, all, kept);
    for (int k = 1; k < r->n_classes; k++) {
        least[k] = all[k] > 0 && (double)most[k] >= one_object * (double)all[k];
        if (kept && !least[k]) kept[k] = (u3d_kept){0};
    }
}

static u3d_status runs_make(runs *r, const u3d_volume *classes, int n_classes, const bool *wanted,
                            bool joined, u3d_kept *kept)
{
    U3D_ASSERT(classes->dtype == U3D_U8 && classes->channels == 1 && n_classes <= 256 && !wanted[0],
               "type %d, %d channels, %d classes", (int)classes->dtype, classes->channels, n_classes);
    *r = (runs){.wanted = wanted, .joined = joined, .n_classes = n_classes, .data = classes->data};
    memcpy(r->size, classes->size, sizeof r->size);
    if (kept) memset(kept, 0, (size_t)(joined ? 2 : n_classes) * sizeof *kept);
    U3D_TRY(cut_rows(r));
    unite_all(r);
    return U3D_OK;
}

static void runs_done(runs *r)
{
    u3d_free(r->run);
    u3d_free(r->first);
    u3d_free(r->voxels);
}

static u3d_status keep_largest(u3d_volume *classes, const bool *wanted, int n_classes, bool joined,
                               u3d_kept *kept)
{
    runs r;
    int64_t largest[256] = {0};
    const u3d_status status = runs_make(&r, classes, n_classes, wanted, joined, kept);
    if (status == U3D_OK) {
        count_voxels(&r);
        find_most(&r, largest, NULL, kept);
        clear_small(&r, largest, kept);
    }
    runs_done(&r);
    return status;
}

u3d_status u3d_components_keep_largest(u3d_volume *classes, const bool *wanted, int n_classes, u3d_kept *kept)
{
    return keep_largest(classes, wanted, n_classes, false, kept);
}

static void all_but_class_0(int n_classes, bool wanted[256])
{
    for (int k = 0; k < 256; k++) wanted[k] = k > 0 && k < n_classes;
}

u3d_status u3d_components_keep_foreground(u3d_volume *classes, int n_classes, u3d_kept *kept)
{
    bool wanted[256];
    u3d_kept both[2];
    all_but_class_0(n_classes, wanted);
    U3D_TRY(keep_largest(classes, wanted, n_classes, true, both));
    if (kept) *kept = both[1];
    return U3D_OK;
}

/* Annotated voxels per component in `annotated`, next to the voxels of which there are in r->voxels;
 * share[k]: those of class k in its largest component. */
static void find_shares(const runs *r, const int64_t *annotated, double *share)
{
    int64_t most[256] = {0}, in[256] = {0}, all[256] = {0};
    for (int64_t row = 0; row < n_rows(r); row++)
        for (int64_t i = r->first[row]; i < r->first[row + 1]; i++) {
            const uint8_t class = class_of(r, row, i);
            if (r->run[i].up != i) continue;
            all[class] += annotated[i];
            if (r->voxels[i] <= most[class]) continue;
            most[class] = r->voxels[i];
            in[class] = annotated[i];
        }
    for (int k = 1; k < (r->joined ? 2 : r->n_classes); k++)
        share[k] = all[k] > 0 ? (double)in[k] / (double)all[k] : NAN;
}

static u3d_status annotated_shares(const u3d_volume *classes, const u3d_volume *annotation, int n_classes,
                                   bool joined, double *share)
{
    runs r;
    bool wanted[256];
    int64_t *annotated = NULL;
    all_but_class_0(n_classes, wanted);
    u3d_status status = runs_make(&r, classes, n_classes, wanted, joined, NULL);
    if (status == U3D_OK) {
        count_annotated(&r, annotation->data);
        annotated = r.voxels;
        r.voxels = u3d_new((size_t)r.n, sizeof *r.voxels);
        if (!r.voxels) status = U3D_E_NOMEM;
    }
    if (status == U3D_OK) {
        count_voxels(&r);
        find_shares(&r, annotated, share);
    }
    u3d_free(annotated);
    runs_done(&r);
    return status;
}

u3d_status u3d_components_largest_share(const u3d_volume *classes, const u3d_volume *annotation,
                                        int n_classes, double *share)
{
    double joined[2];
    U3D_TRY(annotated_shares(classes, annotation, n_classes, false, share));
    U3D_TRY(annotated_shares(classes, annotation, n_classes, true, joined));
    share[0] = joined[1];
    return U3D_OK;
}

u3d_status u3d_components_keep_annotated(u3d_volume *classes, const u3d_volume *annotation, int n_classes,
                                         double one_object, u3d_kept *kept)
{
    runs r;
    bool wanted[256];
    int64_t least[256] = {0};
    all_but_class_0(n_classes, wanted);
    U3D_ASSERT(annotation->dtype == U3D_U8 &&
                   memcmp(annotation->size, classes->size, sizeof classes->size) == 0,
               "type %d, or another size", (int)annotation->dtype);
    const u3d_status status = runs_make(&r, classes, n_classes, wanted, false, kept);
    if (status == U3D_OK) {
        count_annotated(&r, annotation->data);
        find_single(&r, one_object, least, kept);
        clear_small(&r, least, kept);
    }
    runs_done(&r);
    return status;
}
