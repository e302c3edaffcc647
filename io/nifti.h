/* The NIfTI format: NIfTI-1 and NIfTI-2, .nii, .nii.gz and .hdr/.img(.gz), either byte order. io/format.c
 * calls these functions; other code calls u3d_volume_read, u3d_volume_probe and u3d_volume_write
 * (io/volume.h), whose contracts these functions fulfil. */
#ifndef U3D_IO_NIFTI_H
#define U3D_IO_NIFTI_H

#include "io/volume.h"

/* Reads 3D files and 4D files (channels) of all integer and real types. The header is checked against the
 * file before it is trusted. */
u3d_status u3d_nifti_read(const char *path, u3d_volume_kind kind, u3d_volume **out);
u3d_status u3d_nifti_probe(const char *path, u3d_volume **out);
u3d_status u3d_nifti_hash(const char *path, char text[24]);
/* Writes a single file, which is compressed if its name ends in .gz. U8 is stored as uint8. I32 is stored as
 * uint8 if its values allow it, otherwise as uint16, or as int32 if there are negative values or values above
 * 65535. F32 is stored as float32. Several channels become a 4D file. */
u3d_status u3d_nifti_write(const char *path, const u3d_volume *v);

#endif
