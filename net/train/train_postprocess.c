/* Decides what keeps only its largest component: the foreground as a whole, and each class; and, if labels
 * are sparse, says how much predicted foreground no annotation accounts for. This happens after training. The
 * cases that are reported are never used for it.
 *
 * 1. What is a single object? Dense labels show it directly: nearly all voxels of a class lie in its largest
 *    component, in every volume. If labels are sparse, predictions take the place of the volume, and nearly
 *    all annotated voxels must lie in the largest component, so that nothing that was annotated would be
 *    lost. Three volumes must show it.
 * 2. If three or more volumes were set aside, a class keeps its largest component only if that does not lower
 *    its mean Dice there, and the foreground only if it lowers that of no class. Removed voxels become
 *    background, so the classes do not influence each other's overlap and each can be decided separately.
 *    nnU-Net v2 (determine_postprocessing) requires that the mean rises. By that rule, if no volume set aside
 *    has stray pieces, stray pieces in later volumes would be kept.
 *
 * Predictions are made with the averaged weights and the settings of `u3d predict`: of the volumes set aside,
 * or, if those are too few and labels are sparse, of training volumes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "net/volume/components.h"
#include "net/volume/metrics.h"
#include "net/model/postprocess.h"
#include "net/train/train_impl.h"

/* What makes a single object: the share of voxels in the largest component, in every volume and on average.
 * Labels are not perfect: the rings of muscle in 40 hearts have at least 0.97 in one component. Enough cases
 * are looked at if MOST_CASES are. If more than MUCH of the foreground is not touched by any annotation,
 * predictions away from the annotation are not to be trusted. */
static const double LEAST_SHARE = 0.9, MEAN_SHARE = 0.98, MUCH = 0.2;
enum { MOST_CASES = 32 };

/* Over the volumes in which a class is annotated: the share of its voxels in its largest component. [0]
 * stands for the foreground as a whole. */
typedef struct objects {
    double sum[U3D_MAX_LABELS], least[U3D_MAX_LABELS];
    int n[U3D_MAX_LABELS];
} objects;

/* Sums over the volumes in which a class occurs in the prediction or in the reference: its Dice before and
 * after small components are removed, the number of volumes, and the number of volumes that changed. */
typedef struct choice {
    double before[U3D_MAX_LABELS], after[U3D_MAX_LABELS];
    int n[U3D_MAX_LABELS], changed[U3D_MAX_LABELS];
} choice;

/* What predictions show. */
typedef struct findings {
    objects objects;
    choice choice[2];         /* [1]: only the largest component of the foreground was kept before      */
    double untouched, judged; /* voxels of classes that are single objects: in components that no
                                 annotation touches, and all                                            */
    int n_judged;             /* volumes with such classes                                              */
} findings;

/* ---- single objects ---- */

static void add_shares(objects *o, const double *share, int n)
{
    for (int k = 0; k < n; k++) {
        if (isnan(share[k])) continue;
        o->least[k] = o->n[k] == 0 ? share[k] : fmin(o->least[k], share[k]);
        o->sum[k] += share[k];
        o->n[k]++;
    }
}

static bool is_single(const objects *o, int k)
{
    return o->n[k] >= U3D_MIN_TO_CHOOSE && o->least[k] >= LEAST_SHARE && o->sum[k] / o->n[k] >= MEAN_SHARE;
}

static u3d_status look_at_labels(u3d_training *t, objects *o)
{
    const int n_cases = u3d_cases_count(t->cases), step = (n_cases + MOST_CASES - 1) / MOST_CASES;
    const double begin = u3d_clock(), after_s = 1.5 * t->pace.save_s + t->pace.report_s;
    for (int i = 0; i < n_cases; i += step) {
        double share[U3D_MAX_LABELS];
        const u3d_case_data *data;
        if (!u3d_pace_allows_volume(&t->pace, begin, i / step, 0, after_s, u3d_clock()))
            break;
        U3D_TRY(u3d_cases_acquire(t->cases, i, &data));
        const u3d_status status =
            u3d_components_largest_share(data->label, data->label, t->model.labels.n, share);
        u3d_cases_release(t->cases, i);
        U3D_TRY(status);
        add_shares(o, share, t->model.labels.n);
    }
    return U3D_OK;
}

/* ---- predictions ---- */

static void all_foreground(const u3d_training *t, bool *wanted)
{
    memset(wanted, 0, U3D_MAX_LABELS * sizeof *wanted);
    for (int k = 1; k < t->model.labels.n; k++) wanted[k] = true;
}

