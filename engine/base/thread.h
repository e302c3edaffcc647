/* Independent work items on a few threads, for loops over whole volumes that no backend runs. Backends have
 * threads of their own, and so has net/sample/feeder.c, whose threads run for as long as the training. */
#ifndef U3D_ENGINE_THREAD_H
#define U3D_ENGINE_THREAD_H

#include <stdint.h>

#include "engine/base/status.h"

enum { U3D_THREAD_MAX = 64 }; /* the most threads that are started */

/* Does item number `item`. `worker` is 0 to threads-1 and belongs to one thread, which can use it to choose
 * its scratch memory. */
typedef u3d_status (*u3d_thread_work)(void *context, int worker, int64_t item);

/* Calls `work` for items 0 to n-1 on up to `threads` threads, one of which is the caller's, and returns when
 * all items are done. Items are handed out in order to whichever thread is free, so the results must not
 * depend on which thread did which item. After a failure no further item begins; the function returns the
 * status of the failed item (of the lowest-numbered one if several failed) and sets its message for the
 * calling thread. If the system refuses to start a thread, the others do its work. `threads` < 1 counts as
 * 1. */
u3d_status u3d_thread_each(int threads, int64_t n, u3d_thread_work work, void *context);

/* The number of processors that this process may run on (its affinity mask); at least 1. */
int u3d_thread_count(void);

#endif
