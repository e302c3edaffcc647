/* u3d: parses the command line, runs the command, and turns its status into a sentence on stderr and an exit
 * code. Nothing else in the program prints an error or exits, except after a request to stop that the command
 * did not follow in time (engine/base/stop.h). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "tools/cli/parse.h"

static int exit_code(u3d_status status)
{
    switch (status) {
    case U3D_OK: return 0;
    case U3D_E_CHECK: return 1;
    case U3D_E_ARG:
    case U3D_E_SHAPE:
    case U3D_E_UNSUPPORTED: return 2;
    case U3D_E_IO:
    case U3D_E_FORMAT: return 3;
    case U3D_E_DEVICE: return 4;
    case U3D_E_NOMEM: return 5;
    case U3D_E_OUTPUT: return 6;
    case U3D_E_NUMERIC: return 7;
    case U3D_E_CANCELLED: return 130;
    }
    return 2;
}

/* Threads wait for each other some hundred times per iteration. GNU's OpenMP lets a waiting thread spin for
 * milliseconds. If the machine also does other work, the spinning threads keep the one that all wait for off
 * its core, and two threads become several times slower than one. OpenMP reads its settings before main runs,
 * so the program starts itself once more with a short spin, unless the user chose another spin
 * (GOMP_SPINCOUNT) or forbade this (U3D_SPIN). */
static void start_with_short_spin(char **argv)
{
    if (u3d_env_get(U3D_ENV_SPIN)) return;
    const char *done = u3d_env_describe(U3D_ENV_SPIN)->name;
    if (setenv("GOMP_SPINCOUNT", "1000", 0) == 0 && setenv(done, "1", 1) == 0)
        (void)execv("/proc/self/exe", argv); /* if that fails, this process goes on */
}

int main(int argc, char **argv)
{
    start_with_short_spin(argv);
    args a = {0};
    const command *c;
    const double started = u3d_clock();
    u3d_status status = args_parse(argc, (const char **)argv, &a, &c);
    if (status == U3D_OK && c && !(a.stop = u3d_stop_install()))
        status = u3d_fail(U3D_E_NOMEM, "starting: out of memory");
    if (status == U3D_OK && c) {
        a.started = started;
        a.terminal = isatty(STDERR_FILENO);
        if (a.quiet) u3d_log_set_level(U3D_LOG_WARN);
        if (a.verbose) u3d_log_set_level(U3D_LOG_DEBUG);
        signal(SIGXFSZ,
               SIG_IGN); /* a limit on the size of files is then an error of writing, as a full disk is */
        status = c->run(&a);
        u3d_stop_hold(); /* only this function still has something to say */
    }
    args_done(&a);
    if (status == U3D_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = u3d_fail(U3D_E_OUTPUT, "writing the results to stdout failed");
    if (status != U3D_OK) fprintf(stderr, "u3d: error: %s\n", u3d_error_text());
    return exit_code(status);
}
