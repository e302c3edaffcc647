/* Prediction of whole volumes: the loop of design section 14. */
#ifndef U3D_NET_PREDICT_H
#define U3D_NET_PREDICT_H

#include "engine/run/exec.h"
#include "net/model/model.h"
#include "net/predict/stitch.h"
#include "net/model/unet3d.h"

typedef struct u3d_predict_opts {
    double step;                 /* of the patch, for same-padded nets: 0.5                */
    bool tta;                    /* average over mirrored copies of the axes trained with mirroring */
    bool probabilities;
    uint64_t memory_cap;         /* 0: 90 % of the machine's                               */
    bool bar;
    bool quiet;                  /* no progress of single volumes (validation while training) */
    volatile int *stop;
} u3d_predict_opts;

/* One or more models of one kind (same labels and channels), averaged; ready to run. */
typedef struct u3d_predictor u3d_predictor;
u3d_status u3d_predictor_open(u3d_backend *b, const u3d_model *const *models, int n_models, const u3d_predict_opts *o,
                              u3d_predictor **out);
/* The same over parameters already on the device (validation while training). Borrowed exec of an inference graph. */
u3d_status u3d_predictor_borrow(u3d_exec *x, const u3d_unet3d *net, const u3d_model *m, const u3d_predict_opts *o,
                                u3d_predictor **out);
void u3d_predictor_free(u3d_predictor *p);
void u3d_predictor_set_step(u3d_predictor *p, double step); /* as u3d_predict_opts.step, from now on */
uint64_t u3d_predictor_bytes(const u3d_predictor *p); /* planned peak without the volume itself */

/* A normalised f32 volume -> u8 classes (and f32 probabilities where asked: *probabilities may be NULL otherwise). */
u3d_status u3d_predict_volume(u3d_predictor *p, const u3d_volume *image, u3d_volume **classes,
                              u3d_volume **probabilities);

/* The same for an image that was resampled: results are on the grid of `own` (its data is not looked at), to which
 * probabilities are resampled linearly before the arg max. */
u3d_status u3d_predict_volume_to(u3d_predictor *p, const u3d_volume *image, const u3d_volume *own, u3d_volume **classes,
                                 u3d_volume **probabilities);

/* Files to file: read, check against the model (channels refused; spacing and orientation warned), normalise, resample
 * to the model's spacing where it was trained so, predict, and on the input's own grid keep the largest components that
 * the model names, restore label values, write OUT (and OUT's stem + _probabilities.nii.gz). */
u3d_status u3d_predict_case(u3d_predictor *p, const u3d_model *m, const u3d_case *input, const char *out,
                            const char *probabilities_out);

#endif
