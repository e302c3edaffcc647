/* Private to net/sample/warp*.c: the map of one sample, and the memory in which it is evaluated. */
#ifndef U3D_NET_WARP_IMPL_H
#define U3D_NET_WARP_IMPL_H

#include "net/sample/warp.h"

/* Displacements: cubic splines over a grid. Patch voxel i of an axis lies in cell floor(i / step) and depends
 * on the coefficients cell .. cell + 3. Coefficient 0 belongs to a grid point one step before the patch. */
typedef struct u3d_field {
    bool moves[3];    /* components that exist: all except the one along a coarse axis  */
    double step[3];   /* voxels between grid points, z, y, x                            */
    double sd[3];     /* standard deviation of the vectors, voxels                      */
    bool interpolate; /* elastic_interpolation=interpolate                              */
    int64_t size[3];  /* grid points                                                    */
    int32_t *cell[3]; /* [n] first coefficient of each patch voxel                      */
    float *weight[3]; /* [4][n] weights of its four coefficients                        */
    float *coef[3];   /* [component][size z, y, x]                                      */
    float *plane[3];  /* [component][size y, x]: coefficients summed over z, at plane_z */
    float *line[3];   /* [component][size x]: also summed over y, at line_y             */
    int64_t plane_z, line_y;
} u3d_field;

struct u3d_warp {
    int64_t in[3];
    double matrix[3][3]; /* A P, see warp.h */
    bool cubic, elastic;
    u3d_field field;
    float *coord[3]; /* [in x], returned by u3d_warp_row */
    void *memory;    /* holds all arrays                 */
};

/* Sets sizes and steps from the settings, and places the arrays in `memory`. Returns the bytes that the
 * arrays need; with memory NULL only this number is of use. */
uint64_t u3d_field_layout(u3d_field *f, const u3d_augment *a, const int64_t in[3], char *memory);
/* Fills cell and weight. */
void u3d_field_weights(u3d_field *f, const int64_t in[3]);
/* Draws new random vectors. */
void u3d_field_draw(u3d_field *f, uint64_t seed, uint64_t index);
/* Adds the displacements of patch voxels (z, y, x .. x + n - 1) to coord[component][0 .. n - 1]. */
void u3d_field_add(u3d_field *f, const int64_t in[3], int64_t z, int64_t y, int64_t x, int64_t n,
                   float *const coord[3]);

#endif
