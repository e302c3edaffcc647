/* Names of files and folders, and output files that appear whole or not at all.
 *
 * An output is written to DIR/.tmp-PID-N-NAME with O_EXCL, flushed to disk, and renamed to DIR/NAME. The
 * temporary name is hidden, so that listings skip it, and it keeps the ending of the final name; only the
 * last bytes of a long NAME are kept, because it must not be longer than the file system allows either. A
 * reader sees the old file or the new file but never a part of it, and a failure leaves nothing behind.
 * Inputs must be regular files: a pipe could block forever, and a folder can be opened but not read. */
#include "io/path.h"

#include "engine/base/mem.h"
#include "io/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    TEMP_TRIES = 1000, /* skips names that a killed process with the same process id has left */
    TEMP_TAIL = 64     /* bytes of the final name; with 27 before it, far below the usual limit of 255 */
};

struct u3d_outfile {
    char *path, *temp;
    int temporary; /* number of u3d_temporary_note */
    FILE *stream;
};

char *u3d_path_join(const char *dir, const char *name)
{
    while (name[0] == '.' && name[1] == '/') name += 2;
    if (dir[0] == '\0' || name[0] == '/') return u3d_strdup(name);
    if (name[0] == '\0') return u3d_strdup(dir);
    const char *slash = dir[strlen(dir) - 1] == '/' ? "" : "/";
    return u3d_format("%s%s%s", dir, slash, name);
}

bool u3d_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool u3d_path_is_taken(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

bool u3d_path_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Creates one folder; it may exist already. */
static u3d_status path_make_one(const char *path)
{
    if (mkdir(path, 0777) == 0) return U3D_OK;
    int cause = errno;
    if (u3d_path_is_dir(path)) return U3D_OK;
    return u3d_fail(U3D_E_OUTPUT, "create folder '%s': %s", path, strerror(cause));
}

u3d_status u3d_path_make_dir(const char *path)
{
    if (u3d_path_is_dir(path)) return U3D_OK;
    char *part = u3d_strdup(path);
    if (!part) return U3D_E_NOMEM;
    u3d_status status = U3D_OK;
    for (char *p = part; status == U3D_OK && *p; p++) {
        if (*p != '/' || p == part) continue;
        *p = '\0';
        status = path_make_one(part);
        *p = '/';
    }
    if (status == U3D_OK) status = path_make_one(part);
    u3d_free(part);
    return status;
}

u3d_status u3d_path_size(const char *path, uint64_t *bytes)
{
    struct stat info;
    *bytes = 0;
    if (stat(path, &info) != 0) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode)) return u3d_fail(U3D_E_IO, "open '%s': it is a folder, expected a file", path);
    if (!S_ISREG(info.st_mode)) return u3d_fail(U3D_E_IO, "open '%s': not a regular file", path);
    *bytes = (uint64_t)info.st_size;
    return U3D_OK;
}

u3d_status u3d_path_hash(const char *path, char text[24])
{
    enum { BLOCK = 1 << 16 };
    uint64_t bytes, read = 0;
    U3D_TRY(u3d_path_size(path, &bytes));
    FILE *f = fopen(path, "rb");
    if (!f) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    XXH64_state_t *state = XXH64_createState();
    uint8_t *block = u3d_new_uninit(BLOCK, 1);
    if (state) XXH64_reset(state, 0);
    for (size_t n; state && block && (n = fread(block, 1, BLOCK, f)) > 0; read += n)
        XXH64_update(state, block, n);
    if (state) (void)snprintf(text, 24, "%016llx", (unsigned long long)XXH64_digest(state));
    const bool made = state && block;
    XXH64_freeState(state);
    u3d_free(block);
    fclose(f);
    if (!made) return u3d_fail(U3D_E_NOMEM, "read '%s': out of memory", path);
    return read == bytes ? U3D_OK : u3d_fail(U3D_E_IO, "read '%s': only a part of it could be read", path);
}

static int path_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void u3d_path_list_free(char **names, int n)
{
    for (int i = 0; names && i < n; i++) u3d_free(names[i]);
    u3d_free(names);
}

