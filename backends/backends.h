/* The backends of this build. Used only by tools/ and tests/. */
#ifndef U3D_BACKENDS_BACKENDS_H
#define U3D_BACKENDS_BACKENDS_H

#include "engine/plan/backend.h"

const u3d_backend_vt *u3d_backend_at(int i); /* NULL past the end */

/* The devices of a backend, found by a process of its own: looking for them loads every driver that is installed,
 * compilers and all, and those of others may crash. None of that should happen to a program that then computes
 * elsewhere. U3D_E_DEVICE: none, or a crash; the message says why. */
enum { U3D_MAX_DEVICES = 32 };
u3d_status u3d_backend_list(const u3d_backend_vt *vt, u3d_caps *out, int cap, int *n);

/* `name`: "auto", "cpu", ... ; "auto" takes a GPU where there is a usable one, else the CPU, and logs which and
 * why. U3D_E_ARG lists the known names; U3D_E_DEVICE says why a device cannot be used. */
u3d_status u3d_backend_open(const char *name, const u3d_backend_opts *o, u3d_backend **out);

#endif
