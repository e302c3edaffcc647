/* Reads NIfTI volumes. Station 1 of training and prediction; before: a path, after: a u3d_volume with axes z,
 * y, x, channel, with scaled values and its place in space, turned to the orientation closest to RAS+.
 *
 * nifti_header.c has checked the header against the file before voxels are read. They are read in blocks of
 * BLOCK_VOXELS: stored bytes -> this machine's byte order -> double -> scaled -> float or int32 in its place.
 * In the file x is fastest and channels are outermost; in memory channels are innermost. Each row of the file
 * goes directly to its place in memory, which may be spread out and reversed, so no second copy is needed.
 * zlib also reads files that are not compressed. */
#include "io/nifti_impl.h"
#include "io/nifti.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"

#include <errno.h>
#include <math.h>
#include <nifti2_io.h>
#include <string.h>
#include <zlib.h>

enum {
    BLOCK_VOXELS = 16384,    /* 128 KB of doubles, which stay in the level 2 cache                        */
    GZ_BUFFER_BYTES = 262144 /* with zlib's default of 8 KB, a plain file is read a fifth more slowly     */
};

static const double label_tolerance = 1e-3; /* the rounding error of integers up to 10^4 in float32 scaling */

/* Of half a step: the error of a step that was stored as float32, times 65535, the largest stored value of
 * labels that were quantised to 16 bits. */
static const double label_step_slack = 1 + 1e-2;

/* How far a label may be from a whole number. Some programs store labels as integers times scl_slope, for
 * example 127 * 2/255 = 0.99607849 for label 1. Each label is then the stored value that is nearest to it, so
 * it is off by at most half a step; a map of fractions has values that are further off. This holds for steps
 * below 1: coarser ones cannot tell labels apart, so their values must be whole. */
static double label_allowed(const u3d_nifti_info *info)
{
    const double step = fabs(info->slope);
    const bool whole = info->datatype != DT_FLOAT32 && info->datatype != DT_FLOAT64;
    const double half = whole && step < 1 ? step / 2 * label_step_slack : 0;
    return fmin(fmax(half, label_tolerance), 0.5);
}

/* The invalid values of a volume: their number, and the first of them. */
typedef struct read_faults {
    int64_t count, first; /* first: index in file order, x fastest and channel outermost */
    double value;
} read_faults;

typedef struct reader {
    const char *path;
    const u3d_nifti_info *info;
    u3d_volume_kind kind;
    gzFile file;
    void *stored;   /* BLOCK_VOXELS values as stored in the file */
    double *values; /* the same values as doubles, then scaled   */
    u3d_volume *volume;
    u3d_voxel_order order; /* of the file's voxels in the volume */
    read_faults faults;
    double allowed; /* distance of a label from a whole number        */
    bool rounded;   /* labels were quantised by scl_slope             */
} reader;

/* Reads exactly `bytes` bytes. `before` is the number of bytes of voxels read so far, for the message. */
static u3d_status read_exactly(reader *r, void *buffer, size_t bytes, uint64_t before)
{
    size_t got = 0;
    while (got < bytes) {
        int n = gzread(r->file, (char *)buffer + got, (unsigned)(bytes - got));
        if (n < 0) {
            int code = Z_OK;
            const char *text = gzerror(r->file, &code);
            if (code == Z_ERRNO)
                return u3d_fail(U3D_E_IO, "read '%s': %s", r->info->data_path, strerror(errno));
            return u3d_fail(
                U3D_E_FORMAT,
                "'%s': the gzip stream is damaged or cut short after %llu of %llu bytes of voxels (%s)",
                r->info->data_path, (unsigned long long)(before + got),
                (unsigned long long)r->info->data_bytes, text);
        }
        if (n == 0)
            return u3d_fail(U3D_E_FORMAT,
                            "'%s': the file ends after %llu bytes of voxels, expected %llu bytes",
                            r->info->data_path, (unsigned long long)(before + got),
                            (unsigned long long)r->info->data_bytes);
        got += (size_t)n;
    }
    return U3D_OK;
}

/* Converts n stored values, already in this machine's byte order, to doubles. Integers beyond 2^53 are
 * rounded. */
static void read_widen(int datatype, const void *stored, size_t n, double *out)
{
    switch (datatype) {
    case DT_UINT8:
        for (size_t i = 0; i < n; i++) out[i] = ((const uint8_t *)stored)[i];
        break;
    case DT_INT8:
        for (size_t i = 0; i < n; i++) out[i] = ((const int8_t *)stored)[i];
        break;
    case DT_UINT16:
        for (size_t i = 0; i < n; i++) out[i] = ((const uint16_t *)stored)[i];
        break;
    case DT_INT16:
        for (size_t i = 0; i < n; i++) out[i] = ((const int16_t *)stored)[i];
        break;
    case DT_UINT32:
        for (size_t i = 0; i < n; i++) out[i] = ((const uint32_t *)stored)[i];
        break;
    case DT_INT32:
        for (size_t i = 0; i < n; i++) out[i] = ((const int32_t *)stored)[i];
        break;
    case DT_UINT64:
        for (size_t i = 0; i < n; i++) out[i] = (double)((const uint64_t *)stored)[i];
        break;
    case DT_INT64:
        for (size_t i = 0; i < n; i++) out[i] = (double)((const int64_t *)stored)[i];
        break;
    case DT_FLOAT32:
        for (size_t i = 0; i < n; i++) out[i] = ((const float *)stored)[i];
        break;
    case DT_FLOAT64: memcpy(out, stored, n * sizeof *out); break;
    default: U3D_ASSERT(false, "datatype %d passed the header check", datatype);
    }
}

