/* Volumes in memory and in files. Arrays have the order z, y, x; positions have the order x, y, z. Files
 * store channels outermost, memory stores them innermost: nifti.c converts on reading, nifti_write.c on
 * writing.
 *
 * In memory, x runs to the right, y to the front and z up, or as close to that as the axes of the file allow
 * (RAS+, nibabel's closest canonical orientation). A volume without a place in space is as it is stored.
 * Lengths are in millimetres, whatever unit the file has. */
#ifndef U3D_IO_VOLUME_H
#define U3D_IO_VOLUME_H

#include "engine/base/type.h"

/* The header fields that tell where a volume lies in space, as they are in the file: with its axes, in its
 * unit, before any repair. They are written back unchanged. */
typedef struct u3d_grid {
    double sform[3][4], quatern[3], qoffset[3], qfac;
    double pixdim[3]; /* x, y, z                                            */
    int32_t sform_code, qform_code;
    int32_t xyzt_units;
    char descrip[80], intent_name[16];
    int32_t nifti_version; /* 1 or 2                                              */
    int32_t axes;          /* dim[0] up to 3: 2 if the file is a 2D image; 0 means 3 */
} u3d_grid;

typedef struct u3d_volume {
    u3d_dtype dtype;             /* images U3D_F32, labels U3D_I32, predictions U3D_U8 or U3D_I32 */
    int32_t channels;
    int64_t size[3];             /* voxels: z, y, x                               */
    double spacing[3];           /* centre to centre, mm: z, y, x                 */
    double voxel_to_world[3][4]; /* voxel index (x, y, z, 1) -> position, RAS+ mm */
    int stored[3];               /* for x, y, z in memory: the file's axis 1 x, 2 y, 3 z, negative if it runs
                                    the other way; zeros: no place in space, axes as in the file */
    u3d_grid grid;
    void *data;                  /* [z, y, x, channels]                           */
} u3d_volume;

/* A new zeroed volume on the same grid as `like`: equal size, spacing, affine and header fields. */
u3d_status u3d_volume_new_like(const u3d_volume *like, u3d_dtype dtype, int32_t channels, u3d_volume **out);
/* A new zeroed volume with the given spacing in mm, identity orientation, and sform and qform code 1. */
u3d_status u3d_volume_new(const int64_t size[3], const double spacing[3], u3d_dtype dtype, int32_t channels,
                          u3d_volume **out);
/* A new zeroed volume at the place of a box in `like`; `start` (z, y, x) may be negative. It has a header
 * of its own (u3d_volume_new_grid). */
u3d_status u3d_volume_new_box(const u3d_volume *like, const int64_t start[3], const int64_t size[3],
                              u3d_dtype dtype, int32_t channels, u3d_volume **out);
void u3d_volume_free(u3d_volume *v);
int64_t u3d_volume_voxels(const u3d_volume *v);

/* ---- grids: volume_match.c ---- */

/* Checks that two volumes have the same size and lie in the same place. *off_by is the largest distance
 * between their corner voxels, measured in voxels of a. U3D_E_FORMAT: the sizes differ, or the distance is
 * more than 1 voxel. The caller should warn if it is more than 0.01. `a_name` and `b_name` are for the
 * message. */
u3d_status u3d_volume_same_grid(const u3d_volume *a, const char *a_name, const u3d_volume *b,
                                const char *b_name, double *off_by);

/* How a volume fits on the grid of another one. */
typedef enum u3d_match_how {
    U3D_MATCH_SAME,   /* it has that grid, up to off_by                                              */
    U3D_MATCH_INDEX,  /* one or both do not say where they lie; voxels are matched by their position */
    U3D_MATCH_PART,   /* its voxels are some of the grid's, all of them if `whole`                   */
    U3D_MATCH_NEAREST /* another grid: each voxel of the grid gets the value of the nearest voxel    */
} u3d_match_how;

typedef struct u3d_match {
    u3d_match_how how;
    bool whole;
    bool unit_taken; /* one header does not give its unit, and fits only with that of the other one */
    double off_by;   /* voxels, as from u3d_volume_same_grid */
    double to[3][4]; /* voxel of the grid (x, y, z, 1) -> voxel of the volume */
} u3d_match;

/* Finds out, from their headers alone, how v (labels or one channel) fits on `grid`. U3D_E_FORMAT: it does
 * not, or it would have to be resampled and `nearest` is false. */
u3d_status u3d_volume_match(const u3d_volume *grid, const char *grid_name, const u3d_volume *v,
                            const char *name, bool nearest, u3d_match *out);
/* Replaces *v by a volume on the grid, in which voxels outside of *v have the value `outside`. Nothing
 * happens if it has that grid already. On failure *v is unchanged. */
