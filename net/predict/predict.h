/* Prediction of whole volumes: the stations of the prediction table in net/README.md. */
#ifndef U3D_NET_PREDICT_H
#define U3D_NET_PREDICT_H

#include "engine/run/exec.h"
#include "net/model/model.h"
#include "net/predict/stitch.h"
#include "net/model/unet3d.h"

typedef struct u3d_predict_opts {
    double step;         /* between tiles, as a share of the patch, for same-padded networks: 0.5        */
    bool tta;            /* average over copies mirrored along the axes that training mirrored           */
    bool keep_background; /* write the background as training files have it, not as 0                    */
    bool probabilities;  /* probabilities will be asked for; counted in the planned memory               */
    uint64_t memory_cap; /* bytes; 0: limited only by the device's memory                                */
    bool bar;            /* progress as a bar, because stderr is a terminal                              */
    bool quiet;          /* no progress of single volumes (validation during training)                   */
    volatile int *stop;  /* may be NULL; prediction is cancelled when a signal handler sets it to 1      */
} u3d_predict_opts;

/* One or more models that are averaged, ready to run. They must have the same labels, channels, patch,
 * padding and target spacing. */
typedef struct u3d_predictor u3d_predictor;
u3d_status u3d_predictor_open(u3d_backend *b, const u3d_model *const *models, int n_models,
                              const u3d_predict_opts *o, u3d_predictor **out);
/* Makes a predictor from parameters that are already on the device (validation during training). `x` runs the
 * inference graph `net` and is borrowed. */
u3d_status u3d_predictor_borrow(u3d_exec *x, const u3d_unet3d *net, const u3d_model *m,
                                const u3d_predict_opts *o, u3d_predictor **out);
void u3d_predictor_free(u3d_predictor *p);
void u3d_predictor_set_step(u3d_predictor *p, double step); /* changes u3d_predict_opts.step from now on */
uint64_t u3d_predictor_bytes(const u3d_predictor *p);       /* planned peak without the volume itself */

/* Predicts a normalised f32 volume: u8 classes and, unless `probabilities` is NULL, f32 probabilities. The
 * caller owns both. U3D_E_CANCELLED: o->stop was set; U3D_E_NUMERIC: a probability was not finite. */
u3d_status u3d_predict_volume(u3d_predictor *p, const u3d_volume *image, u3d_volume **classes,
                              u3d_volume **probabilities);

/* Does the same for an image that was resampled. Results are on the grid of `own`, whose data are not used;
 * probabilities are resampled linearly to that grid before the arg max. */
u3d_status u3d_predict_volume_to(u3d_predictor *p, const u3d_volume *image, const u3d_volume *own,
                                 u3d_volume **classes, u3d_volume **probabilities);

/* Checks the headers of a case against the model, and the memory that predicting it takes against the limit.
 * No voxel is read. U3D_E_FORMAT, U3D_E_IO, U3D_E_NOMEM. */
u3d_status u3d_predict_check(const u3d_predictor *p, const u3d_model *m, const u3d_case *input);

/* From the files of a case, which u3d_predict_check accepts, to the files `out` and `probabilities_out`;
 * either may be NULL. The steps are: read, turn to the axes of the model, check against the model (a different
 * number of channels is refused; a different spacing or a missing place in space causes a warning), normalise,
 * resample to the model's spacing
 * if it was trained with resampling, predict; then, on the input's own grid, keep the largest components of
 * the classes that the model names, restore the label values, and write. */
u3d_status u3d_predict_case(u3d_predictor *p, const u3d_model *m, const u3d_case *input, const char *out,
                            const char *probabilities_out);

#endif
