/* Volumes in memory, and NIfTI files. Arrays have the order z, y, x; positions and header fields keep the
 * file's order x, y, z. Files store channels outermost, memory stores them innermost: nifti.c converts on
 * reading, nifti_write.c on writing. */
#ifndef U3D_IO_VOLUME_H
#define U3D_IO_VOLUME_H

#include "engine/base/type.h"

/* The header fields that tell where a volume lies in space, kept so that they can be written back
 * unchanged. */
typedef struct u3d_grid {
    double sform[3][4], quatern[3], qoffset[3], qfac;
    double pixdim[3];      /* x, y, z as in the file, before any repair          */
    int32_t sform_code, qform_code;
    int32_t xyzt_units;
    char descrip[80], intent_name[16];
    int32_t nifti_version; /* 1 or 2                                              */
} u3d_grid;

typedef struct u3d_volume {
    u3d_dtype dtype;             /* images U3D_F32, labels U3D_I32, predictions U3D_U8 or U3D_I32 */
    int32_t channels;
    int64_t size[3];             /* voxels: z, y, x                               */
    double spacing[3];           /* centre to centre, in the file's unit: z, y, x */
    double voxel_to_world[3][4]; /* voxel index (x, y, z, 1) -> position, RAS+    */
    u3d_grid grid;
    void *data;                  /* [z, y, x, channels]                           */
} u3d_volume;

/* A new zeroed volume on the same grid as `like`: equal size, spacing, affine and header fields. */
u3d_status u3d_volume_new_like(const u3d_volume *like, u3d_dtype dtype, int32_t channels, u3d_volume **out);
/* A new zeroed volume with the given spacing in mm, identity orientation, and sform and qform code 1. */
u3d_status u3d_volume_new(const int64_t size[3], const double spacing[3], u3d_dtype dtype, int32_t channels,
                          u3d_volume **out);
/* A new zeroed volume at the place of a box in `like`; `start` (z, y, x) may be negative. Its place is stored
 * in the sform, and the qform is dropped. */
u3d_status u3d_volume_new_box(const u3d_volume *like, const int64_t start[3], const int64_t size[3],
                              u3d_dtype dtype, int32_t channels, u3d_volume **out);
void u3d_volume_free(u3d_volume *v);
int64_t u3d_volume_voxels(const u3d_volume *v);

/* Checks that two volumes have the same size and lie in the same place. *off_by is the largest distance
 * between their corner voxels, measured in voxels of a. U3D_E_FORMAT: the sizes differ, or the distance is
 * more than 1 voxel. The caller should warn if it is more than 0.01. `a_name` and `b_name` are for the
 * message. */
u3d_status u3d_volume_same_grid(const u3d_volume *a, const char *a_name, const u3d_volume *b,
                                const char *b_name, double *off_by);

/* Finds the voxel axis (0 x, 1 y, 2 z) that is closest to each world axis w: 0 (left to right), 1 (posterior
 * to anterior), 2 (inferior to superior). axis[w] is the sign times (voxel axis + 1), so -3..-1 or 1..3. All
 * are zero if the file gives no orientation (sform and qform code 0). */
void u3d_volume_orientation(const u3d_volume *v, int axis[3]);

typedef enum u3d_volume_kind {
    U3D_VOLUME_IMAGE, /* f32 after scaling by scl_slope; every voxel is finite  */
    U3D_VOLUME_LABEL  /* i32, one channel; every voxel is an integer            */
} u3d_volume_kind;

/* Reads a NIfTI-1 or NIfTI-2 file: .nii, .nii.gz or .hdr/.img(.gz), either byte order, 3D or 4D (channels),
 * all integer and real types. The header is checked against the file before it is trusted. U3D_E_IO: the file
 * cannot be read. U3D_E_FORMAT: the message has the file, the field, what was found and what was expected.
 * U3D_E_NOMEM. */
u3d_status u3d_nifti_read(const char *path, u3d_volume_kind kind, u3d_volume **out);

/* Reads only the header: all members except data, which is NULL. The checks are the same, including that of
 * the file's size. */
u3d_status u3d_nifti_probe(const char *path, u3d_volume **out);

/* Writes .nii or .nii.gz (depending on the name) with the volume's grid: to a temporary file next to it,
 * which is flushed and renamed. U8 is stored as uint8. I32 is stored as uint8 if its values allow it,
 * otherwise as uint16, or as int32 if there are negative values or values above 65535. F32 is stored as
 * float32. Several channels become a 4D file. U3D_E_OUTPUT: writing failed; nothing is left behind. */
u3d_status u3d_nifti_write(const char *path, const u3d_volume *v);

/* Whether a name ends in .nii, .nii.gz, .hdr, .img or .img.gz. *stem is the length without that ending. */
bool u3d_nifti_is_name(const char *path, size_t *stem);
/* Does the same for names in the listing of a folder. Of a pair only the header counts there, so false for
 * .img and .img.gz. */
bool u3d_nifti_is_listed(const char *path, size_t *stem);

#endif
