/* From options to a network without training it: info, bench, augment. */
#ifndef U3D_TOOLS_NET_ARGS_H
#define U3D_TOOLS_NET_ARGS_H

#include "net/cases/cases.h"
#include "net/config/config.h"
#include "tools/cli/args.h"

/* Preset or file `net`, --set, and what the data tell where --data is given: labels, channels, the plan of --net auto.
 * Without data, what the settings leave open is taken as in the paper: 3 channels, 3 labels. */
u3d_status net_args_config(const args *a, const char *command_name, const char *net, u3d_backend *b, u3d_config *c);
/* How these options ask for cases: what is unlabelled, memory for volumes, spacing. */
u3d_status net_args_cases_opts(const args *a, const u3d_config *c, u3d_cases_opts *o);
/* What opened cases tell, in the same way. */
u3d_status net_args_from_cases(const args *a, const u3d_cases *cases, const char *net, u3d_backend *b, u3d_config *c);
/* --input and --batch. */
u3d_status net_args_size(const args *a, u3d_config *c);
#endif
