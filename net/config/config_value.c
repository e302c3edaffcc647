/* Values as text: reading them by the kind of their key, and writing them so that reading gives the same
 * value.
 *
 * This file knows neither the table of keys nor the settings as a whole; both are built on it. A value
 * that is not legal leaves the stored one unchanged. Numbers must be finite. Where JSON limits a value
 * (whole numbers up to 2^53), text has the same limit, so that every setting survives a setting file and a
 * model. */
#include "net/config/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/config/config_impl.h"

_Static_assert(sizeof(u3d_loss_kind) == sizeof(int) && sizeof(u3d_switch) == sizeof(int),
               "enums are stored as int");

/* Reads a text that consists of one finite number and nothing else. */
static bool value_read_real(const char *text, double *v)
{
    char *end = NULL;
    *v = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*v);
}

/* Reads a whole number. The limit is 2^53, up to which a double holds every whole number (JSON has only
 * doubles). */
static bool value_read_int(const char *text, int64_t *v)
{
    double real;
    if (!value_read_real(text, &real) || real != floor(real) || fabs(real) > 9007199254740992.0)
        return false;
    *v = (int64_t)real;
    return true;
}

u3d_status u3d_parse_numbers(const char *text, double *numbers, int cap, int *n)
{
    *n = 0;
    for (const char *at = text;;) {
        size_t length = strcspn(at, ",");
        char word[64];
        if (length == 0 || length >= sizeof word || *n == cap)
            return u3d_fail(U3D_E_ARG, "'%s' is not a list of up to %d numbers", text, cap);
        memcpy(word, at, length);
        word[length] = '\0';
        if (!value_read_real(word, &numbers[*n]))
            return u3d_fail(U3D_E_ARG, "'%s' in '%s' is not a number", word, text);
        (*n)++;
        if (at[length] == '\0') return U3D_OK;
        at += length + 1;
    }
}

/* Reads three whole numbers x, y, z with `separator` between them into z, y, x. *end is the text after
 * them. */
static bool value_read_triple(const char *text, char separator, int64_t low, int64_t high, int64_t zyx[3],
                               const char **end)
{
    for (int axis = 2; axis >= 0; axis--) {
        char *after = NULL;
        if (*text < '0' || *text > '9') return false;
        errno = 0;
        long long v = strtoll(text, &after, 10);
        if (errno != 0 || v < low || v > high) return false;
        zyx[axis] = v;
        text = after;
        if (axis > 0 && *text++ != separator) return false;
    }
    *end = text;
    return true;
}

static u3d_status value_parse_size(const char *text, const char *what, int64_t high, int64_t zyx[3])
{
    const char *end = NULL;
    int64_t size[3];
    bool good = (value_read_triple(text, 'x', 1, high, size, &end) && *end == '\0') ||
                (value_read_triple(text, ',', 1, high, size, &end) && *end == '\0');
    if (!good)
        return u3d_fail(
            U3D_E_ARG,
            "%s is '%s'; expected three whole numbers from 1 to %lld (x, y, z), such as 132x132x116", what,
            text, (long long)high);
    memcpy(zyx, size, sizeof size);
    return U3D_OK;
}

u3d_status u3d_parse_size(const char *text, const char *what, int64_t zyx[3])
{
    return value_parse_size(text, what, INT32_MAX, zyx);
}

u3d_status u3d_parse_spacing(const char *text, double zyx[3])
{
    char list[96];
    double xyz[3];
    int n = 0;
    size_t length = strlen(text);
    bool good = length < sizeof list;
    for (size_t i = 0; good && i <= length; i++) list[i] = text[i] == 'x' ? ',' : text[i];
    good = good && u3d_parse_numbers(list, xyz, 3, &n) == U3D_OK && n == 3;
    for (int i = 0; good && i < 3; i++) good = xyz[i] >= 1e-9 && xyz[i] <= 1e9; /* 1e-9: 1 nm in metres */
    if (!good)
        return u3d_fail(U3D_E_ARG, "expected auto, or three numbers above 0 (x, y, z), such as 1x1x2.5");
    for (int a = 0; a < 3; a++) zyx[a] = xyz[2 - a];
    return U3D_OK;
}

