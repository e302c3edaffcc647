/* Writes NIfTI volumes with the grid of the file that they came from. The last station of prediction; before:
 * a u3d_volume, after: a file.
 *
 * The header is built in NIfTI-2 form with every field of u3d_grid as it was read. It is then narrowed to
 * NIfTI-1, unless the input was NIfTI-2 or a size needs NIfTI-2. The library's writer would derive the qform
 * from its own matrices, choose file names itself and report failures to stderr. So the struct is written
 * directly, for .nii.gz through zlib at level 6, its default. Values are gathered block by block in the
 * file's order: x fastest, channels outermost, and axes as the file that the volume came from has them. */
#include "io/nifti.h"

#include "engine/base/mem.h"
#include "io/format.h"
#include "io/path.h"

#include <errno.h>
#include <nifti2_io.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK_VOXELS = 16384, EXTENDER_BYTES = 4, NIFTI1_MAX_DIM = 32767, LEVEL = 6 };

/* Writes through stdio, or through zlib if `zipped` is set. */
typedef struct writer {
    const char *path;
    FILE *plain;
    gzFile zipped;
} writer;

static u3d_status write_bytes(writer *w, const void *data, size_t bytes)
{
    bool good =
        w->zipped ? gzfwrite(data, 1, bytes, w->zipped) == bytes : fwrite(data, 1, bytes, w->plain) == bytes;
    return good ? U3D_OK : u3d_fail(U3D_E_OUTPUT, "write '%s': %s", w->path, strerror(errno));
}

/* The type in which v is stored. For labels it is the smallest that holds all of them: uint8, uint16 or
 * int32. */
static int write_datatype(const u3d_volume *v)
{
    if (v->dtype == U3D_F32) return DT_FLOAT32;
    if (v->dtype == U3D_U8) return DT_UINT8;
    const int32_t *label = v->data;
    const int64_t n = u3d_volume_voxels(v) * v->channels;
    int32_t low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        if (label[i] < low) low = label[i];
        if (label[i] > high) high = label[i];
    }
    if (low < 0 || high > UINT16_MAX) return DT_INT32;
    return high > UINT8_MAX ? DT_UINT16 : DT_UINT8;
}

/* How many axes the file gets: those of the input, but a 2D file becomes a 3D one if it now has depth. */
static int write_axes(const u3d_volume *v, const int64_t dim[4])
{
    if (v->channels > 1) return 4;
    for (int axis = v->grid.axes; axis > 0 && axis < 3; axis++)
        if (dim[axis + 1] > 1) return 3;
    return v->grid.axes > 0 ? v->grid.axes : 3;
}

static void write_header2(const u3d_volume *v, int datatype, nifti_2_header *h)
{
    const u3d_grid *g = &v->grid;
    int bytes = 0, swap_unit = 0;
    nifti_datatype_sizes(datatype, &bytes, &swap_unit);
    memset(h, 0, sizeof *h);
    h->sizeof_hdr = (int32_t)sizeof *h;
    memcpy(h->magic, "n+2\0\r\n\032\n", sizeof h->magic);
    h->datatype = (int16_t)datatype;
    h->bitpix = (int16_t)(8 * bytes);
    for (int i = 1; i < 8; i++) h->dim[i] = 1;
    for (int axis = 0; axis < 3; axis++) h->dim[axis + 1] = u3d_volume_file_order(v).size[axis];
    h->dim[4] = v->channels;
    h->dim[0] = write_axes(v, h->dim);
    for (int i = 4; i < 8; i++) h->pixdim[i] = 1;
    for (int axis = 0; axis < 3; axis++) h->pixdim[axis + 1] = g->pixdim[axis];
    h->pixdim[0] = g->qfac;
    h->vox_offset = (int64_t)sizeof *h + EXTENDER_BYTES;
    h->scl_slope = 1;
    h->sform_code = g->sform_code;
    h->qform_code = g->qform_code;
    h->quatern_b = g->quatern[0];
    h->quatern_c = g->quatern[1];
    h->quatern_d = g->quatern[2];
    h->qoffset_x = g->qoffset[0];
    h->qoffset_y = g->qoffset[1];
    h->qoffset_z = g->qoffset[2];
    for (int i = 0; i < 4; i++) {
        h->srow_x[i] = g->sform[0][i];
        h->srow_y[i] = g->sform[1][i];
        h->srow_z[i] = g->sform[2][i];
    }
    h->xyzt_units = g->xyzt_units;
    memcpy(h->descrip, g->descrip, sizeof h->descrip);
    memcpy(h->intent_name, g->intent_name, sizeof h->intent_name);
}

/* Narrows a header to NIfTI-1. This is exact for every field that came from a NIfTI-1 header, because
 * converting a float to double and back does not change it. */
static void write_narrow(const nifti_2_header *h, nifti_1_header *n)
{
    memset(n, 0, sizeof *n);
    n->sizeof_hdr = (int)sizeof *n;
    n->regular = 'r';
    memcpy(n->magic, "n+1", sizeof n->magic);
    n->datatype = h->datatype;
    n->bitpix = h->bitpix;
    for (int i = 0; i < 8; i++) {
        n->dim[i] = (short)h->dim[i];
        n->pixdim[i] = (float)h->pixdim[i];
    }
    n->vox_offset = (float)(sizeof *n + EXTENDER_BYTES);
    n->scl_slope = (float)h->scl_slope;
    n->sform_code = (short)h->sform_code;
    n->qform_code = (short)h->qform_code;
    n->quatern_b = (float)h->quatern_b;
    n->quatern_c = (float)h->quatern_c;
    n->quatern_d = (float)h->quatern_d;
    n->qoffset_x = (float)h->qoffset_x;
    n->qoffset_y = (float)h->qoffset_y;
    n->qoffset_z = (float)h->qoffset_z;
    for (int i = 0; i < 4; i++) {
        n->srow_x[i] = (float)h->srow_x[i];
        n->srow_y[i] = (float)h->srow_y[i];
        n->srow_z[i] = (float)h->srow_z[i];
    }
    n->xyzt_units = (char)h->xyzt_units;
    memcpy(n->descrip, h->descrip, sizeof n->descrip);
    memcpy(n->intent_name, h->intent_name, sizeof n->intent_name);
}

