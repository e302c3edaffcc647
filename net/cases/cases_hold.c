/* Validation with a single volume: some of its annotated slices are hidden from training.
 *
 * u3d_case_annotated finds the annotated slices of each orientation. If no orientation is sparse (dense
 * labels, scribbles), a slab of planes around the middle of the labelled voxels is held out instead, across z
 * if there are at least 4 planes along z.
 *
 * If there are few slices, a single one may contain most of the annotation of a small structure. A slice is
 * therefore taken only if no class loses too much by it. Among such slices, the one that shows the most
 * classes is taken first.
 *
 * The planes are stored with the case, so that the case is the same when it is read again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

/* No class may lose more of its voxels than LOSS_FACTOR times the requested share, or LOSS_LEAST if that
 * is more. */
static const double LOSS_FACTOR = 2.0, LOSS_LEAST = 0.4;

typedef struct hold_axis {
    int64_t n;         /* planes                                                   */
    int64_t *count;    /* [n]: labelled voxels of each plane                       */
    int64_t *class;    /* [n, classes]: the same per class                         */
    int64_t *scratch;  /* [n]: later the annotated slices, in order                */
    bool *held;        /* [n]: planes that are held out                            */
    int64_t annotated; /* annotated slices; 0 if this orientation is not sparse    */
    int64_t taken;     /* planes that are held out                                 */
} hold_axis;

/* Counts the labelled voxels of each plane, per class and together, and of each class in the whole volume. */
static void hold_count(const u3d_volume *classes, int n_classes, hold_axis axis[3], int64_t *total)
{
    const uint8_t *v = classes->data;
    for (int64_t z = 0; z < classes->size[0]; z++)
        for (int64_t y = 0; y < classes->size[1]; y++)
            for (int64_t x = 0; x < classes->size[2]; x++, v++) {
                const int64_t at[3] = {z, y, x};
                if (*v == U3D_UNLABELED) continue;
                total[*v]++;
                for (int a = 0; a < 3; a++) {
                    axis[a].count[at[a]]++;
                    axis[a].class[at[a] * n_classes + *v]++;
                }
            }
}

/* Finds the annotated slices of one orientation: their positions in a->scratch, their number in
 * a->annotated. */
static void hold_find(hold_axis *a)
{
    a->annotated = u3d_case_annotated(a->count, a->n, a->scratch);
}

/* Number of classes in a plane, or 0 if holding it out would take too much of a class away. Of class k,
 * lost[k] of total[k] voxels are held out already. */
static int hold_worth(const int64_t *plane, double share, int n_classes, const int64_t *total,
                      const int64_t *lost)
{
    int shown = 0;
    for (int k = 0; k < n_classes; k++) {
        if ((double)(lost[k] + plane[k]) > fmax(LOSS_FACTOR * share, LOSS_LEAST) * (double)total[k]) return 0;
        shown += plane[k] > 0;
    }
    return shown;
}

/* Takes slices of one orientation. The first and the last annotated slice are never taken, so that at
 * least two are kept. Of slices that show equally many classes, the one nearest to the middle is taken. */
static void hold_take_slices(hold_axis *a, double share, int n_classes, const int64_t *total, int64_t *lost)
{
    if (a->annotated < 3) return;
    int64_t wanted = llround(share * (double)a->annotated);
    if (wanted < 1) wanted = 1;
    if (wanted > a->annotated - 2) wanted = a->annotated - 2;
    while (a->taken < wanted) {
        int64_t best = -1, middle = a->annotated / 2;
        int most = 0;
        for (int64_t i = 1; i + 1 < a->annotated; i++) {
            const int64_t at = a->scratch[i];
            if (a->held[at]) continue;
            const int worth = hold_worth(a->class + at * n_classes, share, n_classes, total, lost);
            if (worth > most || (worth == most && worth > 0 && llabs(i - middle) < llabs(best - middle))) {
                most = worth;
                best = i;
            }
        }
        if (best < 0) return;
        const int64_t at = a->scratch[best];
        for (int k = 0; k < n_classes; k++) lost[k] += a->class[at * n_classes + k];
        a->held[at] = true;
        a->taken++;
    }
}

