/* Files that must not outlive the program: incomplete outputs and lock files. If the program is ended by
 * force (engine/base/stop.h), those that are noted here are removed. */
#ifndef U3D_IO_TEMPORARY_H
#define U3D_IO_TEMPORARY_H

/* Notes a file, which need not exist yet. Returns a number for u3d_temporary_forget, or -1 if it could not be
 * noted; the file then stays behind after a forced end. */
int u3d_temporary_note(const char *path);
/* To be called when the file was removed or renamed; -1 is allowed. */
void u3d_temporary_forget(int number);

#endif
