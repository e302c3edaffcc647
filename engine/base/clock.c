/* Time from the system's monotonic clock, which does not jump when the date is set, so that differences are
 * always durations. */
#include "engine/base/clock.h"

#include <time.h>

double u3d_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
