/* Writes PNG files through libpng's simplified interface, which keeps its own error text and needs no setjmp.
 * A file appears whole or not at all (u3d_outfile). */
#include "io/png.h"

#include "io/path.h"

#include <png.h>
#include <string.h>

u3d_status u3d_png_write(const char *path, const uint8_t *rgb, int width, int height)
{
    if (width < 1 || height < 1 || width > INT32_MAX / 3)
        return u3d_fail(U3D_E_ARG, "write picture '%s': %d x %d pixels, expected at least 1 x 1", path, width,
                        height);
    u3d_outfile *file = NULL;
    U3D_TRY(u3d_outfile_open(path, &file));
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.format = PNG_FORMAT_RGB;
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    if (!png_image_write_to_stdio(&image, u3d_outfile_stream(file), 0, rgb, 3 * width, NULL)) {
        u3d_outfile_abandon(file);
        return u3d_fail(U3D_E_OUTPUT, "write picture '%s': %s", path, image.message);
    }
    return u3d_outfile_commit(file);
}
