/* Completion of the command line in shells. */
#ifndef U3D_TOOLS_COMPLETION_H
#define U3D_TOOLS_COMPLETION_H

#include "engine/base/status.h"

/* The parts of the scripts that do not depend on the tables: completion.bash and completion.zsh as text,
 * embedded when the program is built. A row without a name ends the list. */
typedef struct completion_source {
    const char *name, *text;
} completion_source;
extern const completion_source completion_sources[];

/* Prints the script for "bash" or "zsh" on stdout: commands, options, values and setting keys from the
 * tables, then the fixed part. U3D_E_ARG for another shell. */
u3d_status completion_print(const char *shell);

#endif
