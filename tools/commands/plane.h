/* One plane of a label volume, as the person who scribbles on it sees it: its structures, how far each voxel
 * is from the border of its structure, and the ink so far. A structure is a connected component (8
 * neighbours) of a label other than the background, all of which counts as one region. */
#ifndef U3D_TOOLS_PLANE_H
#define U3D_TOOLS_PLANE_H

#include "io/volume.h"

typedef struct region {
    double key; /* for sorting */
    int32_t label;
    int64_t first, n; /* its voxels: order[first] to order[first + n - 1] */
} region;

typedef struct plane {
    int64_t height, width;
    int32_t background_label, unlabeled;
    int32_t *label;  /* [height, width]                                                                 */
    float *depth;    /* [height, width]: voxels from the nearest voxel of another label; 1 at a border; in
                        a plane that has one label only, PLANE_DEEP                                     */
    uint8_t *ink;    /* [height, width]: 1 where a stroke has been drawn                                 */
    int64_t *order;  /* [height * width]: voxels, region by region                                      */
    uint8_t *seen;   /* [height, width]: for plane_look                                                 */
    region *regions; /* the structures, in the order of their first voxels                              */
    int64_t n_regions, cap_regions;
    region background; /* n is 0 if there is none */
} plane;

#define PLANE_DEEP 1e6F

/* Memory for planes of this size. U3D_E_NOMEM; plane_done must be called in any case. */
u3d_status plane_init(plane *p, int64_t height, int64_t width, int32_t background, int32_t unlabeled);
void plane_done(plane *p);

/* Copies the labels of the plane at position `at` across an axis (0 z, 1 y, 2 x) of an i32 volume, and no
 * more. */
void plane_take(plane *p, const u3d_volume *label, int axis, int64_t at);
/* Does the same and finds everything else. There is no ink on the plane. Voxels with the value `unlabeled`
 * belong to no region. U3D_E_NOMEM. */
u3d_status plane_look(plane *p, const u3d_volume *label, int axis, int64_t at);

/* The voxels between neighbours along an axis of the volume's data. */
int64_t plane_step(const u3d_volume *v, int axis);
/* The two axes of a plane across `axis`: rows, then columns. */
void plane_axes(int axis, int rows_columns[2]);

#endif