/* Compares the overlap of all components with that of the largest ones; changes `classes`. */
static u3d_status compare(const u3d_training *t, u3d_volume *classes, const u3d_volume *reference, choice *c)
{
    u3d_overlap before[U3D_MAX_LABELS] = {{0}}, after[U3D_MAX_LABELS] = {{0}};
    u3d_kept kept[U3D_MAX_LABELS];
    bool wanted[U3D_MAX_LABELS];
    const int n = t->model.labels.n;
    all_foreground(t, wanted);
    u3d_overlap_add(classes, reference, n, before);
    U3D_TRY(u3d_components_keep_largest(classes, wanted, n, kept));
    u3d_overlap_add(classes, reference, n, after);
    for (int k = 1; k < n; k++) {
        double was = u3d_overlap_dice(&before[k]), is = u3d_overlap_dice(&after[k]);
        if (isnan(was)) continue;
        c->before[k] += was;
        c->after[k] += isnan(is) ? 1.0 : is; /* NaN: the class is now in neither, so all errors are removed */
        c->n[k]++;
        c->changed[k] += kept[k].voxels > 0;
    }
    return U3D_OK;
}

/* Counts the foreground of single objects that no annotation touches; changes `classes`. */
static u3d_status judge(const u3d_training *t, u3d_volume *classes, const u3d_volume *reference, findings *f)
{
    const uint8_t *class = classes->data;
    const int64_t voxels = u3d_volume_voxels(classes);
    int64_t left[U3D_MAX_LABELS] = {0};
    u3d_kept kept[U3D_MAX_LABELS];
    U3D_TRY(u3d_components_keep_annotated(classes, reference, t->model.labels.n, U3D_ONE_OBJECT, kept));
    for (int64_t v = 0; v < voxels; v++) left[class[v]]++;
    bool any = false;
    for (int k = 1; k < t->model.labels.n; k++) {
        if (kept[k].components == 0) continue;
        f->untouched += (double)kept[k].voxels;
        f->judged += (double)(kept[k].voxels + left[k]);
        any = true;
    }
    f->n_judged += any;
    return U3D_OK;
}

static u3d_status copy_of(const u3d_volume *classes, u3d_volume **copy)
{
    U3D_TRY(u3d_volume_new_like(classes, U3D_U8, 1, copy));
    memcpy((*copy)->data, classes->data, (size_t)u3d_volume_voxels(classes));
    return U3D_OK;
}

static u3d_status look_at_prediction(u3d_training *t, const u3d_volume *image, const u3d_volume *reference,
                                     findings *f)
{
    u3d_status status = U3D_OK;
    u3d_volume *classes = NULL, *copy = NULL;
    double share[U3D_MAX_LABELS];
    const int n = t->model.labels.n;
    U3D_GO(u3d_predict_volume_to(t->predictor, image, reference, &classes, NULL));
    if (t->model.facts.sparse) {
        U3D_GO(u3d_components_largest_share(classes, reference, n, share));
        add_shares(&f->objects, share, n);
        U3D_GO(copy_of(classes, &copy));
        U3D_GO(judge(t, copy, reference, f));
    }
    for (int whole = 0; whole < 2 && t->n_held >= U3D_MIN_TO_CHOOSE; whole++) {
        u3d_volume_free(copy);
        copy = NULL;
        U3D_GO(copy_of(classes, &copy));
        if (whole) U3D_GO(u3d_components_keep_foreground(copy, n, NULL));
        U3D_GO(compare(t, copy, reference, &f->choice[whole]));
    }
done:
    u3d_volume_free(classes);
    u3d_volume_free(copy);
    return status;
}

static u3d_status look_at_chosen(u3d_training *t, int j, findings *f)
{
    const int i = u3d_training_chosen(t, j);
    const u3d_volume *image, *reference;
    const u3d_case_data *data;
    if (i >= u3d_cases_count(t->cases)) {
        U3D_TRY(u3d_training_acquire_held(t, i, &image, &reference));
    } else {
        U3D_TRY(u3d_cases_acquire(t->cases, i, &data));
        image = data->image;
        reference = data->label;
    }
    const u3d_status status = look_at_prediction(t, image, reference, f);
    u3d_cases_release(t->cases, i);
    return status;
}

static u3d_status look_at_predictions(u3d_training *t, findings *f)
{
    u3d_status status = U3D_OK;
    const double begin = u3d_clock(), after_s = 1.5 * t->pace.save_s + t->pace.report_s;
    U3D_INFO("train", "postprocess: predicting %d volume%s %s", t->pace.n_choose,
             t->pace.n_choose == 1 ? "" : "s",
             t->n_held >= U3D_MIN_TO_CHOOSE ? "that were set aside" : "of the training data");
    u3d_params_swap_average(t->params);
    u3d_predictor_set_step(t->predictor, U3D_REPORT_STEP);
    for (int j = 0; status == U3D_OK && j < t->pace.n_choose; j++) {
        if (!u3d_pace_allows_volume(&t->pace, begin, j, t->pace.choice_s / t->pace.n_choose, after_s,
                                    u3d_clock()))
            break;
        status = look_at_chosen(t, j, f);
    }
    u3d_params_swap_average(t->params);
    return status;
}

