/* u3d_child_run with fork and a pipe, through which the child sends its result. */
#include "engine/base/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/stop.h"

static bool send_all(int fd, const void *data, size_t bytes)
{
    for (const char *p = data; bytes > 0;) {
        const ssize_t sent = write(fd, p, bytes);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        p += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t bytes)
{
    for (char *p = data; bytes > 0;) {
        const ssize_t got = read(fd, p, bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        p += got;
        bytes -= (size_t)got;
    }
    return true;
}

bool u3d_child_run(void (*work)(void *context), void *context, void *result, size_t bytes, int *signal_number)
{
    int ends[2], status = 0;
    *signal_number = 0;
    fflush(NULL);
    if (pipe(ends) != 0) return false;
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        u3d_stop_in_child();
        close(ends[0]);
        work(context);
        _exit(send_all(ends[1], result, bytes) ? 0 : 1);
    }
    close(ends[1]);
    u3d_stop_child(child > 0 ? child : 0);
    const bool whole = child > 0 && receive_all(ends[0], result, bytes);
    close(ends[0]);
    if (child > 0)
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    u3d_stop_child(0);
    if (WIFSIGNALED(status)) *signal_number = WTERMSIG(status);
    return whole;
}