/* Reads "3x3x1,3x3x3": one entry per level; the last one is repeated for the levels after it. */
static u3d_status value_set_axes(const u3d_config_key *key, const char *text, int32_t (*axes)[3])
{
    int32_t read[U3D_MAX_LEVELS][3];
    size_t n = 0;
    const char *at = text;
    for (;; at++) {
        int64_t zyx[3];
        if (n == key->count)
            return u3d_fail(U3D_E_ARG, "%s has more than %zu entries in '%s'", key->name, key->count, text);
        if (!value_read_triple(at, 'x', (int64_t)key->low, (int64_t)key->high, zyx, &at) ||
            (*at != ',' && *at != '\0'))
            return u3d_fail(U3D_E_ARG,
                            "%s is '%s'; expected numbers from %g to %g for x, y and z, such as 3x3x3, "
                            "or a list with one such entry per level, separated by commas",
                            key->name, text, key->low, key->high);
        for (int axis = 0; axis < 3; axis++) read[n][axis] = (int32_t)zyx[axis];
        n++;
        if (*at == '\0') break;
    }
    for (size_t level = 0; level < key->count; level++)
        memcpy(axes[level], read[level < n ? level : n - 1], sizeof read[0]);
    return U3D_OK;
}

static u3d_status value_set_word(const u3d_config_key *key, const char *text, void *at)
{
    char known[160] = "";
    for (int i = 0; key->words[i]; i++) {
        if (strcmp(key->words[i], text) == 0) {
            memcpy(at, &i, sizeof i);
            return U3D_OK;
        }
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", key->words[i]);
    }
    return u3d_fail(U3D_E_ARG, "%s is '%s'; expected one of: %s", key->name, text, known);
}

static u3d_status value_set_bool(const u3d_config_key *key, const char *text, void *at)
{
    static const char *const yes[] = {"true", "on", "yes", "1"}, *const no[] = {"false", "off", "no", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        bool on = strcasecmp(text, yes[i]) == 0;
        if (!on && strcasecmp(text, no[i]) != 0) continue;
        memcpy(at, &on, sizeof on);
        return U3D_OK;
    }
    return u3d_fail(U3D_E_ARG, "%s is '%s'; expected true or false", key->name, text);
}

static u3d_status value_set_text(const u3d_config_key *key, const char *text, char *at)
{
    if (strlen(text) >= key->count)
        return u3d_fail(U3D_E_ARG, "%s is longer than %zu characters", key->name, key->count - 1);
    u3d_status status = key->check(text);
    if (status != U3D_OK) return u3d_wrap(status, "%s is '%s': ", key->name, text);
    memset(at, 0, key->count);
    memcpy(at, text, strlen(text));
    return U3D_OK;
}

/* Reads a range "low,high", or angles "x,y,z". A single number stands for all three angles. */
static u3d_status value_set_reals(const u3d_config_key *key, const char *text, double *at)
{
    double read[3] = {0};
    int n = 0;
    const int count = key->kind == U3D_KEY_RANGE ? 2 : 3;
    bool good = u3d_parse_numbers(text, read, 3, &n) == U3D_OK;
    if (good && n == 1 && count == 3) {
        read[1] = read[2] = read[0];
        n = 3;
    }
    good = good && n == count;
    for (int i = 0; good && i < count; i++) good = read[i] >= key->low && read[i] <= key->high;
    if (!good || (count == 2 && read[0] > read[1]))
        return u3d_fail(U3D_E_ARG, "%s is '%s'; expected %s from %.10g to %.10g", key->name, text,
                        count == 2 ? "two numbers low,high such as 0.7,1.4," : "one number, or three for x,y,z,",
                        key->low, key->high);
    for (int i = 0; i < count; i++) at[i] = read[count == 3 ? 2 - i : i];
    return U3D_OK;
}

