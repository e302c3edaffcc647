/* A piece of work in a process of its own: what it loads, allocates or crashes stays there. */
#ifndef U3D_ENGINE_CHILD_H
#define U3D_ENGINE_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Forks; the child calls work(context), which fills *result, and ends; its result (`bytes`, no pointers) comes back.
 * Where the parent ends first, the child gets SIGTERM.
 * False where it does not: no process could be started, or it ended early, by *signal_number if that is not 0. */
bool u3d_child_run(void (*work)(void *context), void *context, void *result, size_t bytes, int *signal_number);

#endif
