/* Locks of folders: flock, and a file that names its owner where flock is missing.
 *
 * The owner's file appears whole, because it is written under another name and then linked to its own (link
 * fails if the name exists, on network file systems too). Its text is "HOST PID START", where START is the
 * time at which the process was started, in clock ticks since the machine was booted: a new process that got
 * the number of an old one is not mistaken for it. */
#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/path.h"
#include "io/temporary.h"

enum { OWNER_CAP = 512, HOST_CAP = 256 };

struct u3d_lock {
    int fd;      /* of DIR/.lock */
    char *owner; /* DIR/.lock-owner; NULL with flock */
    int temporary;
};

/* Field 22 of /proc/PID/stat; 0 if there is no such process. Field 2 is a name in brackets that may have
 * spaces. */
static unsigned long long process_start(long pid)
{
    char path[64], text[1024];
    unsigned long long start = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    const size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    if (at) start = strtoull(at + 1, NULL, 10);
    return start;
}

static void owner_describe(char text[OWNER_CAP])
{
    char host[HOST_CAP] = "";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(text, OWNER_CAP, "%s %ld %llu\n", host[0] ? host : "unknown", (long)getpid(),
                   process_start((long)getpid()));
}

static bool owner_read(const char *path, char text[OWNER_CAP])
{
    FILE *f = fopen(path, "r");
    if (!f) return false;
    text[fread(text, 1, OWNER_CAP - 1, f)] = '\0';
    (void)fclose(f);
    return true;
}

/* Whether the process that wrote this text runs on this host no more. */
static bool owner_is_gone(const char *text)
{
    char host[HOST_CAP], own[OWNER_CAP], own_host[HOST_CAP];
    long pid;
    unsigned long long start;
    owner_describe(own);
    if (sscanf(text, "%255s %ld %llu", host, &pid, &start) != 3 || sscanf(own, "%255s", own_host) != 1)
        return false;
    return strcmp(host, own_host) == 0 && process_start(pid) != start;
}

static u3d_status owner_refuse(const u3d_lock *l, const char *dir, const char *text)
{
    char host[HOST_CAP] = "?";
    long pid = 0;
    (void)sscanf(text, "%255s %ld", host, &pid);
    return u3d_fail(U3D_E_ARG,
                    "folder '%s' is in use by another u3d (process %ld on %s); wait for it or choose another "
                    "folder; if that process no longer runs, remove %s",
                    dir, pid, host, l->owner);
}

/* Removes the file of an owner that is gone. It is moved first, so that of two processes only one removes it;
 * a file that turns out to be another one is put back. */
static void owner_remove(const char *path, const char *text)
{
    char found[OWNER_CAP], *aside = u3d_format("%s-%ld", path, (long)getpid());
    if (aside && rename(path, aside) == 0) {
        if (owner_read(aside, found) && strcmp(found, text) != 0) (void)!link(aside, path);
        (void)unlink(aside);
    }
    u3d_free(aside);
}

/* Makes the owner's file. *taken: it exists already. */
static u3d_status owner_create(u3d_lock *l, bool *taken)
{
    char text[OWNER_CAP];
    u3d_outfile *file;
    owner_describe(text);
    *taken = false;
    U3D_TRY(u3d_outfile_open(l->owner, &file));
    (void)fputs(text, u3d_outfile_stream(file));
    u3d_status status = U3D_OK;
    if (fflush(u3d_outfile_stream(file)) != 0)
        status = u3d_fail(U3D_E_OUTPUT, "write '%s': %s", l->owner, strerror(errno));
    else if (link(u3d_outfile_temp(file), l->owner) != 0) {
        *taken = errno == EEXIST;
        if (!*taken) status = u3d_fail(U3D_E_OUTPUT, "lock '%s': %s", l->owner, strerror(errno));
    }
    u3d_outfile_abandon(file);
    return status;
}

static u3d_status owner_take(u3d_lock *l, const char *dir, int cause)
{
    char text[OWNER_CAP] = "";
    bool taken = false;
    char *path = u3d_path_join(dir, ".lock-owner");
    if (!path) return U3D_E_NOMEM;
    l->owner = path;
    u3d_status status = owner_create(l, &taken);
    if (status == U3D_OK && taken && owner_read(path, text) && owner_is_gone(text)) {
        U3D_WARN("lock", "%s was left behind by a process that no longer runs; it is replaced", path);
        owner_remove(path, text);
        status = owner_create(l, &taken);
    }
    if (status == U3D_OK && taken) status = owner_refuse(l, dir, text);
    if (status != U3D_OK) {
        l->owner = NULL; /* it is not this process's file */
        u3d_free(path);
        return status;
    }
    l->temporary = u3d_temporary_note(path);
    U3D_WARN("lock", "the file system of '%s' has no locks (%s); %s keeps other processes out instead", dir,
             strerror(cause), path);
    return U3D_OK;
}

/* What flock says on file systems that do not have it; NFS without its lock service says ENOLCK. */
static bool is_missing(int cause)
{
    return cause == ENOLCK || cause == EOPNOTSUPP || cause == ENOTSUP || cause == ENOSYS || cause == EINVAL;
}

static u3d_status lock_try(u3d_lock *l, const char *dir)
{
    char *path = u3d_path_join(dir, ".lock");
    if (!path) return U3D_E_NOMEM;
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    const int cause = l->fd < 0 || flock(l->fd, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
    u3d_free(path);
    if (l->fd < 0) return u3d_fail(U3D_E_OUTPUT, "lock folder '%s': %s", dir, strerror(cause));
    if (cause == EWOULDBLOCK)
        return u3d_fail(U3D_E_ARG,
                        "folder '%s' is in use by another u3d; wait for it or choose another folder", dir);
    if (cause && is_missing(cause)) return owner_take(l, dir, cause);
    return cause ? u3d_fail(U3D_E_OUTPUT, "lock folder '%s': %s", dir, strerror(cause)) : U3D_OK;
}

u3d_status u3d_lock_take(const char *dir, u3d_lock **out)
{
    *out = NULL;
    u3d_lock *l = u3d_new(1, sizeof *l);
    if (!l) return U3D_E_NOMEM;
    l->temporary = -1;
    const u3d_status status = lock_try(l, dir);
    if (status == U3D_OK)
        *out = l;
    else
        u3d_lock_release(l);
    return status;
}

void u3d_lock_release(u3d_lock *l)
{
    if (!l) return;
    if (l->owner) (void)unlink(l->owner);
    u3d_temporary_forget(l->temporary);
    if (l->fd >= 0) close(l->fd);
    u3d_free(l->owner);
    u3d_free(l);
}
