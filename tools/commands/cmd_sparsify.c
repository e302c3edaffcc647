/* u3d sparsify: makes sparse annotation from dense labels. What is kept is said in tools/commands/slices.h,
 * scribbles.h and cubes.h. With --rest it also writes the complement, a reference for scoring elsewhere.
 * --merge first turns each group of label values into one class, which atlases need. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/path.h"
#include "io/volume.h"
#include "net/config/config_value.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/result.h"
#include "tools/commands/commands.h"
#include "tools/commands/cubes.h"
#include "tools/commands/scribbles.h"
#include "tools/commands/slices.h"

enum { MAX_RANGES = 256 };

typedef struct range { /* values first..last become `label` */
    long first, last;
    int32_t label;
} range;

/* What is kept of the labels. */
typedef enum keep { KEEP_ALL, KEEP_SLICES, KEEP_SCRIBBLES, KEEP_CUBES } keep;

typedef struct sparsify {
    keep keep;
    slices which; /* no sets unless slices are kept; `missing` applies to everything */
    double share; /* of the voxels, for scribbles */
    cubes cubes;
    int64_t seed;
    int32_t background; /* the label that is no structure, for scribbles and cubes */
    int32_t unlabeled;
    range merge[MAX_RANGES];
    int n_merge;
    int64_t kept, total;
} sparsify;

/* Parses "37-38,77+79-80": groups are separated by commas, ranges and values in a group are joined by '+'.
 * Group k gets label k, counted from 1. */
static u3d_status merge_parse(const char *text, sparsify *s)
{
    int32_t label = 1;
    for (const char *p = text; *p;) {
        char *end;
        const long first = strtol(p, &end, 10);
        long last = first;
        bool ok = end != p && s->n_merge < MAX_RANGES;
        if (ok && *end == '-') {
            p = end + 1;
            last = strtol(p, &end, 10);
            ok = end != p && last >= first;
        }
        if (!ok || (*end && (!strchr(",+", *end) || !end[1])))
            return u3d_fail(U3D_E_ARG, "--merge: found '%s', expected groups of values such as 37-38,77+79",
                            text);
        s->merge[s->n_merge++] = (range){first, last, label};
        if (*end == ',') label++;
        p = *end ? end + 1 : end;
    }
    return U3D_OK;
}

/* Parses "1,1,1+5,5,3": sets of counts, joined by '+'. */
static u3d_status sets_parse(const char *text, slices *s)
{
    char *copy = u3d_strdup(text), *at = copy;
    u3d_status status = copy ? U3D_OK : U3D_E_NOMEM;
    while (status == U3D_OK && at) {
        char *end = strchr(at, '+');
        if (end) *end++ = '\0';
        status = s->n_sets < SLICES_MAX_SETS
                     ? args_slices(at, s->counts[s->n_sets++])
                     : u3d_fail(U3D_E_ARG, "--slices: more than %d sets", (int)SLICES_MAX_SETS);
        at = end;
    }
    u3d_free(copy);
    return status;
}

/* Parses "z=30-32" or "z=31". */
static u3d_status missing_parse(const char *text, slices *s)
{
    char axis, rest;
    long long first = -1, last = -1;
    const int n = sscanf(text, "%c=%lld-%lld%c", &axis, &first, &last, &rest);
    if (n == 2 && sscanf(text, "%c=%lld%c", &axis, &first, &rest) == 2) last = first;
    const char *found = n >= 2 ? strchr("xyz", axis) : NULL;
    if (!found || n == 4 || first < 0 || last < first || last > INT32_MAX)
        return u3d_fail(U3D_E_ARG, "--missing: found '%s', expected planes across an axis such as z=30-32",
                        text);
    s->missing.axis = (int)(found - "xyz");
    s->missing.first = first;
    s->missing.n = last - first + 1;
    return U3D_OK;
}

static void merge_apply(const sparsify *s, u3d_volume *v)
{
    int32_t *label = v->data;
    for (int64_t i = u3d_volume_voxels(v); i-- > 0;) {
        int32_t merged = 0;
        for (int r = 0; r < s->n_merge; r++)
            if (label[i] >= s->merge[r].first && label[i] <= s->merge[r].last) merged = s->merge[r].label;
        label[i] = merged;
    }
}

