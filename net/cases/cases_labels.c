/* The label table of a data set: the values that occur in the label volumes, and those that dataset.json
 * names. Values keep their names and are sorted, the background first; their positions are the classes of the
 * network. The value that means "unlabelled" is not in the table. Unusual tables cause warnings. */
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "net/cases/cases_impl.h"

enum { LABELS_SHOWN = 12 }; /* names in a warning */

/* Inserts a value if it is new, so that the values stay increasing and keep their names. *at is its
 * position. */
static u3d_status labels_insert(u3d_labels *l, int32_t value, int *at)
{
    int i = l->n;
    while (i > 0 && l->value[i - 1] >= value) i--;
    *at = i;
    if (i < l->n && l->value[i] == value) return U3D_OK;
    if (l->n == U3D_MAX_LABELS)
        return u3d_fail(U3D_E_FORMAT,
                        "there are more than %d label values (the next one is %d); is this an image instead of labels?",
                        (int)U3D_MAX_LABELS, (int)value);
    memmove(&l->value[i + 1], &l->value[i], (size_t)(l->n - i) * sizeof l->value[0]);
    memmove(&l->name[i + 1], &l->name[i], (size_t)(l->n - i) * sizeof l->name[0]);
    l->value[i] = value;
    l->name[i][0] = '\0';
    l->n++;
    return U3D_OK;
}

u3d_status u3d_case_values(const u3d_volume *label, u3d_labels *found)
{
    const int32_t *v = label->data;
    int64_t n = u3d_volume_voxels(label);
    int at = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && v[i] == v[i - 1]) continue;
        if (found->has_unlabeled && v[i] == found->unlabeled) continue;
        U3D_TRY(labels_insert(found, v[i], &at));
    }
    return U3D_OK;
}

u3d_status u3d_case_add_value(u3d_labels *found, int32_t value)
{
    int at;
    return labels_insert(found, value, &at);
}

static bool labels_has(const u3d_labels *l, int32_t value)
{
    for (int i = 0; i < l->n; i++)
        if (l->value[i] == value) return true;
    return false;
}

/* Writes the values of the entries that `want` accepts, such as "1, 2, 5", and returns their number. */
static int labels_list(const u3d_labels *l, bool (*want)(const u3d_labels *, int), char *buf, size_t cap)
{
    int n = 0;
    size_t used = 0;
    buf[0] = '\0';
    for (int i = 0; i < l->n; i++) {
        if (!want(l, i)) continue;
        if (used < cap)
            used += (size_t)snprintf(buf + used, cap - used, "%s%d", n ? ", " : "", (int)l->value[i]);
        n++;
    }
    return n;
}

static bool labels_any(const u3d_labels *l, int i)
{
    return i < l->n;
}
static bool labels_nameless(const u3d_labels *l, int i)
{
    return l->name[i][0] == '\0';
}

/* Warns of names whose values no voxel has. Background has a warning of its own. */
static void labels_warn_absent(const u3d_dataset *d, const u3d_labels *found, const u3d_labels *table)
{
    char list[600] = "";
    int n = 0;
    for (int i = 0; i < d->n_labels; i++) {
        const int32_t value = d->labels[i].value;
        const size_t used = strlen(list);
        if (labels_has(found, value) || !labels_has(table, value)) continue;
        if (table->background && value == table->value[0]) continue;
        if (n++ < LABELS_SHOWN)
            (void)snprintf(list + used, sizeof list - used, "%s%s (%d)", n > 1 ? ", " : "", d->labels[i].name,
                           (int)value);
        else if (n == LABELS_SHOWN + 1)
            (void)snprintf(list + used, sizeof list - used, ", ...");
    }
    if (n > 0)
        U3D_WARN("cases",
                 "%d named class%s occur%s in no label of the training cases, so the network "
                 "cannot learn %s: %s",
                 n, n == 1 ? "" : "es", n == 1 ? "s" : "", n == 1 ? "it" : "them", list);
}
/* ---- the background ---- */

