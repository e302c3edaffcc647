/* Decides which voxels of a reference nobody labelled. They do not count.
 *
 * The options and the data set of the references are certain. The model that made the predictions knows which
 * value meant "unlabelled" in its training labels, but these references may be others: if training took 0 for
 * unlabelled, 0 may be the background of a dense reference. A model never predicts that value as a label. So
 * its word counts if the prediction does not have the value, or the reference looks sparse, or the reference
 * shows that its background is another value.
 *
 * If nothing says what is unlabelled, u3d looks for a value that is in the reference only. If the reference
 * consists of single painted slices, or the value is 255 and fills most of it, u3d asks instead of
 * guessing, as training does (net/cases/cases_sparse.c): scored as a label, it would spoil every mean. */
#include <stdio.h>

#include "engine/base/log.h"
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

/* Asks if `value` is only in the reference and looks as if it meant "unlabelled". `most`: it fills more than
 * half of the reference. */
static u3d_status value_ask(const u3d_pair *c, const u3d_volume *prediction, const u3d_volume *reference,
                            int32_t value, bool most)
{
    char seen[160] = "";
    bool looks;
    U3D_TRY(u3d_sparse_looks(reference, value, &looks, seen, sizeof seen));
    if (!looks && !(value == U3D_UNLABELED && most)) return U3D_OK;
    if (!looks) (void)snprintf(seen, sizeof seen, "more than half of its voxels are %d", (int)value);
    if (!volume_has(prediction, value))
        return u3d_fail(
            U3D_E_ARG,
            "reference '%s': %s, and no voxel of the prediction is %d; if %d means that nobody "
            "labelled the voxel, give --unlabeled %d, or --model with the run, which may know; if it is "
            "a label like any other, give --dense",
            c->reference, seen, (int)value, (int)value, (int)value);
    U3D_WARN("evaluate",
             "reference '%s': %s; %d counts as a label; if it means that nobody labelled the voxel, give "
             "--unlabeled %d",
             c->reference, seen, (int)value, (int)value);
    return U3D_OK;
}

/* For references of which nothing says what is unlabelled. */
static u3d_status unknown_check(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_pair *c,
                                const u3d_volume *prediction, const u3d_volume *reference)
{
    int32_t value = 0;
    const bool most = u3d_sparse_majority(reference, &value);
    if (most && !u3d_pairs_is_label(o, p, value)) U3D_TRY(value_ask(c, prediction, reference, value, true));
    if ((most && value == U3D_UNLABELED) || u3d_pairs_is_label(o, p, U3D_UNLABELED) ||
        !volume_has(reference, U3D_UNLABELED))
        return U3D_OK;
    return value_ask(c, prediction, reference, U3D_UNLABELED, false);
}

/* Whether the reference has the value that was background in training, so that 0, which predictions may have
 * in its place, is not background in the reference. */
static bool background_is_another(const u3d_labels *trained, const u3d_volume *reference)
{
    return trained->background && trained->value[0] != 0 && trained->unlabeled == 0 &&
           volume_has(reference, trained->value[0]);
}

u3d_status u3d_pair_blank(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_pair *c,
                          const u3d_volume *prediction, const u3d_volume *reference, bool *blank)
{
    char seen[160];
    *blank = p->has_unlabeled;
    if (!p->has_unlabeled) return o->dense ? U3D_OK : unknown_check(o, p, c, prediction, reference);
    if (!p->certain && !volume_has(reference, p->unlabeled))
        return unknown_check(o, p, c, prediction, reference);
    if (p->certain || !volume_has(prediction, p->unlabeled) || background_is_another(o->trained, reference))
        return U3D_OK;
    return u3d_sparse_looks(reference, p->unlabeled, blank, seen, sizeof seen);
}
