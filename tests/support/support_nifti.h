/* NIfTI files for tests, written byte by byte from the tables of nifti1.h and nifti2.h, so that the tests of
 * the reader depend neither on u3d's writer nor on the NIfTI library's. */
#ifndef U3D_TESTS_SUPPORT_NIFTI_H
#define U3D_TESTS_SUPPORT_NIFTI_H

#include "io/volume.h"
#include "tests/support/support.h"

typedef struct u3d_test_nifti {
    int version;    /* 1 or 2                                                             */
    bool swapped;   /* opposite byte order                                                */
    int datatype;   /* DT_* of nifti1.h                                                   */
    int64_t dim[8]; /* dim[0]: number of dimensions; then the sizes, x first              */
    double pixdim[8], slope, inter;
    int qform_code, sform_code;
    double quatern[3], qoffset[3], sform[3][4];
    const char *descrip;
} u3d_test_nifti;

enum { U3D_TEST_NIFTI_HEADER = 544 };

/* int16, 3x4x2 voxels (x, y, z), spacing 1x1x1, no scaling, sform and qform code 0. */
u3d_test_nifti u3d_test_nifti_default(void);
int64_t u3d_test_nifti_values(const u3d_test_nifti *s); /* product of the dims */
int u3d_test_nifti_bytes(int datatype);

/* Writes the header, followed by the four zero bytes of the extender in the case of a single file. Returns
 * the number of bytes: for a single file 352 (version 1) or 544 (version 2), for a pair 348 or 540. */
size_t u3d_test_nifti_header(const u3d_test_nifti *s, bool pair, uint8_t bytes[U3D_TEST_NIFTI_HEADER]);
/* Overwrites one field of the header, given its name in nifti1.h, e.g. "dim[1]" or "vox_offset". The fields
 * quatern_*, qoffset_* and srow_* are named quatern[0..2], qoffset[0..2] and srow[0..11]. Fails the test if
 * the name is unknown. */
void u3d_test_nifti_put(const u3d_test_nifti *s, uint8_t *header, const char *field, double value);

/* The values as they are stored in the file; caller: u3d_free. */
uint8_t *u3d_test_nifti_data(const u3d_test_nifti *s, const double *values, size_t *size);

/* Writes the file DIR/NAME. The ending of NAME decides what it contains: .nii or .nii.gz is a single file;
 * .img or .img.gz holds only data, and the header goes to a .hdr file beside it. Returns the path; caller:
 * u3d_free. */
char *u3d_test_nifti_file(const char *dir, const char *name, const u3d_test_nifti *s, const double *values);

/* Write or read a whole file; u3d_test_write_gz compresses it with gzip. */
void u3d_test_write_file(const char *path, const void *bytes, size_t size);
void u3d_test_write_gz(const char *path, const void *bytes, size_t size);
uint8_t *u3d_test_read_file(const char *path, size_t *size); /* caller: u3d_free */

/* Reads `path` and fails the test unless the reader returns U3D_E_FORMAT or U3D_E_IO with a message that
 * names the file and contains `says` (if not NULL), and leaks no memory. */
void u3d_test_refused(const char *path, u3d_volume_kind kind, const char *says);

/* Number of entries in a folder, including hidden files, to check that nothing was left behind. */
int u3d_test_count_files(const char *dir);

#endif
