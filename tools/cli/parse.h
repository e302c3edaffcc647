/* From the words of the command line to `args`. */
#ifndef U3D_TOOLS_PARSE_H
#define U3D_TOOLS_PARSE_H

#include "tools/cli/command.h"

/* Finds the command and fills *a, which must be empty. args_done must be called afterwards, even after a
 * failure. If the line asks for help or the version, this is printed, *which stays NULL, and U3D_OK is
 * returned. U3D_E_ARG: the line cannot be understood; the sentence names the nearest command or option. */
u3d_status args_parse(int argc, const char **argv, args *a, const command **which);
void args_done(args *a);

#endif
