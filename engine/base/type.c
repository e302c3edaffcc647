/* Element types and shapes: making, comparing, counting and printing them.
 *
 * u3d_type_count is the gate for shapes that come from outside (files, options). A shape that it accepts has
 * at least one element, and its size in bytes is below 2^63, so that later products need no overflow
 * checks. */
#include "engine/base/type.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} type_rows[] = {[U3D_F32] = {"f32", 4}, [U3D_I32] = {"i32", 4}, [U3D_U8] = {"u8", 1}};

static bool type_dtype_known(u3d_dtype dtype)
{
    return (unsigned)dtype < sizeof type_rows / sizeof *type_rows;
}

static bool type_rank_legal(int32_t rank)
{
    return rank >= 0 && rank <= U3D_MAX_RANK;
}

u3d_type u3d_type_of(u3d_dtype dtype, int32_t rank, const int64_t *dim)
{
    u3d_type t = {.dtype = dtype, .rank = rank, .dim = {1, 1, 1, 1, 1}};
    for (int32_t i = 0; type_rank_legal(rank) && i < rank; i++) t.dim[i] = dim[i];
    return t;
}

u3d_type u3d_type_f32(int32_t rank, const int64_t *dim)
{
    return u3d_type_of(U3D_F32, rank, dim);
}

u3d_type u3d_type_scalar(void)
{
    return u3d_type_of(U3D_F32, 0, NULL);
}

u3d_type u3d_type_map(int64_t n, const int64_t size[3], int64_t c)
{
    return u3d_type_f32(5, (const int64_t[]){n, size[0], size[1], size[2], c});
}

size_t u3d_dtype_size(u3d_dtype dtype)
{
    U3D_ASSERT(type_dtype_known(dtype), "element type %d", (int)dtype);
    return type_rows[dtype].size;
}

const char *u3d_dtype_name(u3d_dtype dtype)
{
    return type_dtype_known(dtype) ? type_rows[dtype].name : "unknown";
}

bool u3d_type_equal(const u3d_type *a, const u3d_type *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank || !type_rank_legal(a->rank)) return false;
    return memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

u3d_status u3d_type_count(const u3d_type *t, int64_t *elements, uint64_t *bytes)
{
    int64_t n = 1, n_bytes = 0;
    char text[160];
    *elements = 0;
    *bytes = 0;
    if (!type_dtype_known(t->dtype))
        return u3d_fail(U3D_E_SHAPE, "element type %d is unknown", (int)t->dtype);
    if (!type_rank_legal(t->rank)) {
        return u3d_fail(U3D_E_SHAPE, "a shape has %" PRId32 " axes, expected 0 to %d", t->rank,
                        (int)U3D_MAX_RANK);
    }
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dim[i] < 1) {
            return u3d_fail(U3D_E_SHAPE, "axis %" PRId32 " of %s is %" PRId64 ", expected at least 1", i,
                            u3d_type_text(t, text, sizeof text), t->dim[i]);
        }
        if (__builtin_mul_overflow(n, t->dim[i], &n)) {
            return u3d_fail(U3D_E_SHAPE, "%s has more elements than 2^63",
                            u3d_type_text(t, text, sizeof text));
        }
    }
    if (__builtin_mul_overflow(n, (int64_t)u3d_dtype_size(t->dtype), &n_bytes)) {
        return u3d_fail(U3D_E_SHAPE, "%s has more bytes than 2^63", u3d_type_text(t, text, sizeof text));
    }
    *elements = n;
    *bytes = (uint64_t)n_bytes;
    return U3D_OK;
}

int64_t u3d_type_elems(const u3d_type *t)
{
    int64_t elements;
    uint64_t bytes;
    u3d_status status = u3d_type_count(t, &elements, &bytes);
    U3D_ASSERT(status == U3D_OK, "%s", u3d_error_text());
    return elements;
}

uint64_t u3d_type_bytes(const u3d_type *t)
{
    return (uint64_t)u3d_type_elems(t) * u3d_dtype_size(t->dtype);
}

const char *u3d_type_text(const u3d_type *t, char *buf, size_t cap)
{
    if (cap == 0) return buf;
    size_t used = 0;
    int n = snprintf(buf, cap, "%s [", u3d_dtype_name(t->dtype));
    for (int32_t i = 0; type_rank_legal(t->rank) && i < t->rank; i++) {
        used += (size_t)n < cap - used ? (size_t)n : cap - used - 1;
        n = snprintf(buf + used, cap - used, "%s%" PRId64, i ? ", " : "", t->dim[i]);
    }
    used += (size_t)n < cap - used ? (size_t)n : cap - used - 1;
    snprintf(buf + used, cap - used, "%s]", type_rank_legal(t->rank) ? "" : "?");
    return buf;
}
