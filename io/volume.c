/* Volumes in memory: creates them.
 *
 * Arrays have the order z, y, x, but voxel_to_world takes (x, y, z, 1), as NIfTI files do. */
#include "io/volume.h"

#include "engine/base/mem.h"

#include <string.h>

enum { UNIT_MM = 2, CODE_SCANNER = 1 }; /* nifti1.h: NIFTI_UNITS_MM, NIFTI_XFORM_SCANNER_ANAT */

int64_t u3d_volume_voxels(const u3d_volume *v)
{
    return v->size[0] * v->size[1] * v->size[2];
}

void u3d_volume_free(u3d_volume *v)
{
    if (!v) return;
    u3d_free(v->data);
    u3d_free(v);
}

/* Allocates zeroed data for a volume whose type, channels and size are set. */
static u3d_status volume_alloc(u3d_volume *v)
{
    const int64_t dim[4] = {v->size[0], v->size[1], v->size[2], v->channels};
    u3d_type type = u3d_type_of(v->dtype, 4, dim);
    int64_t elements = 0;
    uint64_t bytes = 0;
    U3D_TRY(u3d_type_count(&type, &elements, &bytes));
    v->data = u3d_new((size_t)elements, u3d_dtype_size(v->dtype));
    return v->data ? U3D_OK : U3D_E_NOMEM;
}

u3d_status u3d_volume_new_like(const u3d_volume *like, u3d_dtype dtype, int32_t channels, u3d_volume **out)
{
    *out = NULL;
    u3d_volume *v = u3d_new(1, sizeof *v);
    if (!v) return U3D_E_NOMEM;
    *v = *like;
    v->dtype = dtype;
    v->channels = channels;
    v->data = NULL;
    u3d_status status = volume_alloc(v);
    if (status != U3D_OK) {
        u3d_volume_free(v);
        return status;
    }
    *out = v;
    return U3D_OK;
}

u3d_status u3d_volume_new_box(const u3d_volume *like, const int64_t start[3], const int64_t size[3],
                              u3d_dtype dtype, int32_t channels, u3d_volume **out)
{
    u3d_volume box = *like;
    memcpy(box.size, size, sizeof box.size);
    for (int w = 0; w < 3; w++)
        for (int axis = 0; axis < 3; axis++)
            box.voxel_to_world[w][3] += like->voxel_to_world[w][axis] * (double)start[2 - axis];
    u3d_volume_new_grid(&box);
    return u3d_volume_new_like(&box, dtype, channels, out);
}

u3d_status u3d_volume_new(const int64_t size[3], const double spacing[3], u3d_dtype dtype, int32_t channels,
                          u3d_volume **out)
{
    u3d_volume like;
    memset(&like, 0, sizeof like);
    for (int a = 0; a < 3; a++) {
        like.size[a] = size[a];
        like.spacing[a] = spacing[a];
        like.voxel_to_world[a][a] = spacing[2 - a];
        like.grid.sform[a][a] = spacing[2 - a];
        like.grid.pixdim[a] = spacing[2 - a];
        like.stored[a] = a + 1;
    }
    like.grid.qfac = 1;
    like.grid.sform_code = like.grid.qform_code = CODE_SCANNER;
    like.grid.xyzt_units = UNIT_MM;
    like.grid.nifti_version = 1;
    return u3d_volume_new_like(&like, dtype, channels, out);
}