static u3d_status volume_check(const sparsify *s, const char *path, const u3d_volume *v)
{
    const int32_t *label = v->data;
    const int64_t n = u3d_volume_voxels(v);
    const slices *w = &s->which;
    const int64_t across = v->size[2 - w->missing.axis];
    for (int i = 0; i < w->n_sets; i++)
        for (int a = 0; a < 3; a++)
            if (w->counts[i][a] > v->size[2 - a])
                return u3d_fail(U3D_E_ARG, "%s: --slices asks for %lld slices across %c, but the volume has %lld",
                                path, (long long)w->counts[i][a], "xyz"[a], (long long)v -> size[2 - a]);
    if (w->missing.first + w->missing.n > across || w->missing.n == across)
        return u3d_fail(
            U3D_E_ARG,
            "%s: --missing names planes %lld to %lld across %c; the volume has %lld, and one must remain",
            path, (long long)w->missing.first, (long long)(w->missing.first + w->missing.n - 1),
            "xyz"[w->missing.axis], (long long)across);
    for (int64_t i = 0; i < n; i++)
        if (label[i] == s->unlabeled)
            return u3d_fail(U3D_E_FORMAT,
                            "%s: voxel %lld,%lld,%lld has label %d, which cannot also mean unlabeled; "
                            "choose another --unlabeled value",
                            path, (long long)(i % v->size[2]), (long long)(i / v->size[2] % v->size[1]),
                            (long long)(i / (v->size[1] * v->size[2])), label[i]);
    return U3D_OK;
}

/* Sets `rest` to the labels that are not in `sparse`: the dense labels, with every voxel that was kept
 * unlabeled. */
static void complement(const u3d_volume *dense, const u3d_volume *sparse, int32_t unlabeled, u3d_volume *rest)
{
    const int32_t *label = dense->data, *kept = sparse->data;
    int32_t *to = rest->data;
    for (int64_t i = u3d_volume_voxels(dense); i-- > 0;) to[i] = kept[i] == unlabeled ? label[i] : unlabeled;
}

/* The paths of the results of one file; `rest` and `copy` may be NULL. */
typedef struct outputs {
    char *out, *rest, *copy;
} outputs;

/* Overwrites `sparse`, which has been written already, with the copied slices, and writes it. */
static u3d_status copy_write(const sparsify *s, const u3d_volume *dense, u3d_volume *sparse, const char *path)
{
    U3D_TRY(slices_copy(dense, &s->which, sparse));
    return u3d_volume_write(path, sparse);
}

/* A number that depends on the name of a file without its folder and its ending, so that a volume gets the
 * same scribbles whatever lies beside it. Source: Fowler, Noll & Vo, FNV-1a with 64 bits. */
static uint64_t name_number(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t stem;
    (void)u3d_format_is_name(name, &stem);
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < stem; i++) hash = (hash ^ (unsigned char)name[i]) * 1099511628211ULL;
    return hash;
}

/* Sets what is not kept to `unlabeled`. */
static u3d_status labels_keep(sparsify *s, const char *in, u3d_volume *label)
{
    u3d_rng r = u3d_rng_at((uint64_t)s->seed, U3D_RNG_SPARSIFY, name_number(in));
    int64_t kept = u3d_volume_voxels(label);
    switch (s->keep) {
    case KEEP_ALL: break;
    case KEEP_SLICES: kept = slices_keep(label, &s->which, s->unlabeled); break;
    case KEEP_SCRIBBLES:
        U3D_TRY(scribbles_keep(label, s->share, s->background, s->unlabeled, &r, &kept));
        break;
    case KEEP_CUBES: U3D_TRY(cubes_keep(label, &s->cubes, s->unlabeled, &r, &kept)); break;
    }
    s->kept += kept;
    s->total += u3d_volume_voxels(label);
    return U3D_OK;
}

static u3d_status file_sparsify(sparsify *s, const char *in, const outputs *o)
{
    u3d_status status = U3D_OK;
    u3d_volume *dense = NULL, *sparse = NULL, *rest = NULL;
    U3D_GO(u3d_volume_read(in, U3D_VOLUME_LABEL, &dense));
    U3D_GO(u3d_volume_turn_to_file(dense)); /* --slices and --missing name axes and planes of the file */
    if (s->n_merge) merge_apply(s, dense);
    U3D_GO(volume_check(s, in, dense));
    slices_blank_missing(dense, &s->which, s->unlabeled);
    U3D_GO(u3d_volume_new_like(dense, U3D_I32, 1, &sparse));
    memcpy(sparse->data, dense->data, (size_t)u3d_volume_voxels(dense) * sizeof(int32_t));
    U3D_GO(labels_keep(s, in, sparse));
    U3D_GO(u3d_volume_write(o->out, sparse));
    if (o->rest) {
        U3D_GO(u3d_volume_new_like(dense, U3D_I32, 1, &rest));
        complement(dense, sparse, s->unlabeled, rest);
        U3D_GO(u3d_volume_write(o->rest, rest));
    }
    if (o->copy) U3D_GO(copy_write(s, dense, sparse, o->copy));
done:
    u3d_volume_free(dense);
    u3d_volume_free(sparse);
    u3d_volume_free(rest);
    return status;
}