/* Adds a name, which becomes the list's, to a list of *n names with room for *room. NULL: out of memory. */
static u3d_status names_add(char ***names, int *n, int *room, char *owned)
{
    if (owned && *n == *room) {
        const int more = *room ? 2 * *room : 64;
        char **grown = u3d_resize(*names, (size_t)*room, (size_t)more, sizeof *grown);
        if (!grown) {
            u3d_free(owned);
            return U3D_E_NOMEM;
        }
        *names = grown;
        *room = more;
    }
    if (!owned) return U3D_E_NOMEM;
    (*names)[(*n)++] = owned;
    return U3D_OK;
}

/* Gives a list to the caller, sorted, or frees it after a failure. */
static u3d_status names_give(u3d_status status, char **list, int count, char ***names, int *n)
{
    if (status != U3D_OK) {
        u3d_path_list_free(list, count);
        return status;
    }
    if (count) qsort(list, (size_t)count, sizeof *list, path_compare);
    *names = list;
    *n = count;
    return U3D_OK;
}

/* Whether a listing leaves out a name: the folder itself, its parent and, unless they are wanted, hidden
 * files. */
static bool path_is_left_out(const char *name, bool hidden)
{
    return name[0] == '.' && (!hidden || strcmp(name, ".") == 0 || strcmp(name, "..") == 0);
}

static u3d_status path_list(const char *dir, bool hidden, char ***names, int *n)
{
    char **list = NULL;
    int count = 0, room = 0;
    u3d_status status = U3D_OK;
    *names = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) return u3d_fail(U3D_E_IO, "open folder '%s': %s", dir, strerror(errno));
    while (status == U3D_OK) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (!entry && errno) status = u3d_fail(U3D_E_IO, "read folder '%s': %s", dir, strerror(errno));
        if (!entry) break;
        if (!path_is_left_out(entry->d_name, hidden))
            status = names_add(&list, &count, &room, u3d_strdup(entry->d_name));
    }
    closedir(d);
    return names_give(status, list, count, names, n);
}

u3d_status u3d_path_list(const char *dir, char ***names, int *n)
{
    return path_list(dir, false, names, n);
}

u3d_status u3d_path_list_all(const char *dir, char ***names, int *n)
{
    return path_list(dir, true, names, n);
}

/* The length of the folder in a path, with its slash; 0: there is none. */
static size_t path_dir_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

u3d_status u3d_path_find(const char *path, size_t stem, const char *const *endings, int n_endings,
                         char ***found, int *n)
{
    const size_t dir_length = path_dir_length(path), own = stem - dir_length;
    char **list = NULL, *dir = dir_length ? u3d_format("%.*s", (int)dir_length, path) : u3d_strdup(".");
    int count = 0, room = 0;
    u3d_status status = dir ? U3D_OK : U3D_E_NOMEM;
    *found = NULL;
    *n = 0;
    DIR *d = dir ? opendir(dir) : NULL;
    for (const struct dirent *entry; d && status == U3D_OK && (entry = readdir(d));) {
        const char *name = entry->d_name;
        if (strncmp(name, path + dir_length, own) != 0) continue;
        for (int i = 0; i < n_endings && status == U3D_OK; i++)
            if (strcasecmp(name + own, endings[i]) == 0)
                status = names_add(&list, &count, &room, u3d_format("%.*s%s", (int)dir_length, path, name));
    }
    if (d) closedir(d);
    for (int i = 0; !d && i < n_endings && status == U3D_OK; i++) { /* a folder that cannot be listed */
        char *exact = u3d_format("%.*s%s", (int)stem, path, endings[i]);
        if (exact && !u3d_path_exists(exact))
            u3d_free(exact);
        else
            status = names_add(&list, &count, &room, exact);
    }
    u3d_free(dir);
    return names_give(status, list, count, found, n);
}

u3d_status u3d_path_check_name(const char *path)
{
    const size_t dir_length = path_dir_length(path), length = strlen(path + dir_length);
    char *dir = dir_length ? u3d_format("%.*s", (int)dir_length, path) : u3d_strdup(".");
    if (!dir) return U3D_E_NOMEM;
    const long limit = pathconf(dir, _PC_NAME_MAX); /* -1: the folder does not exist yet */
    const size_t most = limit > 0 ? (size_t)limit : NAME_MAX;
    u3d_free(dir);
    if (length <= most) return U3D_OK;
    return u3d_fail(U3D_E_OUTPUT,
                    "write '%s': the name has %zu bytes, but the file system allows %zu; "
                    "shorten it, or the name of the input that it is made from",
                    path, length, most);
}

