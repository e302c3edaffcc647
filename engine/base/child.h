/* Runs a function in a process of its own, so that what it loads or allocates, or a crash, does not affect
 * this process. */
#ifndef U3D_ENGINE_CHILD_H
#define U3D_ENGINE_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Forks. The child calls work(context), which fills *result, and ends; its result (`bytes` bytes, which must
 * contain no pointers) is then copied into *result here. Returns false if no process could be started or if
 * the child ended before it had sent its result; *signal_number is the signal that ended the child, otherwise
 * 0. If the parent ends first, the child gets SIGTERM. */
bool u3d_child_run(void (*work)(void *context), void *context, void *result, size_t bytes,
                   int *signal_number);

#endif
