/* Pseudo-labels: what annotation and the network together say of the voxels that nobody labelled. From a
 * share of the run on (pseudo_start), the training cases are predicted in turn with the averaged weights,
 * whole volumes with overlapping tiles. What the prediction and the annotation agree to be background becomes
 * the label of a second loss (net/model/unet3d.c); everything else stays unlabelled.
 *
 * A network that has never been told what lies far from all annotation sees structures there. Its predictions
 * alone would only confirm that: on cardiac scribbles they gained nothing, and on the cells of a root they
 * lost 0.02 IoU (net/RESULTS.md). But the annotation often knows better: if nearly all annotated voxels of
 * each class lie in one component of the prediction, every class is a single object, and components that no
 * annotation touches are background (net/volume/components.h). Only volumes that show this get pseudo-labels;
 * those with many objects, such as cells of which a few are annotated, do not. If two rounds through the cases
 * find no such volume, there is no further one. Where exactly a structure ends, the predictions do not decide:
 * within MARGIN of a structure nothing becomes a label.
 *
 * Predictions take about U3D_PSEUDO_SHARE of the time. Which case is predicted after which iteration follows
 * from the settings alone, and samples learn from new pseudo-labels from a fixed number on, so a run repeats
 * to the last bit with any number of threads, interrupted or not. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "net/train/train_impl.h"
#include "net/volume/components.h"

/* TILE_STEP: between tiles, as a share of the patch. LAST: share of the iterations after which pseudo-labels
 * no longer change. TILE_SHARE: time of a tile's prediction compared with an iteration on one patch. MARGIN:
 * voxels of the finest axis; along a coarse axis the same length, but at least one voxel. SECOND_ROUND: share
 * of the iterations before a second round, if the first one gave no pseudo-labels. */
static const double TILE_STEP = 0.75, LAST = 0.95, TILE_SHARE = 1.0 / 3, MARGIN = 3, SECOND_ROUND = 0.6;

bool u3d_training_pseudo_due(const u3d_training *t, int64_t iteration)
{
    const u3d_config *c = &t->model.config;
    const double total = (double)t->state.total, at = (double)iteration;
    return c->pseudo_labels == U3D_SWITCH_ON && total > 0 && at >= c->pseudo_start * total &&
           at < LAST * total && iteration >= t->state.pseudo_next;
}

/* Iterations until the next case: the prediction of this one takes U3D_PSEUDO_SHARE of their time. Batches that
 * are made already, or are being made, must be used up before, because they refer to the pseudo-labels of
 * earlier times. */
static int64_t iterations_until_next(const u3d_training *t, const int64_t size[3])
{
    const double tiles = (double)u3d_training_tiles(t, size, TILE_STEP);
    const int64_t n =
        (int64_t)ceil(tiles * TILE_SHARE / (double)t->model.config.batch / U3D_PSEUDO_SHARE);
    return n > u3d_training_most_ahead ? n : u3d_training_most_ahead + 1;
}

static u3d_status predict_averaged(u3d_training *t, const u3d_volume *image, u3d_volume **classes)
{
    u3d_params_swap_average(t->params);
    u3d_predictor_set_step(t->predictor, TILE_STEP);
    const u3d_status status = u3d_predict_volume(t->predictor, image, classes, NULL);
    u3d_params_swap_average(t->params);
    return status;
}

/* Whether every class that is annotated in case i is a single object there. `kept` counts the components of
 * such classes only. */
static bool all_single(const u3d_training *t, int i, const u3d_kept *kept)
{
    bool single = t->model.labels.background;
    for (int k = 1; k < t->model.labels.n; k++)
        single = single && (u3d_cases_voxels(t->cases, i, k) == 0 || kept[k].components > 0);
    return single;
}

/* Marks up to `radius` voxels before and after each marked one along a line of n voxels. */
static void spread_along(uint8_t *mark, int64_t n, int64_t step, int64_t radius)
{
    enum { FREE, MARKED, NEW };
    int64_t left = 0;
    for (int64_t i = 0; i < n; i++) {
        if (mark[i * step] == MARKED)
            left = radius;
        else if (left-- > 0)
            mark[i * step] = NEW;
    }
    left = 0;
    for (int64_t i = n - 1; i >= 0; i--) {
        if (mark[i * step] == MARKED)
            left = radius;
        else if (left-- > 0)
            mark[i * step] = NEW;
    }
    for (int64_t i = 0; i < n; i++) mark[i * step] = mark[i * step] != FREE;
}

