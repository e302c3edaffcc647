/* Reads NIfTI headers and checks them before they are trusted.
 *
 * The library's own reader (nifti_image_read) allocates what the header asks for before it looks at the file,
 * prints to stderr, and silently turns NaN voxels into zeros. So the header is read here, every field that is
 * used is checked, and the file must be large enough for the voxels that the header claims. The library
 * provides the header structs, the byte swapping, the table of datatypes and (in nifti_place.c) the geometry.
 *
 * Both versions are checked in the same form: a NIfTI-1 header is first widened to NIfTI-2, which can hold it
 * exactly. Sources: nifti1.h and nifti2.h (field by field), https://nifti.nimh.nih.gov/nifti-1. */
#include "io/nifti_impl.h"

#include "engine/base/mem.h"
#include "io/format.h"
#include "io/nifti.h"
#include "io/path.h"

#include <errno.h>
#include <math.h>
#include <nifti2_io.h>
#include <string.h>
#include <zlib.h>

enum {
    HEADER1_BYTES = 348,
    HEADER2_BYTES = 540,
    EXTENDER_BYTES = 4,  /* between the header and the voxels of a single file            */
    DEFLATE_RATIO = 1032 /* the largest compression factor: zlib, "Technical Details"     */
};

_Static_assert(sizeof(nifti_1_header) == HEADER1_BYTES, "nifti_1_header must have the layout on disk");
_Static_assert(sizeof(nifti_2_header) == HEADER2_BYTES, "nifti_2_header must have the layout on disk");

/* Finds the other file of a pair: STEM and one of the two endings, in any case. Two candidates are refused,
 * because one of them must be stale. The caller owns the name. */
static u3d_status header_partner(const char *path, size_t stem, const char *const endings[2], char **out)
{
    char **found = NULL;
    int n = 0;
    u3d_status status = U3D_OK;
    U3D_TRY(u3d_path_find(path, stem, endings, 2, &found, &n));
    if (n == 0)
        status = u3d_fail(U3D_E_IO, "'%s': its partner '%.*s%s' (or %s) is missing", path, (int)stem, path,
                          endings[0], endings[1]);
    else if (n > 1)
        status = u3d_fail(U3D_E_FORMAT,
                          "'%s': both '%s' and '%s' could be its partner; remove or rename one of them", path,
                          found[0], found[1]);
    else if (!(*out = u3d_strdup(found[0])))
        status = U3D_E_NOMEM;
    u3d_path_list_free(found, n);
    return status;
}

/* Finds the file with the header and the file with the voxels. For a single file both are `path`. */
static u3d_status header_paths(const char *path, char **header_path, char **data_path)
{
    static const char *const header_endings[2] = {".hdr", ".hdr.gz"}, *const data_endings[2] = {".img",
                                                                                                ".img.gz"};
    size_t stem = 0;
    *header_path = *data_path = NULL;
    if (u3d_format_ends(path, ".hdr", &stem) || u3d_format_ends(path, ".hdr.gz", &stem)) {
        *header_path = u3d_strdup(path);
        if (*header_path) return header_partner(path, stem, data_endings, data_path);
    } else if (u3d_format_ends(path, ".img", &stem) || u3d_format_ends(path, ".img.gz", &stem)) {
        *data_path = u3d_strdup(path);
        if (*data_path) return header_partner(path, stem, header_endings, header_path);
    } else {
        *header_path = u3d_strdup(path);
        if (*header_path) *data_path = u3d_strdup(path);
    }
    return *header_path && *data_path ? U3D_OK : U3D_E_NOMEM;
}

/* Reads the first bytes of a file, decompressed if it is gzip: *got bytes, at most `want`. */
static u3d_status header_bytes(const char *path, void *buffer, int want, int *got)
{
    uint64_t size = 0;
    U3D_TRY(u3d_path_size(path, &size));
    gzFile f = gzopen(path, "rb");
    if (!f) return u3d_fail(U3D_E_IO, "open '%s': %s", path, strerror(errno));
    *got = gzread(f, buffer, (unsigned)want);
    int code = Z_OK;
    if (*got < 0) (void)gzerror(f, &code);
    gzclose(f);
    if (*got < 0 && code == Z_ERRNO) return u3d_fail(U3D_E_IO, "read '%s': %s", path, strerror(errno));
    if (*got < 0)
        return u3d_fail(U3D_E_FORMAT, "'%s': the gzip stream is damaged or cut short in the header", path);
    return U3D_OK;
}

