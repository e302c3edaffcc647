/* Scores of label files against reference files, per case and as means, in nnU-Net's summary.json fields.
 *
 * Values are the files' own label values; 0 is background and not reported. A label that is absent in both
 * files of a case has no Dice there (null), and such cases do not enter its mean (nnU-Net's nanmean). */
#include "net/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/log.h"
#include "engine/mem.h"
#include "io/dataset.h"
#include "io/json.h"
#include "io/path.h"
#include "io/volume.h"
#include "net/metrics.h"

typedef struct tally { /* one label value in one case */
    int32_t value;
    int64_t both, predicted, reference;
} tally;

typedef struct tallies {
    tally *item; /* sorted by value */
    int n, cap;
    int64_t counted; /* voxels that count */
    double voxel;    /* volume of one */
} tallies;

typedef struct pair {
    char *id, *prediction, *reference;
} pair;

typedef struct pairs {
    pair *item;
    int n;
    int n_unpredicted; /* references without a prediction */
    bool has_unlabeled;
    int32_t unlabeled;
    const char *dir; /* for messages */
} pairs;

/* ---- which files belong together ---- */

static void pairs_free(pairs *p)
{
    for (int i = 0; i < p->n; i++) {
        u3d_free(p->item[i].id);
        u3d_free(p->item[i].prediction);
        u3d_free(p->item[i].reference);
    }
    u3d_free(p->item);
}

static u3d_status pairs_add(pairs *p, const char *id, size_t id_length, char *prediction, char *reference)
{
    pair *grown = u3d_resize(p->item, (size_t)p->n, (size_t)p->n + 1, sizeof *grown);
    if (grown) p->item = grown;
    char *name = u3d_format("%.*s", (int)id_length, id);
    if (!grown || !name || !prediction || !reference) {
        u3d_free(name);
        u3d_free(prediction);
        u3d_free(reference);
        return U3D_E_NOMEM;
    }
    p->item[p->n++] = (pair){name, prediction, reference};
    return U3D_OK;
}

/* A folder of label files as a data set whose cases carry only `label`. */
static u3d_status references_open(const char *dir, u3d_dataset **out)
{
    char *json = u3d_path_join(dir, "dataset.json"), *labels = u3d_path_join(dir, "labels");
    const bool whole = json && labels && (u3d_path_exists(json) || u3d_path_is_dir(labels));
    const bool failed = !json || !labels;
    u3d_free(json);
    u3d_free(labels);
    if (failed) return U3D_E_NOMEM;
    return whole ? u3d_dataset_open(dir, true, out) : u3d_dataset_images(dir, out);
}

static const char *case_label(const u3d_case *c)
{
    return c->label ? c->label : c->image[0];
}

static bool ends_with(const char *name, size_t length, const char *end)
{
    const size_t n = strlen(end);
    return length >= n && memcmp(name + length - n, end, n) == 0;
}

static u3d_status pairs_from_folders(const u3d_evaluate_opts *o, pairs *p)
{
    u3d_status status = U3D_OK;
    u3d_dataset *references = NULL;
    char **names = NULL;
    int n = 0;
    U3D_GO(references_open(o->reference, &references));
    p->has_unlabeled = references->has_unlabeled;
    p->unlabeled = references->unlabeled;
    U3D_GO(u3d_path_list(o->prediction, &names, &n));
    for (int i = 0; i < n; i++) {
        size_t stem;
        if (!u3d_nifti_is_name(names[i], &stem) || ends_with(names[i], stem, "_probabilities")) continue;
        names[i][stem] = '\0';
        const int at = u3d_dataset_find(references, names[i]);
        if (at < 0) {
            status = u3d_fail(U3D_E_FORMAT, "%s: the prediction %s has no reference of that name in %s",
                              o->prediction, names[i], o->reference);
            goto done;
        }
        char *id = u3d_strdup(names[i]);
        if (!id) U3D_GO(U3D_E_NOMEM);
        names[i][stem] = '.';
        status = pairs_add(p, id, stem, u3d_path_join(o->prediction, names[i]),
                           u3d_strdup(case_label(&references->cases[at])));
        u3d_free(id);
        if (status != U3D_OK) goto done;
    }
    if (!p->n)
        U3D_GO(u3d_fail(U3D_E_IO, "%s: no predictions found, looked for *.nii and *.nii.gz", o->prediction));
    p->n_unpredicted = references->n_cases - p->n;
done:
    u3d_path_list_free(names, n);
    u3d_dataset_free(references);
    return status;
}

