/* Preloaded into u3d by test_lost.sh: a system whose file systems have no locks. */
#include <errno.h>
#include <sys/file.h>

int flock(int fd, int operation)
{
    (void)fd;
    (void)operation;
    errno = ENOLCK;
    return -1;
}