static void header_widen(const nifti_1_header *a, nifti_2_header *b)
{
    memset(b, 0, sizeof *b);
    b->sizeof_hdr = a->sizeof_hdr;
    memcpy(b->magic, a->magic, sizeof a->magic);
    b->datatype = a->datatype;
    b->bitpix = a->bitpix;
    for (int i = 0; i < 8; i++) {
        b->dim[i] = a->dim[i];
        b->pixdim[i] = a->pixdim[i];
    }
    b->scl_slope = a->scl_slope;
    b->scl_inter = a->scl_inter;
    memcpy(b->descrip, a->descrip, sizeof b->descrip);
    memcpy(b->intent_name, a->intent_name, sizeof b->intent_name);
    b->qform_code = a->qform_code;
    b->sform_code = a->sform_code;
    b->quatern_b = a->quatern_b;
    b->quatern_c = a->quatern_c;
    b->quatern_d = a->quatern_d;
    b->qoffset_x = a->qoffset_x;
    b->qoffset_y = a->qoffset_y;
    b->qoffset_z = a->qoffset_z;
    for (int i = 0; i < 4; i++) {
        b->srow_x[i] = a->srow_x[i];
        b->srow_y[i] = a->srow_y[i];
        b->srow_z[i] = a->srow_z[i];
    }
    b->xyzt_units = (unsigned char)a->xyzt_units;
}

/* NIfTI-1 stores vox_offset as a float. Only whole numbers that fit into an int64_t are accepted. */
static u3d_status header_offset1(const char *path, float stored, int64_t *out)
{
    if (!(stored >= 0 && stored < 9e18F) || floorf(stored) != stored)
        return u3d_fail(U3D_E_FORMAT, "'%s': vox_offset is %g, expected a whole number that is not negative",
                        path, (double)stored);
    *out = (int64_t)stored;
    return U3D_OK;
}

/* Reads the header of `path` and converts it to NIfTI-2 form and this machine's byte order. */
static u3d_status header_read(const char *path, nifti_2_header *header, bool *swapped, int32_t *version)
{
    unsigned char bytes[HEADER2_BYTES];
    int got = 0;
    int32_t first = 0;
    U3D_TRY(header_bytes(path, bytes, HEADER2_BYTES, &got));
    if (got < HEADER1_BYTES)
        return u3d_fail(U3D_E_FORMAT, "'%s': it has only %d bytes, expected a NIfTI header of %d", path, got,
                        HEADER1_BYTES);
    memcpy(&first, bytes, sizeof first);
    int32_t other = (int32_t)__builtin_bswap32((uint32_t)first);
    *swapped = other == HEADER1_BYTES || other == HEADER2_BYTES;
    if (*swapped) first = other;
    if (first == HEADER2_BYTES && got < HEADER2_BYTES)
        return u3d_fail(U3D_E_FORMAT, "'%s': it has only %d bytes, expected a NIfTI-2 header of %d", path,
                        got, HEADER2_BYTES);
    if (first == HEADER2_BYTES) {
        *version = 2;
        memcpy(header, bytes, sizeof *header);
        if (*swapped) nifti_swap_as_nifti2(header);
        return U3D_OK;
    }
    if (first != HEADER1_BYTES)
        return u3d_fail(U3D_E_FORMAT, "'%s': not a NIfTI file: sizeof_hdr is %d, expected %d or %d", path,
                        first, HEADER1_BYTES, HEADER2_BYTES);
    nifti_1_header old;
    *version = 1;
    memcpy(&old, bytes, sizeof old);
    if (*swapped) nifti_swap_as_nifti1(&old);
    header_widen(&old, header);
    int64_t offset = 0;
    U3D_TRY(header_offset1(path, old.vox_offset, &offset));
    header->vox_offset = offset;
    return U3D_OK;
}

/* With "n+1" and "n+2" the voxels are in the same file, with "ni1" and "ni2" in a separate .img file. */
static u3d_status header_check_magic(const char *path, const nifti_2_header *h, int32_t version, bool single)
{
    static const char eol[4] = {'\r', '\n', '\032', '\n'}, none[4] = {0};
    const char digit = version == 2 ? '2' : '1';
    const char together[4] = {'n', '+', digit, '\0'}, apart[4] = {'n', 'i', digit, '\0'};
    bool is_together = memcmp(h->magic, together, 4) == 0, is_apart = memcmp(h->magic, apart, 4) == 0;
    if (!is_together && !is_apart)
        return u3d_fail(U3D_E_FORMAT, "'%s': the NIfTI magic \"n+%c\" or \"ni%c\" is missing%s", path, digit,
                        digit,
                        version == 1 ? "; if this is an ANALYZE 7.5 file, convert it to NIfTI first" : "");
    if (is_together != single)
        return u3d_fail(U3D_E_FORMAT, "'%s': its magic is \"n%c%c\", which is for %s", path, h->magic[1],
                        digit, single ? "an .hdr/.img pair" : "a single .nii file");
    /* The magic of NIfTI-2 ends with line breaks, which a transfer in text mode would change. */
    if (version == 2 && memcmp(h->magic + 4, eol, 4) != 0 && memcmp(h->magic + 4, none, 4) != 0)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': the end of the NIfTI-2 magic is damaged, perhaps by a transfer in text mode",
                        path);
    return U3D_OK;
}

