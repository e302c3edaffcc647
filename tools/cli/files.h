/* The files that a command reads and writes, and the rules that keep them from being lost.
 *
 * A command names all of its inputs and outputs before it writes anything, and then asks for files_check:
 *
 *   - An output is never one of the inputs, even with --force: the same file under another name, through
 *     links or "..", is recognised by its device and inode.
 *   - Two outputs are never the same file.
 *   - An output that exists is refused without --force. A symbolic link at its place counts as existing, even
 *     if it leads nowhere; with --force the link is replaced, and the file that it leads to stays as it is. */
#ifndef U3D_TOOLS_FILES_H
#define U3D_TOOLS_FILES_H

#include "io/dataset.h"
#include "tools/cli/args.h"

typedef struct files {
    struct file *input, *output;
    int n_inputs, n_outputs;
    u3d_status status; /* of naming files; reported by files_check */
} files;

/* Names a file; NULL is allowed. */
void files_read(files *f, const char *path);
/* Names a volume, or the volumes of a folder or a data set and its dataset.json; NULL is allowed. */
void files_read_volumes(files *f, const char *path);
void files_read_cases(files *f, const u3d_dataset *d);
/* Names the files of a run, or a .safetensors file; NULL is allowed. */
void files_read_model(files *f, const char *path);
/* Names an output. `keep`: it may exist, and is then neither refused nor written (--skip-existing). */
void files_write(files *f, const char *path, bool keep);

/* U3D_E_ARG: one of the rules is broken; the message names both files. U3D_E_OUTPUT: something that is not a
 * file is at the place of an output. Frees the lists in any case. */
u3d_status files_check(files *f, const args *a);

/* For a command that makes a folder: U3D_E_ARG if it exists and --force was not given. */
u3d_status files_check_folder(const args *a, const char *folder);

#endif
