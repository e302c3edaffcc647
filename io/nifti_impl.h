/* Private to io/nifti*.c and their tests: the contents of a checked NIfTI header. */
#ifndef U3D_IO_NIFTI_IMPL_H
#define U3D_IO_NIFTI_IMPL_H

#include "io/volume.h"

typedef struct u3d_nifti_info {
    char *data_path;     /* the file with the voxels: the file itself, or the .img of a pair    */
    bool swapped;        /* the file has the other byte order                                   */
    int32_t datatype;    /* nifti1.h: DT_*                                                      */
    size_t voxel_bytes;  /* of one stored value                                                 */
    uint64_t offset;     /* of the first voxel in data_path, bytes after decompression          */
    uint64_t data_bytes; /* of all stored values                                                */
    double slope, inter; /* value = stored * slope + inter; 1 and 0 if the file is not scaled   */
    int64_t size[3];     /* z, y, x of the file                                                 */
    int32_t channels;
    double spacing[3]; /* z, y, x of the file, mm                                             */
    double voxel_to_world[3][4];
    bool placed; /* voxel_to_world comes from the sform or the qform                    */
    u3d_grid grid;
} u3d_nifti_info;

/* Reads and checks the header of `path` and the size of the file with the voxels; no memory is allocated for
 * the voxels. The caller calls u3d_nifti_info_done, also after a failure. */
u3d_status u3d_nifti_info_read(const char *path, u3d_nifti_info *info);
void u3d_nifti_info_done(u3d_nifti_info *info);

/* Sets info->voxel_to_world, info->spacing and info->placed from info->grid and info->size: from the sform if
 * it has a code and spans three dimensions, otherwise from the qform on the same conditions, otherwise from
 * pixdim. Metres and micrometres become millimetres. Repairs and contradictions are logged with `path`. */
void u3d_nifti_place(const char *path, u3d_nifti_info *info);

#endif
