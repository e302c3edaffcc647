/* Reads the image of one case from its files, and makes the index of its labelled voxels.
 *
 * Station 1 of training; before: paths; after: an image f32 [z,y,x,channels]. cases_grid.c reads the labels.
 *
 * The index replaces a list of voxel positions. It has counts per class and z plane, and the r-th voxel of
 * a class is found by a binary search over planes and a scan of one plane (u3d_cases_locate). It needs 8
 * bytes per class and plane instead of 24 bytes per voxel. */
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

enum { READ_MARKS = 256 }; /* number of values that a u8 voxel can have */

/* Copies the single-channel volume `one` to channel `ch` of `image`. */
static void read_interleave(const u3d_volume *one, int ch, u3d_volume *image)
{
    const float *from = one->data;
    float *to = (float *)image->data + ch;
    int64_t n = u3d_volume_voxels(one);
    for (int64_t v = 0; v < n; v++) to[v * image->channels] = from[v];
}

/* Brings a further channel onto the grid of the first one. Only its place in space may be missing. */
static u3d_status read_match(const u3d_case *files, const u3d_volume *image, int ch, u3d_volume **one)
{
    u3d_match m;
    U3D_TRY(u3d_volume_match(image, files->image[0], *one, files->image[ch], false, &m));
    if (m.how == U3D_MATCH_PART && !m.whole)
        return u3d_fail(U3D_E_FORMAT, "'%s' covers only a part of '%s'; all channels must have the same grid",
                        files->image[ch], files->image[0]);
    if (m.how == U3D_MATCH_INDEX)
        u3d_log_first(
            U3D_LOG_WARN, "cases",
            "'%s' and '%s' do not both say where they lie in space; their voxels are matched as stored, "
            "as those of other such channels",
            files->image[0], files->image[ch]);
    if (m.how == U3D_MATCH_SAME && m.off_by > 0.01)
        u3d_log_first(U3D_LOG_WARN, "cases",
                      "the grids of '%s' and '%s' differ by up to %.2g voxels; their voxels are matched by "
                      "index, as those of other such channels",
                      files->image[0], files->image[ch], m.off_by);
    return u3d_volume_onto(one, image, &m, 0);
}

static u3d_status read_channels(const u3d_case *files, u3d_volume **out)
{
    u3d_status status;
    u3d_volume *image = NULL, *one = NULL;
    for (int ch = 0; ch < files->n_images; ch++) {
        U3D_GO(u3d_volume_read(files->image[ch], U3D_VOLUME_IMAGE, &one));
        if (one->channels != 1) {
            status = u3d_fail(U3D_E_FORMAT,
                              "'%s' has %d channels; each of the %d image files of a case must have one channel",
                              files->image[ch], (int)one->channels, files->n_images);
            goto done;
        }
        if (!image) U3D_GO(u3d_volume_new_like(one, U3D_F32, files->n_images, &image));
        U3D_GO(read_match(files, image, ch, &one));
        read_interleave(one, ch, image);
        u3d_volume_free(one);
        one = NULL;
    }
    *out = image;
    image = NULL;
    status = U3D_OK;
done:
    u3d_volume_free(one);
    u3d_volume_free(image);
    return status;
}

u3d_status u3d_case_read_image(const u3d_case *c, u3d_volume **out)
{
    *out = NULL;
    const u3d_status status =
        c->n_images == 1 ? u3d_volume_read(c->image[0], U3D_VOLUME_IMAGE, out) : read_channels(c, out);
    return status == U3D_OK ? U3D_OK : u3d_wrap(status, "case '%s'", c->id);
}

u3d_status u3d_case_index_make(const u3d_volume *classes, u3d_case_index *index)
{
    const uint8_t *voxel = classes->data;
    int64_t planes = classes->size[0], area = classes->size[1] * classes->size[2];
    bool present[READ_MARKS] = {false};
    int row[READ_MARKS], n = 0;
    u3d_case_index made = {.planes = planes};
    for (int64_t v = 0; v < planes * area; v++) present[voxel[v]] = true;
    for (int class = 0; class < U3D_UNLABELED; class ++) {
        if (!present[class]) continue;
        U3D_ASSERT(n < U3D_MAX_LABELS, "%d classes", n);
        made.class[n] = (uint8_t) class;
        row[class] = ++n;
    }
    made.n = n;
    made.before = u3d_new((size_t)(n + 1) * (size_t)(planes + 1), sizeof *made.before);
    if (!made.before) return U3D_E_NOMEM;
    for (int64_t z = 0; z < planes; z++) {
        int64_t count[READ_MARKS] = {0};
        for (int64_t v = z * area; v < (z + 1) * area; v++) count[voxel[v]]++;
        made.before[z + 1] = made.before[z] + area - count[U3D_UNLABELED];
        for (int i = 0; i < n; i++) {
            int64_t *before = made.before + row[made.class[i]] * (planes + 1);
            before[z + 1] = before[z] + count[made.class[i]];
        }
    }
    u3d_free(index->before);
    *index = made;
    return U3D_OK;
}

void u3d_case_hide_held(const u3d_case_entry *e, u3d_volume *classes)
{
    if (!e->held[0]) return;
    uint8_t *row = classes->data;
    size_t width = (size_t)classes->size[2];
    for (int64_t z = 0; z < classes->size[0]; z++)
        for (int64_t y = 0; y < classes->size[1]; y++, row += width) {
            if (e->held[0][z] || e->held[1][y]) {
                memset(row, U3D_UNLABELED, width);
                continue;
            }
            for (size_t x = 0; x < width; x++)
                if (e->held[2][x]) row[x] = U3D_UNLABELED;
        }
}