/* --slices, --scribbles, --cubes with --count. */
static u3d_status keep_options(const args *a, sparsify *s)
{
    bool given;
    if (!!a->slices + !!a->scribbles + !!a->cubes > 1)
        return u3d_fail(U3D_E_ARG, "u3d sparsify: give one of --slices, --scribbles and --cubes");
    if (a->count && !a->cubes) return u3d_fail(U3D_E_ARG, "u3d sparsify: --count is the number of --cubes");
    if (a->cubes) U3D_TRY(args_need("sparsify", "--count N, the number of --cubes,", a->count));
    if (a->copy && !a->slices)
        return u3d_fail(U3D_E_ARG, "u3d sparsify: --copy copies slices, so it needs --slices");
    s->keep = a->slices ? KEEP_SLICES : a->scribbles ? KEEP_SCRIBBLES : a->cubes ? KEEP_CUBES : KEEP_ALL;
    if (s->keep == KEEP_ALL && !a->merge)
        return args_need("sparsify", "--slices NX,NY,NZ, --scribbles or --cubes", NULL);
    if (s->keep == KEEP_ALL && (a->rest_output || a->missing))
        return u3d_fail(U3D_E_ARG,
                        "u3d sparsify: --rest and --missing need --slices, --scribbles or --cubes");
    if (a->background && !a->scribbles && !a->cubes)
        return u3d_fail(U3D_E_ARG, "u3d sparsify: --background needs --scribbles or --cubes");
    U3D_TRY(args_background(a, &given, &s->background));
    if (a->slices) return sets_parse(a->slices, &s->which);
    if (a->scribbles) return scribbles_parse(a->scribbles, &s->share);
    if (!a->cubes) return U3D_OK;
    s->cubes.background = s->background;
    U3D_TRY(args_int("--count", a->count, 1, CUBES_MAX, &s->cubes.wanted));
    return u3d_parse_size(a->cubes, "--cubes", s->cubes.size);
}

static u3d_status sparsify_options(const args *a, sparsify *s)
{
    bool given;
    U3D_TRY(args_need("sparsify", "--label FILE|DIR", a->label));
    U3D_TRY(args_need("sparsify", "--output FILE|DIR", a->output));
    U3D_TRY(keep_options(a, s));
    if (a->missing) U3D_TRY(missing_parse(a->missing, &s->which));
    if (a->merge) U3D_TRY(merge_parse(a->merge, s));
    if (a->seed) U3D_TRY(args_int("--seed", a->seed, 0, INT64_MAX, &s->seed));
    s->unlabeled = 255;
    return a->unlabeled ? args_unlabeled(a, &given, &s->unlabeled) : U3D_OK;
}

/* Gives DIR/NAME for a folder and otherwise the option itself; NULL stays NULL. */
static u3d_status file_path(const char *option, const char *name, bool folder, char **out)
{
    *out = NULL;
    if (!option) return U3D_OK;
    *out = folder ? u3d_path_join(option, name) : u3d_strdup(option);
    return *out ? U3D_OK : U3D_E_NOMEM;
}

/* Does the same for an output: a name with an ending that u3d does not write, such as .hdr, gets another one.
 */
static u3d_status output_path(const char *option, const char *name, bool folder, char **out)
{
    size_t stem;
    if (!folder || u3d_format_is_written(name, &stem)) return file_path(option, name, folder, out);
    u3d_format_is_name(name, &stem);
    char *written = u3d_format("%.*s" U3D_FORMAT_OUTPUT, (int)stem, name);
    const u3d_status status = written ? file_path(option, written, folder, out) : U3D_E_NOMEM;
    u3d_free(written);
    return status;
}

static u3d_status outputs_name(const args *a, const char *name, bool folder, outputs *o)
{
    *o = (outputs){0};
    U3D_TRY(output_path(a->output, name, folder, &o->out));
    U3D_TRY(output_path(a->rest_output, name, folder, &o->rest));
    return output_path(a->copy, name, folder, &o->copy);
}

static void outputs_free(outputs *o)
{
    u3d_free(o->out);
    u3d_free(o->rest);
    u3d_free(o->copy);
}

/* Checks the outputs of all files before the first one is written. */
static u3d_status outputs_check(const args *a, char *const *names, int n, bool folder)
{
    files f = {0};
    u3d_status status = U3D_OK;
    for (int i = 0; i < n && status == U3D_OK; i++) {
        outputs o = {0};
        char *in = NULL;
        status = file_path(a->label, names[i], folder, &in);
        if (status == U3D_OK) status = outputs_name(a, names[i], folder, &o);
        files_read(&f, in);
        files_write(&f, o.out, false);
        files_write(&f, o.rest, false);
        files_write(&f, o.copy, false);
        u3d_free(in);
        outputs_free(&o);
    }
    const u3d_status checked = files_check(&f, a);
    return status != U3D_OK ? status : checked;
}

