/* The table of settings, for people and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/nearest.h"
#include "io/json.h"
#include "net/config/config.h"
#include "tools/cli/help.h"

/* Writes what is legal: "[integer 1..7]", "[ce | dice | ce+dice]". */
static void legal_text(const u3d_setting *s, char *buf, size_t cap)
{
    size_t used = 0;
    if (s->ranged) {
        (void)snprintf(buf, cap, "[%s %.10g..%.10g]", s->type, s->low, s->high);
        return;
    }
    if (!s->words) {
        (void)snprintf(buf, cap, "[%s]", s->type);
        return;
    }
    for (int i = 0; s->words[i] && used < cap; i++)
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", i ? " | " : "[", s->words[i]);
    if (used < cap) (void)snprintf(buf + used, cap - used, "]");
}

static void print_setting(const u3d_setting *s)
{
    char left[96], legal[160], text[600];
    legal_text(s, legal, sizeof legal);
    (void)snprintf(left, sizeof left, "%s=%s", s->key, s->value);
    (void)snprintf(text, sizeof text, "%s %s", s->help, legal);
    help_entry(left, text);
}

/* Adds the default, as a number or a boolean if the setting is one, and the bounds, which are null if the
 * setting has none. */
static bool add_values(cJSON *row, const u3d_setting *s)
{
    const bool plain =
        strcmp(s->type, "integer") == 0 || strcmp(s->type, "number") == 0 || strcmp(s->type, "boolean") == 0;
    return (plain ? cJSON_AddRawToObject(row, "default", s->value)
                  : cJSON_AddStringToObject(row, "default", s->value)) &&
           cJSON_AddItemToObject(row, "low", u3d_json_number(s->ranged ? s->low : NAN)) &&
           cJSON_AddItemToObject(row, "high", u3d_json_number(s->ranged ? s->high : NAN));
}

static bool add_words(cJSON *row, const u3d_setting *s)
{
    if (!s->words) return cJSON_AddNullToObject(row, "words");
    cJSON *words = cJSON_AddArrayToObject(row, "words");
    for (int i = 0; words && s->words[i]; i++)
        if (!cJSON_AddItemToArray(words, cJSON_CreateString(s->words[i]))) return false;
    return words;
}

static bool add_setting(cJSON *rows, const u3d_setting *s)
{
    cJSON *row = cJSON_CreateObject();
    return row && cJSON_AddItemToArray(rows, row) && cJSON_AddStringToObject(row, "key", s->key) &&
           cJSON_AddStringToObject(row, "group", s->group) && cJSON_AddStringToObject(row, "type", s->type) &&
           add_values(row, s) && add_words(row, s) && cJSON_AddStringToObject(row, "help", s->help);
}

static bool wanted(const u3d_setting *s, char *const *names, int n_names)
{
    for (int i = 0; i < n_names; i++)
        if (strcmp(names[i], s->key) == 0 || strcmp(names[i], s->group) == 0) return true;
    return n_names == 0;
}

/* Whether there is a setting or a group of this name. */
static u3d_status check_name(char *name)
{
    u3d_setting s;
    u3d_nearest nearest = {.word = name};
    for (int i = 0; u3d_config_setting(i, &s); i++) {
        if (wanted(&s, &name, 1)) return U3D_OK;
        u3d_nearest_try(&nearest, s.key);
        u3d_nearest_try(&nearest, s.group);
    }
    return u3d_fail(U3D_E_ARG, "u3d settings: unknown setting or group '%s'; did you mean '%s'?", name,
                    nearest.best);
}

static u3d_status print_json(char *const *names, int n_names)
{
    u3d_setting s;
    cJSON *json = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(json, "settings");
    bool ok = rows != NULL;
    for (int i = 0; ok && u3d_config_setting(i, &s); i++)
        if (wanted(&s, names, n_names)) ok = add_setting(rows, &s);
    u3d_status status =
        ok ? u3d_json_print(stdout, json) : u3d_fail(U3D_E_NOMEM, "listing settings: out of memory");
    cJSON_Delete(json);
    return status;
}

static void print_text(char *const *names, int n_names)
{
    u3d_setting s;
    const char *group = "";
    printf("Settings for --set KEY=VALUE and for JSON files given to --net. Each entry is a\n"
           "key with its default, its meaning, and [what is legal]. Presets change some\n"
           "defaults: `u3d info --net paper --json` shows all values of a network.\n");
    for (int i = 0; u3d_config_setting(i, &s); i++) {
        if (!wanted(&s, names, n_names)) continue;
        if (strcmp(s.group, group) != 0) printf("\n%s:\n", s.group);
        group = s.group;
        print_setting(&s);
    }
}

u3d_status help_settings(char *const *names, int n_names, bool json)
{
    for (int i = 0; i < n_names; i++) U3D_TRY(check_name(names[i]));
    if (json) return print_json(names, n_names);
    print_text(names, n_names);
    return U3D_OK;
}
