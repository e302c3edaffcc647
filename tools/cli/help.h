/* What --help prints, on stdout and at most 80 columns wide. */
#ifndef U3D_TOOLS_HELP_H
#define U3D_TOOLS_HELP_H

#include "tools/cli/command.h"

/* `u3d [COMMAND] --help[=TOPIC]`. c NULL: the program and its commands. `topic` is "" for usage, the options
 * that are used often, and examples; "all" for every option; "settings" for help_settings. U3D_E_ARG: there
 * is no such topic. */
u3d_status help_print(const command *c, const char *topic, bool json);

/* The table of settings, as text or as one JSON object. If n_names > 0 only the settings and groups of these
 * names; U3D_E_ARG names the nearest one. */
u3d_status help_settings(char *const *names, int n_names, bool json);

/* Two columns: `left`, indented by two, and beside it `text`, broken between words. A `left` that is too long
 * for its column has a line of its own. */
void help_entry(const char *left, const char *text);

#endif
