/* Element types and shapes of arrays, and the limits that descriptions and graphs share. */
#ifndef U3D_ENGINE_TYPE_H
#define U3D_ENGINE_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { U3D_MAX_RANK = 5, U3D_MAX_IN = 6, U3D_MAX_OUT = 4, U3D_NAME_CAP = 64 };

typedef enum u3d_dtype { U3D_F32, U3D_I32, U3D_U8 } u3d_dtype;

/* Element type and shape of a contiguous array, slowest axis first. Feature maps are always [N, D, H, W, C]
 * and weights [KD, KH, KW, CI, CO], where D, H, W are z, y, x. Channels are the innermost axis, so that a
 * convolution reads rows of KW*C contiguous floats and every other op can vectorise over channels. */
typedef struct u3d_type {
    u3d_dtype dtype;
    int32_t rank;               /* 0..U3D_MAX_RANK; 0 is a scalar            */
    int64_t dim[U3D_MAX_RANK];  /* dim[rank-1] is contiguous; unused ones: 1 */
} u3d_type;

u3d_type u3d_type_of(u3d_dtype dtype, int32_t rank, const int64_t *dim);
u3d_type u3d_type_f32(int32_t rank, const int64_t *dim);
u3d_type u3d_type_scalar(void);                     /* f32, rank 0 */
u3d_type u3d_type_map(int64_t n, const int64_t size[3], int64_t c); /* f32 [N, D, H, W, C] */

size_t u3d_dtype_size(u3d_dtype dtype);
const char *u3d_dtype_name(u3d_dtype dtype);
bool u3d_type_equal(const u3d_type *a, const u3d_type *b);

/* Sets the number of elements and bytes. U3D_E_SHAPE if the element type or rank is invalid, a dimension is <
 * 1, or the product overflows. */
u3d_status u3d_type_count(const u3d_type *t, int64_t *elements, uint64_t *bytes);
/* The number of elements or bytes of a type that is known to be valid; an invalid one is a bug and aborts. */
int64_t u3d_type_elems(const u3d_type *t);
uint64_t u3d_type_bytes(const u3d_type *t);

/* Writes text such as "f32 [1, 116, 132, 132, 3]" into buf, cut to `cap` bytes; returns buf. */
const char *u3d_type_text(const u3d_type *t, char *buf, size_t cap);

#endif