static u3d_status header_check_datatype(const char *path, const nifti_2_header *h, u3d_nifti_info *info)
{
    static const int known[] = {DT_UINT8,  DT_INT8,  DT_INT16,  DT_UINT16,  DT_INT32,
                                DT_UINT32, DT_INT64, DT_UINT64, DT_FLOAT32, DT_FLOAT64};
    int bytes = 0, swap_unit = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (h->datatype == known[i]) nifti_datatype_sizes(h->datatype, &bytes, &swap_unit);
    if (bytes == 0)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': datatype %d (%s) is not supported; "
                        "expected an integer of 8 to 64 bits, float32 or float64",
                        path, h->datatype, nifti_datatype_to_string(h->datatype));
    if (h->bitpix != 8 * bytes)
        return u3d_fail(U3D_E_FORMAT, "'%s': bitpix is %d, expected %d for datatype %d (%s)", path, h->bitpix,
                        8 * bytes, h->datatype, nifti_datatype_to_string(h->datatype));
    info->datatype = h->datatype;
    info->voxel_bytes = (size_t)bytes;
    return U3D_OK;
}

/* dim[1..3] are x, y, z. The number of channels is dim[4], or dim[5] (a vector per voxel) if dim[4] is 1. */
static u3d_status header_check_dims(const char *path, const nifti_2_header *h, u3d_nifti_info *info)
{
    int64_t dim[8] = {0, 1, 1, 1, 1, 1, 1, 1};
    uint64_t bytes = info->voxel_bytes;
    if (h->dim[0] < 1 || h->dim[0] > 7)
        return u3d_fail(U3D_E_FORMAT, "'%s': dim[0] is %lld, expected 1 to 7", path, (long long)h->dim[0]);
    for (int i = 1; i <= (int)h->dim[0]; i++) {
        dim[i] = h->dim[i];
        if (dim[i] < 1)
            return u3d_fail(U3D_E_FORMAT, "'%s': dim[%d] is %lld, expected at least 1", path, i,
                            (long long)dim[i]);
        if (__builtin_mul_overflow(bytes, (uint64_t)dim[i], &bytes) || bytes > INT64_MAX)
            return u3d_fail(U3D_E_FORMAT, "'%s': dim[1] to dim[%d] give more bytes than a file can have",
                            path, i);
    }
    for (int i = 5; i < 8; i++)
        if (dim[i] != 1 && !(i == 5 && dim[4] == 1))
            return u3d_fail(U3D_E_FORMAT,
                            "'%s': dim[%d] is %lld, expected 1 (a 3D volume with channels in dim[4])", path,
                            i, (long long)dim[i]);
    int64_t channels = dim[4] * dim[5]; /* at least one of the two is 1 */
    if (channels > INT32_MAX)
        return u3d_fail(U3D_E_FORMAT, "'%s': %lld channels are too many", path, (long long)channels);
    info->channels = (int32_t)channels;
    for (int axis = 0; axis < 3; axis++) info->size[axis] = dim[3 - axis];
    info->data_bytes = bytes;
    return U3D_OK;
}

/* Finds where the voxels begin, and checks that the file can hold them. Without decompressing a gzip stream,
 * only an upper bound of its contents is known. That is enough to refuse a small file that claims to hold a
 * huge volume. */
