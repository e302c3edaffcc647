/* Requests to stop, and how the program ends after one.
 *
 * SIGINT, SIGTERM and SIGHUP ask the program to stop. A loop that looks at the flag ends in its own way. A
 * program that has not ended half a second later is ended by force, with exit code 130, unless it holds the
 * end off because it has something to finish first: a training run writes its checkpoint. A second SIGINT or
 * SIGTERM ends it at once in any case. Before the program is ended, outputs that are not complete are removed
 * (u3d_stop_clean_with).
 *
 * Where u3d_stop_install was not called, as in tests, nothing here has an effect. */
#ifndef U3D_ENGINE_STOP_H
#define U3D_ENGINE_STOP_H

#include <stdbool.h>
#include <sys/types.h>

/* Installs the handlers. A SIGHUP that is ignored, as under nohup, stays ignored. Returns the flag, which
 * becomes 1 with the first signal, and which forked processes share; NULL: out of memory. */
volatile int *u3d_stop_install(void);
bool u3d_stop_requested(void);

/* Between hold and release, only a second signal ends the program by force. Calls may be nested. */
void u3d_stop_hold(void);
void u3d_stop_release(void);

/* Sets the function that is called before the program is ended by force, from a signal handler. */
void u3d_stop_clean_with(void (*clean)(void));

/* Names the process that this one waits for (0: none). It is asked to end when this one is. */
void u3d_stop_child(pid_t child);
/* Must be called in a process after fork, which has not got any signal yet and holds nothing. */
void u3d_stop_in_child(void);

#endif
