/* Post-processing of predicted classes before they are written: of the foreground as a whole, if the model's
 * metadata say so, and of the classes that they name, only the largest component is kept. Training decides
 * this (net/train/train_postprocess.c). */
#ifndef U3D_NET_POSTPROCESS_H
#define U3D_NET_POSTPROCESS_H

#include "net/model/model.h"

/* Keeps only the largest component of the foreground, if m->keep_foreground, and then of each class in
 * m->keep_largest, in place, and logs what was removed.
 * `name` stands for the volume in the log; NULL: nothing is logged. U3D_E_NOMEM. */
u3d_status u3d_postprocess(const u3d_model *m, const char *name, u3d_volume *classes);

/* That of which only the largest component is kept, as text: "the foreground as a whole, 2 posterior", or
 * "none". Returns buf. */
const char *u3d_postprocess_text(const u3d_model *m, char *buf, size_t cap);

#endif
