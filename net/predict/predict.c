/* Prediction of whole volumes: the loop that cuts tiles, runs the network and stitches the results, and the
 * way from file to file.
 *
 * Memory: the volume (f32), its classes (u8), the same as label values, one ring of planes
 * (net/predict/stitch.c), for a resampled volume some planes of its own grid (net/volume/resample_planes.c),
 * and the network for one tile. If resampling the volume takes more, that is the peak. The sum is compared
 * with --memory before any voxel is read. */
#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/postprocess.h"
#include "net/cases/cases.h"
#include "net/predict/predict_impl.h"
#include "net/predict/progress.h"

/* A spacing that differs from the training data's by more than this factor is warned about, because the
 * network then looks for shapes at a scale that differs from the one at which it learned them. */
static const double SPACING_FACTOR = 1.25;

/* Runs the network on every tile and adds the results to the stitch. */
static u3d_status tiles_run(u3d_predictor *p, const u3d_volume *image, const u3d_tile *tiles, int n,
                            u3d_stitch *stitch)
{
    const bool valid = p->model->config.padding == U3D_PAD_VALID;
    const u3d_border border = valid ? U3D_BORDER_MIRROR : U3D_BORDER_ZERO;
    const float *probability;
    u3d_progress progress = u3d_progress_begin("tile", 0, n, p->o.bar);
    for (int i = 0; i < n; i++) {
        if (p->o.stop && *p->o.stop)
            return u3d_fail(U3D_E_CANCELLED, "predicting: interrupted at tile %d of %d", i, n);
        u3d_patch_cut_image(image, &tiles[i].in, border, u3d_tensor_f32(p->tile));
        U3D_TRY(u3d_predictor_run_tile(p, &probability)); /* once per model and mirrored copy */
        U3D_TRY(u3d_stitch_add(stitch, i, probability));
        if (n > 1 && !p->o.quiet) u3d_progress_show(&progress, i + 1, "");
    }
    if (n > 1 && !p->o.quiet) u3d_progress_end(&progress);
    return u3d_stitch_finish(stitch);
}

static u3d_stitch_opts stitch_opts(const u3d_predictor *p, const int64_t size[3])
{
    u3d_stitch_opts o = {.labels = p->labels, .gaussian = p->model->config.padding != U3D_PAD_VALID};
    memcpy(o.volume, size, sizeof o.volume);
    memcpy(o.net_out, p->out, sizeof o.net_out);
    return o;
}

static u3d_planes_back_opts back_opts(const u3d_predictor *p, const int64_t from[3], const int64_t to[3])
{
    u3d_planes_back_opts o = {.labels = p->labels};
    memcpy(o.from, from, sizeof o.from);
    memcpy(o.to, to, sizeof o.to);
    return o;
}

u3d_status u3d_predict_volume(u3d_predictor *p, const u3d_volume *image, u3d_volume **classes,
                              u3d_volume **probabilities)
{
    return u3d_predict_volume_to(p, image, image, classes, probabilities);
}

u3d_status u3d_predict_volume_to(u3d_predictor *p, const u3d_volume *image, const u3d_volume *own,
                                 u3d_volume **classes, u3d_volume **probabilities)
{
    u3d_status status = U3D_OK;
    u3d_tile *tiles = NULL;
    u3d_stitch *stitch = NULL;
    u3d_planes_back *back = NULL;
    const bool valid = p->model->config.padding == U3D_PAD_VALID;
    int n;

    *classes = NULL;
    if (probabilities) *probabilities = NULL;
    U3D_ASSERT(image->channels == p->channels, "volume has %d channels, network %d", image->channels,
               p->channels);
    U3D_GO(u3d_tiling_make(image->size, p->in, p->out, valid, p->o.step, &tiles, &n));
    U3D_GO(u3d_volume_new_like(own, U3D_U8, 1, classes));
    if (probabilities) U3D_GO(u3d_volume_new_like(own, U3D_F32, p->labels, probabilities));
    u3d_stitch_opts so = stitch_opts(p, image->size);
    so.tiles = tiles;
    so.n_tiles = n;
    if (memcmp(image->size, own->size, sizeof own->size) != 0) {
        u3d_planes_back_opts bo = back_opts(p, image->size, own->size);
        bo.classes = *classes;
        bo.probabilities = probabilities ? *probabilities : NULL;
        U3D_GO(u3d_planes_back_new(&bo, &back));
        so.back = back;
    } else {
        so.probabilities = probabilities ? *probabilities : NULL;
    }
    U3D_GO(u3d_stitch_new(&so, back ? NULL : *classes, &stitch));
    status = tiles_run(p, image, tiles, n, stitch);
done:
    u3d_stitch_free(stitch);
    u3d_planes_back_free(back);
    u3d_free(tiles);
    if (status != U3D_OK) {
        u3d_volume_free(*classes);
        *classes = NULL;
        if (probabilities) {
            u3d_volume_free(*probabilities);
            *probabilities = NULL;
        }
    }
    return status;
}

