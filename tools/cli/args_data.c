/* From options to cases, label files, and the options of scoring. */
#include "tools/cli/args_data.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/format.h"
#include "io/listing.h"
#include "io/path.h"

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

u3d_status args_unlabeled(const args *a, bool *given, int32_t *value)
{
    int64_t v = 0;
    *given = a->unlabeled != NULL;
    if (*given) U3D_TRY(args_int("--unlabeled", a->unlabeled, INT32_MIN, INT32_MAX, &v));
    *value = (int32_t)v;
    return U3D_OK;
}

u3d_status args_evaluate(const args *a, u3d_evaluate_opts *o)
{
    int64_t background = 0;
    *o = (u3d_evaluate_opts){
        .prediction = a->prediction, .reference = a->reference, .surface = !a->no_surface, .tolerance = 1};
    U3D_TRY(args_unlabeled(a, &o->unlabeled_given, &o->unlabeled));
    o->resample_labels = a->resample_labels;
    if (a->background) U3D_TRY(args_int("--background", a->background, INT32_MIN, INT32_MAX, &background));
    o->background = (int32_t)background;
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
