/* From options to the settings of a network that is not trained, for info, bench, verify and augment. */
#ifndef U3D_TOOLS_NET_ARGS_H
#define U3D_TOOLS_NET_ARGS_H

#include "net/cases/cases.h"
#include "net/config/config.h"
#include "tools/cli/args.h"

/* Settings from the preset or file `net` and from --set. With --data, labels, channels, spacing and the plan
 * of --net auto come from the data. Without data, labels and channels that the settings leave open are the
 * paper's 3 and 3, and --net auto is U3D_E_ARG. */
u3d_status net_args_config(const args *a, const char *command_name, const char *net, u3d_backend *b,
                           u3d_config *c);
/* How to open cases by these options: what is unlabelled, memory for volumes, spacing. */
u3d_status net_args_cases_opts(const args *a, const u3d_config *c, u3d_cases_opts *o);
/* Completes settings from cases that are open: spacing, labels, channels, and the plan if `net` is "auto". */
u3d_status net_args_from_cases(const args *a, const u3d_cases *cases, const char *net, u3d_backend *b,
                               u3d_config *c);
/* --input and --batch, then a check of all settings. */
u3d_status net_args_size(const args *a, u3d_config *c);
#endif