static u3d_status pairs_find(const u3d_evaluate_opts *o, pairs *p)
{
    const bool folder = u3d_path_is_dir(o->prediction);
    if (folder != u3d_path_is_dir(o->reference))
        return u3d_fail(U3D_E_ARG, "evaluating %s against %s: expected two files or two folders",
                        o->prediction, o->reference);
    if (folder) return pairs_from_folders(o, p);
    const char *slash = strrchr(o->prediction, '/'), *name = slash ? slash + 1 : o->prediction;
    size_t stem = strlen(name);
    u3d_nifti_is_name(name, &stem);
    return pairs_add(p, name, stem, u3d_strdup(o->prediction), u3d_strdup(o->reference));
}

/* ---- counting ---- */

/* Index of `value`, inserted in order where it is new; -1 out of memory. */
static int tally_index(tallies *t, int32_t value)
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
        tally *grown = u3d_resize(t->item, (size_t)t->cap, (size_t)t->cap * 2 + 16, sizeof *grown);
        if (!grown) return -1;
        t->item = grown;
        t->cap = t->cap * 2 + 16;
    }
    memmove(t->item + lo + 1, t->item + lo, (size_t)(t->n - lo) * sizeof *t->item);
    t->item[lo] = (tally){.value = value};
    t->n++;
    return lo;
}

static u3d_status case_count(const u3d_volume *prediction, const u3d_volume *reference, bool has_unlabeled,
                             int32_t unlabeled, tallies *t)
{
    const int32_t *p = prediction->data, *r = reference->data;
    const int64_t n = u3d_volume_voxels(reference);
    for (int64_t v = 0; v < n; v++) {
        if (has_unlabeled && r[v] == unlabeled) continue;
        int ip = tally_index(t, p[v]);
        const int ir = tally_index(t, r[v]);
        if (ip < 0 || ir < 0) return U3D_E_NOMEM;
        if (t->item[ip].value != p[v]) ip = tally_index(t, p[v]); /* moved by the insertion */
        t->counted++;
        t->item[ip].predicted++;
        t->item[ir].reference++;
        if (p[v] == r[v]) t->item[ir].both++;
    }
    t->voxel = fabs(reference->spacing[0] * reference->spacing[1] * reference->spacing[2]);
    return U3D_OK;
}

static u3d_status case_score(const pair *c, const pairs *all, double *off_by, tallies *t)
{
    u3d_status status = U3D_OK;
    u3d_volume *prediction = NULL, *reference = NULL;
    U3D_GO(u3d_nifti_read(c->prediction, U3D_VOLUME_LABEL, &prediction));
    U3D_GO(u3d_nifti_read(c->reference, U3D_VOLUME_LABEL, &reference));
    U3D_GO(u3d_volume_same_grid(prediction, c->prediction, reference, c->reference, off_by));
    U3D_GO(case_count(prediction, reference, all->has_unlabeled, all->unlabeled, t));
done:
    u3d_volume_free(prediction);
    u3d_volume_free(reference);
    return status;
}

/* ---- the report ---- */

static const char *const METRICS[] = {"Dice", "IoU",    "TP",    "FP",          "FN",
                                      "TN",   "n_pred", "n_ref", "volume_pred", "volume_ref"};
enum { N_METRICS = sizeof METRICS / sizeof METRICS[0] };

static void metrics_of(const tallies *t, int32_t value, double m[N_METRICS])
{
    tally k = {.value = value};
    for (int i = 0; i < t->n; i++)
        if (t->item[i].value == value) k = t->item[i];
    const u3d_overlap o = {.tp = k.both,
                           .fp = k.predicted - k.both,
                           .fn = k.reference - k.both,
                           .tn = t->counted - k.predicted - k.reference + k.both};
    const double values[N_METRICS] = {u3d_overlap_dice(&o),
                                      u3d_overlap_iou(&o),
                                      (double)o.tp,
                                      (double)o.fp,
                                      (double)o.fn,
                                      (double)o.tn,
                                      (double)k.predicted,
                                      (double)k.reference,
                                      (double)k.predicted * t->voxel,
                                      (double)k.reference * t->voxel};
    memcpy(m, values, sizeof values);
}

