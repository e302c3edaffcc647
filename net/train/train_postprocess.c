/* Chooses the classes that keep only their largest component. This is decided after training: the volumes
 * that were set aside are predicted with the averaged weights and the settings of `u3d predict`. The cases
 * that are reported are never used for it.
 *
 * Removed voxels become background, so the classes do not influence each other's overlap and each can be
 * decided separately: only the largest component is kept if that does not lower the mean Dice of the class.
 * nnU-Net v2 (determine_postprocessing) requires that the mean rises. By that rule, if no volume set aside
 * has stray pieces, stray pieces in later volumes would be kept. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "net/volume/components.h"
#include "net/volume/metrics.h"
#include "net/model/postprocess.h"
#include "net/train/train_impl.h"

/* Sums over the volumes in which a class occurs in the prediction or in the reference: its Dice before and
 * after small components are removed, the number of volumes, and the number of volumes that changed. */
typedef struct choice {
    double before[U3D_MAX_LABELS], after[U3D_MAX_LABELS];
    int n[U3D_MAX_LABELS], changed[U3D_MAX_LABELS];
} choice;

static void all_foreground(const u3d_training *t, bool *wanted)
{
    memset(wanted, 0, U3D_MAX_LABELS * sizeof *wanted);
    for (int k = 1; k < t->model.labels.n; k++) wanted[k] = true;
}

static u3d_status compare_case(u3d_training *t, const u3d_volume *image, const u3d_volume *reference,
                               choice *c)
{
    u3d_status status = U3D_OK;
    u3d_overlap before[U3D_MAX_LABELS] = {{0}}, after[U3D_MAX_LABELS] = {{0}};
    u3d_kept kept[U3D_MAX_LABELS];
    bool wanted[U3D_MAX_LABELS];
    u3d_volume *classes = NULL;
    int n = t->model.labels.n;
    all_foreground(t, wanted);
    U3D_TRY(u3d_predict_volume_to(t->predictor, image, reference, &classes, NULL));
    u3d_overlap_add(classes, reference, n, before);
    U3D_GO(u3d_components_keep_largest(classes, wanted, n, kept));
    u3d_overlap_add(classes, reference, n, after);
    for (int k = 1; k < n; k++) {
        double was = u3d_overlap_dice(&before[k]), is = u3d_overlap_dice(&after[k]);
        if (isnan(was)) continue;
        c->before[k] += was;
        c->after[k] += isnan(is) ? 1.0 : is; /* NaN: the class is now in neither, so all errors are removed */
        c->n[k]++;
        c->changed[k] += kept[k].voxels > 0;
    }
done:
    u3d_volume_free(classes);
    return status;
}

static void decide(u3d_training *t, const choice *c)
{
    const u3d_labels *l = &t->model.labels;
    for (int k = 1; k < l->n; k++) {
        if (c->n[k] == 0) continue;
        double before = c->before[k] / c->n[k], after = c->after[k] / c->n[k];
        t->model.keep_largest[k] = c->n[k] >= U3D_MIN_TO_CHOOSE && after >= before;
        U3D_INFO("train",
                 "postprocess: label %d%s%s: %s; mean Dice with only the largest component %.4f, before %.4f "
                 "(%d volumes set aside, %d changed)",
                 l->value[k], l->name[k][0] ? " " : "", l->name[k],
                 t->model.keep_largest[k]      ? "only the largest component is kept"
                 : c->n[k] < U3D_MIN_TO_CHOOSE ? "all components are kept: fewer than 3 volumes show the label"
                                               : "all components are kept",
                 after, before, c->n[k], c->changed[k]);
    }
}

static u3d_status compare_all(u3d_training *t, choice *c, int *done)
{
    double begin = u3d_clock();
    const double after_s = 1.5 * t->pace.save_s + t->pace.report_s;
    int first = u3d_cases_count(t->cases);
    *done = 0;
    while (*done < t->pace.n_choose &&
           u3d_pace_allows_volume(&t->pace, begin, *done, t->pace.choice_s / t->pace.n_choose, after_s,
                                  u3d_clock())) {
        const u3d_volume *image, *reference;
        U3D_TRY(u3d_training_acquire_held(t, first + *done, &image, &reference));
        u3d_status status = compare_case(t, image, reference, c);
        u3d_cases_release(t->cases, first + *done);
        if (status != U3D_OK) return status;
        ++*done;
    }
    return U3D_OK;
}

static u3d_status choose_by_held(u3d_training *t)
{
    choice c = {.n = {0}};
    int done = 0;
    u3d_params_swap_average(t->params);
    u3d_predictor_set_step(t->predictor, U3D_REPORT_STEP);
    u3d_status status = compare_all(t, &c, &done);
    u3d_params_swap_average(t->params);
    if (status != U3D_OK) return status;
    if (done >= U3D_MIN_TO_CHOOSE)
        decide(t, &c);
    else
        U3D_INFO("train", "postprocess=auto: none; the time sufficed for only %d of %d volumes", done,
                 t->pace.n_choose);
    return U3D_OK;
}

/* If a volume can no longer be read, there is no post-processing, but the trained model is still written. */
static u3d_status try_to_choose(u3d_training *t)
{
    U3D_INFO("train", "postprocess: predicting %d volumes that were set aside", t->pace.n_choose);
    u3d_status status = choose_by_held(t);
    if (status == U3D_E_CANCELLED)
        return u3d_fail(
            status,
            "training: stopped while choosing the post-processing; "
            "to write the model, run: u3d train --resume --out %s",
            t->o->out);
    if (status == U3D_OK || status == U3D_E_DEVICE) return status;
    U3D_WARN("train", "postprocess=auto: none; %s", u3d_error_text());
    return U3D_OK;
}

bool u3d_training_chooses(const u3d_training *t)
{
    return t->model.config.postprocess == U3D_POST_AUTO && t->model.labels.background &&
           t->n_held >= U3D_MIN_TO_CHOOSE;
}

u3d_status u3d_training_postprocess(u3d_training *t)
{
    char text[600];
    u3d_post how = t->model.config.postprocess;
    memset(t->model.keep_largest, 0, sizeof t->model.keep_largest);
    if (how == U3D_POST_NONE) return U3D_OK;
    if (how == U3D_POST_LARGEST)
        all_foreground(t, t->model.keep_largest);
    else if (t->pace.n_choose >= U3D_MIN_TO_CHOOSE)
        U3D_TRY(try_to_choose(t));
    else
        U3D_INFO("train", "postprocess=auto: none; %s",
                 !t->model.labels.background ? "no label is the background (see --background)"
                 : t->held_slices            ? "slices of the only volume do not show what is connected"
                 : t->n_held >= U3D_MIN_TO_CHOOSE
                     ? "predicting the volumes set aside would take too much of the time"
                     : "fewer than three volumes are set aside, which is too few to decide; --validate SHARE "
                       "sets more aside");
    U3D_INFO("train", "postprocess: labels of which only the largest component is kept: %s",
             u3d_postprocess_text(&t->model, text, sizeof text));
    return U3D_OK;
}