/* Takes the planes around the median labelled voxel that together have about `share` of the labelled
 * voxels. */
static void hold_take_slab(hold_axis *a, double share)
{
    double total = 0, before = 0;
    for (int64_t at = 0; at < a->n; at++) total += (double)a->count[at];
    for (int64_t at = 0; at < a->n; at++) {
        double count = (double)a->count[at], middle = before + count / 2;
        bool median = before <= total / 2 && total / 2 < before + count;
        a->held[at] = count > 0 && (median || fabs(middle - total / 2) <= share * total / 2);
        a->taken += a->held[at];
        before += count;
    }
}

/* Chooses the planes to hold out and fills the axes' `held`. `text` says what was taken. */
static u3d_status hold_choose(const u3d_volume *classes, hold_axis axis[3], double share, int n_classes,
                              const int64_t *total, int64_t *lost, char *text, size_t cap)
{
    char letter[3];
    const hold_axis *of_file[3]; /* x, y, z of the file, which is what the text is about */
    for (int a = 0; a < 3; a++) {
        hold_find(&axis[a]);
        (void)u3d_volume_file_plane(classes, a, 0, &letter[a]);
        of_file[letter[a] - 'x'] = &axis[a];
    }
    if (axis[0].annotated + axis[1].annotated + axis[2].annotated == 0) {
        int a = axis[0].n >= 4 ? 0 : axis[1].n >= axis[2].n ? 1 : 2;
        hold_take_slab(&axis[a], share);
        (void)snprintf(text, cap, "a slab of %lld of %lld %c slices", (long long)axis[a].taken,
                       (long long)axis[a].n, letter[a]);
        return U3D_OK;
    }
    for (int a = 0; a < 3; a++) hold_take_slices(&axis[a], share, n_classes, total, lost);
    if (axis[0].taken + axis[1].taken + axis[2].taken == 0)
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "there are too few annotated slices to hold some out: %lld across x, %lld across y, "
                        "%lld across z; one orientation needs at least 3, and training must keep enough of "
                        "each label",
                        (long long)of_file[0]->annotated, (long long)of_file[1]->annotated,
                        (long long)of_file[2]->annotated);
    (void)snprintf(
        text, cap, "%lld of %lld annotated slices across x, %lld of %lld across y, %lld of %lld across z",
        (long long)of_file[0]->taken, (long long)of_file[0]->annotated, (long long)of_file[1]->taken,
        (long long)of_file[1]->annotated, (long long)of_file[2]->taken, (long long)of_file[2]->annotated);
    return U3D_OK;
}

static int64_t hold_labelled(const u3d_volume *classes)
{
    const uint8_t *v = classes->data;
    int64_t n = u3d_volume_voxels(classes), count = 0;
    for (int64_t i = 0; i < n; i++) count += v[i] != U3D_UNLABELED;
    return count;
}

/* held = the labels of `classes` that `rest` does not have. */
static void hold_subtract(const u3d_volume *classes, const u3d_volume *rest, u3d_volume *held)
{
    const uint8_t *from = classes->data, *kept = rest->data;
    uint8_t *to = held->data;
    int64_t n = u3d_volume_voxels(classes);
    for (int64_t i = 0; i < n; i++) to[i] = kept[i] == U3D_UNLABELED ? from[i] : (uint8_t)U3D_UNLABELED;
}

/* Applies the choice to the borrowed case. `classes` are its labels on the files' grid. Everything that
 * can fail comes before the first change. */
