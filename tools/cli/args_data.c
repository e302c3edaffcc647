/* From options to cases, label files, and the options of scoring. */
#include "tools/cli/args_data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/format.h"
#include "io/listing.h"
#include "io/path.h"
#include "net/config/config.h"
#include "net/volume/labels.h"

static const double TOLERANCE_MAX = 1e6;

static u3d_status cases_all(args_cases *c)
{
    c->train = u3d_new((size_t)c->data->n_cases, sizeof *c->train);
    if (!c->train) return U3D_E_NOMEM;
    c->n_train = c->data->n_cases;
    for (int i = 0; i < c->n_train; i++) c->train[i] = i;
    return U3D_OK;
}

u3d_status args_cases_open(const args *a, const char *command_name, int channels, bool labels_needed,
                           args_cases *out)
{
    *out = (args_cases){0};
    int64_t fold;
    if (a->data && (a->image || a->label))
        return u3d_fail(U3D_E_ARG, "u3d %s: --data and --image with --label exclude each other",
                        command_name);
    if (!a->data && !(a->image && a->label))
        return u3d_fail(U3D_E_ARG, "u3d %s: expected --data DIR, or --image FILE with --label FILE",
                        command_name);
    if (!a->split != !a->fold)
        return u3d_fail(U3D_E_ARG, "u3d %s: --split and --fold need each other", command_name);
    if (a->split && !a->data) return u3d_fail(U3D_E_ARG, "u3d %s: --split needs --data", command_name);
    if (a->data)
        U3D_TRY(u3d_dataset_open(a->data, channels, labels_needed, &out->data));
    else
        U3D_TRY(u3d_dataset_pair(a->image, a->label, &out->data));
    U3D_TRY(args_names(a, out->data));
    if (!a->split) return cases_all(out);
    U3D_TRY(args_int("--fold", a->fold, 0, INT32_MAX, &fold));
    return u3d_split_read(a->split, (int)fold, out->data, &out->train, &out->n_train, &out->val, &out->n_val);
}

void args_cases_close(args_cases *c)
{
    u3d_free(c->train);
    u3d_free(c->val);
    u3d_dataset_free(c->data);
}

/* ---- names of labels ---- */

static u3d_status names_wrong(const char *entry, const char *why)
{
    return u3d_fail(U3D_E_ARG,
                    "--names: '%s' %s; expected VALUE=NAME,... such as 1=left_kidney,2=right_kidney", entry,
                    why);
}

/* Splits "1=name" in place and checks both parts. */
static u3d_status names_entry(char *entry, int32_t *value, const char **name)
{
    char *equals = strchr(entry, '='), *end;
    if (!equals) return names_wrong(entry, "has no '='");
    errno = 0;
    const long number = strtol(entry, &end, 10);
    if (end == entry || end != equals || errno || number < INT32_MIN || number > INT32_MAX)
        return names_wrong(entry, "does not begin with a label value, a whole number");
    *value = (int32_t)number;
    *name = equals + 1;
    if (!**name) return names_wrong(entry, "has no name");
    if (strlen(*name) >= sizeof(((u3d_labels *)0)->name[0]))
        return u3d_fail(U3D_E_ARG, "--names: the name of %ld has %zu bytes, expected at most %zu", number,
                        strlen(*name), sizeof(((u3d_labels *)0)->name[0]) - 1);
    if (u3d_label_means_unlabeled(*name))
        return u3d_fail(U3D_E_ARG,
                        "--names: '%s' does not name a label; if %ld means that nobody labelled the voxel, "
                        "give --unlabeled %ld instead",
                        *name, number, number);
    return U3D_OK;
}

/* Names the entry's value in d, unless d says that the value means "unlabelled". */
static u3d_status names_apply(u3d_dataset *d, int32_t value, const char *name)
{
    if (!d) return U3D_OK;
    if (d->has_unlabeled && value == d->unlabeled)
        return u3d_fail(U3D_E_ARG, "--names: %d is not a label, because '%s' says that it means unlabelled",
                        (int)value, d->path);
    return u3d_dataset_name_label(d, value, name);
}

