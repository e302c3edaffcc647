/* Which cases are trained on, and what is held out for validation. Nothing is decided by held-out data except
 * the post-processing (train_postprocess.c), so without them only the curve is missing. */
#include "net/train/train_impl.h"

#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/rng.h"

/* By default, HOLD_SHARE of MIN_TO_HOLD or more training volumes is held out for validation. With fewer
 * volumes all are trained on, because another one to train on is worth more than a curve. Someone who sets an
 * interval between validations wants one, and gets it from MIN_IF_ASKED volumes on, or from slices of a
 * single volume. */
static const double HOLD_SHARE = 0.1;
enum { MIN_TO_HOLD = 10, MIN_IF_ASKED = 5 };

/* The share to hold out; 0: nothing. */
static double share_to_hold(const u3d_training *t, int n)
{
    if (t->state.validate_every < 0) return 0;
    if (t->o->validate_given) return t->o->validate;
    const bool asked = t->state.validate_every > 0;
    return n >= MIN_TO_HOLD || (asked && (n == 1 || n >= MIN_IF_ASKED)) ? HOLD_SHARE : 0;
}

u3d_status u3d_training_choose_cases(u3d_training *t)
{
    const u3d_train_opts *o = t->o;
    if (o->n_train < 1)
        return u3d_fail(U3D_E_ARG,
                        "training: no training cases; the split leaves none, or the data set is empty");
    if (o->validate_slices && o->n_train > 1)
        return u3d_fail(
            U3D_E_ARG,
            "--validate slices is for a single volume; there are %d, so give the share of them to "
            "hold out, such as --validate 0.1",
            o->n_train);
    t->n_which = o->n_train;
    t->which = u3d_new((size_t)t->n_which, sizeof *t->which);
    if (!t->which) return U3D_E_NOMEM;
    memcpy(t->which, o->train, (size_t)t->n_which * sizeof *t->which);
    return U3D_OK;
}

/* ---- volumes ---- */

/* How many of n volumes are held out: by default at most HOLD_SHARE of them, on request about the share that
 * was asked for. A resumed run keeps what it began with. */
static int volumes_to_hold(const u3d_training *t, int n)
{
    const double wanted = share_to_hold(t, n) * n;
    if (t->resumed) return t->state.held_volumes < n ? (int)t->state.held_volumes : n - 1;
    if (n == 1 || wanted <= 0) return 0;
    const bool asked = t->o->validate_given || t->state.validate_every > 0;
    long held = asked ? lround(wanted) : (long)wanted;
    if (held > U3D_MAX_HELD && t->o->validate_given)
        U3D_INFO("train", "--validate %g of %d volumes: only %d are held out, which is the most",
                 t->o->validate, n, (int)U3D_MAX_HELD);
    if (held > U3D_MAX_HELD) held = U3D_MAX_HELD;
    if (held > n - 1) held = n - 1;
    return held < 1 ? 1 : (int)held;
}

/* Draws n_held of the n cases with the seed. */
static void draw_held(const u3d_training *t, int n, bool *held)
{
    u3d_rng rng = u3d_rng_at(t->state.seed, U3D_RNG_SPLIT, 0);
    for (int drawn = 0; drawn < t->n_held;) {
        const int pick = (int)u3d_rng_below(&rng, n);
        drawn += !held[pick];
        held[pick] = true;
    }
}

/* Moves the cases with last[i] to the end of t->which. The order is otherwise kept. */
static void move_last(u3d_training *t, const bool *last, int *scratch)
{
    int n = 0;
    for (int i = 0; i < t->n_which; i++)
        if (!last[i]) scratch[n++] = t->which[i];
    for (int i = 0; i < t->n_which; i++)
        if (last[i]) scratch[n++] = t->which[i];
    memcpy(t->which, scratch, (size_t)n * sizeof *scratch);
}

/* Leaves out the cases without labels, and holds out some of the others. */
static u3d_status hold_volumes(u3d_training *t)
{
    const size_t n = (size_t)t->n_which;
    bool *last = u3d_new(n, sizeof *last), *held = u3d_new(n, sizeof *held);
    int *scratch = u3d_new(n, sizeof *scratch);
    u3d_status status = last && held && scratch ? U3D_OK : U3D_E_NOMEM;
    if (status != U3D_OK) goto done;
    U3D_GO(u3d_cases_drop_unlabelled(t->cases, last));
    for (size_t i = 0; i < n; i++) last[i] = !last[i];
    move_last(t, last, scratch);
    t->n_which = u3d_cases_count(t->cases);
    t->n_held = volumes_to_hold(t, t->n_which);
    t->state.held_volumes = t->n_held;
    draw_held(t, t->n_which, held);
    move_last(t, held, scratch);
    U3D_GO(u3d_cases_hold(t->cases, held));
    if (t->resumed) status = u3d_run_check_cases(t);
done:
    u3d_free(last);
    u3d_free(held);
    u3d_free(scratch);
    return status;
}

/* Reads the painted labels of each held-out case that is resampled, on the grid of the file. Predictions are
 * compared with these labels, not with resampled ones. */
static u3d_status keep_own_labels(u3d_training *t)
{
    int first = u3d_cases_count(t->cases);
    t->held_own = u3d_new((size_t)t->n_held, sizeof(u3d_volume *));
    if (!t->held_own) return U3D_E_NOMEM;
    for (int i = 0; i < t->n_held; i++)
        if (u3d_cases_is_resampled(t->cases, first + i))
            U3D_TRY(u3d_cases_read_own(t->cases, first + i, &t->held_own[i]));
    return U3D_OK;
}

/* ---- slices ---- */

/* Holds out slices of the only volume, if that was asked for. */
static u3d_status hold_slices(u3d_training *t)
{
    char text[256];
    const double share = t->resumed ? t->state.held_slices : share_to_hold(t, t->n_which);
    t->state.held_slices = 0;
    if (t->n_which > 1 || share <= 0 || t->state.validate_every < 0) return U3D_OK;
    u3d_status status = u3d_cases_hold_slices(t->cases, share, &t->held_slices, text, sizeof text);
    if (status == U3D_E_UNSUPPORTED) {
        U3D_WARN("train", "no validation: %s", u3d_error_text());
        return U3D_OK;
    }
    if (status != U3D_OK) return status;
    t->state.held_slices = share;
    U3D_INFO("train", "validation on annotated slices that are set aside: %s", text);
    return U3D_OK;
}

u3d_status u3d_training_hold_out(u3d_training *t)
{
    U3D_TRY(hold_volumes(t));
    if (t->n_held > 0) {
        U3D_TRY(keep_own_labels(t));
        U3D_INFO("train", "%d of %d training volumes are set aside for validation", t->n_held, t->n_which);
        return U3D_OK;
    }
    U3D_TRY(hold_slices(t));
    if (t->held_slices || t->state.validate_every < 0) return U3D_OK;
    if (t->state.validate_every > 0)
        U3D_WARN("train",
                 "--validate-every has no effect, because nothing of %d volumes is held out; --validate "
                 "SHARE holds some out",
                 t->n_which);
    U3D_INFO("train", "no validation: nothing is held out, so every labelled voxel is trained on%s",
             t->o->validate_given ? "" : " (--validate SHARE holds some out)");
    return U3D_OK;
}