static u3d_status header_check_size(const char *path, const nifti_2_header *h, bool single,
                                    u3d_nifti_info *info)
{
    uint64_t file_bytes = 0, end = 0;
    int64_t first = single ? h->sizeof_hdr + EXTENDER_BYTES : 0;
    int64_t offset = h->vox_offset;
    if (offset == 0) offset = first; /* some writers leave the field empty */
    if (offset < first)
        return u3d_fail(U3D_E_FORMAT, "'%s': vox_offset is %lld, expected at least %lld", path,
                        (long long)offset, (long long)first);
    info->offset = (uint64_t)offset;
    U3D_TRY(u3d_path_size(info->data_path, &file_bytes));
    gzFile f = gzopen(info->data_path, "rb");
    if (!f) return u3d_fail(U3D_E_IO, "open '%s': %s", info->data_path, strerror(errno));
    bool plain = gzdirect(f) != 0;
    gzclose(f);
    bool fits = !__builtin_add_overflow(info->offset, info->data_bytes, &end) &&
                (plain ? end <= file_bytes : end / DEFLATE_RATIO <= file_bytes);
    if (fits) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT,
                    "'%s': the file has %llu bytes%s, too few for the %lldx%lldx%lld voxels (x, y, z) "
                    "with %d channels of %zu bytes from byte %llu on that the header claims",
                    info->data_path, (unsigned long long)file_bytes, plain ? "" : " (compressed)",
                    (long long)info->size[2], (long long)info->size[1], (long long)info->size[0],
                    info->channels, info->voxel_bytes, (unsigned long long)info->offset);
}

/* A slope of 0 means that values are not scaled (nifti1.h, "DATA SCALING"). In practice NaN and infinity also
 * occur; they are taken to mean the same. */
static u3d_status header_check_scaling(const char *path, const nifti_2_header *h, u3d_nifti_info *info)
{
    info->slope = 1;
    info->inter = 0;
    if (!isfinite(h->scl_slope) || h->scl_slope == 0) return U3D_OK;
    if (!isfinite(h->scl_inter))
        return u3d_fail(U3D_E_FORMAT, "'%s': scl_inter is %g with scl_slope %g, expected a finite number",
                        path, h->scl_inter, h->scl_slope);
    info->slope = h->scl_slope;
    info->inter = h->scl_inter;
    return U3D_OK;
}

static void header_keep_grid(const nifti_2_header *h, int32_t version, u3d_grid *grid)
{
    memset(grid, 0, sizeof *grid);
    for (int i = 0; i < 4; i++) {
        grid->sform[0][i] = h->srow_x[i];
        grid->sform[1][i] = h->srow_y[i];
        grid->sform[2][i] = h->srow_z[i];
    }
    grid->quatern[0] = h->quatern_b;
    grid->quatern[1] = h->quatern_c;
    grid->quatern[2] = h->quatern_d;
    grid->qoffset[0] = h->qoffset_x;
    grid->qoffset[1] = h->qoffset_y;
    grid->qoffset[2] = h->qoffset_z;
    grid->qfac = h->pixdim[0];
    for (int axis = 0; axis < 3; axis++) grid->pixdim[axis] = h->pixdim[axis + 1];
    grid->sform_code = h->sform_code;
    grid->qform_code = h->qform_code;
    grid->xyzt_units = h->xyzt_units;
    memcpy(grid->descrip, h->descrip, sizeof grid->descrip);
    memcpy(grid->intent_name, h->intent_name, sizeof grid->intent_name);
    grid->nifti_version = version;
    grid->axes = h->dim[0] < 3 ? (int32_t)h->dim[0] : 3;
}

u3d_status u3d_nifti_info_read(const char *path, u3d_nifti_info *info)
{
    nifti_2_header h;
    char *header_path = NULL;
    int32_t version = 0;
    u3d_status status = U3D_OK;
    memset(info, 0, sizeof *info);
    U3D_GO(header_paths(path, &header_path, &info->data_path));
    bool single = strcmp(header_path, info->data_path) == 0;
    U3D_GO(header_read(header_path, &h, &info->swapped, &version));
    U3D_GO(header_check_magic(header_path, &h, version, single));
    U3D_GO(header_check_datatype(header_path, &h, info));
    U3D_GO(header_check_dims(header_path, &h, info));
    U3D_GO(header_check_size(header_path, &h, single, info));
    U3D_GO(header_check_scaling(header_path, &h, info));
    header_keep_grid(&h, version, &info->grid);
    u3d_nifti_place(header_path, info);
done:
    u3d_free(header_path);
    return status;
}

u3d_status u3d_nifti_hash(const char *path, char text[24])
{
    char *header_path = NULL, *data_path = NULL, voxels[24];
    u3d_status status;
    U3D_GO(header_paths(path, &header_path, &data_path));
    U3D_GO(u3d_path_hash(data_path, text));
    if (strcmp(header_path, data_path) == 0) goto done;
    memcpy(voxels, text, sizeof voxels);
    U3D_GO(u3d_path_hash(header_path, text));
    (void)snprintf(text, 24, "%016llx", strtoull(text, NULL, 16) * 31 + strtoull(voxels, NULL, 16));
done:
    u3d_free(header_path);
    u3d_free(data_path);
    return status;
}

void u3d_nifti_info_done(u3d_nifti_info *info)
{
    u3d_free(info->data_path);
    info->data_path = NULL;
}