u3d_status u3d_key_read(const u3d_config_key *key, const char *text, void *at)
{
    int64_t whole = 0;
    double real = 0;
    switch (key->kind) {
    case U3D_KEY_INT:
        if (!value_read_int(text, &whole) || (double)whole < key->low || (double)whole > key->high)
            return u3d_fail(U3D_E_ARG, "%s is '%s'; expected a whole number from %.10g to %.10g", key->name,
                            text, key->low, key->high);
        memcpy(at, &whole, sizeof whole);
        return U3D_OK;
    case U3D_KEY_REAL:
        if (!value_read_real(text, &real) || real < key->low || real > key->high)
            return u3d_fail(U3D_E_ARG, "%s is '%s'; expected a number from %.10g to %.10g", key->name, text,
                            key->low, key->high);
        memcpy(at, &real, sizeof real);
        return U3D_OK;
    case U3D_KEY_BOOL: return value_set_bool(key, text, at);
    case U3D_KEY_RANGE:
    case U3D_KEY_ANGLES: return value_set_reals(key, text, at);
    case U3D_KEY_WORD: return value_set_word(key, text, at);
    case U3D_KEY_TEXT: return value_set_text(key, text, at);
    case U3D_KEY_SIZE: return value_parse_size(text, key->name, (int64_t)key->high, at);
    case U3D_KEY_AXES: return value_set_axes(key, text, at);
    }
    U3D_ASSERT(false, "key %s has kind %d", key->name, (int)key->kind);
    return U3D_E_ARG;
}

/* Writes a number with the fewest digits, from 15 to 17, that read back as the same number. */
static void value_real_text(double v, char *buf, size_t cap)
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(buf, cap, "%.*g", digits, v);
        if (strtod(buf, NULL) == v) return;
    }
}

void u3d_spacing_text(const double zyx[3], char *buf, size_t cap)
{
    char axis[3][32];
    for (int a = 0; a < 3; a++) value_real_text(zyx[a], axis[a], sizeof axis[a]);
    (void)snprintf(buf, cap, "%s,%s,%s", axis[2], axis[1], axis[0]);
}

/* Writes the entries without repetitions at the end, because value_set_axes repeats the last one. */
static void value_axes_text(const int32_t (*axes)[3], size_t count, char *buf, size_t cap)
{
    size_t n = count, used = 0;
    while (n > 1 && memcmp(axes[n - 1], axes[n - 2], sizeof axes[0]) == 0) n--;
    for (size_t level = 0; level < n && used < cap; level++)
        used += (size_t)snprintf(buf + used, cap - used, "%s%dx%dx%d", level ? "," : "", (int)axes[level][2],
                                 (int)axes[level][1], (int)axes[level][0]);
}

/* Writes a range or angles. Three equal angles are written as one number. */
static void value_reals_text(const u3d_config_key *key, const double *v, char *buf, size_t cap)
{
    const int count = key->kind == U3D_KEY_RANGE ? 2 : v[0] == v[1] && v[1] == v[2] ? 1 : 3;
    size_t used = 0;
    for (int i = 0; i < count && used < cap; i++) {
        char number[32];
        value_real_text(v[count == 3 ? 2 - i : i], number, sizeof number);
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", i ? "," : "", number);
    }
}

const char *u3d_key_text(const u3d_config_key *key, const void *at, char *buf, size_t cap)
{
    switch (key->kind) {
    case U3D_KEY_INT: (void)snprintf(buf, cap, "%lld", (long long)*(const int64_t *)at); break;
    case U3D_KEY_REAL: value_real_text(*(const double *)at, buf, cap); break;
    case U3D_KEY_RANGE:
    case U3D_KEY_ANGLES: value_reals_text(key, at, buf, cap); break;
    case U3D_KEY_BOOL: (void)snprintf(buf, cap, "%s", *(const bool *)at ? "true" : "false"); break;
    case U3D_KEY_WORD: (void)snprintf(buf, cap, "%s", key->words[*(const int *)at]); break;
    case U3D_KEY_TEXT: (void)snprintf(buf, cap, "%s", (const char *)at); break;
    case U3D_KEY_SIZE: {
        const int64_t *zyx = at;
        (void)snprintf(buf, cap, "%lldx%lldx%lld", (long long)zyx[2], (long long)zyx[1], (long long)zyx[0]);
        break;
    }
    case U3D_KEY_AXES: value_axes_text(at, key->count, buf, cap); break;
    }
    return buf;
}
