/* Surface voxels of all labels, and measures made of the distances between two sets of surface voxels.
 *
 * A voxel is on the surface of its own label if and only if a face neighbour has another value or lies
 * outside of the volume. Each voxel is therefore examined once for all labels together. The surface voxels of
 * each plane are counted in a first pass and stored in a second one, so that the lists have the volume's
 * order no matter how the threads share the planes. */
#include "net/evaluate/surface.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "engine/base/thread.h"

typedef struct extraction {
    const u3d_volume *labels;
    const int32_t *values;
    int n;
    int64_t *place; /* [nz, n]: number of voxels in each plane; later, the position of the next one */
    uint8_t *edge;  /* [threads, nx]: a row for each thread */
    u3d_points *out;
    bool fill;      /* false: count, true: store */
} extraction;

/* ---- surface voxels ---- */

/* Sets edge[x] to 1 if row[x] differs from a face neighbour, otherwise to 0. `beside` are the four
 * neighbouring rows in z and y; NULL: the row is outside of the volume. */
static void row_edges(const int32_t *row, const int32_t *const beside[4], int64_t n, uint8_t *restrict edge)
{
    const int32_t *a = beside[0], *b = beside[1], *c = beside[2], *d = beside[3];
    if (!a || !b || !c || !d) {
        memset(edge, 1, (size_t)n);
        return;
    }
    edge[0] = edge[n - 1] = 1;
    for (int64_t x = 1; x < n - 1; x++) {
        const int32_t v = row[x];
        edge[x] = (uint8_t)((v != row[x - 1]) | (v != row[x + 1]) | (v != a[x]) | (v != b[x]) | (v != c[x]) |
                            (v != d[x]));
    }
}

/* Index of a value among the wanted ones; -1: it is not wanted. Index `near` is tried first, because
 * neighbouring voxels often have the same value. */
static int value_index(const extraction *e, int32_t value, int near)
{
    if (near >= 0 && e->values[near] == value) return near;
    int low = 0, high = e->n - 1;
    while (low <= high) {
        const int middle = (low + high) / 2;
        if (e->values[middle] == value) return middle;
        if (e->values[middle] < value)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

static void row_collect(const extraction *e, int64_t z, int64_t y, const int32_t *row, const uint8_t *edge)
{
    int64_t *place = e->place + z * e->n;
    int k = -1;
    for (int64_t x = 0; x < e->labels->size[2]; x++) {
        if (!edge[x]) continue;
        const int found = value_index(e, row[x], k);
        if (found < 0) continue;
        k = found;
        if (e->fill) {
            int32_t *at = e->out[k].at[place[k]];
            at[0] = (int32_t)z;
            at[1] = (int32_t)y;
            at[2] = (int32_t)x;
        }
        place[k]++;
    }
}

static u3d_status plane_collect(void *context, int worker, int64_t z)
{
    const extraction *e = context;
    const int64_t *size = e->labels->size, nx = size[2], plane = size[1] * nx;
    const int32_t *row = (const int32_t *)e->labels->data + z * plane;
    uint8_t *edge = e->edge + worker * nx;
    for (int64_t y = 0; y < size[1]; y++, row += nx) {
        const int32_t *const beside[4] = {z > 0 ? row - plane : NULL, z + 1 < size[0] ? row + plane : NULL,
                                          y > 0 ? row - nx : NULL, y + 1 < size[1] ? row + nx : NULL};
        row_edges(row, beside, nx, edge);
        row_collect(e, z, y, row, edge);
    }
    return U3D_OK;
}

/* Replaces the counts per plane by the positions at which each plane's voxels start, and allocates the
 * lists. */
static u3d_status lists_allocate(extraction *e)
{
    for (int k = 0; k < e->n; k++) {
        int64_t total = 0;
        for (int64_t z = 0; z < e->labels->size[0]; z++) {
            const int64_t here = e->place[z * e->n + k];
            e->place[z * e->n + k] = total;
            total += here;
        }
        e->out[k].n = total;
        e->out[k].at = u3d_new_uninit((size_t)total, sizeof *e->out[k].at);
        if (!e->out[k].at) return U3D_E_NOMEM;
    }
    return U3D_OK;
}

void u3d_points_free(u3d_points *p, int n)
{
    for (int i = 0; p && i < n; i++) {
        u3d_free(p[i].at);
        p[i] = (u3d_points){0};
    }
}

u3d_status u3d_surface_voxels(const u3d_volume *labels, const int32_t *values, int n, int threads,
                              u3d_points *out)
{
    U3D_ASSERT(labels->dtype == U3D_I32 && labels->channels == 1, "dtype %d, %d channels", (int)labels->dtype,
               (int)labels->channels);
    u3d_status status = U3D_OK;
    const size_t nz = (size_t)labels->size[0], nx = (size_t)labels->size[2];
    extraction e = {.labels = labels, .values = values, .n = n, .out = out};
    threads = threads < 1 ? 1 : threads > U3D_THREAD_MAX ? U3D_THREAD_MAX : threads;
    memset(out, 0, (size_t)n * sizeof *out);
    if (n == 0) return U3D_OK;
    e.place = u3d_new(nz * (size_t)n, sizeof *e.place);
    e.edge = u3d_new((size_t)threads * nx, 1);
    if (!e.place || !e.edge) U3D_GO(U3D_E_NOMEM);
    U3D_GO(u3d_thread_each(threads, labels->size[0], plane_collect, &e));
    U3D_GO(lists_allocate(&e));
    e.fill = true;
    U3D_GO(u3d_thread_each(threads, labels->size[0], plane_collect, &e));
done:
    if (status != U3D_OK) u3d_points_free(out, n);
    u3d_free(e.place);
    u3d_free(e.edge);
    return status;
}

/* ---- measures ---- */

typedef struct directed { /* the distances in one direction */
    double p95, sum;
    int64_t within; /* number of distances within the tolerance */
} directed;

static u3d_status direction_measure(const u3d_points *from, const u3d_points *to, const double spacing[3],
                                    double tolerance, int threads, directed *out)
{
    double *distance = u3d_new_uninit((size_t)from->n, sizeof *distance);
    if (!distance) return U3D_E_NOMEM;
    const u3d_status status = u3d_distance_nearest(from, to, spacing, threads, distance);
    const double granted = tolerance * (1 + 1e-6);
    *out = (directed){0};
    for (int64_t i = 0; status == U3D_OK && i < from->n; i++) {
        out->sum += distance[i];
        out->within += distance[i] <= granted;
    }
    if (status == U3D_OK) out->p95 = u3d_percentile(distance, from->n, 0.95);
    u3d_free(distance);
    return status;
}

u3d_status u3d_surface_compare(const u3d_points *prediction, const u3d_points *reference,
                               const double spacing[3], double tolerance, int threads,
                               u3d_surface_scores *out)
{
    const double np = (double)prediction->n, nr = (double)reference->n;
    directed p, r;
    *out = (u3d_surface_scores){NAN, NAN, NAN, np + nr > 0 ? 0 : NAN};
    if (prediction->n == 0 || reference->n == 0) return U3D_OK;
    U3D_TRY(direction_measure(prediction, reference, spacing, tolerance, threads, &p));
    U3D_TRY(direction_measure(reference, prediction, spacing, tolerance, threads, &r));
    *out = (u3d_surface_scores){.hd95 = fmax(p.p95, r.p95),
                                .assd = (p.sum + r.sum) / (np + nr),
                                .masd = (p.sum / np + r.sum / nr) / 2,
                                .nsd = (double)(p.within + r.within) / (np + nr)};
    return U3D_OK;
}
