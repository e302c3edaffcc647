/* u3d_child_run with fork and a pipe, through which the child sends its result. */
#include "engine/base/child.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool send_all(int fd, const void *data, size_t bytes)
{
    ssize_t sent = 1;
    for (const char *p = data; bytes > 0 && sent > 0; p += sent, bytes -= (size_t)sent)
        sent = write(fd, p, bytes);
    return bytes == 0;
}

static bool receive_all(int fd, void *data, size_t bytes)
{
    ssize_t got = 1;
    for (char *p = data; bytes > 0 && got > 0; p += got, bytes -= (size_t)got) got = read(fd, p, bytes);
    return bytes == 0;
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
        work(context);
        _exit(send_all(ends[1], result, bytes) ? 0 : 1);
    }
    close(ends[1]);
    const bool whole = child > 0 && receive_all(ends[0], result, bytes);
    close(ends[0]);
    if (child > 0) waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) *signal_number = WTERMSIG(status);
    return whole;
}