static u3d_status write_header(writer *w, const u3d_volume *v, int datatype)
{
    static const char no_extension[EXTENDER_BYTES] = {0};
    nifti_2_header wide;
    bool large = v->channels > NIFTI1_MAX_DIM;
    for (int axis = 0; axis < 3; axis++) large |= v->size[axis] > NIFTI1_MAX_DIM;
    write_header2(v, datatype, &wide);
    if (v->grid.nifti_version == 2 || large) {
        U3D_TRY(write_bytes(w, &wide, sizeof wide));
    } else {
        nifti_1_header narrow;
        write_narrow(&wide, &narrow);
        U3D_TRY(write_bytes(w, &narrow, sizeof narrow));
    }
    return write_bytes(w, no_extension, sizeof no_extension);
}

/* Gathers n values that begin at element `at` of the volume and are `step` apart, and converts them to the
 * stored type. */
static void write_gather_row(const u3d_volume *v, int datatype, int64_t at, int64_t step, int64_t n,
                             void *out)
{
    const int32_t *label = v->data;
    if (v->dtype == U3D_F32)
        for (int64_t i = 0; i < n; i++, at += step) ((float *)out)[i] = ((const float *)v->data)[at];
    else if (v->dtype == U3D_U8)
        for (int64_t i = 0; i < n; i++, at += step) ((uint8_t *)out)[i] = ((const uint8_t *)v->data)[at];
    else if (datatype == DT_UINT8)
        for (int64_t i = 0; i < n; i++, at += step) ((uint8_t *)out)[i] = (uint8_t)label[at];
    else if (datatype == DT_UINT16)
        for (int64_t i = 0; i < n; i++, at += step) ((uint16_t *)out)[i] = (uint16_t)label[at];
    else
        for (int64_t i = 0; i < n; i++, at += step) ((int32_t *)out)[i] = label[at];
}

/* Gathers n values of one channel, beginning at voxel `first` of the file, row by row. */
static void write_gather(const u3d_volume *v, const u3d_voxel_order *order, int datatype, int64_t first,
                         int32_t channel, int64_t n, char *out, int bytes)
{
    for (int64_t i = 0, many; i < n; i += many) {
        const int64_t at = u3d_voxel_order_row(order, first + i, &many);
        if (many > n - i) many = n - i;
        write_gather_row(v, datatype, at * v->channels + channel, order->step[0] * v->channels, many,
                         out + i * bytes);
    }
}

static u3d_status write_volume(writer *w, const u3d_volume *v)
{
    const int64_t voxels = u3d_volume_voxels(v);
    const u3d_voxel_order order = u3d_volume_file_order(v);
    const int datatype = write_datatype(v);
    int bytes = 0, swap_unit = 0;
    nifti_datatype_sizes(datatype, &bytes, &swap_unit);
    U3D_TRY(write_header(w, v, datatype));
    void *block = u3d_new_uninit(BLOCK_VOXELS, (size_t)bytes);
    if (!block) return U3D_E_NOMEM;
    u3d_status status = U3D_OK;
    for (int32_t channel = 0; channel < v->channels; channel++)
        for (int64_t first = 0; first < voxels; first += BLOCK_VOXELS) {
            size_t n = (size_t)(voxels - first < BLOCK_VOXELS ? voxels - first : BLOCK_VOXELS);
            write_gather(v, &order, datatype, first, channel, (int64_t)n, block, bytes);
            U3D_GO(write_bytes(w, block, n * (size_t)bytes));
        }
done:
    u3d_free(block);
    return status;
}

/* Gives zlib a file descriptor of its own, so that closing it writes the end of the stream but leaves the
 * file open. */
static u3d_status writer_zip(writer *w)
{
    int fd = dup(fileno(w->plain));
    char mode[] = {'w', 'b', '0' + LEVEL, '\0'};
    w->zipped = fd < 0 ? NULL : gzdopen(fd, mode);
    if (w->zipped) return U3D_OK;
    if (fd >= 0) close(fd);
    return u3d_fail(U3D_E_OUTPUT, "write '%s': zlib could not start, perhaps for lack of memory", w->path);
}

u3d_status u3d_nifti_write(const char *path, const u3d_volume *v)
{
    size_t stem = 0;
    u3d_outfile *file = NULL;
    u3d_status status = U3D_OK;
    const bool zip = u3d_format_ends(path, ".gz", &stem);
    U3D_TRY(u3d_outfile_open(path, &file));
    writer w = {.path = path, .plain = u3d_outfile_stream(file)};
    if (zip) U3D_GO(writer_zip(&w));
    U3D_GO(write_volume(&w, v));
    if (zip) {
        int code = gzclose(w.zipped);
        w.zipped = NULL;
        if (code != Z_OK) U3D_GO(u3d_fail(U3D_E_OUTPUT, "write '%s': %s", path, strerror(errno)));
    }
    status = u3d_outfile_commit(file);
    file = NULL;
done:
    if (w.zipped) gzclose(w.zipped);
    u3d_outfile_abandon(file);
    return status;
}
