/* Messages for people, on stderr, one line each.
 *
 * A line is put together in a local buffer and written with one call, so that the lines of several threads do
 * not mix. U3D_LOG is read at first use: a level on its own sets the default, "channel:level" sets one
 * channel. */
#include "engine/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/env.h"

enum { LOG_MAX_RULES = 32, LOG_NAME_CAP = 24, LOG_LINE_CAP = 2048, LOG_MAX_ONCE = 512 };

typedef struct log_rule {
    char channel[LOG_NAME_CAP];
    u3d_log_level level;
} log_rule;

static const char *const log_level_names[] = {"error", "warn", "info", "debug", "trace"};
static pthread_once_t log_once = PTHREAD_ONCE_INIT;
static atomic_int log_default = U3D_LOG_INFO;
static log_rule log_rules[LOG_MAX_RULES]; /* written once, under log_once */
static int log_n_rules;
static double log_start_s;

static bool log_parse_level(const char *word, size_t n, u3d_log_level *out)
{
    for (int i = U3D_LOG_ERROR; i <= U3D_LOG_TRACE; i++) {
        if (strlen(log_level_names[i]) == n && memcmp(log_level_names[i], word, n) == 0) {
            *out = (u3d_log_level)i;
            return true;
        }
    }
    return false;
}

/* Applies one item of U3D_LOG, "level" or "channel:level". Returns false if it is not understood. */
static bool log_add_rule(const char *item, size_t n)
{
    const char *colon = memchr(item, ':', n);
    u3d_log_level level;
    if (!colon) {
        if (!log_parse_level(item, n, &level)) return false;
        atomic_store(&log_default, (int)level);
        return true;
    }
    size_t n_channel = (size_t)(colon - item);
    if (!log_parse_level(colon + 1, n - n_channel - 1, &level)) return false;
    if (n_channel == 0 || n_channel >= LOG_NAME_CAP || log_n_rules == LOG_MAX_RULES) return false;
    log_rule *rule = &log_rules[log_n_rules++];
    memcpy(rule->channel, item, n_channel);
    rule->level = level;
    return true;
}

static void log_init(void)
{
    log_start_s = u3d_clock();
    const char *text = u3d_env_get(U3D_ENV_LOG);
    while (text && *text) {
        size_t n = strcspn(text, ",");
        if (n > 0 && !log_add_rule(text, n)) {
            fprintf(stderr,
                    "U3D_LOG: '%.*s' is ignored because it is neither a level nor channel:level\n",
                    (int)n, text);
        }
        text += n + (text[n] == ',');
    }
}

bool u3d_log_on(u3d_log_level level, const char *channel)
{
    pthread_once(&log_once, log_init);
    for (int i = 0; i < log_n_rules; i++) {
        if (strcmp(log_rules[i].channel, channel) == 0) return level <= log_rules[i].level;
    }
    return (int)level <= atomic_load(&log_default);
}

void u3d_log_set_level(u3d_log_level level)
{
    pthread_once(&log_once, log_init); /* otherwise the first message would restore U3D_LOG's default */
    atomic_store(&log_default, (int)level);
}

void u3d_log(u3d_log_level level, const char *channel, const char *fmt, ...)
{
    if (!u3d_log_on(level, channel)) return;
    char line[LOG_LINE_CAP];
    int used =
        snprintf(line, sizeof line, "[%9.3f] %c %-6s ", u3d_clock() - log_start_s, "EWIDT"[level], channel);
    size_t at = used < LOG_LINE_CAP - 2 ? (size_t)used : LOG_LINE_CAP - 2;
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + at, sizeof line - 1 - at, fmt,
              args); /* a long message is cut; one byte is reserved for '\n' */
    va_end(args);
    size_t n = strlen(line);
    line[n] = '\n';
    fwrite(line, 1, n + 1, stderr);
}

/* Notes a text by its hash (FNV-1a, 64 bits) and returns whether it is new. When the table is full, every
 * text counts as new. */
static bool log_is_new(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t said[LOG_MAX_ONCE];
    static int n_said;
    uint64_t hash = 0xcbf29ce484222325U;
    for (; *text; text++) hash = (hash ^ (uint8_t)*text) * 0x100000001b3U;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < n_said && said[i] != hash) i++;
    const bool is_new = i == n_said;
    if (is_new && n_said < LOG_MAX_ONCE) said[n_said++] = hash;
    pthread_mutex_unlock(&lock);
    return is_new;
}

void u3d_log_once(u3d_log_level level, const char *channel, const char *fmt, ...)
{
    char text[LOG_LINE_CAP];
    va_list args;
    if (!u3d_log_on(level, channel)) return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (log_is_new(text)) u3d_log(level, channel, "%s", text);
}

void u3d_log_first(u3d_log_level level, const char *channel, const char *fmt, ...)
{
    char text[LOG_LINE_CAP];
    va_list args;
    if (!u3d_log_on(level, channel) || !log_is_new(fmt)) return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    u3d_log(level, channel, "%s", text);
}
