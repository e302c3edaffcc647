/* The progress line. It goes to stderr, because stdout is for results. */
#include "net/predict/progress.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

enum { BAR_WIDTH = 24 };

u3d_progress u3d_progress_begin(const char *what, int64_t first, int64_t total, bool bar)
{
    /* A quiet run shows no bar either. */
    double now = u3d_clock();
    return (u3d_progress){.what = what,
                          .total = total,
                          .bar = bar && u3d_log_on(U3D_LOG_INFO, "progress"),
                          .started = now,
                          .shown = now,
                          .first = first};
}

const char *u3d_time_text(double seconds, char *buf, int cap)
{
    long s = seconds > 0 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(buf, (size_t)cap, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, (size_t)cap, "%ld:%02ld", s / 60, s % 60);
    return buf;
}

void u3d_progress_show(u3d_progress *p, int64_t done, const char *detail)
{
    const double now = u3d_clock(), every = p->bar ? 0.1 : 10.0;
    if (now - p->shown < every && done < p->total) return;
    p->shown = now;
    char left[32];
    const int64_t steps = done - p->first;
    const double each = steps > 0 ? (now - p->started) / (double)steps : 0;
    u3d_time_text(each * (double)(p->total - done), left, sizeof left);
    if (!p->bar) {
        U3D_INFO("progress", "%s %lld/%lld  %s%s%.3g s each, %s left", p->what, (long long)done,
                 (long long)p->total, detail, detail[0] ? "  " : "", each, left);
        return;
    }
    char bar[BAR_WIDTH + 1];
    const int full = p->total > 0 ? (int)(done * BAR_WIDTH / p->total) : BAR_WIDTH;
    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%s [%s] %lld/%lld  %s%s%.3g s each, %s left", p->what, bar, (long long)done,
            (long long)p->total, detail, detail[0] ? "  " : "", each, left);
    fflush(stderr);
}

void u3d_progress_end(u3d_progress *p)
{
    if (p->bar) {
        fputc('\n', stderr);
        fflush(stderr);
    }
}
