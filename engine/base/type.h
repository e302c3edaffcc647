/* Element types and shapes. */
#ifndef U3D_ENGINE_TYPE_H
#define U3D_ENGINE_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/status.h"

enum { U3D_MAX_RANK = 5, U3D_MAX_IN = 6, U3D_MAX_OUT = 4, U3D_NAME_CAP = 64 };

typedef enum u3d_dtype { U3D_F32, U3D_I32, U3D_U8 } u3d_dtype;

/* Shape of a contiguous array, slowest axis first. Feature maps are always
 * [N, D, H, W, C]; weights [KD, KH, KW, CI, CO]; D, H, W are z, y, x.
 * Channels innermost: convolution rows read KW*C contiguous floats, and every other op
 * vectorises over channels. */
typedef struct u3d_type {
    u3d_dtype dtype;
    int32_t rank;               /* 0..U3D_MAX_RANK; 0 is a scalar            */
    int64_t dim[U3D_MAX_RANK];  /* dim[rank-1] is contiguous; unused are 1   */
} u3d_type;

u3d_type u3d_type_of(u3d_dtype dtype, int32_t rank, const int64_t *dim);
u3d_type u3d_type_f32(int32_t rank, const int64_t *dim);
u3d_type u3d_type_scalar(void);                     /* f32, rank 0 */
u3d_type u3d_type_map(int64_t n, const int64_t size[3], int64_t c); /* f32 [N, D, H, W, C] */

size_t u3d_dtype_size(u3d_dtype dtype);
const char *u3d_dtype_name(u3d_dtype dtype);
bool u3d_type_equal(const u3d_type *a, const u3d_type *b);

/* Elements and bytes; U3D_E_SHAPE if a dimension is < 1 or the product overflows. */
u3d_status u3d_type_count(const u3d_type *t, int64_t *elements, uint64_t *bytes);
int64_t u3d_type_elems(const u3d_type *t);  /* of a type known to be valid */
uint64_t u3d_type_bytes(const u3d_type *t);

/* "f32 [1, 116, 132, 132, 3]"; returns buf. */
const char *u3d_type_text(const u3d_type *t, char *buf, size_t cap);

#endif
