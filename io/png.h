/* Pictures. */
#ifndef U3D_IO_PNG_H
#define U3D_IO_PNG_H

#include <stdint.h>

#include "engine/base/status.h"

/* rgb [height, width, 3], 8 bits. Temporary file, rename. */
u3d_status u3d_png_write(const char *path, const uint8_t *rgb, int width, int height);

#endif