/* Peak of the memory, in bytes, while a volume on the grid of `own` is predicted. */
static uint64_t volume_bytes(const u3d_predictor *p, const u3d_volume *own)
{
    const uint64_t voxels = (uint64_t)u3d_volume_voxels(own);
    int64_t size[3];
    u3d_resampling r;
    u3d_resampling_of(&p->model->config, &r);
    const bool resampled = u3d_resample_size(&r, own->size, own->spacing, size);
    const u3d_stitch_opts so = stitch_opts(p, size);
    const u3d_planes_back_opts bo = back_opts(p, size, own->size);
    uint64_t bytes = u3d_stitch_bytes(&so) + u3d_resample_image_bytes(size, size, p->channels);
    bytes += voxels * 2; /* classes and label values */
    if (resampled) bytes += u3d_planes_back_bytes(&bo);
    if (p->o.probabilities) bytes += voxels * (uint64_t)p->labels * sizeof(float);
    const uint64_t before = u3d_resample_image_bytes(own->size, size, p->channels);
    return p->bytes + (before > bytes ? before : bytes);
}

/* Turns a volume to the axes that the model was trained with: RAS+, as it was read, or as stored if the
 * training data had no place in space. Models of earlier versions may have other axes. */
static u3d_status turn_to_model(const u3d_model *m, u3d_volume *image)
{
    if (!u3d_volume_has_place(image)) return U3D_OK;
    return m->facts.orientation[0] ? u3d_volume_turn_to(image, m->facts.orientation)
                                   : u3d_volume_turn_to_file(image);
}

static u3d_status check_channels(const u3d_model *m, const u3d_case *input, int32_t channels)
{
    if (channels == m->config.channels) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT, "%s: found %d channel%s, but the model was trained on %lld%s",
                    input->image[0], channels, channels == 1 ? "" : "s", (long long)m->config.channels,
                    channels == 1 ? "; put all of them into one 4D file, or into files NAME_0000, "
                                    "NAME_0001, ... of which the first one (or their folder) is given"
                                  : "");
}

u3d_status u3d_predict_check(const u3d_predictor *p, const u3d_model *m, const u3d_case *input)
{
    u3d_volume *grid;
    u3d_case image_only = *input;
    image_only.label = NULL;
    U3D_TRY(u3d_case_probe(&image_only, &grid));
    const u3d_status status = check_channels(m, input, grid->channels);
    (void)turn_to_model(m, grid); /* a header alone cannot fail */
    const uint64_t bytes = status == U3D_OK ? volume_bytes(p, grid) : 0;
    u3d_volume_free(grid);
    U3D_TRY(status);
    U3D_INFO("predict", "%s: peak memory %.2f GB planned", input->id, (double)bytes / 1e9);
    if (p->o.memory_cap && bytes > p->o.memory_cap)
        return u3d_fail(
            U3D_E_NOMEM, "predicting %s needs %.2f GB, but only %.2f GB are allowed; give --memory=%.1fG%s",
            input->id, (double)bytes / 1e9, (double)p->o.memory_cap / 1e9, ceil((double)bytes / 1e8) / 10,
            p->o.probabilities ? ", or leave out --probabilities" : "");
    return U3D_OK;
}

