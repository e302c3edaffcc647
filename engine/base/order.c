/* Orders of numbers, percentiles and medians (order.h). u3d_percentile selects instead of sorting, because
 * the lists of distances between surfaces have millions of numbers and only one percentile is needed. */
#include "engine/base/order.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/status.h"

int u3d_order_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int u3d_order_float(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void swap(double *a, double *b)
{
    const double keep = *a;
    *a = *b;
    *b = keep;
}

/* Reorders v so that v[k] is the value that sorting would put there, with nothing larger before it and
 * nothing smaller after it (Hoare 1961, "Algorithm 65: find"). */
static void select_rank(double *v, int64_t n, int64_t k)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        /* Median of three as the pivot. */
        if (v[middle] < v[low]) swap(&v[middle], &v[low]);
        if (v[high] < v[low]) swap(&v[high], &v[low]);
        if (v[high] < v[middle]) swap(&v[high], &v[middle]);
        const double pivot = v[middle];
        int64_t left = low, right = high;
        while (left <= right) {
            while (v[left] < pivot) left++;
            while (v[right] > pivot) right--;
            if (left <= right) swap(&v[left++], &v[right--]);
        }
        if (k <= right)
            high = right;
        else if (k >= left)
            low = left;
        else
            return;
    }
}

static double rank_of(int64_t n, double q)
{
    U3D_ASSERT(n >= 1 && q >= 0 && q <= 1, "n %lld, q %g", (long long)n, q);
    return q * (double)(n - 1);
}

/* The value at `rank`, given the values at the next lower and the next higher whole rank. */
static double between(double low, double high, double rank)
{
    return low + (rank - floor(rank)) * (high - low);
}

double u3d_percentile(double *v, int64_t n, double q)
{
    const double rank = rank_of(n, q);
    const int64_t below = (int64_t)rank;
    select_rank(v, n, below);
    if (below + 1 >= n) return v[below];
    double next = v[below + 1];
    for (int64_t i = below + 2; i < n; i++) next = fmin(next, v[i]);
    return between(v[below], next, rank);
}

double u3d_percentile_sorted(const float *v, int64_t n, double q)
{
    const double rank = rank_of(n, q);
    const int64_t low = (int64_t)rank, high = low + 1 < n ? low + 1 : low;
    return between((double)v[low], (double)v[high], rank);
}

double u3d_median(double *v, int64_t n)
{
    qsort(v, (size_t)n, sizeof *v, u3d_order_double);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}
