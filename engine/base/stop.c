/* The handlers of SIGINT, SIGTERM and SIGHUP, and of the SIGALRM that follows half a second later.
 *
 * SIGALRM means "the flag is set: end, unless you hold". A process passes it on to the process that it waits
 * for, which a terminal's Ctrl-C may have reached already; getting it twice does no harm, while a second
 * SIGINT would count as impatience. Everything called here is allowed in a signal handler (setitimer is a
 * plain system call on Linux). */
#include "engine/base/stop.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/base/clock.h"

enum { GRACE_US = 500000, EXIT_INTERRUPTED = 130 };
/* One request may come as two signals: `timeout` signals its child and then the whole process group. */
static const double SAME_REQUEST_S = 0.03;

static volatile int *stop_flag; /* shared with forked processes, so that they stop with their parent */
static volatile sig_atomic_t stop_seen, stop_held, stop_is_child;
static volatile double stop_seen_at; /* u3d_clock() at the first signal */
static volatile pid_t stop_waits_for;
static void (*volatile stop_clean)(void);

static void stop_alarm_set(void)
{
    const struct itimerval soon = {.it_value = {.tv_usec = GRACE_US}};
    (void)setitimer(ITIMER_REAL, &soon, NULL);
}

_Noreturn static void stop_now(void)
{
    static const char text[] = "u3d: error: interrupted; outputs that were not complete have been removed\n";
    if (stop_clean) stop_clean();
    if (!stop_is_child) (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_INTERRUPTED);
}

static void stop_on_signal(int signal_number)
{
    *stop_flag = 1;
    if (!stop_seen) {
        stop_seen = 1;
        stop_seen_at = u3d_clock();
        stop_alarm_set();
    } else if (signal_number != SIGHUP && u3d_clock() - stop_seen_at > SAME_REQUEST_S) {
        stop_now(); /* a terminal that is closed may send several SIGHUP, so these do not count */
    }
}

static void stop_on_alarm(int signal_number)
{
    (void)signal_number;
    if (stop_waits_for > 0) (void)kill(stop_waits_for, SIGALRM);
    if (stop_flag && *stop_flag && !stop_held) stop_now();
}

static void stop_handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    (void)sigaction(signal_number, &action, NULL);
}

volatile int *u3d_stop_install(void)
{
    struct sigaction hangup;
    void *shared = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return NULL;
    stop_flag = shared;
    stop_handle(SIGALRM, stop_on_alarm);
    stop_handle(SIGINT, stop_on_signal);
    stop_handle(SIGTERM, stop_on_signal);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        stop_handle(SIGHUP, stop_on_signal);
    return stop_flag;
}

bool u3d_stop_requested(void)
{
    return stop_flag && *stop_flag;
}

void u3d_stop_hold(void)
{
    stop_held++;
}

void u3d_stop_release(void)
{
    stop_held--;
    if (stop_held == 0 && u3d_stop_requested()) stop_alarm_set();
}

void u3d_stop_clean_with(void (*clean)(void))
{
    stop_clean = clean;
}

void u3d_stop_child(pid_t child)
{
    stop_waits_for = child;
    if (child > 0 && u3d_stop_requested()) stop_alarm_set();
}

void u3d_stop_in_child(void)
{
    stop_seen = stop_held = 0;
    stop_waits_for = 0;
    stop_is_child = 1;
    if (u3d_stop_requested()) stop_alarm_set();
}
