/* Decides which voxels of a reference nobody labelled. They do not count.
 *
 * The options and the data set of the references are certain. The model that made the predictions knows which
 * value meant "unlabelled" in its training labels, but these references may be others: if training took 0 for
 * unlabelled, 0 may be the background of a dense reference. A model never predicts that value as a label. So
 * its word counts if the prediction does not have the value, or the reference looks sparse, or the reference
 * shows that its background is another value.
 *
 * If nothing says what is unlabelled, u3d looks for a value that is in the references only, because scored as
 * a label it would spoil every mean. It asks instead of guessing, as training does
 * (net/cases/cases_sparse.c), if a reference consists of single painted slices and of this value between
 * them, or if the value is 255 and there are two others, so that the references are not masks of 0 and 255.
 * It warns if the value fills most of the references, because that may also be a label that a bad network
 * misses. */
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/evaluate/evaluate_impl.h"
#include "net/volume/sparse.h"

static bool volume_has(const u3d_volume *label, int32_t value)
{
    const int32_t *v = label->data;
    const int64_t n = u3d_volume_voxels(label);
    for (int64_t i = 0; i < n; i++)
        if (v[i] == value) return true;
    return false;
}

bool u3d_pairs_is_label(const u3d_evaluate_opts *o, const u3d_pairs *p, int32_t value)
{
    for (int k = 0; o->trained && k < o->trained->n; k++)
        if (o->trained->value[k] == value) return true;
    for (int i = 0; p->references && i < p->references->n_labels; i++)
        if (p->references->labels[i].value == value) return true;
    return false;
}

#define QUESTION                                                                                             \
    "if %d means that nobody labelled the voxel, give --unlabeled %d, or --model with the run, which may "   \
    "know; if it is a label like any other, give --dense"

/* Looks at a value that fills more than half of a reference, if nothing says what is unlabelled. */
static u3d_status majority_check(const u3d_pair *c, const u3d_volume *prediction, const u3d_volume *reference,
                                 int32_t value, char **question)
{
    char seen[160];
    bool looks;
    U3D_TRY(u3d_sparse_looks(reference, value, &looks, seen, sizeof seen));
    if (!looks) return U3D_OK;
    if (volume_has(prediction, value)) {
        if (volume_has(reference, U3D_UNLABELED)) return U3D_OK; /* u3d_unpredicted_check asks about that */
        U3D_WARN("evaluate",
                 "reference '%s': %s; %d counts as a label; if it means that nobody labelled the voxel, give "
                 "--unlabeled %d",
                 c->reference, seen, (int)value, (int)value);
        return U3D_OK;
    }
    *question = u3d_format("reference '%s': %s, and no voxel of the prediction is %d; " QUESTION,
                           c->reference, seen, (int)value, (int)value, (int)value);
    return *question ? U3D_OK : U3D_E_NOMEM;
}

u3d_status u3d_unpredicted_check(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_tallies *values)
{
    int others = 0; /* values that references have besides 255 */
    for (int k = 0; k < values->n; k++)
        others += values->item[k].reference > 0 && values->item[k].value != U3D_UNLABELED;
    for (int k = 0; k < values->n && !o->dense; k++) {
        const u3d_tally *t = &values->item[k];
        const double percent = 100 * (double)t->reference / (double)values->counted;
        if (t->predicted > 0 || u3d_pairs_is_label(o, p, t->value)) continue;
        if (p->background_known && t->value == p->background) continue;
        if (t->value == U3D_UNLABELED && others > 1)
            return u3d_fail(
                U3D_E_ARG,
                "%.3g %% of the voxels of the references are %d, and none of the predictions; " QUESTION,
                percent, (int)t->value, (int)t->value, (int)t->value);
        if (2 * t->reference > values->counted)
            U3D_WARN(
                "evaluate",
                "label %d fills %.0f %% of the references and is never predicted, so it lowers all means as "
                "a missed label; if it means unlabelled, give --unlabeled %d; if it is the background, give "
                "--background %d",
                (int)t->value, percent, (int)t->value, (int)t->value);
    }
    return U3D_OK;
}

/* Whether the reference has the value that was background in training, so that 0, which predictions may have
 * in its place, is not background in the reference. */
static bool background_is_another(const u3d_labels *trained, const u3d_volume *reference)
{
    return trained->background && trained->value[0] != 0 && trained->unlabeled == 0 &&
           volume_has(reference, trained->value[0]);
}

u3d_status u3d_pair_blank(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_pair *c,
                          const u3d_volume *prediction, const u3d_volume *reference, bool *blank,
                          char **question)
{
    char seen[160];
    int32_t most;
    const bool has = p->has_unlabeled && (p->certain || volume_has(reference, p->unlabeled));
    *blank = p->has_unlabeled;
    *question = NULL;
    if (!has) {
        if (o->dense || !u3d_sparse_majority(reference, &most) || u3d_pairs_is_label(o, p, most))
            return U3D_OK;
        if (p->background_known && most == p->background) return U3D_OK;
        return majority_check(c, prediction, reference, most, question);
    }
    if (p->certain || !volume_has(prediction, p->unlabeled) || background_is_another(o->trained, reference))
        return U3D_OK;
    return u3d_sparse_looks(reference, p->unlabeled, blank, seen, sizeof seen);
}