static bool metrics_json(cJSON *parent, const char *name, const double m[N_METRICS])
{
    cJSON *o = cJSON_AddObjectToObject(parent, name);
    bool ok = o != NULL;
    for (int i = 0; ok && i < N_METRICS; i++)
        ok = cJSON_AddItemToObject(o, METRICS[i], u3d_json_number(m[i]));
    return ok;
}

typedef struct mean { /* of the finite values only */
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

static u3d_status report(const pairs *p, const tallies *t, const tallies *values, cJSON **out)
{
    cJSON *root = cJSON_CreateObject(), *per_case = cJSON_AddArrayToObject(root, "metric_per_case");
    cJSON *means = cJSON_CreateObject();
    bool ok = root && per_case && means;
    double m[N_METRICS];
    char key[16];
    mean foreground = {0};
    for (int i = 0; ok && i < p->n; i++) {
        cJSON *entry = cJSON_CreateObject(), *metrics = cJSON_AddObjectToObject(entry, "metrics");
        ok = entry && metrics && cJSON_AddItemToArray(per_case, entry) &&
             cJSON_AddStringToObject(entry, "case", p->item[i].id) &&
             cJSON_AddStringToObject(entry, "prediction_file", p->item[i].prediction) &&
             cJSON_AddStringToObject(entry, "reference_file", p->item[i].reference);
        for (int k = 0; ok && k < values->n; k++) {
            if (values->item[k].value == 0) continue;
            snprintf(key, sizeof key, "%d", values->item[k].value);
            metrics_of(&t[i], values->item[k].value, m);
            ok = metrics_json(metrics, key, m);
        }
    }
    for (int k = 0; ok && k < values->n; k++) {
        if (values->item[k].value == 0) continue;
        mean over_cases = {0};
        for (int i = 0; i < p->n; i++) {
            metrics_of(&t[i], values->item[k].value, m);
            mean_add(&over_cases, m);
        }
        mean_get(&over_cases, m);
        mean_add(&foreground, m);
        snprintf(key, sizeof key, "%d", values->item[k].value);
        ok = metrics_json(means, key, m);
    }
    mean_get(&foreground, m);
    ok = ok && cJSON_AddItemToObject(root, "mean", means) && metrics_json(root, "foreground_mean", m) &&
         cJSON_AddNumberToObject(root, "cases", p->n) &&
         cJSON_AddNumberToObject(root, "references_without_prediction", p->n_unpredicted);
    if (!ok) {
        cJSON_Delete(root);
        return u3d_fail(U3D_E_NOMEM, "writing the evaluation of %d cases as JSON: out of memory", p->n);
    }
    *out = root;
    return U3D_OK;
}

u3d_status u3d_evaluate(const u3d_evaluate_opts *o, cJSON **out)
{
    u3d_status status = U3D_OK;
    pairs p = {0};
    tallies *t = NULL, values = {0};
    int n_off = 0;
    double worst = 0;
    *out = NULL;
    U3D_GO(pairs_find(o, &p));
    if (o->unlabeled_given) {
        p.has_unlabeled = true;
        p.unlabeled = o->unlabeled;
    }
    t = u3d_new((size_t)p.n, sizeof *t);
    if (!t) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < p.n; i++) {
        double off_by = 0;
        U3D_GO(case_score(&p.item[i], &p, &off_by, &t[i]));
        if (off_by > 0.01) n_off++;
        worst = fmax(worst, off_by);
        for (int k = 0; k < t[i].n; k++)
            if (tally_index(&values, t[i].item[k].value) < 0) U3D_GO(U3D_E_NOMEM);
    }
    if (n_off)
        U3D_WARN(
            "evaluate",
            "%d of %d predictions lie on another grid than their reference, by up to %.3g voxels; they are "
            "compared voxel by voxel",
            n_off, p.n, worst);
    if (p.n_unpredicted)
        U3D_WARN("evaluate", "%d references have no prediction in %s and are left out", p.n_unpredicted,
                 o->prediction);
    U3D_GO(report(&p, t, &values, out));
done:
    for (int i = 0; t && i < p.n; i++) u3d_free(t[i].item);
    u3d_free(t);
    u3d_free(values.item);
    pairs_free(&p);
    return status;
}
