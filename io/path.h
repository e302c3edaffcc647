/* Names of files and folders, and output files that appear whole or not at all. */
#ifndef U3D_IO_PATH_H
#define U3D_IO_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/status.h"

char *u3d_path_join(const char *dir, const char *name); /* the caller owns it; NULL: out of memory */
bool u3d_path_exists(const char *path);
bool u3d_path_is_taken(const char *path); /* also true for a link that leads nowhere */
bool u3d_path_is_dir(const char *path);
/* Creates a folder and its parents; it may exist already. U3D_E_OUTPUT. */
u3d_status u3d_path_make_dir(const char *path);
/* The size of a file. U3D_E_IO: there is no such file, or it is not a regular file. */
u3d_status u3d_path_size(const char *path, uint64_t *bytes);
u3d_status u3d_path_hash(const char *path, char text[24]); /* xxh64 of its bytes as 16 hexadecimal digits */
/* Lists the names in a folder (without its path), sorted, without those that start with '.'. The caller frees
 * the array and the names with u3d_path_list_free. */
u3d_status u3d_path_list(const char *dir, char ***names, int *n);
u3d_status u3d_path_list_all(const char *dir, char ***names, int *n); /* with hidden files */
void u3d_path_list_free(char **names, int n);
/* Finds the files beside `path` whose names are its first `stem` bytes and one of n endings, in any case of
 * the endings' letters. Gives whole paths, sorted, in an array like that of u3d_path_list. */
u3d_status u3d_path_find(const char *path, size_t stem, const char *const *endings, int n_endings,
                         char ***found, int *n);

/* Whether the file system allows a name of this length for an output. U3D_E_OUTPUT. Checked before long
 * computations, because the rename at their end would fail. */
u3d_status u3d_path_check_name(const char *path);

/* An output file that is written under a temporary name in the folder of its final name. Commit flushes it to
 * disk and renames it; abandon removes it. */
typedef struct u3d_outfile u3d_outfile;
u3d_status u3d_outfile_open(const char *path, u3d_outfile **out);
FILE *u3d_outfile_stream(u3d_outfile *f);
const char *u3d_outfile_temp(const u3d_outfile *f); /* the temporary name, for libraries that need a name */
u3d_status u3d_outfile_commit(u3d_outfile *f);      /* frees f, also on failure (U3D_E_OUTPUT) */
void u3d_outfile_abandon(u3d_outfile *f);           /* frees f; NULL is allowed */

#endif
