/* Scores of predictions during training and at its end: Dice and IoU.
 *
 * Predictions always use the averaged weights, because these are the weights of the written model. Held-out
 * data are set aside from the training cases. The validation cases of the fold are another set: they are
 * predicted once, after the model is written, and only reported. */
#include "net/train/train_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/volume/metrics.h"
#include "net/model/postprocess.h"

/* In a validation during training, tiles do not overlap. That takes an eighth of the work and gives a
 * slightly pessimistic score. */
static const double VALIDATION_STEP = 1.0;

/* Sums over volumes; n: number of volumes in which the class occurs. */
typedef struct tally {
    u3d_scores sum;
    int n[U3D_MAX_LABELS];
} tally;

static int first_scored(const u3d_training *t)
{
    return t->model.labels.background ? 1 : 0;
}

/* Predicts one volume, normalised and resampled as for training, and adds its scores on the grid of the
 * reference to *sums. Until training has ended, the model names no class to be post-processed. */
static u3d_status score_volume(u3d_training *t, const u3d_volume *image, const u3d_volume *reference,
                               tally *sums)
{
    u3d_status status = U3D_OK;
    u3d_overlap overlap[U3D_MAX_LABELS] = {{0}};
    u3d_volume *classes = NULL;
    int n = t->model.labels.n;
    U3D_GO(u3d_predict_volume_to(t->predictor, image, reference, &classes, NULL));
    U3D_GO(u3d_postprocess(&t->model, NULL, classes));
    u3d_overlap_add(classes, reference, n, overlap);
    for (int k = 0; k < n; k++) {
        double dice = u3d_overlap_dice(&overlap[k]);
        if (isnan(dice)) continue;
        sums->sum.dice[k] += dice;
        sums->sum.iou[k] += u3d_overlap_iou(&overlap[k]);
        sums->n[k]++;
    }
done:
    u3d_volume_free(classes);
    return status;
}

static void means_of(const u3d_training *t, const tally *sums, u3d_scores *out)
{
    int n = 0;
    out->mean_dice = out->mean_iou = 0.0;
    for (int k = 0; k < t->model.labels.n; k++) {
        bool known = sums->n[k] > 0;
        out->dice[k] = known ? sums->sum.dice[k] / sums->n[k] : NAN;
        out->iou[k] = known ? sums->sum.iou[k] / sums->n[k] : NAN;
        if (!known || k < first_scored(t)) continue;
        out->mean_dice += out->dice[k];
        out->mean_iou += out->iou[k];
        n++;
    }
    out->mean_dice = n > 0 ? out->mean_dice / n : NAN;
    out->mean_iou = n > 0 ? out->mean_iou / n : NAN;
}

static void log_scores(const u3d_training *t, const char *what, const u3d_scores *s)
{
    char text[600];
    size_t used = 0;
    for (int k = first_scored(t); k < t->model.labels.n && used + 100 < sizeof text; k++) {
        const u3d_labels *l = &t->model.labels;
        int n = snprintf(text + used, sizeof text - used, "  %d%s%s %.4f", l->value[k],
                         l->name[k][0] ? " " : "", l->name[k], s->dice[k]);
        if (n > 0) used += (size_t)n;
    }
    if (t->progress.bar) (void)fputs("\r\033[K", stderr); /* clears the progress bar */
    U3D_INFO("train", "%s: mean Dice %.4f, IoU %.4f%s;%s", what, s->mean_dice, s->mean_iou,
             t->model.facts.sparse ? " on annotated voxels" : "", text);
}

/* ---- held-out data ---- */

u3d_status u3d_training_acquire_held(u3d_training *t, int i, const u3d_volume **image,
                                     const u3d_volume **reference)
{
    const u3d_case_data *data;
    const u3d_volume *own = t->held_slices ? t->held_slices : t->held_own[i - u3d_cases_count(t->cases)];
    U3D_TRY(u3d_cases_acquire(t->cases, i, &data));
    *image = data->image;
    *reference = own ? own : data->label;
    return U3D_OK;
}

static u3d_status score_case(u3d_training *t, int i, tally *sums)
{
    const u3d_volume *image, *reference;
    U3D_TRY(u3d_training_acquire_held(t, i, &image, &reference));
    u3d_status status = score_volume(t, image, reference, sums);
    u3d_cases_release(t->cases, i);
    return status;
}

static u3d_status score_held(u3d_training *t, tally *sums)
{
    if (t->held_slices) return score_case(t, 0, sums);
    int first = u3d_cases_count(t->cases);
    for (int i = 0; i < t->pace.n_validate; i++) U3D_TRY(score_case(t, first + i, sums));
    return U3D_OK;
}

