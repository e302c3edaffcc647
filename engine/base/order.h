/* Orders of numbers for qsort, percentiles and medians.
 *
 * A percentile is interpolated linearly between the two nearest ranks, as numpy.percentile does by default:
 * the share q of n values has the rank q (n - 1), counted from 0. No function of this file accepts NaN. */
#ifndef U3D_ENGINE_ORDER_H
#define U3D_ENGINE_ORDER_H

#include <stdint.h>

/* Comparison functions for qsort: increasing doubles and increasing floats. */
int u3d_order_double(const void *a, const void *b);
int u3d_order_float(const void *a, const void *b);

/* The percentile of v [n] for the share q in [0, 1]. n >= 1; v is reordered. */
double u3d_percentile(double *v, int64_t n, double q);
/* The same for floats that are already in increasing order. */
double u3d_percentile_sorted(const float *v, int64_t n, double q);
/* The median of v [n], which is the mean of the two middle values if n is even. n >= 1; v is reordered. */
double u3d_median(double *v, int64_t n);

#endif
