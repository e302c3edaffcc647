/* Time. */
#ifndef U3D_ENGINE_CLOCK_H
#define U3D_ENGINE_CLOCK_H

double u3d_clock(void); /* seconds on a monotonic clock, from an arbitrary start */

#endif
