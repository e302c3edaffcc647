/* A progress line on stderr: a bar that is updated in place on a terminal, otherwise a plain line now and
 * then. */
#ifndef U3D_NET_PROGRESS_H
#define U3D_NET_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct u3d_progress {
    const char *what;      /* "training", "tile"                                */
    int64_t total;         /* steps                                             */
    bool bar;              /* stderr is a terminal                              */
    double started, shown; /* u3d_clock() at the start and at the last output   */
    int64_t first;         /* steps that were done before, by a run now resumed */
} u3d_progress;

u3d_progress u3d_progress_begin(const char *what, int64_t first, int64_t total, bool bar);
/* Shows that `done` of the total steps are done; `detail` follows the counter. A bar is updated at most ten
 * times a second; otherwise there is one line every ten seconds. The last step is always shown. */
void u3d_progress_show(u3d_progress *p, int64_t done, const char *detail);
/* Ends the bar's line, so that other messages start on a fresh one. */
void u3d_progress_end(u3d_progress *p);

/* "1:02:03" or "4:05". */
const char *u3d_time_text(double seconds, char *buf, int cap);

#endif
