/* Names of files, and writing them whole or not at all. */
#ifndef U3D_IO_PATH_H
#define U3D_IO_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/status.h"

char *u3d_path_join(const char *dir, const char *name); /* owned by the caller; NULL: out of memory */
bool u3d_path_exists(const char *path);
bool u3d_path_is_dir(const char *path);
u3d_status u3d_path_make_dir(const char *path); /* with parents; an existing folder is fine; U3D_E_OUTPUT */
u3d_status u3d_path_size(const char *path, uint64_t *bytes);
u3d_status u3d_path_hash(const char *path, char text[24]); /* xxh64 of its bytes, 16 hexadecimal digits */
/* Names in a folder (no path), sorted, without those starting with '.'; array and names owned by the caller. */
u3d_status u3d_path_list(const char *dir, char ***names, int *n);
void u3d_path_list_free(char **names, int n);

/* A file written beside its final name: commit flushes to disk and renames, abandon removes. */
typedef struct u3d_outfile u3d_outfile;
u3d_status u3d_outfile_open(const char *path, u3d_outfile **out);
FILE *u3d_outfile_stream(u3d_outfile *f);
const char *u3d_outfile_temp(const u3d_outfile *f); /* name to hand to a library that writes by name */
u3d_status u3d_outfile_commit(u3d_outfile *f);      /* frees f, also on failure (U3D_E_OUTPUT) */
void u3d_outfile_abandon(u3d_outfile *f);           /* frees f; NULL is legal */

/* Exclusive lock on DIR/.lock for as long as the process lives (flock); U3D_E_ARG where another holds it. */
u3d_status u3d_path_lock(const char *dir, int *fd);
void u3d_path_unlock(int fd);

#endif
