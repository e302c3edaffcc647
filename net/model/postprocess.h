/* What is done to predicted classes before they are written: largest components, as the model's metadata say.
 * Training decides it (train_postprocess.c). */
#ifndef U3D_NET_POSTPROCESS_H
#define U3D_NET_POSTPROCESS_H

#include "net/model/model.h"

/* Keeps the largest component of the classes that the model names; says what it removed. `name` is for that
 * message, NULL: silent. */
u3d_status u3d_postprocess(const u3d_model *m, const char *name, u3d_volume *classes);

/* "1 anterior, 2 posterior": the classes of which the largest component is kept; "none". Returns buf. */
const char *u3d_postprocess_text(const u3d_model *m, char *buf, size_t cap);

#endif
