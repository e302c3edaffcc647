/* A volume in memory, and NIfTI files. The file's own axis order (x fastest) is converted
 * here and in nifti.c on reading and restored on writing, nowhere else. */
#ifndef U3D_IO_VOLUME_H
#define U3D_IO_VOLUME_H

#include "engine/base/type.h"

/* What the file said of its place in space, kept to be written back untouched. */
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
    double voxel_to_world[3][4]; /* (x, y, z, 1) voxel index -> unit, RAS+        */
    u3d_grid grid;
    void *data;                  /* [z, y, x, channels]                           */
} u3d_volume;

/* New zeroed volume of the same grid as `like` (spacing, world, header fields). */
u3d_status u3d_volume_new_like(const u3d_volume *like, u3d_dtype dtype, int32_t channels, u3d_volume **out);
/* New zeroed volume: spacing in mm, identity orientation, sform and qform code 1. */
u3d_status u3d_volume_new(const int64_t size[3], const double spacing[3], u3d_dtype dtype, int32_t channels,
                          u3d_volume **out);
/* New zeroed volume where a box of `like` lies: `start` (z, y, x) may be negative. Its place is in the sform. */
u3d_status u3d_volume_new_box(const u3d_volume *like, const int64_t start[3], const int64_t size[3], u3d_dtype dtype,
                              int32_t channels, u3d_volume **out);
void u3d_volume_free(u3d_volume *v);
int64_t u3d_volume_voxels(const u3d_volume *v);

/* Whether two grids are the same place: shape exact (U3D_E_FORMAT with both), positions of the corner
 * voxels compared in voxels: *off_by is the largest distance. Above 1 voxel U3D_E_FORMAT; the caller
 * warns above 0.01. `a_name`, `b_name` are for the message. */
u3d_status u3d_volume_same_grid(const u3d_volume *a, const char *a_name, const u3d_volume *b, const char *b_name,
                                double *off_by);

/* Which voxel axis (0 x, 1 y, 2 z) runs closest to world axis 0 (left-right), 1 (posterior-anterior), 2
 * (inferior-superior), and with which sign: axis[w] in -3..-1, 1..3 (sign * (voxel axis + 1)). All zero where
 * the file gives no orientation (sform and qform code 0). */
void u3d_volume_orientation(const u3d_volume *v, int axis[3]);

typedef enum u3d_volume_kind {
    U3D_VOLUME_IMAGE, /* f32, scl_slope applied, every voxel finite             */
    U3D_VOLUME_LABEL  /* i32, one channel, every voxel an integer               */
} u3d_volume_kind;

/* NIfTI-1 and -2, .nii, .nii.gz, .hdr/.img(.gz), either byte order, 3D or 4D (channels), all integer and
 * real types. The header is checked against the file before it is believed.
 * U3D_E_IO not readable; U3D_E_FORMAT file, field, found, expected; U3D_E_NOMEM. */
u3d_status u3d_nifti_read(const char *path, u3d_volume_kind kind, u3d_volume **out);

/* Header only: everything but data (NULL). Same checks, the file's size included. */
u3d_status u3d_nifti_probe(const char *path, u3d_volume **out);

/* Writes .nii or .nii.gz (by name) with the volume's grid: to a temporary file beside it, flushed, renamed.
 * U8 and I32 are stored as uint8, uint16 above 255, int32 where negative or larger; F32 as float32, several
 * channels as 4D. U3D_E_OUTPUT: nothing is left behind. */
u3d_status u3d_nifti_write(const char *path, const u3d_volume *v);

/* Whether a name ends in .nii, .nii.gz, .hdr, .img or .img.gz; the length without that ending in *stem. */
bool u3d_nifti_is_name(const char *path, size_t *stem);
/* The same for listing a folder: of a pair only the header. */
bool u3d_nifti_is_listed(const char *path, size_t *stem);

#endif
