/* Makes the report of an evaluation: every measure of every label and case, and their means, as JSON.
 * evaluate.h describes the fields. Measures that do not exist are NaN here and null in the report; means
 * skip them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "net/evaluate/evaluate_impl.h"
#include "net/volume/metrics.h"

/* Names of the measures, in the order of metrics_of. Surface measures come last, so that a report without
 * them has only the first N_METRICS - N_SURFACE. */
static const char *const METRICS[] = {"Dice",
                                      "IoU",
                                      "TP",
                                      "FP",
                                      "FN",
                                      "TN",
                                      "n_pred",
                                      "n_ref",
                                      "volume_pred",
                                      "volume_ref",
                                      "Precision",
                                      "Recall",
                                      "RVD",
                                      "RVD_abs",
                                      "volume_difference",
                                      "volume_difference_abs",
                                      "HD95",
                                      "ASSD",
                                      "MASD",
                                      "NSD"};
enum { N_METRICS = sizeof METRICS / sizeof METRICS[0], N_SURFACE = 4, HD95 = N_METRICS - N_SURFACE };

static const u3d_tally *tally_find(const u3d_tallies *t, int32_t value)
{
    for (int i = 0; i < t->n; i++)
        if (t->item[i].value == value) return &t->item[i];
    return NULL;
}

static void metrics_of(const u3d_tallies *t, int32_t value, double m[N_METRICS])
{
    const u3d_tally absent = {.value = value, .surface = {NAN, NAN, NAN, NAN}}, *found = tally_find(t, value);
    const u3d_tally k = found ? *found : absent;
    const u3d_overlap o = {.tp = k.both,
                           .fp = k.predicted - k.both,
                           .fn = k.reference - k.both,
                           .tn = t->counted - k.predicted - k.reference + k.both};
    const double difference = (double)(k.predicted - k.reference);
    const double relative = k.reference ? difference / (double)k.reference : NAN;
    const double values[N_METRICS] = {u3d_overlap_dice(&o),
                                      u3d_overlap_iou(&o),
                                      (double)o.tp,
                                      (double)o.fp,
                                      (double)o.fn,
                                      (double)o.tn,
                                      (double)k.predicted,
                                      (double)k.reference,
                                      (double)k.predicted * t->voxel,
                                      (double)k.reference * t->voxel,
                                      u3d_overlap_precision(&o),
                                      u3d_overlap_recall(&o),
                                      relative,
                                      fabs(relative),
                                      difference * t->voxel,
                                      fabs(difference) * t->voxel,
                                      k.surface.hd95,
                                      k.surface.assd,
                                      k.surface.masd,
                                      k.surface.nsd};
    memcpy(m, values, sizeof values);
}

typedef struct mean { /* sums and numbers of the finite values */
    double sum[N_METRICS];
    int n[N_METRICS];
} mean;

static void mean_add(mean *s, const double m[N_METRICS])
{
    for (int i = 0; i < N_METRICS; i++)
        if (isfinite(m[i])) {
            s->sum[i] += m[i];
            s->n[i]++;
        }
}

static void mean_get(const mean *s, double m[N_METRICS])
{
    for (int i = 0; i < N_METRICS; i++) m[i] = s->n[i] ? s->sum[i] / s->n[i] : NAN;
}

typedef struct writer {
    const u3d_evaluate_opts *o;
    const u3d_pairs *p;
    const u3d_tallies *t, *values;
    int n_metrics;
} writer;

static cJSON *metrics_json(const writer *w, cJSON *parent, const char *name, const double m[N_METRICS])
{
    cJSON *o = cJSON_AddObjectToObject(parent, name);
    for (int i = 0; o && i < w->n_metrics; i++)
        if (!cJSON_AddItemToObject(o, METRICS[i], u3d_json_number(m[i]))) return NULL;
    return o;
}

static bool case_json(const writer *w, int i, cJSON *per_case)
{
    cJSON *entry = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(per_case, entry)) return false;
    const u3d_pair *c = &w->p->item[i];
    mean over_labels = {0};
    double m[N_METRICS];
    char key[16];
    cJSON *metrics = cJSON_AddObjectToObject(entry, "metrics");
    bool ok = metrics && cJSON_AddStringToObject(entry, "case", c->id) &&
              cJSON_AddStringToObject(entry, "prediction_file", c->prediction) &&
              cJSON_AddStringToObject(entry, "reference_file", c->reference) &&
              (!c->image || cJSON_AddStringToObject(entry, "image_file", c->image));
    for (int k = 0; ok && k < w->values->n; k++) {
        if (w->values->item[k].value == w->p->background) continue;
        snprintf(key, sizeof key, "%d", w->values->item[k].value);
        metrics_of(&w->t[i], w->values->item[k].value, m);
        mean_add(&over_labels, m);
        ok = metrics_json(w, metrics, key, m) != NULL;
    }
    mean_get(&over_labels, m);
    return ok && metrics_json(w, entry, "foreground_mean", m) &&
           cJSON_AddNumberToObject(entry, "unlabeled_voxels", (double)w->t[i].unlabeled);
}

