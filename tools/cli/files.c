/* Compares outputs with inputs and with each other. Inputs are sorted by device and inode, so that folders
 * with thousands of volumes are no problem. */
#include "tools/cli/files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "io/format.h"
#include "io/path.h"
#include "net/model/model.h"

struct file {
    char *path;
    char *place; /* of an output: the real path of its folder, and its name */
    dev_t device;
    ino_t inode;
    bool exists, keep;
};

static void file_add(files *f, struct file **list, int *n, const char *path, bool keep)
{
    if (!path || f->status != U3D_OK) return;
    struct file *grown = *list;
    if ((*n & (*n - 1)) == 0) grown = u3d_resize(*list, (size_t)*n, (size_t)(*n ? 2 * *n : 1), sizeof *grown);
    struct file one = {.path = grown ? u3d_strdup(path) : NULL, .keep = keep};
    if (grown) *list = grown;
    if (!one.path) {
        f->status = U3D_E_NOMEM;
        return;
    }
    struct stat info;
    one.exists = stat(path, &info) == 0;
    if (one.exists) {
        one.device = info.st_dev;
        one.inode = info.st_ino;
    }
    (*list)[(*n)++] = one;
}

void files_read(files *f, const char *path)
{
    file_add(f, &f->input, &f->n_inputs, path, false);
}

static void read_in(files *f, const char *dir, const char *name)
{
    char *path = u3d_path_join(dir, name);
    if (!path) f->status = U3D_E_NOMEM;
    files_read(f, path);
    u3d_free(path);
}

/* The volumes of a folder. If it cannot be listed, whoever reads it reports this. */
static void read_folder(files *f, const char *dir)
{
    char **names = NULL;
    int n = 0;
    size_t stem;
    if (u3d_path_list(dir, &names, &n) != U3D_OK) return;
    for (int i = 0; i < n; i++)
        if (u3d_format_is_name(names[i], &stem)) read_in(f, dir, names[i]);
    u3d_path_list_free(names, n);
}

void files_read_cases(files *f, const u3d_dataset *d)
{
    for (int i = 0; i < d->n_cases; i++) {
        for (int k = 0; k < d->cases[i].n_images; k++) files_read(f, d->cases[i].image[k]);
        files_read(f, d->cases[i].label);
    }
}

void files_read_volumes(files *f, const char *path)
{
    static const char *const folders[] = {"",       "labels",   "labelsTr", "labelsTs",
                                          "images", "imagesTr", "imagesTs"};
    if (!path || !u3d_path_is_dir(path)) {
        files_read(f, path);
        return;
    }
    read_in(f, path, "dataset.json");
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *folder = u3d_path_join(path, folders[i]);
        if (folder && u3d_path_is_dir(folder)) read_folder(f, folder);
        u3d_free(folder);
    }
}

void files_read_model(files *f, const char *path)
{
    if (!path || !u3d_path_is_dir(path))
        files_read(f, path);
    else
        for (int i = 0; i < U3D_RUN_FILES; i++) read_in(f, path, u3d_run_files[i]);
}

/* Sets real[PATH_MAX] to the real path of a folder that need not exist yet. Cuts `folder` into pieces. */
static bool real_folder(char *folder, char *real)
{
    if (realpath(*folder ? folder : ".", real)) return true;
    char *end = folder + strlen(folder);
    while (end > folder && end[-1] == '/') *--end = '\0';
    char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    char kept[NAME_MAX + 1];
    if (end == folder || strlen(name) > NAME_MAX) return false;
    strcpy(kept, name);
    if (slash)
        slash[slash == folder] = '\0';
    else
        *folder = '\0';
    if (!real_folder(folder, real)) return false;
    const size_t length = strlen(real);
    if (strcmp(kept, ".") == 0) return true;
    if (strcmp(kept, "..") == 0) {
        *strrchr(real, '/') = '\0';
        return true;
    }
    return snprintf(real + length, PATH_MAX - length, "/%s", kept) < (int)(PATH_MAX - length);
}