/* If a volume can no longer be read, predictions decide nothing, but the trained model is still written. */
static u3d_status try_to_look(u3d_training *t, findings *f)
{
    const u3d_status status = look_at_predictions(t, f);
    if (status == U3D_E_CANCELLED)
        return u3d_fail(
            status,
            "training: stopped while choosing the post-processing; "
            "to write the model, run: u3d train --resume --out %s",
            t->o->out);
    if (status == U3D_OK || status == U3D_E_DEVICE) return status;
    U3D_WARN("train", "postprocess=auto: no predictions; %s", u3d_error_text());
    memset(f, 0, sizeof *f);
    return U3D_OK;
}

/* ---- decisions ---- */

/* Revokes what would lower the Dice of the volumes set aside. */
static void revoke(u3d_training *t, const choice *c)
{
    const u3d_labels *l = &t->model.labels;
    for (int k = 1; k < l->n; k++) {
        if (c->n[k] < U3D_MIN_TO_CHOOSE || !t->model.keep_largest[k]) continue;
        double before = c->before[k] / c->n[k], after = c->after[k] / c->n[k];
        t->model.keep_largest[k] = after >= before;
        U3D_INFO("train",
                 "postprocess: label %d%s%s: %s; mean Dice with only the largest component %.4f, before %.4f "
                 "(%d volumes set aside, %d changed)",
                 l->value[k], l->name[k][0] ? " " : "", l->name[k],
                 t->model.keep_largest[k] ? "only the largest component is kept" : "all components are kept",
                 after, before, c->n[k], c->changed[k]);
    }
}

/* Whether the Dice of any class falls in the volumes set aside if only the largest component of the foreground
 * is kept. */
static bool lowers_any(const u3d_training *t, const choice c[2])
{
    for (int k = 1; k < t->model.labels.n; k++)
        if (c[0].n[k] >= U3D_MIN_TO_CHOOSE && c[1].n[k] > 0 &&
            c[1].before[k] / c[1].n[k] < c[0].before[k] / c[0].n[k])
            return true;
    return false;
}

/* Says how far predictions can be trusted where nothing is annotated, which no score on annotated voxels
 * shows. */
static void tell_untouched(u3d_training *t, const findings *f)
{
    if (f->judged <= 0) return;
    t->untouched = f->untouched / f->judged;
    if (t->untouched <= MUCH)
        U3D_INFO("train",
                 "away from the annotation: %.1f %% of the foreground predicted in %d volumes lies in "
                 "components that no annotation touches",
                 100 * t->untouched, f->n_judged);
    else
        U3D_WARN(
            "train",
            "%.0f %% of the foreground predicted in %d volumes lies in components that no annotation "
            "touches, so "
            "predictions away from the annotation are not to be trusted, whatever scores on annotated voxels "
            "say; train for longer, or paint background where structures are found that do not exist",
            100 * t->untouched, f->n_judged);
}

/* postprocess=auto */
static u3d_status decide_by_data(u3d_training *t)
{
    findings f;
    memset(&f, 0, sizeof f);
    if (!t->model.labels.background) {
        U3D_INFO("train", "postprocess=auto: none; no label is the background (see --background)");
        return U3D_OK;
    }
    if (t->model.facts.sparse && t->pace.n_choose == 0)
        U3D_INFO("train", "postprocess=auto: none; predicting volumes %s",
                 t->held_slices ? "of which slices are held out does not show what is a single object"
                                : "to see what is a single object would take too much of the time");
    if (t->pace.n_choose > 0) U3D_TRY(try_to_look(t, &f));
    if (!t->model.facts.sparse) U3D_TRY(look_at_labels(t, &f.objects));
    t->model.keep_foreground = is_single(&f.objects, 0) && t->model.labels.n > 2;
    for (int k = 1; k < t->model.labels.n; k++) t->model.keep_largest[k] = is_single(&f.objects, k);
    if (lowers_any(t, f.choice)) t->model.keep_foreground = false;
    revoke(t, &f.choice[t->model.keep_foreground]);
    tell_untouched(t, &f);
    return U3D_OK;
}

u3d_status u3d_training_postprocess(u3d_training *t)
{
    char text[600];
    u3d_post how = t->model.config.postprocess;
    memset(t->model.keep_largest, 0, sizeof t->model.keep_largest);
    t->model.keep_foreground = false;
    t->untouched = NAN;
    if (how == U3D_POST_NONE) return U3D_OK;
    if (how == U3D_POST_LARGEST)
        all_foreground(t, t->model.keep_largest);
    else
        U3D_TRY(decide_by_data(t));
    U3D_INFO("train", "postprocess: only the largest component is kept of: %s",
             u3d_postprocess_text(&t->model, text, sizeof text));
    return U3D_OK;
}
