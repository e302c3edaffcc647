/* Independent pieces of work on a few threads: whole-volume loops outside of any backend. Backends have
 * threads of their own; net/sample/feeder.c runs for the whole of a training. */
#ifndef U3D_ENGINE_THREAD_H
#define U3D_ENGINE_THREAD_H

#include <stdint.h>

#include "engine/base/status.h"

enum { U3D_THREAD_MAX = 64 }; /* more are not started */

/* Piece number `item`; `worker` is 0 .. threads-1 and belongs to one thread at a time (scratch memory). */
typedef u3d_status (*u3d_thread_work)(void *context, int worker, int64_t item);

/* Calls work for items 0 .. n-1 on up to `threads` threads, the caller's among them; returns when all are
 * done. Items are handed out in order, whoever is free takes the next, so results must not depend on who took
 * what. After a failure no further item begins; its status and sentence become the caller's (of several, the
 * first item's). Threads that the system refuses are done without. `threads` < 1 counts as 1. */
u3d_status u3d_thread_each(int threads, int64_t n, u3d_thread_work work, void *context);

/* Processors that this process may run on (its affinity mask); at least 1. */
int u3d_thread_count(void);

#endif