u3d_status u3d_case_background(const u3d_dataset *d, const u3d_cases_opts *o, const u3d_labels *found,
                               u3d_background *out)
{
    int32_t value = 0;
    const bool named = u3d_dataset_background(d, &value);
    *out = (u3d_background){.known = !(found->has_unlabeled && value == found->unlabeled), .value = value};
    if (!o->background_given) return U3D_OK;
    if (found->has_unlabeled && o->background == found->unlabeled)
        return u3d_fail(
            U3D_E_ARG,
            "--background %d: %d means unlabelled; the background needs a label of its own, which is "
            "painted where nothing else is",
            (int)o->background, (int)o->background);
    if (named && out->known && value != o->background)
        U3D_WARN("cases",
                 "'%s' calls label %d the background, but --background %d was given, so label %d counts as a "
                 "structure",
                 d->path, (int)value, (int)o->background, (int)value);
    *out = (u3d_background){.known = true, .given = true, .value = o->background};
    return U3D_OK;
}

/* Moves entry i to the front. */
static void labels_move_first(u3d_labels *l, int i)
{
    const int32_t value = l->value[i];
    char name[sizeof l->name[0]];
    memcpy(name, l->name[i], sizeof name);
    memmove(&l->value[1], &l->value[0], (size_t)i * sizeof l->value[0]);
    memmove(&l->name[1], &l->name[0], (size_t)i * sizeof l->name[0]);
    l->value[0] = value;
    memcpy(l->name[0], name, sizeof name);
}

static u3d_status labels_place_background(const u3d_background *b, u3d_labels *table)
{
    char list[128];
    for (int i = 0; b->known && i < table->n && !table->background; i++)
        if (table->value[i] == b->value) {
            labels_move_first(table, i);
            table->background = true;
        }
    if (!b->given || table->background) return U3D_OK;
    labels_list(table, labels_any, list, sizeof list);
    return u3d_fail(U3D_E_ARG, "--background %d: no label has this value; the labels are %s", (int)b->value,
                    list);
}

/* ---- the table ---- */

static void labels_warn(const u3d_dataset *d, const u3d_labels *found, const u3d_labels *table)
{
    char list[128];
    if (d->n_labels > 0 && labels_list(table, labels_nameless, list, sizeof list) > 0)
        U3D_WARN("cases", "label values without a name are used nevertheless: %s", list);
    labels_warn_absent(d, found, table);
    labels_list(table, labels_any, list, sizeof list);
    if (found->has_unlabeled && found->unlabeled == 0 && !table->background)
        U3D_WARN("cases",
                 "0 means unlabelled, so the network gives every voxel one of the labels %s; if none of them "
                 "stands for the background, label some background with a value of its own; if one does, say "
                 "which one with --background V",
                 list);
    else if (table->background && !labels_has(found, table->value[0]))
        U3D_WARN("cases", "no background voxel (%d) is annotated anywhere, so the network never sees one",
                 (int)table->value[0]);
    if (table->background && table->value[0] != 0)
        U3D_INFO("cases", "label %d is the background", (int)table->value[0]);
    if (table->n == 1)
        U3D_WARN("cases", "%s is the only label value, so there is nothing to distinguish", list);
}

u3d_status u3d_case_table(const u3d_dataset *d, const u3d_labels *found, const u3d_background *background,
                          u3d_labels *table)
{
    *table = *found;
    for (int i = 0; i < d->n_labels; i++) {
        int at = 0;
        if (found->has_unlabeled && d->labels[i].value == found->unlabeled) continue;
        U3D_TRY(labels_insert(table, d->labels[i].value, &at));
        (void)snprintf(table->name[at], sizeof table->name[at], "%s", d->labels[i].name);
    }
    U3D_TRY(labels_place_background(background, table));
    labels_warn(d, found, table);
    return U3D_OK;
}

u3d_status u3d_case_table_check(const u3d_labels *found, const u3d_labels *table)
{
    char list[128];
    for (int i = 0; i < found->n; i++) {
        if (labels_has(table, found->value[i])) continue;
        labels_list(table, labels_any, list, sizeof list);
        return u3d_fail(
            U3D_E_ARG,
            "the label files contain the value %d, but the labels that training began with are %s; the "
            "data changed",
            (int)found->value[i], list);
    }
    return U3D_OK;
}
