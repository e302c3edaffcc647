/* The skip connection and its gradient. Axis 0 runs over the pieces in a row of the map that is written, axis
 * 1 over its rows, and axis 2 over its planes, those of all samples. `up` has ud x uh x uw voxels of
 * `up_width` pieces, `skip` has sd x sh x sw voxels of `skip_width` pieces. The crop begins at voxel
 * (oz, oy, ox) of skip, where oz = (sd - ud) / 2 and so on.
 *
 *   y[.., c] = c < CU ? up[n,z,y,x,c] : skip[n, z+oz, y+oy, x+ox, c-CU] */
#include "vec.clh"

typedef struct box { /* the sizes of the two maps */
    int ud, uh, uw, sd, sh, sw, up_width, skip_width;
} box;

#define BOX_PARAMETERS                                                                                       \
    const int ud, const int uh, const int uw, const int sd, const int sh, const int sw, const int up_width,  \
        const int skip_width

/* Index of the first piece of skip that belongs to row y of plane nz of up. */
static inline size_t skip_row(box b, int nz, int y)
{
    const int n = nz / b.ud, z = nz - n * b.ud + (b.sd - b.ud) / 2;
    const size_t row = ((size_t)n * b.sd + z) * b.sh + y + (b.sh - b.uh) / 2;
    return (row * b.sw + (b.sw - b.uw) / 2) * b.skip_width;
}

__kernel __attribute__((reqd_work_group_size(64, 4, 1))) void
crop_concat(IN(float, up), IN(float, skip), OUT(float, y), BOX_PARAMETERS)
{
    AT(up);
    AT(skip);
    AT(y);
    const box b = {ud, uh, uw, sd, sh, sw, up_width, skip_width};
    const int width = up_width + skip_width;
    const int e = (int)get_global_id(0), row = (int)get_global_id(1), plane = (int)get_global_id(2);
    if (e >= uw * width || row >= uh) return;
    const int x = e / width, c = e - x * width;
    const size_t up_row = ((size_t)plane * uh + row) * uw;
    const floatv v = c < up_width ? CPIECES(up)[(up_row + x) * up_width + c]
                                  : CPIECES(skip)[skip_row(b, plane, row) + x * skip_width + c - up_width];
    PIECES(y)[up_row * width + e] = v;
}

/* dup [.., CU] = the first channels of dy. */
__kernel __attribute__((reqd_work_group_size(64, 4, 1))) void
crop_concat_back_up(IN(float, dy), OUT(float, dup), BOX_PARAMETERS)
{
    AT(dy);
    AT(dup);
    const int e = (int)get_global_id(0), row = (int)get_global_id(1), plane = (int)get_global_id(2);
    if (e >= uw * up_width || row >= uh) return;
    const int x = e / up_width, c = e - x * up_width;
    const size_t up_row = ((size_t)plane * uh + row) * uw;
    STORE(PIECES(dup)[up_row * up_width + e], CPIECES(dy)[(up_row + x) * (up_width + skip_width) + c]);
}

/* dskip [.., CS] = the remaining channels of dy inside the crop, zero outside it. */
__kernel __attribute__((reqd_work_group_size(64, 4, 1))) void
crop_concat_back_skip(IN(float, dy), OUT(float, dskip), BOX_PARAMETERS)
{
    AT(dy);
    AT(dskip);
    const int e = (int)get_global_id(0), row = (int)get_global_id(1), plane = (int)get_global_id(2);
    if (e >= sw * skip_width || row >= sh) return;
    const int n = plane / sd, c = e % skip_width, width = up_width + skip_width;
    const int x = e / skip_width - (sw - uw) / 2, y = row - (sh - uh) / 2, z = plane - n * sd - (sd - ud) / 2;
    const bool inside = x >= 0 && x < uw && y >= 0 && y < uh && z >= 0 && z < ud;
    floatv g = (floatv)(0.0f);
    if (inside) g = CPIECES(dy)[((((size_t)n * ud + z) * uh + y) * uw + x) * width + up_width + c];
    if (inside || !ADD) STORE(PIECES(dskip)[((size_t)plane * sh + row) * sw * skip_width + e], g);
}
