/* The commands: one function each, in cmd_NAME.c. Each reads the options that its table in commands.c lists,
 * checks them, calls net/ and prints the result on stdout, as text or, with --json, as one JSON object. */
#ifndef U3D_TOOLS_COMMANDS_H
#define U3D_TOOLS_COMMANDS_H

#include "tools/cli/args.h"

u3d_status cmd_train(const args *a);
u3d_status cmd_predict(const args *a);
u3d_status cmd_evaluate(const args *a);
u3d_status cmd_crossval(const args *a);
u3d_status cmd_report(const args *a);
u3d_status cmd_info(const args *a);
u3d_status cmd_devices(const args *a);
u3d_status cmd_bench(const args *a);
u3d_status cmd_verify(const args *a);
u3d_status cmd_tune(const args *a);
u3d_status cmd_sparsify(const args *a);
u3d_status cmd_phantom(const args *a);
u3d_status cmd_picture(const args *a);
u3d_status cmd_augment(const args *a);
u3d_status cmd_settings(const args *a);
u3d_status cmd_help(const args *a);
u3d_status cmd_completion(const args *a);

/* Plans what the folds of a cross-validation share, from all cases on which any fold is trained, and writes
 * the plan to a->plan_file. */
u3d_status train_plan(const args *a);

#endif
