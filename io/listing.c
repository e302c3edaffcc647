/* Lists the volumes in folders, and finds files that nobody reads.
 *
 * Public bug reports are full of volumes that were left out without a word: another format, a misspelt name,
 * a second file of the same name. So what is ambiguous is refused here, and what is not read is named. */
#include "io/listing.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/format.h"
#include "io/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TWO_VOLUMES                                                                                          \
    "'%s' and '%s' are two volumes of the same name, and u3d cannot know which of them counts; "             \
    "remove or rename one"

enum { NAMES_SHOWN = 10, NAMES_CAP = 1000 };

/* ---- the volumes ---- */

static int stem_compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int listed_compare(const void *a, const void *b)
{
    const u3d_listed *x = a, *y = b;
    const int order = stem_compare(x->name, x->stem, y->name, y->stem);
    return order ? order : strcmp(x->name, y->name);
}

void u3d_listing_done(u3d_listing *l)
{
    for (int i = 0; i < l->n; i++) u3d_free(l->file[i].name);
    u3d_free(l->file);
    *l = (u3d_listing){0};
}

u3d_status u3d_listing_open(const char *dir, u3d_listing *out)
{
    char **names = NULL;
    int n = 0;
    u3d_status status = U3D_OK;
    *out = (u3d_listing){0};
    U3D_TRY(u3d_path_list(dir, &names, &n));
    out->file = u3d_new((size_t)n + 1, sizeof *out->file);
    if (!out->file) U3D_GO(U3D_E_NOMEM);
    for (int i = 0; i < n; i++) {
        size_t stem;
        if (!u3d_format_is_listed(names[i], &stem)) continue;
        out->file[out->n++] = (u3d_listed){names[i], stem};
        names[i] = NULL;
    }
    qsort(out->file, (size_t)out->n, sizeof *out->file, listed_compare);
    for (int i = 1; i < out->n; i++) {
        const u3d_listed *a = &out->file[i - 1], *b = &out->file[i];
        if (stem_compare(a->name, a->stem, b->name, b->stem) == 0)
            U3D_GO(u3d_fail(U3D_E_FORMAT, "'%s': " TWO_VOLUMES, dir, a->name, b->name));
    }
done:
    u3d_path_list_free(names, n);
    return status;
}

int u3d_listing_find(const u3d_listing *l, const char *id, size_t length)
{
    int low = 0, high = l->n - 1;
    while (low <= high) {
        const int middle = (low + high) / 2;
        const int order = stem_compare(l->file[middle].name, l->file[middle].stem, id, length);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

/* ---- the files that are not read ---- */

static int path_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Files that nnU-Net, u3d or an operating system puts beside volumes: known names, resource forks of macOS,
 * and hidden files that are not volumes. */
static bool unread_is_companion(const char *name)
{
    static const char *const known[] = {"dataset.json",       "splits_final.json",
                                        "plans.json",         "dataset_fingerprint.json",
                                        "summary.json",       "predict_from_raw_data_args.json",
                                        "postprocessing.pkl", "plans.pkl",
                                        "Thumbs.db",          "desktop.ini"};
    size_t stem;
    if (name[0] == '.' && (name[1] == '_' || !u3d_format_is_name(name, &stem))) return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(name, known[i]) == 0) return true;
    return false;
}

/* Whether a folder holds one of the files that are read. */
static bool unread_is_above(const char *folder, const char *const *read, int n)
{
    const size_t length = strlen(folder);
    for (int i = 0; i < n; i++)
        if (strncmp(read[i], folder, length) == 0 && read[i][length] == '/') return true;
    return false;
}

/* The volume among the files that are read whose name without ending is the first `stem` bytes of `path`;
 * NULL: there is none. */
static const char *unread_twin(const char *path, size_t stem, const char *const *read, int n)
{
    size_t other;
    for (int i = 0; i < n; i++)
        if (strncmp(read[i], path, stem) == 0 && u3d_format_is_name(read[i], &other) && other == stem)
            return read[i];
    return NULL;
}

/* Decides whether `path` is one of the files that are read, or the other file of a pair that is read.
 * U3D_E_FORMAT: it is another volume of the same name. */
static u3d_status unread_is_read(const char *path, const char *const *read, int n, bool *is)
{
    size_t stem;
    *is = bsearch(&path, read, (size_t)n, sizeof *read, path_compare) != NULL;
    if (*is || !u3d_format_is_name(path, &stem)) return U3D_OK;
    const char *twin = unread_twin(path, stem, read, n);
    *is = twin && u3d_format_is_pair(path) && u3d_format_is_pair(twin);
    if (!twin || *is || !u3d_format_is_listed(path, &stem)) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT, TWO_VOLUMES, twin, path);
}