static void read_fault(read_faults *faults, int64_t position, double value)
{
    if (faults->count++ > 0) return;
    faults->first = position;
    faults->value = value;
}

/* Checks n values and puts them into the volume. Its elements for them begin at `at` and are `step` apart;
 * in_file is the position of the first value in the file. */
static void read_place_row(reader *r, const double *values, int64_t n, int64_t at, int64_t step,
                           int64_t in_file)
{
    for (int64_t i = 0; i < n; i++, at += step) {
        double value = values[i];
        if (r->kind == U3D_VOLUME_IMAGE) {
            float narrow = (float)value;
            ((float *)r->volume->data)[at] = narrow;
            if (!isfinite(narrow)) read_fault(&r->faults, in_file + i, value);
        } else {
            double whole = nearbyint(value);
            bool good = fabs(value - whole) <= r->allowed && whole >= INT32_MIN && whole <= INT32_MAX;
            ((int32_t *)r->volume->data)[at] = good ? (int32_t)whole : 0;
            r->rounded = r->rounded || (good && fabs(value - whole) > label_tolerance);
            if (!good) read_fault(&r->faults, in_file + i, value);
        }
    }
}

/* Does the same for n values of one channel, beginning at voxel `first` of the file, row by row. */
static void read_place(reader *r, int64_t first, int32_t channel, int64_t n)
{
    const int64_t channels = r->info->channels, voxels = u3d_volume_voxels(r->volume);
    for (int64_t i = 0, many; i < n; i += many) {
        const int64_t at = u3d_voxel_order_row(&r->order, first + i, &many);
        if (many > n - i) many = n - i;
        read_place_row(r, r->values + i, many, at * channels + channel, r->order.step[0] * channels,
                       channel * voxels + first + i);
    }
}

static u3d_status read_voxels(reader *r)
{
    const u3d_nifti_info *info = r->info;
    const int64_t voxels = u3d_volume_voxels(r->volume);
    uint64_t before = 0;
    for (int32_t channel = 0; channel < info->channels; channel++)
        for (int64_t first = 0; first < voxels; first += BLOCK_VOXELS) {
            size_t n = (size_t)(voxels - first < BLOCK_VOXELS ? voxels - first : BLOCK_VOXELS);
            U3D_TRY(read_exactly(r, r->stored, n * info->voxel_bytes, before));
            before += n * info->voxel_bytes;
            if (info->swapped && info->voxel_bytes > 1)
                nifti_swap_Nbytes((int64_t)n, (int)info->voxel_bytes, r->stored);
            read_widen(info->datatype, r->stored, n, r->values);
            if (info->slope != 1 || info->inter != 0)
                for (size_t i = 0; i < n; i++) r->values[i] = r->values[i] * info->slope + info->inter;
            read_place(r, first, channel, (int64_t)n);
        }
    /* A gzip stream ends with a checksum, which zlib compares when more bytes are requested than there are.
     * If the stream stops before the checksum, gzread reports no error; only gzerror does. */
    int code = Z_OK, more = gzread(r->file, r->stored, 1);
    (void)gzerror(r->file, &code);
    if (more < 0 || code == Z_BUF_ERROR)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': the gzip stream is damaged or cut short: its end does not match its contents",
                        info->data_path);
    return U3D_OK;
}

/* Reports invalid values, if there are any. */
static u3d_status read_report(const reader *r)
{
    const read_faults *faults = &r->faults;
    if (faults->count == 0 && r->rounded)
        U3D_INFO("io", "'%s': labels were stored in steps of %g (scl_slope) and are rounded to whole numbers",
                 r->path, r->info->slope);
    if (faults->count == 0) return U3D_OK;
    const int64_t *size = r->info->size, voxel = faults->first % u3d_volume_voxels(r->volume);
    long long x = voxel % size[2], y = voxel / size[2] % size[1], z = voxel / size[2] / size[1];
    if (r->kind == U3D_VOLUME_IMAGE)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s': %lld voxels are NaN, infinite or beyond float32, "
                        "the first at x,y,z = %lld,%lld,%lld (from 0) with %g; replace them before use",
                        r->path, (long long)faults->count, x, y, z, faults->value);
    return u3d_fail(
        U3D_E_FORMAT,
        "'%s': %lld voxels are not integer labels, "
        "the first at x,y,z = %lld,%lld,%lld (from 0) with %.9g; expected whole numbers from %d to %d%s",
        r->path, (long long)faults->count, x, y, z, faults->value, INT32_MIN, INT32_MAX,
        r->info->slope != 1 || r->info->inter != 0 ? " after scaling by the header's scl_slope" : "");
}

