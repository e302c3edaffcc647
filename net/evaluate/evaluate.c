/* Scores label files against reference files. Each case is read, counted and measured once.
 *
 * Labels are identified by the files' own values; the background (0 by default) is not reported. A
 * label that is absent in both files of a case has no Dice there (null), and its mean does not include
 * such cases (nnU-Net's nanmean). evaluate_pairs.c finds the files that belong together, surface.c
 * measures surface distances, and evaluate_report.c makes the report. */
#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/name_list.h"
#include "engine/base/thread.h"
#include "net/evaluate/evaluate_impl.h"

/* ---- counting ---- */

/* Index of `value`, which is inserted in order if it is new; -1: out of memory. */
static int tally_index(u3d_tallies *t, int32_t value)
{
    int lo = 0, hi = t->n;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (t->item[mid].value < value)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->n && t->item[lo].value == value) return lo;
    if (t->n == t->cap) {
        u3d_tally *grown = u3d_resize(t->item, (size_t)t->cap, (size_t)t->cap * 2 + 16, sizeof *grown);
        if (!grown) return -1;
        t->item = grown;
        t->cap = t->cap * 2 + 16;
    }
    memmove(t->item + lo + 1, t->item + lo, (size_t)(t->n - lo) * sizeof *t->item);
    t->item[lo] = (u3d_tally){.value = value, .surface = {NAN, NAN, NAN, NAN}};
    t->n++;
    return lo;
}

/* Counts `length` voxels that have value `p` in the prediction and `r` in the reference. */
static u3d_status run_count(u3d_tallies *t, int32_t p, int32_t r, int64_t length)
{
    int ip = tally_index(t, p);
    const int ir = tally_index(t, r);
    if (ip < 0 || ir < 0) return U3D_E_NOMEM;
    if (t->item[ip].value != p) ip = tally_index(t, p); /* inserting r has moved p */
    t->counted += length;
    t->item[ip].predicted += length;
    t->item[ir].reference += length;
    if (p == r) t->item[ir].both += length;
    return U3D_OK;
}

static u3d_status case_count(const u3d_volume *prediction, const u3d_volume *reference, const u3d_pairs *all,
                             u3d_tallies *t)
{
    const int32_t *p = prediction->data, *r = reference->data;
    const int64_t n = u3d_volume_voxels(reference);
    for (int64_t v = 0, end; v < n; v = end) {
        for (end = v + 1; end < n && p[end] == p[v] && r[end] == r[v];) end++;
        if (t->blank && r[v] == all->unlabeled)
            t->unlabeled += end - v;
        else
            U3D_TRY(run_count(t, p[v], r[v], end - v));
    }
    t->voxel = fabs(reference->spacing[0] * reference->spacing[1] * reference->spacing[2]);
    t->unit_unknown = u3d_grid_unit_mm(&reference->grid) == 0;
    return U3D_OK;
}

/* ---- surfaces ---- */

static u3d_status case_measure(const u3d_evaluate_opts *o, const u3d_pairs *all, const u3d_volume *prediction,
                               const u3d_volume *reference, u3d_tallies *t)
{
    u3d_status status = U3D_OK;
    const size_t most = (size_t)t->n;
    int32_t *values = u3d_new(most, sizeof *values);
    u3d_points *p = u3d_new(most, sizeof *p), *r = u3d_new(most, sizeof *r);
    int n = 0;
    if (!values || !p || !r) U3D_GO(U3D_E_NOMEM);
    for (int k = 0; k < t->n; k++)
        if (t->item[k].value != all->background && !(all->zero_too && t->item[k].value == 0))
            values[n++] = t->item[k].value;
    U3D_GO(u3d_surface_voxels(prediction, values, n, o->threads, p));
    U3D_GO(u3d_surface_voxels(reference, values, n, o->threads, r));
    for (int i = 0; i < n; i++)
        U3D_GO(u3d_surface_compare(&p[i], &r[i], reference->spacing, o->tolerance, o->threads,
                                   &t->item[tally_index(t, values[i])].surface));
done:
    u3d_points_free(p, n);
    u3d_points_free(r, n);
    u3d_free(p);
    u3d_free(r);
    u3d_free(values);
    return status;
}

/* ---- one case ---- */

typedef struct reading { /* both files are read at once, because decompressing takes longer than scoring */
    const char *path[2];
    u3d_volume *volume[2];
} reading;

static u3d_status read_one(void *context, int worker, int64_t item)
{
    reading *r = context;
    (void)worker;
    return u3d_volume_read(r->path[item], U3D_VOLUME_LABEL, &r->volume[item]);
}