/* Creates the temporary file of f in the folder of its final name. The file exists if f->stream is set. */
static u3d_status outfile_create(u3d_outfile *f)
{
    static atomic_uint serial;
    const int dir_len = (int)path_dir_length(f->path);
    const char *tail = f->path + dir_len;
    if (strlen(tail) > TEMP_TAIL) {
        tail += strlen(tail) - TEMP_TAIL;
        while ((*tail & 0xC0) == 0x80) tail++; /* a byte in the middle of a UTF-8 character */
    }
    for (int i = 0; i < TEMP_TRIES; i++) {
        unsigned number = atomic_fetch_add(&serial, 1);
        f->temp = u3d_format("%.*s.tmp-%ld-%u-%s", dir_len, f->path, (long)getpid(), number, tail);
        if (!f->temp) return U3D_E_NOMEM;
        f->temporary = u3d_temporary_note(f->temp);
        int fd = open(f->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            f->stream = fdopen(fd, "w+b");
            if (f->stream) return U3D_OK;
            int cause = errno;
            close(fd);
            unlink(f->temp);
            return u3d_fail(U3D_E_OUTPUT, "write '%s': %s", f->path, strerror(cause));
        }
        const int cause = errno;
        u3d_temporary_forget(f->temporary);
        f->temporary = -1;
        errno = cause;
        if (cause != EEXIST) break;
        u3d_free(f->temp);
        f->temp = NULL;
    }
    return u3d_fail(U3D_E_OUTPUT, "create '%s': %s", f->path, strerror(errno));
}

static void outfile_free(u3d_outfile *f)
{
    u3d_temporary_forget(f->temporary);
    u3d_free(f->path);
    u3d_free(f->temp);
    u3d_free(f);
}

u3d_status u3d_outfile_open(const char *path, u3d_outfile **out)
{
    struct stat info;
    *out = NULL;
    U3D_TRY(u3d_path_check_name(path));
    /* The rename would replace a device of that name, and it would fail on a folder after all the work. A
     * link is replaced; what it leads to stays. */
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return u3d_fail(U3D_E_OUTPUT, "write '%s': it exists and is not a regular file", path);
    u3d_outfile *f = u3d_new(1, sizeof *f);
    if (!f) return U3D_E_NOMEM;
    f->temporary = -1;
    f->path = u3d_strdup(path);
    u3d_status status = f->path ? outfile_create(f) : U3D_E_NOMEM;
    if (status != U3D_OK) {
        outfile_free(f);
        return status;
    }
    *out = f;
    return U3D_OK;
}

FILE *u3d_outfile_stream(u3d_outfile *f)
{
    return f->stream;
}
const char *u3d_outfile_temp(const u3d_outfile *f)
{
    return f->temp;
}

void u3d_outfile_abandon(u3d_outfile *f)
{
    if (!f) return;
    fclose(f->stream);
    unlink(f->temp);
    outfile_free(f);
}

/* Flushes the folder, so that the rename survives a power failure. Some file systems cannot do this; the
 * write still counts as successful. This cuts f->path down to its folder, so it must be the last use of
 * f->path. */
static void outfile_sync_dir(u3d_outfile *f)
{
    char *slash = strrchr(f->path, '/');
    if (slash) slash[slash == f->path ? 1 : 0] = '\0';
    int fd = open(slash ? f->path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

u3d_status u3d_outfile_commit(u3d_outfile *f)
{
    bool bad = ferror(f->stream) != 0;
    int cause = bad ? EIO : 0;
    if (fflush(f->stream) != 0 || (!bad && fsync(fileno(f->stream)) != 0)) {
        cause = errno;
        bad = true;
    }
    if (fclose(f->stream) != 0 && !bad) {
        cause = errno;
        bad = true;
    }
    if (!bad && rename(f->temp, f->path) != 0) {
        cause = errno;
        bad = true;
    }
    u3d_status status = U3D_OK;
    if (bad) {
        unlink(f->temp);
        status = u3d_fail(U3D_E_OUTPUT, "write '%s': %s", f->path, strerror(cause));
    } else {
        outfile_sync_dir(f);
    }
    outfile_free(f);
    return status;
}
