/* Writes pictures as PNG files. */
#ifndef U3D_IO_PNG_H
#define U3D_IO_PNG_H

#include <stdint.h>

#include "engine/base/status.h"

/* Writes rgb [height, width, 3], 8 bits per value. The file is complete or absent. U3D_E_ARG: a size is below
 * 1 or too large. U3D_E_OUTPUT. */
u3d_status u3d_png_write(const char *path, const uint8_t *rgb, int width, int height);

#endif