/* Sets all members of a volume except its data. */
static void volume_describe(const char *path, const u3d_nifti_info *info, u3d_dtype dtype, u3d_volume *v)
{
    static const int as_stored[3] = {1, 2, 3};
    int axis[3];
    v->dtype = dtype;
    v->channels = info->channels;
    memcpy(v->size, info->size, sizeof v->size);
    memcpy(v->spacing, info->spacing, sizeof v->spacing);
    memcpy(v->voxel_to_world, info->voxel_to_world, sizeof v->voxel_to_world);
    v->grid = info->grid;
    if (!info->placed) {
        u3d_log_first(
            U3D_LOG_WARN, "io",
            "'%s': its header does not say where it lies in space (sform_code and qform_code are 0, or "
            "neither is valid), so its axes are used as stored; other such volumes are not mentioned",
            path);
        return;
    }
    memcpy(v->stored, as_stored, sizeof v->stored);
    u3d_orientation_of((const double(*)[4])info->voxel_to_world, axis);
    u3d_volume_turn_header(v, axis);
}

/* Allocates memory for the voxels. Untouched pages cost nothing, so a gzip stream that ends early fails
 * before all of the memory is used. */
static u3d_status reader_alloc(reader *r)
{
    const u3d_nifti_info *info = r->info;
    uint64_t values = info->data_bytes / info->voxel_bytes, bytes = 0, machine = u3d_mem_machine();
    bool fits = !__builtin_mul_overflow(values, sizeof(float), &bytes) && (machine == 0 || bytes <= machine);
    if (!fits)
        return u3d_fail(U3D_E_NOMEM,
                        "'%s': %lldx%lldx%lld voxels (x, y, z) with %d channels need %.1f GB; "
                        "the machine has %.1f GB",
                        r->path, (long long)info->size[2], (long long)info->size[1], (long long)info->size[0],
                        info->channels, (double)values * sizeof(float) / 1e9, (double)machine / 1e9);
    r->volume->data = u3d_new_uninit((size_t)values, sizeof(float));
    r->stored = u3d_new_uninit(BLOCK_VOXELS, info->voxel_bytes);
    r->values = u3d_new_uninit(BLOCK_VOXELS, sizeof *r->values);
    return r->volume->data && r->stored && r->values ? U3D_OK : U3D_E_NOMEM;
}

/* Opens the file with the voxels at the first voxel. */
static u3d_status reader_open(reader *r)
{
    const u3d_nifti_info *info = r->info;
    r->file = gzopen(info->data_path, "rb");
    if (!r->file) return u3d_fail(U3D_E_IO, "open '%s': %s", info->data_path, strerror(errno));
    if (gzbuffer(r->file, GZ_BUFFER_BYTES) != 0 || gzseek(r->file, (z_off_t)info->offset, SEEK_SET) < 0)
        return u3d_fail(U3D_E_FORMAT, "'%s': cannot seek to its first voxel at byte %llu", info->data_path,
                        (unsigned long long)info->offset);
    return U3D_OK;
}

u3d_status u3d_nifti_read(const char *path, u3d_volume_kind kind, u3d_volume **out)
{
    u3d_nifti_info info;
    reader r = {.path = path, .info = &info, .kind = kind};
    u3d_status status = U3D_OK;
    *out = NULL;
    U3D_GO(u3d_nifti_info_read(path, &info));
    if (kind == U3D_VOLUME_LABEL && info.channels != 1)
        U3D_GO(
            u3d_fail(U3D_E_FORMAT, "'%s': %d channels, expected one label per voxel", path, info.channels));
    r.volume = u3d_new(1, sizeof *r.volume);
    if (!r.volume) U3D_GO(U3D_E_NOMEM);
    volume_describe(path, &info, kind == U3D_VOLUME_IMAGE ? U3D_F32 : U3D_I32, r.volume);
    r.order = u3d_volume_file_order(r.volume);
    r.allowed = label_allowed(&info);
    U3D_GO(reader_alloc(&r));
    U3D_GO(reader_open(&r));
    U3D_GO(read_voxels(&r));
    U3D_GO(read_report(&r));
    *out = r.volume;
    r.volume = NULL;
done:
    if (r.file) gzclose(r.file);
    u3d_free(r.stored);
    u3d_free(r.values);
    u3d_volume_free(r.volume);
    u3d_nifti_info_done(&info);
    return status;
}

u3d_status u3d_nifti_probe(const char *path, u3d_volume **out)
{
    u3d_nifti_info info;
    u3d_status status = U3D_OK;
    *out = NULL;
    U3D_GO(u3d_nifti_info_read(path, &info));
    u3d_volume *v = u3d_new(1, sizeof *v);
    if (!v) U3D_GO(U3D_E_NOMEM);
    volume_describe(path, &info, U3D_F32, v);
    *out = v;
done:
    u3d_nifti_info_done(&info);
    return status;
}