static u3d_status hold_apply(const u3d_cases *c, u3d_case_entry *e, const u3d_volume *classes,
                             const hold_axis axis[3], u3d_volume **held, double *share)
{
    u3d_case_entry planned = *e;
    u3d_volume *rest = NULL, *taken = NULL;
    u3d_status status;
    for (int a = 0; a < 3; a++) planned.held[a] = axis[a].held;
    planned.index.before = NULL;
    U3D_GO(u3d_volume_new_like(classes, U3D_U8, 1, &rest));
    U3D_GO(u3d_volume_new_like(classes, U3D_U8, 1, &taken));
    memcpy(rest->data, classes->data, (size_t)u3d_volume_voxels(rest));
    u3d_case_hide_held(&planned, rest);
    hold_subtract(classes, rest, taken);
    int64_t n_taken = hold_labelled(taken), n_rest = hold_labelled(rest);
    if (n_taken == 0 || n_rest == 0) {
        status = u3d_fail(U3D_E_UNSUPPORTED,
                          "holding slices out of case '%s' would leave %lld labelled voxels for training and "
                          "%lld for validation",
                          e->files.id, (long long)n_rest, (long long)n_taken);
        goto done;
    }
    U3D_GO(u3d_case_resample(c, e, NULL, rest));
    U3D_GO(u3d_case_index_make(rest, &planned.index));
    *share = (double)n_taken / (double)(n_taken + n_rest);
    u3d_free(e->index.before);
    e->index = planned.index;
    memcpy(e->held, planned.held, sizeof e->held);
    memcpy(e->data.label->data, rest->data, (size_t)u3d_volume_voxels(rest));
    *held = taken;
    taken = NULL;
done:
    u3d_volume_free(rest);
    u3d_volume_free(taken);
    return status;
}

u3d_status u3d_cases_hold_slices(u3d_cases *c, double share, u3d_volume **held, char *text, size_t cap)
{
    *held = NULL;
    if (!(share > 0 && share < 1))
        return u3d_fail(U3D_E_ARG,
                        "a share of %g of the slices cannot be held out; expected a share above 0 and below 1",
                        share);
    if (c->n != 1 || !c->entry[0].files.label || c->entry[0].held[0])
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "slices can be held out only once, and only of a single labelled volume; there are %d cases",
                        c->n);
    u3d_case_entry *e = &c->entry[0];
    const int n_classes = c->labels.n;
    int64_t n = e->own_size[0] + e->own_size[1] + e->own_size[2];
    const u3d_case_data *data = NULL;
    u3d_volume *own = NULL; /* labels on the files' grid, if those in memory are on another one */
    /* Per plane: count, scratch, and one count per class. After these, total and lost per class. */
    int64_t *counts = u3d_new((size_t)(n * (2 + n_classes) + 2 * n_classes), sizeof *counts);
    bool *planes = u3d_new((size_t)n, sizeof *planes);
    hold_axis axis[3] = {0};
    double taken = 0;
    u3d_status status = counts && planes ? U3D_OK : U3D_E_NOMEM;
    if (status != U3D_OK) goto done;
    for (int64_t a = 0, at = 0; a < 3; at += e->own_size[a++])
        axis[a] = (hold_axis){.n = e->own_size[a],
                              .count = counts + at,
                              .scratch = counts + n + at,
                              .class = counts + 2 * n + at * n_classes,
                              .held = planes + at};
    int64_t *total = counts + n * (2 + n_classes), *lost = total + n_classes;
    U3D_GO(u3d_cases_acquire(c, 0, &data));
    if (e->resampled) U3D_GO(u3d_cases_read_own(c, 0, &own));
    if (own) u3d_case_keep_slices(c, e, own);
    const u3d_volume *classes = own ? own : data->label;
    hold_count(classes, n_classes, axis, total);
    U3D_GO(hold_choose(classes, axis, share, n_classes, total, lost, text, cap));
    U3D_GO(hold_apply(c, e, classes, axis, held, &taken));
    planes = NULL; /* the case keeps them */
    size_t used = strlen(text);
    (void)snprintf(text + used, cap - used, " (%.1f %% of the labelled voxels)", 100 * taken);
done:
    if (data) u3d_cases_release(c, 0);
    u3d_volume_free(own);
    u3d_free(counts);
    u3d_free(planes);
    return status;
}