/* Gives the volume whose header has no unit the unit of the other one, so that distances are in mm. */
static void case_take_unit(u3d_volume *v[2])
{
    const int known = u3d_grid_unit_mm(&v[0]->grid) > 0 ? 0 : 1;
    for (int a = 0; a < 3; a++) v[1 - known]->spacing[a] *= u3d_grid_unit_mm(&v[known]->grid);
    v[1 - known]->grid.xyzt_units = v[known]->grid.xyzt_units;
}

/* Brings both volumes onto one grid. If the reference covers only a part of the prediction, nothing is known
 * outside of it (if it has a value for that: `blank`), or there is background. Otherwise the prediction comes
 * onto the grid of the reference, so that no voxel of the reference is left out; outside of a prediction is
 * background. */
static u3d_status case_match(const u3d_evaluate_opts *o, const u3d_pair *c, const u3d_pairs *all, bool blank,
                             u3d_volume *v[2], u3d_match *m)
{
    if (u3d_volume_match(v[0], c->prediction, v[1], c->reference, false, m) == U3D_OK) {
        if (m->unit_taken) case_take_unit(v);
        return u3d_volume_onto(&v[1], v[0], m, blank ? all->unlabeled : all->background);
    }
    const u3d_status status =
        u3d_volume_match(v[1], c->reference, v[0], c->prediction, o->resample_labels, m);
    if (status == U3D_OK && m->unit_taken) case_take_unit(v);
    if (status == U3D_OK) return u3d_volume_onto(&v[0], v[1], m, all->background);
    if (o->resample_labels || !u3d_volume_has_place(v[0]) || !u3d_volume_has_place(v[1])) return status;
    return u3d_fail(status, "%s; if both show the same, --resample-labels takes the nearest voxels",
                    u3d_error_text());
}

static u3d_status case_score(const u3d_evaluate_opts *o, const u3d_pair *c, const u3d_pairs *all,
                             u3d_match *m, u3d_tallies *t)
{
    u3d_status status = U3D_OK;
    reading files = {.path = {c->prediction, c->reference}};
    U3D_GO(u3d_thread_each(o->threads, 2, read_one, &files));
    U3D_GO(u3d_pair_blank(o, all, c, files.volume[0], files.volume[1], &t->blank, &t->question));
    if (t->question) goto done;
    U3D_GO(case_match(o, c, all, t->blank, files.volume, m));
    U3D_GO(case_count(files.volume[0], files.volume[1], all, t));
    if (o->surface && t->unlabeled == 0)
        U3D_GO(case_measure(o, all, files.volume[0], files.volume[1], t));
done:
    u3d_volume_free(files.volume[0]);
    u3d_volume_free(files.volume[1]);
    return status;
}

/* ---- all cases ---- */

typedef struct oddities { /* what is reported once for all cases */
    int n_off, n_sparse; /* cases with grids that differ by over 0.01 voxel; with unlabelled voxels */
    int n_label;         /* cases in which the model's value for unlabelled voxels counts as a label */
    double worst;        /* largest distance between grids, voxels */
    u3d_name_list empty; /* cases without a labelled voxel in the reference */
    int n_index;         /* cases that are compared as stored */
    int n_part;          /* cases of which one volume covers only a part of the other */
    int n_nearest;       /* cases of which the prediction is resampled */
    int n_unit;          /* cases of which one header has no unit, and takes that of the other one */
} oddities;

static void oddities_add(oddities *odd, const u3d_match *m, const u3d_pairs *p, const u3d_tallies *t)
{
    odd->n_off += m->off_by > 0.01 && m->how == U3D_MATCH_SAME;
    if (m->how == U3D_MATCH_SAME) odd->worst = fmax(odd->worst, m->off_by);
    odd->n_index += m->how == U3D_MATCH_INDEX;
    odd->n_part += m->how == U3D_MATCH_PART && !m->whole;
    odd->n_nearest += m->how == U3D_MATCH_NEAREST;
    odd->n_unit += m->unit_taken;
    odd->n_sparse += t->unlabeled > 0;
    odd->n_label += p->has_unlabeled && !t->blank;
}

/* Drops the label 0 if it is background in addition to p->background: no reference has it, or predictions are
 * known to have it in place of the background. */
static void zero_drop(const u3d_pairs *p, u3d_tallies *values)
{
    for (int k = 0; k < values->n; k++)
        if (values->item[k].value == 0 && p->background != 0 &&
            (p->zero_too || values->item[k].reference == 0)) {
            values->n--;
            memmove(values->item + k, values->item + k + 1, (size_t)(values->n - k) * sizeof *values->item);
            return;
        }
}