static u3d_status folders_make(const args *a)
{
    U3D_TRY(u3d_path_make_dir(a->output));
    if (a->rest_output) U3D_TRY(u3d_path_make_dir(a->rest_output));
    return a->copy ? u3d_path_make_dir(a->copy) : U3D_OK;
}

static u3d_status print_result(const args *a, const sparsify *s, int n, int n_failed)
{
    const double kept = (double)s->kept / (double)s->total;
    const cubes *c = &s->cubes;
    char where[120] = "";
    cJSON *json = cJSON_CreateObject();
    bool ok = cJSON_AddStringToObject(json, "output", a->output) &&
              cJSON_AddNumberToObject(json, "label_files", n) &&
              cJSON_AddNumberToObject(json, "label_files_left_out", n_failed) &&
              cJSON_AddNumberToObject(json, "unlabeled", s->unlabeled) &&
              cJSON_AddItemToObject(json, "share_kept", u3d_json_number(kept)) &&
              cJSON_AddNumberToObject(json, "voxels_kept", (double)s->kept);
    if (s->keep == KEEP_CUBES) {
        ok = ok && cJSON_AddNumberToObject(json, "cubes", (double)c->placed) &&
             cJSON_AddNumberToObject(json, "cubes_on_structures", (double)c->on_structures) &&
             cJSON_AddNumberToObject(json, "cubes_overlapping", (double)c->overlapping) &&
             cJSON_AddNumberToObject(json, "label_files_with_cubes", (double)c->volumes);
        (void)snprintf(where, sizeof where, " (%lld voxels in %lld cube%s, in %lld of the files)",
                       (long long)s->kept, (long long)c->placed, c->placed == 1 ? "" : "s",
                       (long long)c->volumes);
    }
    return result_print(a, json, ok,
                        "kept %.2f %% of the voxels of %d label file%s%s; the others are %d (unlabeled)",
                        100 * kept, n, n == 1 ? "" : "s", where, s->unlabeled);
}

/* The order of the files: that of their names, or a random one for cubes, which not all files may get. */
static u3d_status order_make(const sparsify *s, int n, int **out)
{
    int *order = *out = u3d_new((size_t)n, sizeof *order);
    if (!order) return U3D_E_NOMEM;
    for (int i = 0; i < n; i++) order[i] = i;
    u3d_rng r = u3d_rng_at((uint64_t)s->seed, U3D_RNG_SPARSIFY, 0);
    for (int i = n; s->keep == KEEP_CUBES && i > 1; i--) {
        const int j = (int)u3d_rng_below(&r, i), swap = order[j];
        order[j] = order[i - 1];
        order[i - 1] = swap;
    }
    return U3D_OK;
}

static void cubes_warn(const cubes *c)
{
    if (c->overlapping)
        U3D_WARN("sparsify",
                 "%lld of %lld cubes share voxels with others, because no free place was found in %d tries",
                 (long long)c->overlapping, (long long)c->placed, (int)CUBES_TRIES);
    if (c->placed < c->wanted)
        U3D_WARN("sparsify", "only %lld of %lld cubes were placed, because files were left out",
                 (long long)c->placed, (long long)c->wanted);
}

u3d_status cmd_sparsify(const args *a)
{
    u3d_status status = U3D_OK;
    sparsify s = {.seed = 1};
    char **names = NULL;
    int n = 0, n_failed = 0, *order = NULL;
    bool folder;
    U3D_GO(sparsify_options(a, &s));
    U3D_GO(args_label_files(a->label, &names, &n, &folder));
    U3D_GO(outputs_check(a, names, n, folder));
    if (folder) U3D_GO(folders_make(a));
    U3D_GO(order_make(&s, n, &order));
    for (int i = 0; i < n; i++) {
        outputs o = {0};
        char *in = NULL;
        const char *name = names[order[i]];
        s.cubes.volumes_left = n - i;
        status = file_path(a->label, name, folder, &in);
        if (status == U3D_OK) status = outputs_name(a, name, folder, &o);
        if (status == U3D_OK) status = file_sparsify(&s, in, &o);
        u3d_free(in);
        outputs_free(&o);
        const bool of_this_file = status == U3D_E_IO || status == U3D_E_FORMAT || status == U3D_E_NOMEM;
        if (status != U3D_OK && !(folder && of_this_file)) goto done;
        if (status == U3D_OK) continue;
        U3D_WARN("sparsify", "%s is left out: %s", name, u3d_error_text());
        n_failed++;
    }
    if (n_failed == n) goto done;
    cubes_warn(&s.cubes);
    U3D_GO(print_result(a, &s, n - n_failed, n_failed));
    status = n_failed ? u3d_fail(U3D_E_FORMAT, "%d of %d label files were left out (see above)", n_failed, n)
                      : U3D_OK;
done:
    u3d_free(order);
    u3d_path_list_free(names, n);
    return status;
}
