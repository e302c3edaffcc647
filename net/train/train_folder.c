/* The RUN folder before and after a run begins: its lock, what is in it already, and where an earlier run
 * goes.
 *
 * A new run is checked as a whole (data read, network planned, memory) before it touches the files of an
 * earlier one. Then these are moved to RUN.old, which keeps one run. Only the files of a run are moved, so
 * whatever else lies in the folder, perhaps the data, stays where it is. */
#include "net/train/train_impl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/stop.h"
#include "io/path.h"

u3d_status u3d_run_path(const u3d_training *t, const char *name, char **path)
{
    *path = u3d_path_join(t->o->out, name);
    return *path ? U3D_OK : U3D_E_NOMEM;
}

/* Refuses a folder with content, unless --force was given. */
static u3d_status folder_check_empty(const u3d_training *t)
{
    char **names;
    int n;
    U3D_TRY(u3d_path_list(t->o->out, &names, &n));
    u3d_path_list_free(names, n);
    if (n == 0 || t->o->force) return U3D_OK;
    return u3d_fail(
        U3D_E_ARG,
        "folder '%s' is not empty (%d entries); choose another folder, continue the run with --resume, "
        "or start a new run with --force, which moves the earlier one to %s.old",
        t->o->out, n, t->o->out);
}

u3d_status u3d_run_lock(u3d_training *t)
{
    const bool there = u3d_path_is_dir(t->o->out);
    if (t->o->resume && !there) return u3d_fail(U3D_E_IO, "resume %s: the folder does not exist", t->o->out);
    U3D_TRY(u3d_path_make_dir(t->o->out));
    t->made_folder = !there;
    U3D_TRY(u3d_lock_take(t->o->out, &t->lock));
    return t->o->resume ? U3D_OK : folder_check_empty(t);
}

/* ---- the earlier run ---- */

static bool file_exists(const char *dir, const char *name)
{
    char *path = u3d_path_join(dir, name);
    const bool exists = path && u3d_path_is_taken(path);
    u3d_free(path);
    return exists;
}

/* Moves DIR/NAME into `old`; *moved: there was such a file. Returns 0 or the cause of the failure. */
static int file_move(const char *dir, const char *name, const char *old, bool *moved)
{
    char *from = u3d_path_join(dir, name), *to = u3d_path_join(old, name);
    int cause = from && to ? 0 : ENOMEM;
    *moved = !cause && rename(from, to) == 0;
    if (!cause && !*moved && errno != ENOENT) cause = errno;
    u3d_free(from);
    u3d_free(to);
    return cause;
}

static void file_remove(const char *dir, const char *name)
{
    char *path = u3d_path_join(dir, name);
    if (path) (void)unlink(path);
    u3d_free(path);
}

/* Whether RUN.old cannot be beside RUN, for example because RUN is a file system of its own. */
static bool is_elsewhere(int cause)
{
    return cause == EXDEV || cause == EACCES || cause == EPERM || cause == EROFS;
}

/* Moves the earlier run into the folder `old`. *elsewhere: this place is not possible; nothing was moved. */
static u3d_status run_move(u3d_training *t, const char *old, bool *elsewhere)
{
    u3d_lock *lock = NULL;
    bool moved[U3D_RUN_FILES] = {false};
    int cause = 0, n_moved = 0;
    *elsewhere = false;
    if (u3d_path_is_taken(old) && !u3d_path_is_dir(old))
        return u3d_fail(U3D_E_OUTPUT,
                        "the earlier run cannot be moved to '%s', which is not a folder; remove it", old);
    const bool made = mkdir(old, 0777) == 0;
    if (!made && errno != EEXIST) {
        *elsewhere = is_elsewhere(errno);
        return *elsewhere ? U3D_OK : u3d_fail(U3D_E_OUTPUT, "create folder '%s': %s", old, strerror(errno));
    }
    U3D_TRY(u3d_lock_take(old, &lock)); /* somebody may continue the run that is there */
    for (int i = 0; i < U3D_RUN_FILES && !cause; i++) {
        cause = file_move(t->o->out, u3d_run_files[i], old, &moved[i]);
        n_moved += moved[i];
    }
    *elsewhere = n_moved == 0 && is_elsewhere(cause);
    for (int i = 0; i < U3D_RUN_FILES && !cause; i++) /* of the run that was there before */
        if (!moved[i]) file_remove(old, u3d_run_files[i]);
    u3d_lock_release(lock);
    if (made && *elsewhere) {
        file_remove(old, ".lock");
        (void)rmdir(old);
    }
    if (!cause) {
        U3D_INFO("train", "the earlier run is now in %s", old);
        t->moved_to = u3d_strdup(old);
    }
    if (!cause || *elsewhere) return U3D_OK;
    return u3d_fail(U3D_E_OUTPUT, "moving the earlier run from '%s' to '%s': %s", t->o->out, old,
                    strerror(cause));
}

