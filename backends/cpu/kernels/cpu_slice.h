/* How kernels split their work: into slices whose number and borders depend only on the shape, never on the
 * number of threads, so that sums are added in the same order for any number of threads. */
#ifndef U3D_CPU_SLICE_H
#define U3D_CPU_SLICE_H

#include "backends/cpu/cpu_impl.h"

enum {
    CPU_SLICES_MAX = 128,      /* enough for the cores of a large server; adding up so few costs nothing */
    CPU_SLICE_ELEMS = 1 << 14, /* 64 kB of floats; less work does not pay for another thread */
    CPU_LINE_ELEMS = 16        /* floats in a cache line */
};

static inline int64_t cpu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t cpu_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static inline int64_t cpu_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

typedef struct cpu_range {
    int64_t begin, end;
} cpu_range;

/* The number of slices for `items` pieces of work, so that each slice has at least `grain` of them; 1 if
 * there are fewer. */
static inline int64_t cpu_slices(int64_t items, int64_t grain)
{
    int64_t slices = items / (grain > 0 ? grain : 1);
    return slices < 1 ? 1 : slices < CPU_SLICES_MAX ? slices : CPU_SLICES_MAX;
}

/* The items of one slice. The border before slice s is items * s / slices, rounded down to a multiple of
 * `unit`; the last slice ends at `items`. */
static inline cpu_range cpu_slice(int64_t items, int64_t slices, int64_t slice, int64_t unit)
{
    cpu_range r = {items * slice / slices / unit * unit, items};
    if (slice + 1 < slices) r.end = items * (slice + 1) / slices / unit * unit;
    return r;
}

static inline int64_t cpu_channels(const u3d_type *map)
{
    return map->rank > 0 ? map->dim[map->rank - 1] : 1;
}

/* For ops that can only replace their outputs: the refusal if `d` asks to add to one, otherwise NULL. */
static inline const char *cpu_refuse_accumulate(const u3d_op_desc *d)
{
    return d->accumulate ? "its result cannot be accumulated" : NULL;
}

#endif
