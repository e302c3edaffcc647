/* Status codes, and the error message that belongs to the last failure.
 *
 * Every function that can fail returns u3d_status. On failure it also records one sentence, kept per thread,
 * that says what was attempted, on what, what was expected and what was found, and what the user can try.
 * When a status reaches main() in tools/cli/u3d.c, the program prints the message and turns the status into
 * an exit code. Code that goes on after a failure may log the message instead. */
#ifndef U3D_ENGINE_STATUS_H
#define U3D_ENGINE_STATUS_H

typedef enum u3d_status {
    U3D_OK = 0,
    U3D_E_ARG = -1,         /* the caller passed something that can never be valid   exit 2 */
    U3D_E_SHAPE = -2,       /* shapes or element types do not fit together           exit 2 */
    U3D_E_NOMEM = -3,       /* memory exhausted, or a set limit is exceeded          exit 5 */
    U3D_E_IO = -4,          /* an input could not be opened or read                  exit 3 */
    U3D_E_FORMAT = -5,      /* readable, but not what the file claims to be          exit 3 */
    U3D_E_UNSUPPORTED = -6, /* valid request that this backend or build cannot serve exit 2 */
    U3D_E_DEVICE = -7,      /* driver, kernel compiler or queue reported a failure   exit 4 */
    U3D_E_NUMERIC = -8,     /* NaN or infinity in numbers that must be finite        exit 7 */
    U3D_E_CANCELLED = -9,   /* stop requested by a signal                            exit 130 */
    U3D_E_OUTPUT = -10,     /* an output could not be written                        exit 6 */
    U3D_E_CHECK = -11       /* a check that the user asked for has failed            exit 1 */
} u3d_status;

/* Records a message for the calling thread and returns `code`, so that a function can fail with
 * return u3d_fail(U3D_E_SHAPE, "...", ...);  A message ends without a newline and without a full stop. */
u3d_status u3d_fail(u3d_status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts context in front of the message that is already recorded: "case 12: " + old message. The ": " is added
 * if `fmt` does not end with it. Returns `code`. */
u3d_status u3d_wrap(u3d_status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last message of this thread; never NULL. It is valid until the thread's next failure. */
const char *u3d_error_text(void);

#define U3D_TRY(expr)                                                                                        \
    do {                                                                                                     \
        u3d_status try_status_ = (expr);                                                                     \
        if (try_status_ != U3D_OK) return try_status_;                                                       \
    } while (0)

/* For functions that own several resources. Such a function has exactly one label, `done:`, and a local
 * variable `u3d_status status`. */
#define U3D_GO(expr)                                                                                         \
    do {                                                                                                     \
        status = (expr);                                                                                     \
        if (status != U3D_OK) goto done;                                                                     \
    } while (0)

/* Prints the values and aborts, because a broken invariant is a bug in u3d. */
_Noreturn void u3d_bug(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define U3D_ASSERT(cond, ...) ((cond) ? (void)0 : u3d_bug(__FILE__, __LINE__, #cond, __VA_ARGS__))

#endif