static void log_resampled(const u3d_case *input, const u3d_volume *own, const u3d_volume *image)
{
    U3D_INFO("predict",
             "%s: resampled from %lldx%lldx%lld voxels of %.4gx%.4gx%.4g to %lldx%lldx%lld of %.4gx%.4gx%.4g "
             "for the network; results are on the file's own grid",
             input->id, (long long)own->size[2], (long long)own->size[1], (long long)own->size[0],
             own->spacing[2], own->spacing[1], own->spacing[0], (long long)image->size[2],
             (long long)image->size[1], (long long)image->size[0], image->spacing[2], image->spacing[1],
             image->spacing[0]);
}

/* Compares the volume with the model's training data: what cannot work is refused, what is doubtful is warned
 * about. */
static u3d_status check_facts(const u3d_model *m, const u3d_case *input, const u3d_volume *image)
{
    const u3d_data_facts *f = &m->facts;
    U3D_TRY(check_channels(m, input, image->channels)); /* the file may have changed since the first check */
    const bool as_it_is = m->config.resample == U3D_RESAMPLE_OFF;
    for (int a = 0; a < 3 && as_it_is; a++) {
        const double ratio = f->spacing[a] > 0 ? image->spacing[a] / f->spacing[a] : 1;
        if (ratio > SPACING_FACTOR || ratio < 1 / SPACING_FACTOR) {
            U3D_WARN("predict",
                     "%s: voxels of %.4gx%.4gx%.4g, but the model was trained on %.4gx%.4gx%.4g (x, y, z); "
                     "for a reliable result, resample the volume or train with --set resample=auto",
                     input->id, image->spacing[2], image->spacing[1], image->spacing[0], f->spacing[2],
                     f->spacing[1], f->spacing[0]);
            break;
        }
    }
    if (f->orientation[0] && !u3d_volume_has_place(image))
        u3d_log_first(
            U3D_LOG_WARN, "predict",
            "%s: it does not say where it lies in space, so its axes are used as stored; the result is "
            "reliable only if x, y and z run to the right, front and top, as in the training data; "
            "other such volumes are not mentioned",
            input->id);
    return U3D_OK;
}

u3d_status u3d_predict_case(u3d_predictor *p, const u3d_model *m, const u3d_case *input, const char *out,
                            const char *probabilities_out)
{
    u3d_status status = U3D_OK;
    u3d_volume *image = NULL, *classes = NULL, *probabilities = NULL, *labels = NULL, own;
    u3d_resampling r;
    u3d_labels written = m->labels;
    if (!p->o.keep_background) u3d_labels_zero_background(&written);
    U3D_GO(u3d_case_read_image(input, &image));
    U3D_GO(turn_to_model(m, image));
    U3D_GO(check_facts(m, input, image));
    status = u3d_intensity_normalise(image, &m->intensity);
    if (status != U3D_OK) U3D_GO(u3d_wrap(status, "%s", input->image[0]));
    own = *image;
    own.data = NULL;
    u3d_resampling_of(&m->config, &r);
    U3D_GO(u3d_resample_image(&r, image));
    if (memcmp(own.size, image->size, sizeof own.size) != 0) log_resampled(input, &own, image);
    U3D_GO(u3d_predict_volume_to(p, image, &own, &classes, probabilities_out ? &probabilities : NULL));
    u3d_volume_free(image); /* the components need memory of their own */
    image = NULL;
    U3D_GO(u3d_postprocess(m, input->id, classes));
    U3D_GO(u3d_labels_to_values(&written, classes, &labels));
    if (probabilities_out) U3D_GO(u3d_volume_write(probabilities_out, probabilities));
    if (out) U3D_GO(u3d_volume_write(out, labels));
done:
    u3d_volume_free(image);
    u3d_volume_free(classes);
    u3d_volume_free(probabilities);
    u3d_volume_free(labels);
    return status;
}
