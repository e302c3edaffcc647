/* The volumes in a folder, and a warning that names the files that are not read. */
#ifndef U3D_IO_LISTING_H
#define U3D_IO_LISTING_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/status.h"

typedef struct u3d_listed {
    char *name;  /* "case_7_0000.nii.gz"                          */
    size_t stem; /* its length without the ending of a volume     */
} u3d_listed;

typedef struct u3d_listing {
    u3d_listed *file; /* sorted by the names without their endings */
    int n;
} u3d_listing;

/* Lists the volumes in a folder; of a pair only the header. U3D_E_FORMAT: two files differ only in their
 * endings, such as a.nii and a.nii.gz; one of them must be stale, and u3d cannot know which. The caller frees
 * the list with u3d_listing_done, also after a failure. */
u3d_status u3d_listing_open(const char *dir, u3d_listing *out);
void u3d_listing_done(u3d_listing *l);
/* The index of the volume whose name without ending is the first `length` bytes of `id`; -1: there is none.
 */
int u3d_listing_find(const u3d_listing *l, const char *id, size_t length);

/* Warns, once for each folder, of the files that lie beside the n files that are read but are not read
 * themselves. Files that belong to data sets, such as dataset.json, files "._*" and hidden files
 * that are not volumes stay silent. U3D_E_FORMAT: one
 * of them is a second volume of the same name. */
u3d_status u3d_unread_warn(const char *const *read, int n);

#endif