/* Widens marks by MARGIN in each direction. */
static void spread(uint8_t *mark, const int64_t size[3], const double spacing[3])
{
    const int64_t step[3] = {size[1] * size[2], size[2], 1};
    const double finest = fmin(spacing[0], fmin(spacing[1], spacing[2]));
    for (int a = 0; a < 3; a++) {
        const int p = (a + 1) % 3, q = (a + 2) % 3;
        const int64_t radius = (int64_t)fmax(1, round(MARGIN * finest / spacing[a]));
        for (int64_t i = 0; i < size[p]; i++)
            for (int64_t j = 0; j < size[q]; j++)
                spread_along(mark + i * step[p] + j * step[q], size[a], step[a], radius);
    }
}

/* Keeps only background that is not close to a structure, predicted or annotated; the rest becomes
 * unlabelled. */
static void keep_background(u3d_volume *classes, const u3d_volume *label, const double spacing[3])
{
    uint8_t *class = classes->data;
    const uint8_t *said = label->data;
    const int64_t n = u3d_volume_voxels(classes);
    for (int64_t v = 0; v < n; v++) class[v] = class[v] > 0 || (said[v] > 0 && said[v] != U3D_UNLABELED);
    spread(class, classes->size, spacing);
    for (int64_t v = 0; v < n; v++) class[v] = class[v] ? U3D_UNLABELED : 0;
}

static void log_labelled(const u3d_training *t, int i, bool single, const u3d_kept *kept)
{
    int64_t removed = 0, voxels = 0;
    for (int k = 1; k < t->model.labels.n; k++) {
        removed += kept[k].removed;
        voxels += kept[k].voxels;
    }
    if (single)
        U3D_DEBUG(
            "train",
            "pseudo-labels of %s; %lld components that no annotation touches are background (%lld voxels)",
            u3d_cases_id(t->cases, i), (long long)removed, (long long)voxels);
    else
        U3D_DEBUG("train",
                  "no pseudo-labels of %s: the annotation does not show that each class is one object",
                  u3d_cases_id(t->cases, i));
}

static u3d_status label_case(u3d_training *t, int i, const u3d_case_data *data)
{
    u3d_kept kept[U3D_MAX_LABELS] = {{0}};
    u3d_volume *classes = NULL;
    U3D_TRY(predict_averaged(t, data->image, &classes));
    u3d_status status =
        u3d_components_keep_annotated(classes, data->label, t->model.labels.n, U3D_ONE_OBJECT, kept);
    const bool single = status == U3D_OK && all_single(t, i, kept);
    if (!single) {
        u3d_volume_free(classes);
        if (status == U3D_OK) log_labelled(t, i, false, kept);
        return status;
    }
    log_labelled(t, i, true, kept);
    keep_background(classes, data->label, u3d_cases_spacing(t->cases, i));
    t->state.pseudo_from = (t->state.iteration + 1 + u3d_training_most_ahead) * t->model.config.batch;
    t->state.pseudo_made++;
    u3d_cases_set_pseudo(t->cases, i, classes, t->state.pseudo_from);
    return U3D_OK;
}

/* No further predictions; says why if there are no pseudo-labels at all. */
static void give_up(u3d_training *t, const char *why)
{
    t->state.pseudo_next = (int64_t)1 << 52; /* never; a checkpoint's JSON holds 53 bits */
    t->pace.task.beside_share = 0;
    if (t->state.pseudo_made == 0) U3D_INFO("train", "pseudo-labels: none; %s", why);
}

/* When the next case is predicted. Early in a run the network may not have found every class yet; so if the
 * first round gave nothing, there is a second one later. */
static void schedule_next(u3d_training *t, int64_t n)
{
    const int64_t cases = u3d_cases_count(t->cases), again = (int64_t)(SECOND_ROUND * (double)t->state.total);
    t->state.pseudo_done++;
    t->state.pseudo_next = t->state.iteration + n;
    if (t->state.pseudo_made > 0 || t->state.pseudo_done < cases) return;
    if (t->state.pseudo_done == cases && t->state.pseudo_next < again) t->state.pseudo_next = again;
    if (t->state.pseudo_done >= 2 * cases)
        give_up(t, "the annotation of no volume shows that each class is one object");
}

