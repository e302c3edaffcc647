/* Names of volume files: which endings belong to volumes. This is the only place that knows the endings; the
 * functions that read and write volumes by their names are in io/volume.h.
 *
 * Endings count in any case: A.NII.GZ is a volume like a.nii.gz. A volume may consist of two files (.hdr and
 * .img); the header then stands for both. */
#ifndef U3D_IO_FORMAT_H
#define U3D_IO_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/* The ending of the files that u3d makes if it chooses their names itself. */
#define U3D_FORMAT_OUTPUT ".nii.gz"

/* Whether a name has the ending of a volume. *stem is the length without that ending, or the whole length. */
bool u3d_format_is_name(const char *path, size_t *stem);
/* Whether a file with this name stands for a volume in the listing of a folder: false for the second file of
 * a pair. *stem as above. */
bool u3d_format_is_listed(const char *path, size_t *stem);
/* Whether u3d can write a volume of this name. *stem as above. */
bool u3d_format_is_written(const char *path, size_t *stem);
/* Whether a name belongs to a volume of two files. */
bool u3d_format_is_pair(const char *path);
/* Whether `path` ends in `ending`, in any case, and has something before it. *stem as above. */
bool u3d_format_ends(const char *path, const char *ending, size_t *stem);
/* The ending that `text` is, in any case and perhaps without its dot, if files with it are listed; otherwise
 * NULL. Static text. */
const char *u3d_format_listed(const char *text);
/* The endings that a folder is searched for, and those that can be written, for messages. Static texts. */
const char *u3d_format_listed_text(void);
const char *u3d_format_written_text(void);

#endif
