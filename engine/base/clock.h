/* Elapsed time. */
#ifndef U3D_ENGINE_CLOCK_H
#define U3D_ENGINE_CLOCK_H

double u3d_clock(void); /* seconds since an arbitrary start, on a monotonic clock */

#endif
