/* The backends that are compiled into this build. Only tools/ and tests/ include this file. */
#ifndef U3D_BACKENDS_BACKENDS_H
#define U3D_BACKENDS_BACKENDS_H

#include "engine/plan/backend.h"

const u3d_backend_vt *u3d_backend_at(int i); /* NULL past the end */

/* Lists the devices of a backend, at most `cap` of them. The search runs in a process of its own, because it
 * loads every installed driver together with its compiler, and a driver may crash. A program that then
 * computes on another device should be spared both. U3D_E_DEVICE: there is no device, or a driver crashed;
 * the message says why. */
enum { U3D_MAX_DEVICES = 32 };
u3d_status u3d_backend_list(const u3d_backend_vt *vt, u3d_caps *out, int cap, int *n);

/* Opens the backend called `name`: "auto", "cpu" or "opencl". "auto" opens a usable GPU if there is one and
 * the CPU otherwise, and logs which it chose and why. U3D_E_ARG: the name is unknown; the message lists the
 * known names. U3D_E_DEVICE: this build lacks the backend, or the device cannot be used; the message says
 * why. */
u3d_status u3d_backend_open(const char *name, const u3d_backend_opts *o, u3d_backend **out);

#endif