/* The path with its folder resolved, but not the last name: that is the entry which would be replaced. */
static char *place_of(const char *path)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length >= sizeof folder) return u3d_strdup(path);
    memcpy(folder, path, length);
    folder[length] = '\0';
    return real_folder(folder, real) ? u3d_format("%s/%s", real, path + length) : u3d_strdup(path);
}

void files_write(files *f, const char *path, bool keep)
{
    const int before = f->n_outputs;
    file_add(f, &f->output, &f->n_outputs, path, keep);
    if (f->n_outputs == before) return;
    f->output[before].place = place_of(path);
    if (!f->output[before].place) f->status = U3D_E_NOMEM;
}

static int by_inode(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->exists != y->exists) return x->exists ? -1 : 1;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static int by_place(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->place, ((const struct file *)b)->place);
}

/* Whether files can be made where the output is to be, which is better known before hours of work than after
 * them. A folder that does not exist may still be made. */
static u3d_status folder_check(const struct file *out)
{
    const char *end = strrchr(out->place, '/');
    char folder[PATH_MAX];
    const size_t length = end ? (size_t)(end - out->place) : 0;
    if (length == 0 || length >= sizeof folder) return U3D_OK;
    memcpy(folder, out->place, length);
    folder[length] = '\0';
    if (!u3d_path_exists(folder) || access(folder, W_OK | X_OK) == 0) return U3D_OK;
    return u3d_fail(U3D_E_OUTPUT, "write '%s': %s", out->path, strerror(errno));
}

static u3d_status output_check(const files *f, const args *a, const struct file *out)
{
    struct stat info;
    const struct file *input = out->exists && f->n_inputs
                                   ? bsearch(out, f->input, (size_t)f->n_inputs, sizeof *f->input, by_inode)
                                   : NULL;
    if (input)
        return u3d_fail(
            U3D_E_ARG,
            "the output %s is the same file as the input %s; an input is never overwritten, choose another "
            "name",
            out->path, input->path);
    if (out->exists && stat(out->path, &info) == 0 && !S_ISREG(info.st_mode))
        return u3d_fail(U3D_E_OUTPUT, "write '%s': it exists and is not a regular file", out->path);
    if (out->keep && out->exists) return U3D_OK;
    U3D_TRY(u3d_path_check_name(out->path));
    if (a->force || !u3d_path_is_taken(out->path)) return folder_check(out);
    return u3d_fail(U3D_E_ARG, "%s exists already%s; choose another name or give --force to overwrite it",
                    out->path, out->exists ? "" : " (as a link that leads nowhere)");
}

static u3d_status lists_check(files *f, const args *a)
{
    U3D_TRY(f->status);
    if (f->n_inputs) qsort(f->input, (size_t)f->n_inputs, sizeof *f->input, by_inode);
    for (int i = 0; i < f->n_outputs; i++) U3D_TRY(output_check(f, a, &f->output[i]));
    if (f->n_outputs) qsort(f->output, (size_t)f->n_outputs, sizeof *f->output, by_place);
    for (int i = 1; i < f->n_outputs; i++)
        if (by_place(&f->output[i - 1], &f->output[i]) == 0)
            return u3d_fail(U3D_E_ARG,
                            "two outputs would be the same file: %s and %s; give them different names",
                            f->output[i - 1].path, f->output[i].path);
    return U3D_OK;
}

static void list_free(struct file *list, int n)
{
    for (int i = 0; i < n; i++) {
        u3d_free(list[i].path);
        u3d_free(list[i].place);
    }
    u3d_free(list);
}

u3d_status files_check(files *f, const args *a)
{
    const u3d_status status = lists_check(f, a);
    list_free(f->input, f->n_inputs);
    list_free(f->output, f->n_outputs);
    *f = (files){0};
    return status;
}

u3d_status files_check_folder(const args *a, const char *folder)
{
    if (a->force || !u3d_path_is_taken(folder)) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "%s exists already; choose another name or give --force to overwrite it",
                    folder);
}