/* RUN.old, also for "RUN/", "." and "..". */
static char *old_name(const char *run)
{
    const char *slash = strrchr(run, '/'), *name = slash ? slash + 1 : run;
    char whole[PATH_MAX];
    if ((!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) && realpath(run, whole)) run = whole;
    return u3d_format("%s.old", run);
}

static u3d_status run_remove(const u3d_training *t)
{
    for (int i = 0; i < U3D_RUN_FILES; i++) {
        char *path;
        U3D_TRY(u3d_run_path(t, u3d_run_files[i], &path));
        u3d_status status = U3D_OK;
        if (unlink(path) != 0 && errno != ENOENT)
            status =
                u3d_fail(U3D_E_OUTPUT, "cannot remove '%s' of an earlier run: %s", path, strerror(errno));
        u3d_free(path);
        U3D_TRY(status);
    }
    return U3D_OK;
}

/* 0: nothing that training has made; 1: a checkpoint; 2: a model. */
static int worth_of(const char *dir)
{
    return file_exists(dir, U3D_RUN_MODEL) ? 2 : file_exists(dir, U3D_RUN_CHECKPOINT) ? 1 : 0;
}

/* Whether the run in `old` is further than the one in RUN, so that it must not be replaced by it. */
static bool is_worth_less(const u3d_training *t, const char *old)
{
    const int worth = worth_of(t->o->out);
    if (worth >= worth_of(old)) return false;
    if (worth > 0)
        U3D_WARN("train",
                 "the unfinished run in %s is overwritten; %s still keeps the finished run before it",
                 t->o->out, old);
    return true;
}

static u3d_status run_move_away(u3d_training *t)
{
    bool elsewhere = false;
    char *beside = old_name(t->o->out), *inside = u3d_path_join(t->o->out, "old");
    u3d_status status = !beside || !inside ? U3D_E_NOMEM
                        : is_worth_less(t, beside) || is_worth_less(t, inside)
                            ? run_remove(t)
                            : run_move(t, beside, &elsewhere);
    if (status == U3D_OK && elsewhere) {
        status = run_move(t, inside, &elsewhere);
        if (status == U3D_OK && elsewhere)
            status = u3d_fail(U3D_E_OUTPUT, "the earlier run can be moved neither to '%s' nor to '%s'",
                              beside, inside);
    }
    u3d_free(beside);
    u3d_free(inside);
    return status;
}

u3d_status u3d_run_begin(u3d_training *t)
{
    bool anything = false;
    if (u3d_stop_requested())
        return u3d_fail(U3D_E_CANCELLED, "training: interrupted before the first iteration");
    u3d_stop_hold();
    t->begun = t->holds = true;
    for (int i = 0; i < U3D_RUN_FILES; i++) anything = anything || file_exists(t->o->out, u3d_run_files[i]);
    return anything && !t->o->resume ? run_move_away(t) : U3D_OK;
}

void u3d_run_let_go(u3d_training *t)
{
    if (t->holds) u3d_stop_release();
    t->holds = false;
}

u3d_status u3d_run_undo(u3d_training *t)
{
    if (t->o->resume) return U3D_OK;
    U3D_TRY(run_remove(t));
    bool moved;
    for (int i = 0; t->moved_to && i < U3D_RUN_FILES; i++)
        if (file_move(t->moved_to, u3d_run_files[i], t->o->out, &moved) != 0)
            return u3d_fail(U3D_E_OUTPUT, "the earlier run could not be moved back from %s", t->moved_to);
    return U3D_OK;
}

void u3d_run_unlock(u3d_training *t)
{
    if (t->lock && t->made_folder && !t->begun) file_remove(t->o->out, ".lock"); /* leaves no empty folder */
    u3d_lock_release(t->lock);
    if (t->made_folder && !t->begun) (void)rmdir(t->o->out);
    u3d_free(t->moved_to);
    u3d_run_let_go(t);
}
