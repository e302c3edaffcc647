/* Messages for people, on stderr: "[   12.345] I plan   peak 3.1 GB, 212 nodes".
 *
 * A channel is named after a folder or a file. U3D_LOG=info or U3D_LOG=warn,plan:debug,flow:debug sets the
 * levels; the default is info. Results are never logged: they belong on stdout. */
#ifndef U3D_ENGINE_LOG_H
#define U3D_ENGINE_LOG_H

#include <stdbool.h>

typedef enum u3d_log_level {
    U3D_LOG_ERROR,
    U3D_LOG_WARN,
    U3D_LOG_INFO,
    U3D_LOG_DEBUG,
    U3D_LOG_TRACE
} u3d_log_level;

void u3d_log(u3d_log_level level, const char *channel, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Writes a message only the first time that its text occurs in this process, for facts about files that are
 * opened several times. */
void u3d_log_once(u3d_log_level level, const char *channel, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Writes a message only the first time that its format is used in this process, for facts that many files may
 * share. The message should say that it stands for the others. */
void u3d_log_first(u3d_log_level level, const char *channel, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool u3d_log_on(u3d_log_level level, const char *channel); /* whether such a message would be written */

/* Sets the default level of all channels. Levels that U3D_LOG sets for single channels take precedence over
 * it. */
void u3d_log_set_level(u3d_log_level level);

#define U3D_WARN(channel, ...)  u3d_log(U3D_LOG_WARN, channel, __VA_ARGS__)
#define U3D_INFO(channel, ...)  u3d_log(U3D_LOG_INFO, channel, __VA_ARGS__)
#define U3D_DEBUG(channel, ...) u3d_log(U3D_LOG_DEBUG, channel, __VA_ARGS__)

#endif