u3d_status args_names(const args *a, u3d_dataset *d)
{
    int32_t values[U3D_MAX_LABELS], unlabeled;
    const char *names[U3D_MAX_LABELS];
    int n = 0;
    bool given;
    u3d_status status = U3D_OK;
    if (!a->names) return U3D_OK;
    U3D_TRY(args_unlabeled(a, &given, &unlabeled));
    char *list = u3d_strdup(a->names), *next;
    if (!list) return U3D_E_NOMEM;
    for (char *entry = list; entry; entry = next) {
        next = strchr(entry, ',');
        if (next) *next++ = '\0';
        if (n == U3D_MAX_LABELS)
            U3D_GO(u3d_fail(U3D_E_ARG, "--names: found more than %d names", (int)U3D_MAX_LABELS));
        U3D_GO(names_entry(entry, &values[n], &names[n]));
        if (given && values[n] == unlabeled)
            U3D_GO(u3d_fail(U3D_E_ARG,
                            "--names: %d is not a label, because --unlabeled says that it means unlabelled",
                            (int)unlabeled));
        for (int i = 0; i < n; i++) {
            if (values[i] == values[n])
                U3D_GO(u3d_fail(U3D_E_ARG, "--names: label %d has two names, '%s' and '%s'", (int)values[n],
                                names[i], names[n]));
            if (strcmp(names[i], names[n]) == 0)
                U3D_GO(u3d_fail(U3D_E_ARG, "--names: labels %d and %d have the same name '%s'",
                                (int)values[i], (int)values[n], names[n]));
        }
        U3D_GO(names_apply(d, values[n], names[n]));
        n++;
    }
done:
    u3d_free(list);
    return status;
}

u3d_status args_unlabeled(const args *a, bool *given, int32_t *value)
{
    int64_t v = 0;
    *given = a->unlabeled != NULL;
    if (*given) U3D_TRY(args_int("--unlabeled", a->unlabeled, INT32_MIN, INT32_MAX, &v));
    *value = (int32_t)v;
    return U3D_OK;
}

u3d_status args_background(const args *a, bool *given, int32_t *value)
{
    int64_t v = 0;
    *given = a->background != NULL;
    if (*given) U3D_TRY(args_int("--background", a->background, INT32_MIN, INT32_MAX, &v));
    *value = (int32_t)v;
    return U3D_OK;
}

u3d_status args_evaluate(const args *a, u3d_evaluate_opts *o)
{
    *o = (u3d_evaluate_opts){
        .prediction = a->prediction, .reference = a->reference, .surface = !a->no_surface, .tolerance = 1};
    U3D_TRY(args_unlabeled(a, &o->unlabeled_given, &o->unlabeled));
    if (a->dense && o->unlabeled_given)
        return u3d_fail(U3D_E_ARG, "--dense and --unlabeled exclude each other");
    o->dense = a->dense;
    U3D_TRY(args_background(a, &o->background_given, &o->background));
    o->resample_labels = a->resample_labels;
    if (a->tolerance) U3D_TRY(args_real("--tolerance", a->tolerance, 0, TOLERANCE_MAX, &o->tolerance));
    return args_threads(a, &o->threads);
}

u3d_status args_slices(const char *text, int64_t n[3])
{
    char tail;
    long long v[3];
    if (sscanf(text, "%lld,%lld,%lld%c", &v[0], &v[1], &v[2], &tail) != 3 || v[0] < 0 || v[1] < 0 || v[2] < 0)
        return u3d_fail(U3D_E_ARG,
                        "--slices: found '%s', expected three counts across x, y and z such as 3,3,3", text);
    for (int a = 0; a < 3; a++) n[a] = v[a];
    return U3D_OK;
}

u3d_status args_label_files(const char *path, char ***names, int *n, bool *folder)
{
    *folder = u3d_path_is_dir(path);
    *names = NULL;
    *n = 0;
    if (!*folder) {
        *names = u3d_new(1, sizeof **names);
        if (!*names) return U3D_E_NOMEM;
        (*names)[(*n)++] = u3d_strdup(path);
        return (*names)[0] ? U3D_OK : U3D_E_NOMEM;
    }
    u3d_listing files = {0};
    u3d_status status = U3D_OK;
    char **read = NULL;
    U3D_GO(u3d_listing_open(path, &files));
    if (!files.n)
        U3D_GO(u3d_fail(U3D_E_IO, "%s: no volumes found, expected files with one of the endings %s", path,
                        u3d_format_listed_text()));
    *names = u3d_new((size_t)files.n, sizeof **names);
    read = u3d_new((size_t)files.n, sizeof *read);
    if (!*names || !read) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < files.n; i++) {
        read[i] = u3d_path_join(path, files.file[i].name);
        if (!read[i]) U3D_GO(U3D_E_NOMEM);
    }
    U3D_GO(u3d_unread_warn((const char *const *)read, files.n));
    for (; *n < files.n; ++*n) {
        (*names)[*n] = files.file[*n].name;
        files.file[*n].name = NULL;
    }
done:
    u3d_path_list_free(read, read ? files.n : 0);
    u3d_listing_done(&files);
    return status;
}
