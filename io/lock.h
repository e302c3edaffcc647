/* Locks of folders, so that two processes do not write to one run. */
#ifndef U3D_IO_LOCK_H
#define U3D_IO_LOCK_H

#include "engine/base/status.h"

typedef struct u3d_lock u3d_lock;

/* Takes an exclusive lock on DIR/.lock (flock), which is held until u3d_lock_release or the end of the
 * process. U3D_E_ARG: another process holds it. On a file system without flock, a file DIR/.lock-owner that
 * names host and process takes its place, and a warning says so; one that a process of this host left behind
 * is replaced. */
u3d_status u3d_lock_take(const char *dir, u3d_lock **out);
void u3d_lock_release(u3d_lock *l); /* NULL is allowed */

#endif