/* Appends a name to the list in `text`, or "..." after the last one that is shown. */
static void unread_add(char text[NAMES_CAP], int before, const char *name, bool folder)
{
    const size_t used = strlen(text), need = strlen(name) + sizeof ", /, ...";
    if (before >= NAMES_SHOWN || used + need > NAMES_CAP) {
        if (used < 3 || strcmp(text + used - 3, "...") != 0)
            (void)snprintf(text + used, NAMES_CAP - used, "%s...", used ? ", " : "");
        return;
    }
    (void)snprintf(text + used, NAMES_CAP - used, "%s%s%s", used ? ", " : "", name, folder ? "/" : "");
}

/* Warns of the files in one folder, of which the sorted list `read` holds those that are read. */
static u3d_status unread_in_folder(const char *dir, const char *const *read, int n)
{
    char **names = NULL, text[NAMES_CAP] = "";
    int n_names = 0, files = 0, folders = 0;
    u3d_status status = U3D_OK;
    U3D_TRY(u3d_path_list_all(*dir ? dir : ".", &names, &n_names));
    for (int i = 0; i < n_names; i++) {
        char *path = u3d_format("%s%s", dir, names[i]);
        if (!path) U3D_GO(U3D_E_NOMEM);
        const bool folder = u3d_path_is_dir(path);
        bool silent = unread_is_companion(names[i]) || (folder && unread_is_above(path, read, n));
        if (!folder && !silent) status = unread_is_read(path, read, n, &silent);
        u3d_free(path);
        if (status != U3D_OK) goto done;
        if (silent) continue;
        unread_add(text, files + folders, names[i], folder);
        files += !folder;
        folders += folder;
    }
    if (files + folders > 0) {
        char count[80];
        int used = 0;
        if (files) used = snprintf(count, sizeof count, "%d file%s", files, files == 1 ? "" : "s");
        if (folders)
            (void)snprintf(count + used, sizeof count - (size_t)used, "%s%d folder%s", files ? " and " : "",
                           folders, folders == 1 ? "" : "s");
        u3d_log_once(U3D_LOG_WARN, "io", "'%s': %s %s not read: %s", *dir ? dir : ".", count,
                     files + folders == 1 ? "was" : "were", text);
    }
done:
    u3d_path_list_free(names, n_names);
    return status;
}

u3d_status u3d_unread_warn(const char *const *read, int n)
{
    u3d_status status = U3D_OK;
    char *dir = NULL;
    const char **sorted = u3d_new((size_t)n + 1, sizeof *sorted);
    if (!sorted) return U3D_E_NOMEM;
    if (n) memcpy(sorted, read, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, path_compare);
    for (int i = 0; i < n; i++) {
        const char *slash = strrchr(sorted[i], '/');
        const size_t length = slash ? (size_t)(slash - sorted[i]) + 1 : 0;
        if (dir && strlen(dir) == length && strncmp(dir, sorted[i], length) == 0) continue;
        u3d_free(dir);
        dir = u3d_format("%.*s", (int)length, sorted[i]);
        if (!dir) U3D_GO(U3D_E_NOMEM);
        U3D_GO(unread_in_folder(dir, sorted, n));
    }
done:
    u3d_free(dir);
    u3d_free(sorted);
    return status;
}
