/* A table that a signal handler may read, so a name is copied and its slot is marked as filled afterwards. A
 * forked process starts with an empty table, because the files belong to its parent. */
#include "io/temporary.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "engine/base/stop.h"

enum { SLOTS = 32 }; /* files that are open at the same time: one or two per process, some more in tests */
enum { SLOT_EMPTY, SLOT_BUSY, SLOT_FILLED };

static char temporary_name[SLOTS][PATH_MAX];
static atomic_int temporary_state[SLOTS];
static _Atomic pid_t temporary_owner;

static void temporary_clean(void)
{
    if (atomic_load(&temporary_owner) != getpid()) return;
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&temporary_state[i]) == SLOT_FILLED) (void)unlink(temporary_name[i]);
}

int u3d_temporary_note(const char *path)
{
    if (strlen(path) >= PATH_MAX) return -1;
    if (atomic_exchange(&temporary_owner, getpid()) != getpid()) {
        for (int i = 0; i < SLOTS; i++) atomic_store(&temporary_state[i], SLOT_EMPTY);
        u3d_stop_clean_with(temporary_clean);
    }
    for (int i = 0; i < SLOTS; i++) {
        int expected = SLOT_EMPTY;
        if (!atomic_compare_exchange_strong(&temporary_state[i], &expected, SLOT_BUSY)) continue;
        strcpy(temporary_name[i], path);
        atomic_store(&temporary_state[i], SLOT_FILLED);
        return i;
    }
    return -1;
}

void u3d_temporary_forget(int number)
{
    if (number >= 0) atomic_store(&temporary_state[number], SLOT_EMPTY);
}
