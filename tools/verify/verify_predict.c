/* Compares the prediction of a volume of several tiles on the backend with that on the CPU backend, with the
 * same random weights. This covers the whole way from image to labels, including stitching. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/predict/predict.h"
#include "tools/verify/verify.h"

/* Share of voxels whose label may differ, because two classes have equal probability within rounding. */
static const double LIMIT_LABELS = 1e-3;

typedef struct prediction {
    u3d_volume *classes, *probabilities;
} prediction;

/* Makes a model in memory as if it had been loaded from a file: random weights, one label value per class. */
static u3d_status model_make(const verify *v, const u3d_config *c, u3d_model *m)
{
    u3d_status status = U3D_OK;
    u3d_unet3d net = {0};
    u3d_params *params = NULL;
    m->config = *c;
    m->labels.n = (int32_t)c->labels;
    m->labels.background = true;
    for (int32_t k = 0; k < m->labels.n; k++) m->labels.value[k] = k;
    m->facts.channels = m->intensity.channels = (int32_t)c->channels;
    for (int32_t ch = 0; ch < m->intensity.channels; ch++) m->intensity.kind[ch] = U3D_INTENSITY_NONE;
    U3D_GO(u3d_unet3d_build(c, v->cpu, U3D_MODE_INFER, 1, c->patch, true, &net));
    U3D_GO(u3d_params_new(v->cpu, net.graph, 1U << U3D_BLOCK_VALUE, v->seed, &params));
    U3D_GO(u3d_checkpoint_new(&m->weights));
    U3D_GO(u3d_params_to_checkpoint(params, U3D_BLOCK_VALUE, "", m->weights));
done:
    u3d_params_free(params);
    u3d_unet3d_done(&net);
    return status;
}

/* Makes a volume 1.5 times as large as the output of one tile, so that tiles meet or overlap along every
 * axis. */
static u3d_status volume_make(const verify *v, const u3d_config *c, u3d_volume **out)
{
    int64_t size[3];
    u3d_rng r = u3d_rng_at(v->seed, U3D_RNG_TEST, 1);
    U3D_TRY(u3d_unet3d_output_size(c, c->patch, size));
    for (int axis = 0; axis < 3; axis++) size[axis] += (size[axis] + 1) / 2;
    U3D_TRY(u3d_volume_new(size, (const double[3]){1, 1, 1}, U3D_F32, (int32_t)c->channels, out));
    u3d_test_normal(&r, (*out)->data, u3d_volume_voxels(*out) * c->channels);
    return U3D_OK;
}

static u3d_status predict(const verify *v, u3d_backend *b, const u3d_model *m, const u3d_volume *image,
                          prediction *p)
{
    u3d_predictor *predictor = NULL;
    u3d_predict_opts o = {.step = 0.5, .probabilities = true, .quiet = true, .stop = v->a->stop};
    U3D_TRY(args_memory(v->a, &o.memory_cap));
    if (!o.memory_cap) o.memory_cap = u3d_mem_machine() / 10 * 9;
    u3d_status status = u3d_predictor_open(b, &m, 1, &o, &predictor);
    if (status == U3D_OK) status = u3d_predict_volume(predictor, image, &p->classes, &p->probabilities);
    u3d_predictor_free(predictor);
    return status;
}

static void prediction_free(prediction *p)
{
    u3d_volume_free(p->classes);
    u3d_volume_free(p->probabilities);
}

static u3d_status compare(verify *v, const char *name, const prediction *got, const prediction *want)
{
    verify_row row = {.list = "predictions", .name = name, .part = "labels/cpu"};
    const uint8_t *a = got->classes->data, *b = want->classes->data;
    const float *p = got->probabilities->data, *q = want->probabilities->data;
    const int64_t n = u3d_volume_voxels(got->classes), labels = got->probabilities->channels;
    const int64_t *size = got->classes->size;
    int64_t n_off = 0, first = 0;
    double off = 0;
    for (int64_t i = 0; i < n * labels; i++) {
        const double d = fabs((double)p[i] - (double)q[i]);
        if (!isnan(off) && !(d <= off)) off = d; /* once NaN, it stays NaN */
    }
    for (int64_t i = n; i-- > 0;)
        if (a[i] != b[i]) n_off++, first = i;
    const double share = (double)n_off / (double)n;
    char where[80];
    snprintf(where, sizeof where, "probabilities %.1e", off);
    verify_count(&row, where, share / LIMIT_LABELS, share, LIMIT_LABELS);
    if (share > LIMIT_LABELS || isnan(off))
        verify_wrong(&row,
                     "%lld of %lld voxels have a different label from the CPU's; "
                     "probabilities differ by up to %.2e; "
                     "the first voxel is at z,y,x [%lld, %lld, %lld]: got %d, want %d",
                     (long long)n_off, (long long)n, off, (long long)(first / (size[1] * size[2])),
                     (long long)(first / size[2] % size[1]), (long long)(first % size[2]), a[first],
                     b[first]);
    return verify_report(v, &row);
}

u3d_status verify_predict(verify *v, const char *name, const u3d_config *c)
{
    u3d_status status = U3D_OK;
    u3d_model *m = u3d_new(1, sizeof *m);
    u3d_volume *image = NULL;
    prediction got = {0}, want = {0};
    if (!m) return U3D_E_NOMEM;
    U3D_GO(model_make(v, c, m));
    U3D_GO(volume_make(v, c, &image));
    U3D_GO(predict(v, v->backend, m, image, &got));
    U3D_GO(predict(v, v->cpu, m, image, &want));
    U3D_GO(compare(v, name, &got, &want));
done:
    prediction_free(&got);
    prediction_free(&want);
    u3d_volume_free(image);
    u3d_model_free(m);
    return status;
}
