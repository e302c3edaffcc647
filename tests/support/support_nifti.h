/* NIfTI files for tests, written byte by byte from the tables of nifti1.h and nifti2.h, so that neither u3d's
 * code nor the library's is its own judge. */
#ifndef U3D_TESTS_SUPPORT_NIFTI_H
#define U3D_TESTS_SUPPORT_NIFTI_H

#include "io/volume.h"
#include "tests/support/support.h"

typedef struct u3d_test_nifti {
    int version;    /* 1 or 2                                                             */
    bool swapped;   /* the other byte order                                               */
    int datatype;   /* DT_* of nifti1.h                                                   */
    int64_t dim[8]; /* dim[0] dimensions                                                  */
    double pixdim[8], slope, inter;
    int qform_code, sform_code;
    double quatern[3], qoffset[3], sform[3][4];
    const char *descrip;
} u3d_test_nifti;

enum { U3D_TEST_NIFTI_HEADER = 544 };

/* int16, 3x4x2 voxels (x, y, z), 1 x 1 x 1, no scaling, sform and qform code 0. */
u3d_test_nifti u3d_test_nifti_default(void);
int64_t u3d_test_nifti_values(const u3d_test_nifti *s); /* product of the dims */
int u3d_test_nifti_bytes(int datatype);

/* Header and extender for a single file (0 in *size's pair: none). Returns their size: 352, 544, or 348, 540
 * for a pair. */
size_t u3d_test_nifti_header(const u3d_test_nifti *s, bool pair, uint8_t bytes[U3D_TEST_NIFTI_HEADER]);
/* Overwrite one field by its name in nifti1.h, e.g. "dim[1]", "vox_offset"; fails the test for an unknown
 * name. */
void u3d_test_nifti_put(const u3d_test_nifti *s, uint8_t *header, const char *field, double value);

/* The values as stored bytes; caller: u3d_free. */
uint8_t *u3d_test_nifti_data(const u3d_test_nifti *s, const double *values, size_t *size);

/* DIR/NAME with header and data by NAME's ending: .nii, .nii.gz, or .img, .img.gz with the .hdr beside it.
 * Returns the path; caller: u3d_free. */
char *u3d_test_nifti_file(const char *dir, const char *name, const u3d_test_nifti *s, const double *values);

/* Whole files; .gz by `zip`. */
void u3d_test_write_file(const char *path, const void *bytes, size_t size);
void u3d_test_write_gz(const char *path, const void *bytes, size_t size);
uint8_t *u3d_test_read_file(const char *path, size_t *size); /* caller: u3d_free */

/* Reading `path` must fail with U3D_E_FORMAT or U3D_E_IO, name the file, say `says` (NULL: anything), leak
 * nothing. */
void u3d_test_refused(const char *path, u3d_volume_kind kind, const char *says);

/* Names in a folder, hidden ones too: nothing must be left behind. */
int u3d_test_count_files(const char *dir);

#endif