u3d_status u3d_training_pseudo_label(u3d_training *t)
{
    const double begin = u3d_clock();
    const int i = (int)(t->state.pseudo_done % u3d_cases_count(t->cases));
    const int64_t n = iterations_until_next(t, u3d_cases_size(t->cases, i));
    const u3d_case_data *data;
    t->state.pseudo_pending = false;
    if ((double)(t->state.iteration + n) > LAST * (double)t->state.total) {
        give_up(t, "predicting a training volume would take too much of this run");
        return U3D_OK;
    }
    U3D_TRY(u3d_cases_acquire(t->cases, i, &data));
    u3d_status status = label_case(t, i, data);
    u3d_cases_release(t->cases, i);
    if (status == U3D_E_CANCELLED) { /* the loop notices the request to stop; a resumed run begins with this */
        t->state.pseudo_pending = true;
        return U3D_OK;
    }
    U3D_TRY(status);
    schedule_next(t, n);
    u3d_pace_worked_beside(&t->pace, u3d_clock() - begin);
    return U3D_OK;
}

uint64_t u3d_training_pseudo_bytes(const u3d_training *t)
{
    uint64_t bytes = 0, most = 0;
    if (t->model.config.pseudo_labels != U3D_SWITCH_ON) return 0;
    for (int i = 0; i < u3d_cases_count(t->cases); i++) {
        const int64_t *size = u3d_cases_size(t->cases, i);
        const uint64_t voxels = (uint64_t)(size[0] * size[1] * size[2]);
        bytes += voxels;
        if (voxels > most) most = voxels;
    }
    return bytes + most;
}

/* ---- checkpoints ---- */

static u3d_status save_classes(const u3d_volume *classes, const char *prefix, int i, u3d_checkpoint *c)
{
    char name[U3D_NAME_CAP];
    u3d_tensor *t;
    (void)snprintf(name, sizeof name, "%s/%d", prefix, i);
    U3D_TRY(u3d_tensor_new(name, u3d_type_of(U3D_U8, 3, classes->size), &t));
    memcpy(t->data, classes->data, (size_t)u3d_volume_voxels(classes));
    return u3d_checkpoint_add(c, t);
}

u3d_status u3d_training_pseudo_save(u3d_training *t, u3d_checkpoint *c)
{
    const int64_t sample =
        t->state.iteration * t->model.config.batch; /* the first one after the checkpoint */
    for (int i = 0; i < u3d_cases_count(t->cases); i++) {
        const u3d_volume *newest = u3d_cases_pseudo(t->cases, i, INT64_MAX);
        const u3d_volume *now = u3d_cases_pseudo(t->cases, i, sample);
        if (now) U3D_TRY(save_classes(now, "pseudo", i, c));
        if (newest != now) U3D_TRY(save_classes(newest, "pseudo_next", i, c));
    }
    return U3D_OK;
}

static u3d_status restore_classes(u3d_training *t, const u3d_tensor *saved, int i, int64_t from)
{
    u3d_volume *classes;
    const int64_t *size = u3d_cases_size(t->cases, i);
    const u3d_type type = u3d_type_of(U3D_U8, 3, size);
    if (!u3d_type_equal(&saved->type, &type))
        return u3d_fail(U3D_E_FORMAT,
                        "resume %s: %s: the pseudo-labels '%s' have another size than their case", t->o->out,
                        U3D_RUN_CHECKPOINT, saved->name);
    U3D_TRY(u3d_volume_new(size, u3d_cases_spacing(t->cases, i), U3D_U8, 1, &classes));
    memcpy(classes->data, saved->data, (size_t)u3d_volume_voxels(classes));
    for (int64_t v = u3d_volume_voxels(classes); v-- > 0;) {
        uint8_t *class = (uint8_t *)classes->data + v;
        if (*class != 0) *class = U3D_UNLABELED; /* a damaged file must not name other classes */
    }
    u3d_cases_set_pseudo(t->cases, i, classes, from);
    return U3D_OK;
}

static u3d_status restore_all(u3d_training *t, const char *prefix, int64_t from)
{
    char name[U3D_NAME_CAP];
    for (int i = 0; i < u3d_cases_count(t->cases); i++) {
        (void)snprintf(name, sizeof name, "%s/%d", prefix, i);
        const u3d_tensor *saved = u3d_checkpoint_find(t->resumed, name);
        if (saved) U3D_TRY(restore_classes(t, saved, i, from));
    }
    return U3D_OK;
}

u3d_status u3d_training_pseudo_restore(u3d_training *t)
{
    U3D_TRY(restore_all(t, "pseudo", 0));
    return restore_all(t, "pseudo_next", t->state.pseudo_from); /* at most one case has it */
}