/* Writes the means of one label over all cases, and adds them to *foreground. */
static bool label_json(const writer *w, int32_t value, cJSON *means, mean *foreground)
{
    mean over_cases = {0};
    double m[N_METRICS];
    char key[16];
    for (int i = 0; i < w->p->n; i++) {
        metrics_of(&w->t[i], value, m);
        mean_add(&over_cases, m);
    }
    mean_get(&over_cases, m);
    mean_add(foreground, m);
    snprintf(key, sizeof key, "%d", value);
    cJSON *o = metrics_json(w, means, key, m);
    return o && (!w->o->surface || cJSON_AddNumberToObject(o, "distance_cases", over_cases.n[HD95]));
}

/* The cases that could not be scored. */
static bool failures_json(const writer *w, cJSON *root)
{
    cJSON *list = cJSON_AddArrayToObject(root, "failures");
    bool ok = list != NULL;
    for (int i = w->p->n; ok && i < w->p->n + w->p->n_failed; i++) {
        const u3d_pair *c = &w->p->item[i];
        cJSON *entry = cJSON_CreateObject();
        ok = cJSON_AddItemToArray(list, entry) && cJSON_AddStringToObject(entry, "case", c->id) &&
             cJSON_AddStringToObject(entry, "prediction_file", c->prediction) &&
             cJSON_AddStringToObject(entry, "error", c->failure);
    }
    return ok;
}

static const char *unit_name(const writer *w)
{
    for (int i = 0; i < w->p->n; i++)
        if (w->t[i].unit_unknown) return "unknown";
    return "mm";
}

static bool surface_json(const writer *w, cJSON *root)
{
    if (!w->o->surface) return cJSON_AddNullToObject(root, "surface");
    cJSON *s = cJSON_AddObjectToObject(root, "surface");
    int n = 0;
    for (int i = 0; i < w->p->n; i++) n += w->t[i].unlabeled == 0;
    return s && cJSON_AddNumberToObject(s, "tolerance", w->o->tolerance) &&
           cJSON_AddStringToObject(s, "unit", unit_name(w)) && cJSON_AddNumberToObject(s, "cases", n) &&
           (n == w->p->n ||
            cJSON_AddStringToObject(s, "note",
                                    "references with unlabelled voxels have no true surface, so their "
                                    "cases are not measured"));
}

static bool totals_json(const writer *w, cJSON *root)
{
    mean foreground = {0};
    double m[N_METRICS];
    cJSON *means = cJSON_AddObjectToObject(root, "mean");
    bool ok = means != NULL;
    for (int k = 0; ok && k < w->values->n; k++)
        if (w->values->item[k].value != w->p->background)
            ok = label_json(w, w->values->item[k].value, means, &foreground);
    mean_get(&foreground, m);
    return ok && metrics_json(w, root, "foreground_mean", m) &&
           cJSON_AddNumberToObject(root, "cases", w->p->n) &&
           cJSON_AddNumberToObject(root, "references_without_prediction", w->p->n_unpredicted) &&
           cJSON_AddItemToObject(root, "unlabeled",
                                 u3d_json_number(w->p->has_unlabeled ? (double)w->p->unlabeled : NAN)) &&
           cJSON_AddNumberToObject(root, "background", w->p->background) && surface_json(w, root);
}

u3d_status u3d_evaluate_report(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_tallies *t,
                               const u3d_tallies *values, cJSON **out)
{
    const writer w = {o, p, t, values, o->surface ? N_METRICS : N_METRICS - N_SURFACE};
    cJSON *root = cJSON_CreateObject(), *per_case = cJSON_AddArrayToObject(root, "metric_per_case");
    bool ok = root && per_case;
    for (int i = 0; ok && i < p->n; i++) ok = case_json(&w, i, per_case);
    ok = ok && failures_json(&w, root) && totals_json(&w, root);
    if (!ok) {
        cJSON_Delete(root);
        return u3d_fail(U3D_E_NOMEM, "writing the evaluation of %d cases as JSON: out of memory", p->n);
    }
    *out = root;
    return U3D_OK;
}