/* Adds the counts of a case to those of all cases. */
static u3d_status values_add(u3d_tallies *values, const u3d_tallies *t)
{
    values->counted += t->counted;
    for (int i = 0; i < t->n; i++) {
        const int k = tally_index(values, t->item[i].value);
        if (k < 0) return U3D_E_NOMEM;
        values->item[k].predicted += t->item[i].predicted;
        values->item[k].reference += t->item[i].reference;
    }
    return U3D_OK;
}

/* Notes that a case cannot be scored; the others are scored nevertheless. The failure of a single pair of
 * files is the failure of the evaluation. */
static u3d_status case_fail(u3d_pairs *p, int i, u3d_tallies *t, u3d_status status)
{
    if (!p->folder) return status;
    u3d_free(t->item);
    u3d_free(t->question);
    *t = (u3d_tallies){0};
    return u3d_pair_fail(&p->item[i]);
}

/* Checks all headers before the first case is scored. */
static u3d_status cases_probe(u3d_pairs *p)
{
    u3d_tallies none = {0};
    for (int i = 0; i < p->n; i++) {
        const char *const path[2] = {p->item[i].prediction, p->item[i].reference};
        u3d_status status = U3D_OK;
        for (int k = 0; k < 2 && status == U3D_OK && !p->item[i].failure; k++) {
            u3d_volume *header;
            status = u3d_volume_probe(path[k], &header);
            u3d_volume_free(header);
        }
        if (status != U3D_OK) U3D_TRY(case_fail(p, i, &none, status));
    }
    return U3D_OK;
}

/* Moves the pairs that were not scored behind those that were; both keep their order. */
static void set_apart(u3d_pairs *p, u3d_tallies *t)
{
    int scored = 0;
    for (int i = 0; i < p->n; i++) {
        if (p->item[i].failure) continue;
        const u3d_pair pair = p->item[i];
        const u3d_tallies tallies = t[i];
        memmove(&p->item[scored + 1], &p->item[scored], (size_t)(i - scored) * sizeof pair);
        memmove(&t[scored + 1], &t[scored], (size_t)(i - scored) * sizeof tallies);
        p->item[scored] = pair;
        t[scored++] = tallies;
    }
    p->n_failed = p->n - scored;
    p->n = scored;
}

static void oddities_tell(const u3d_evaluate_opts *o, const u3d_pairs *p, oddities *odd)
{
    if (odd->empty.n)
        U3D_WARN("evaluate", "%d of %d references have no labelled voxel, so their cases have no scores: %s",
                 odd->empty.n, p->n, u3d_name_list_text(&odd->empty));
    if (odd->n_off)
        U3D_WARN(
            "evaluate",
            "the grids of %d of %d predictions differ from those of their references, by up to %.3g voxels; "
            "voxels are compared by index",
            odd->n_off, p->n, odd->worst);
    if (odd->n_index)
        U3D_WARN("evaluate",
                 "prediction or reference does not say where it lies in space in %d of %d cases; their files have "
                 "the same shape and are compared as stored",
                 odd->n_index, p->n);
    if (odd->n_part)
        U3D_WARN(
            "evaluate",
            "prediction or reference covers only a part of the other one in %d of %d cases; outside of a "
            "prediction is background, outside of a reference %s",
            odd->n_part, p->n, p->has_unlabeled && odd->n_label < p->n ? "nothing counts" : "too");
    if (odd->n_unit)
        U3D_WARN("evaluate",
                 "only one of prediction and reference gives its unit of length (xyzt_units) in %d of %d cases; "
                 "the other one is taken to have the same unit, because they fit then",
                 odd->n_unit, p->n);
    if (odd->n_nearest)
        U3D_WARN("evaluate",
                 "%d of %d predictions have another grid than their references; each voxel of a reference is "
                 "compared with the nearest one of the prediction (--resample-labels)",
                 odd->n_nearest, p->n);
    if (odd->n_label)
        U3D_WARN(
            "evaluate",
            "the model takes %d for unlabelled, but in %d of %d cases the prediction has %d as well and the "
            "reference does not look sparse, so %d counts as a label there; if it means unlabelled, give "
            "--unlabeled %d",
            (int)p->unlabeled, odd->n_label, p->n, (int)p->unlabeled, (int)p->unlabeled, (int)p->unlabeled);
    if (p->n_unpredicted && !o->part)
        U3D_WARN("evaluate", "%d references have no prediction in %s and are left out", p->n_unpredicted,
                 o->prediction);
    if (o->surface && odd->n_sparse)
        U3D_INFO("evaluate",
                 "%d of %d references have unlabelled voxels, so their surface distances are not measured",
                 odd->n_sparse, p->n);
}