u3d_status u3d_training_validate(u3d_training *t)
{
    double begin = u3d_clock();
    char what[64];
    tally *sums = u3d_new(1, sizeof *sums);
    if (!sums) return U3D_E_NOMEM;
    u3d_params_swap_average(t->params);
    u3d_predictor_set_step(t->predictor, VALIDATION_STEP);
    u3d_status status = score_held(t, sums);
    u3d_params_swap_average(t->params);
    means_of(t, sums, &t->scores);
    u3d_free(sums);
    if (status == U3D_E_CANCELLED) { /* The loop notices the request to stop and writes a checkpoint first. */
        for (int k = 0; k < t->model.labels.n; k++) t->scores.dice[k] = t->scores.iou[k] = NAN;
        return U3D_OK;
    }
    U3D_TRY(status);
    u3d_pace_validated(&t->pace, u3d_clock() - begin);
    t->state.val_dice = t->scores.mean_dice;
    t->state.val_iou = t->scores.mean_iou;
    (void)snprintf(what, sizeof what, "validation after iteration %lld", (long long)t->state.iteration);
    log_scores(t, what, &t->scores);
    return U3D_OK;
}

/* ---- the fold's validation cases ---- */

static bool is_labelled(const u3d_volume *classes)
{
    const uint8_t *v = classes->data;
    const int64_t n = u3d_volume_voxels(classes);
    for (int64_t i = 0; i < n; i++)
        if (v[i] != U3D_UNLABELED) return true;
    return false;
}

static u3d_status report_case(u3d_training *t, const u3d_case *c, tally *sums)
{
    u3d_status status = U3D_OK;
    u3d_volume *image = NULL, *classes = NULL;
    U3D_GO(u3d_case_read_image(c, &image));
    U3D_GO(u3d_cases_read_classes(t->cases, c, image, &classes));
    if (!is_labelled(classes)) U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s' has no labelled voxel", c->label));
    U3D_GO(u3d_intensity_normalise(image, &t->model.intensity));
    U3D_GO(u3d_resample_image(u3d_cases_resampling(t->cases), image));
    U3D_GO(score_volume(t, image, classes, sums));
done:
    u3d_volume_free(image);
    u3d_volume_free(classes);
    return status;
}

/* Predicts the validation cases of the fold, as many as the time allows. A case that cannot be read, is too
 * large or does not fit the model is left out with a warning, because the trained model is good nevertheless.
 */
static u3d_status report_all(u3d_training *t, tally *sums, int *reported)
{
    double begin = u3d_clock();
    *reported = 0;
    for (int i = 0; i < t->o->n_report; i++) {
        if (!u3d_pace_allows_volume(&t->pace, begin, *reported, t->pace.iteration_s, 0, u3d_clock())) break;
        const u3d_case *c = &t->o->data->cases[t->o->report[i]];
        if (!c->label) continue;
        u3d_status status = report_case(t, c, sums);
        if (status == U3D_E_CANCELLED || status == U3D_E_DEVICE) return status;
        if (status != U3D_OK)
            U3D_WARN("train", "report: case %s is left out: %s", c->id, u3d_error_text());
        else
            ++*reported;
    }
    return U3D_OK;
}

u3d_status u3d_training_report(u3d_training *t, double *dice, double *iou)
{
    char what[96];
    int reported;
    *dice = *iou = NAN;
    if (t->o->n_report == 0) return U3D_OK;
    tally *sums = u3d_new(1, sizeof *sums);
    u3d_scores *means = u3d_new(1, sizeof *means);
    u3d_status status = sums && means ? U3D_OK : U3D_E_NOMEM;
    if (status != U3D_OK) goto done;
    t->progress.bar = false;
    u3d_params_swap_average(t->params);
    u3d_predictor_set_step(t->predictor, U3D_REPORT_STEP);
    status = report_all(t, sums, &reported);
    u3d_params_swap_average(t->params);
    U3D_GO(status);
    if (reported < t->o->n_report)
        U3D_WARN("train", "report: only %d of the fold's %d validation volumes are included", reported,
                 t->o->n_report);
    means_of(t, sums, means);
    (void)snprintf(what, sizeof what, "the fold's validation cases (%d)", reported);
    if (reported > 0) log_scores(t, what, means);
    *dice = means->mean_dice;
    *iou = means->mean_iou;
done:
    u3d_free(sums);
    u3d_free(means);
    return status;
}

/* ---- numbers of tiles ---- */

int64_t u3d_training_report_tiles(const u3d_training *t)
{
    int64_t median[3];
    for (int axis = 0; axis < 3; axis++) median[axis] = (int64_t)lround(t->model.facts.size[axis]);
    return t->o->n_report * u3d_training_tiles(t, median, U3D_REPORT_STEP);
}

static int64_t held_tiles(const u3d_training *t, int n, double step)
{
    int64_t tiles = 0;
    int first = u3d_cases_count(t->cases);
    for (int i = 0; i < n; i++) tiles += u3d_training_tiles(t, u3d_cases_size(t->cases, first + i), step);
    return tiles;
}

int64_t u3d_training_choice_tiles(const u3d_training *t, int n)
{
    int64_t tiles = 0;
    for (int j = 0; j < n; j++)
        tiles += u3d_training_tiles(t, u3d_cases_size(t->cases, u3d_training_chosen(t, j)), U3D_REPORT_STEP);
    return tiles;
}

int64_t u3d_training_validation_tiles(const u3d_training *t, int n)
{
    if (t->held_slices) return u3d_training_tiles(t, u3d_cases_size(t->cases, 0), VALIDATION_STEP);
    return held_tiles(t, n, VALIDATION_STEP);
}
