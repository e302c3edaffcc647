/* A progress line on stderr: a bar updated in place on a terminal, a plain line now and then otherwise. */
#ifndef U3D_NET_PROGRESS_H
#define U3D_NET_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct u3d_progress {
    const char *what; /* "training", "predicting case_7"          */
    int64_t total;
    bool bar;         /* stderr is a terminal                     */
    double started, shown;
    int64_t first;    /* steps that were done before (a resumed run) */
} u3d_progress;

u3d_progress u3d_progress_begin(const char *what, int64_t first, int64_t total, bool bar);
/* `done` of total steps; `detail` is put behind the counter. Shows at most ten lines a second on a bar, else one
 * line in ten seconds; the last step is always shown. */
void u3d_progress_show(u3d_progress *p, int64_t done, const char *detail);
/* Ends the bar's line, so that other messages start on a fresh one. */
void u3d_progress_end(u3d_progress *p);

/* "1:02:03" or "4:05". */
const char *u3d_time_text(double seconds, char *buf, int cap);

#endif