/* Says if predictions and references both have labels, but none in common, as a mask of 0 and 1 and one of 0
 * and 255: then all scores are 0 whatever the masks look like. */
static void values_tell(const u3d_pairs *p, const u3d_tallies *values)
{
    const u3d_tally *predicted = NULL, *reference = NULL;
    for (int k = 0; k < values->n; k++) {
        const u3d_tally *t = &values->item[k];
        if (t->value == p->background) continue;
        if (t->predicted > 0 && t->reference > 0) return;
        if (t->predicted > 0 && !predicted) predicted = t;
        if (t->reference > 0 && !reference) reference = t;
    }
    if (predicted && reference)
        U3D_WARN("evaluate",
                 "predictions and references have no label in common (for example, %d occurs only in "
                 "predictions, %d only in references), so all scores are 0; equal labels need equal values",
                 (int)predicted->value, (int)reference->value);
}

/* The value that means "unlabelled": from the options, the data set of the references, or the model. */
static void unlabeled_settle(const u3d_evaluate_opts *o, u3d_pairs *p)
{
    const u3d_dataset *d = p->references;
    p->certain = o->unlabeled_given || (d && d->has_unlabeled);
    p->has_unlabeled = p->certain || (o->trained && o->trained->has_unlabeled && !o->dense);
    if (p->has_unlabeled)
        p->unlabeled = o->unlabeled_given ? o->unlabeled : p->certain ? d->unlabeled : o->trained->unlabeled;
}

/* The label that is not measured: that of the options, the model, or the data set of the references, or 0. */
static void background_settle(const u3d_evaluate_opts *o, u3d_pairs *p)
{
    const u3d_labels *trained = o->trained && o->trained->background ? o->trained : NULL;
    p->background_known = o->background_given || trained;
    if (p->background_known)
        p->background = o->background_given ? o->background : trained->value[0];
    else if (p->references)
        p->background_known = u3d_dataset_background(p->references, &p->background);
    if (!trained || p->background != trained->value[0]) return;
    u3d_labels written = *trained;
    p->zero_too = u3d_labels_zero_background(&written);
}

u3d_status u3d_evaluate(const u3d_evaluate_opts *o, cJSON **out)
{
    u3d_status status = U3D_OK;
    u3d_pairs p = {0};
    u3d_tallies *t = NULL, values = {0};
    oddities odd = {.n_off = 0};
    int n;
    *out = NULL;
    U3D_GO(u3d_pairs_find(o, &p));
    unlabeled_settle(o, &p);
    background_settle(o, &p);
    t = u3d_new((size_t)p.n, sizeof *t);
    if (!t) U3D_GO(U3D_E_NOMEM);
    U3D_GO(cases_probe(&p));
    for (int i = 0; i < p.n; i++) {
        u3d_match match;
        if (p.item[i].failure) continue;
        status = case_score(o, &p.item[i], &p, &match, &t[i]);
        if (status != U3D_OK) U3D_GO(case_fail(&p, i, &t[i], status));
        if (p.item[i].failure) continue;
        if (t[i].question) U3D_GO(u3d_fail(U3D_E_ARG, "%s", t[i].question));
        oddities_add(&odd, &match, &p, &t[i]);
        if (t[i].counted == 0) u3d_name_list_add(&odd.empty, p.item[i].id);
        U3D_GO(values_add(&values, &t[i]));
    }
    n = p.n;
    set_apart(&p, t);
    if (p.n == 0) U3D_GO(u3d_fail(U3D_E_FORMAT, "none of %d cases can be scored: %s", n, p.item[0].failure));
    oddities_tell(o, &p, &odd);
    U3D_GO(u3d_unpredicted_check(o, &p, &values));
    zero_drop(&p, &values);
    values_tell(&p, &values);
    if (odd.n_label == p.n) p.has_unlabeled = false;
    U3D_GO(u3d_evaluate_report(o, &p, t, &values, out));
done:
    for (int i = 0; t && i < p.n + p.n_failed; i++) {
        u3d_free(t[i].item);
        u3d_free(t[i].question);
    }
    u3d_free(t);
    u3d_free(values.item);
    u3d_pairs_free(&p);
    return status;
}