u3d_status u3d_volume_onto(u3d_volume **v, const u3d_volume *grid, const u3d_match *m, int32_t outside);
/* Both in one step, if it does not matter how *v fits. */
u3d_status u3d_volume_match_onto(u3d_volume **v, const char *name, const u3d_volume *grid,
                                 const char *grid_name, bool nearest, int32_t outside);

/* ---- orientation: volume_orient.c ---- */

/* Whether the file says where the volume lies, with a valid sform or qform. */
bool u3d_volume_has_place(const u3d_volume *v);

/* Finds the voxel axis that is closest to each world axis w: 0 (left to right), 1 (back to front), 2 (bottom
 * to top). axis[w] is 1 x, 2 y or 3 z, and negative if it runs the other way. Of the 48 possibilities, the
 * one with the largest sum of cosines is chosen, which is nibabel's choice except if that would depend on how
 * the same volume is stored (angles near 45 degrees and above). The three columns of m are independent. */
void u3d_orientation_of(const double m[3][4], int axis[3]);

/* Turns a volume: its new axis x, y, z is the present axis axis[0], axis[1], axis[2] (1 x, 2 y, 3 z;
 * negative: reversed). Size, spacing, affine and `stored` follow, and the voxels if there are any. The volume
 * stays where it is, and is written as before. U3D_E_NOMEM: the volume is unchanged. */
u3d_status u3d_volume_turn(u3d_volume *v, const int axis[3]);
void u3d_volume_turn_header(u3d_volume *v, const int axis[3]); /* leaves the voxels alone */
/* The inverse: the present axis w becomes orientation[w]. */
u3d_status u3d_volume_turn_to(u3d_volume *v, const int orientation[3]);
/* Turns a volume to the axes of its file. */
u3d_status u3d_volume_turn_to_file(u3d_volume *v);

/* Where the voxels of another storage, usually the file's, lie in memory. */
typedef struct u3d_voxel_order {
    int64_t size[3]; /* of that storage: x, y, z                                        */
    int64_t step[3]; /* voxels in memory from one voxel of that storage to the next one */
    int64_t first;   /* voxel in memory of its voxel 0, 0, 0                            */
} u3d_voxel_order;
u3d_voxel_order u3d_volume_file_order(const u3d_volume *v);
/* The voxel in memory of voxel i of the other storage, counted with x fastest. *left is the number of voxels
 * from there to the end of its row; they are step[0] apart. */
int64_t u3d_voxel_order_row(const u3d_voxel_order *o, int64_t i, int64_t *left);

/* The index in the file of plane `at` across an axis (0 z, 1 y, 2 x) in memory, and that axis in the file. */
int64_t u3d_volume_file_plane(const u3d_volume *v, int axis, int64_t at, char *letter);
/* The position x, y, z in the file of a voxel of the volume's data. */
void u3d_volume_file_voxel(const u3d_volume *v, int64_t voxel, int64_t xyz[3]);

/* Makes the header fields agree with size, spacing and affine in memory, for a volume that no file has:
 * stored as in memory, with an sform in millimetres and no qform. */
void u3d_volume_new_grid(u3d_volume *v);

/* Millimetres per unit of the header's lengths; 0 if it gives no unit, which counts as millimetres. */
double u3d_grid_unit_mm(const u3d_grid *g);

enum { U3D_UNITS_SPACE = 7 }; /* nifti1.h, XYZT_TO_SPACE: the bits of xyzt_units that are not for time */

/* ---- files ---- */

typedef enum u3d_volume_kind {
    U3D_VOLUME_IMAGE, /* f32 after scaling by scl_slope; every voxel is finite  */
    U3D_VOLUME_LABEL  /* i32, one channel; every voxel is an integer            */
} u3d_volume_kind;

/* Reads a volume file; the ending of its name, in any case, decides its format (io/format.h). The header is
 * checked against the file before it is trusted. U3D_E_IO: the file cannot be read. U3D_E_FORMAT: the message
 * has the file, the field, what was found and what was expected. U3D_E_NOMEM. The first volume of a run that
 * has no place in space is named in a warning. */
u3d_status u3d_volume_read(const char *path, u3d_volume_kind kind, u3d_volume **out);

/* Reads only the header: all members except data, which is NULL. The checks are the same, including that of
 * the file's size. */
u3d_status u3d_volume_probe(const char *path, u3d_volume **out);

/* Hash of the volume as it is stored, of all its files: 16 hexadecimal digits. */
u3d_status u3d_volume_hash(const char *path, char text[24]);

/* Writes a volume with its grid and the axes of its file, in the format that the name asks for: to a
 * temporary file next to it, which is flushed and renamed. U3D_E_ARG: the name's ending is not one that u3d
 * writes. U3D_E_OUTPUT: writing failed; nothing is left behind. */
u3d_status u3d_volume_write(const char *path, const u3d_volume *v);

#endif
