/* Settings as JSON.
 *
 * Numbers are written as numbers, booleans as true or false, and everything else as the text that --set
 * accepts. Reading turns each value back into that text, so that files and --set follow the same rules.
 * Lists may also be JSON arrays: [132, 132, 116] is "132,132,116" and [[3, 3, 1], [3, 3, 3]] is
 * "3x3x1,3x3x3". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/config/config_impl.h"

/* cJSON prints a double with 15 digits if these are within its own tolerance, which can lose the last bit. A
 * number that needs more digits is therefore added as raw text. */
static bool json_add_real(cJSON *json, const char *name, double v, const char *exact)
{
    char short_text[40];
    (void)snprintf(short_text, sizeof short_text, "%.15g", v);
    if (strtod(short_text, NULL) == v) return cJSON_AddNumberToObject(json, name, v) != NULL;
    return cJSON_AddRawToObject(json, name, exact) != NULL;
}

u3d_status u3d_config_to_json(const u3d_config *c, cJSON **out)
{
    *out = NULL;
    cJSON *json = cJSON_CreateObject();
    bool good = json != NULL;
    for (int i = 0; good && i < u3d_config_n_keys; i++) {
        const u3d_config_key *key = &u3d_config_keys[i];
        const void *at = (const char *)c + key->offset;
        char buf[U3D_KEY_TEXT_CAP];
        switch (key->kind) {
        case U3D_KEY_INT:
            good = cJSON_AddNumberToObject(json, key->name, (double)*(const int64_t *)at);
            break;
        case U3D_KEY_REAL:
            good = json_add_real(json, key->name, *(const double *)at,
                                 u3d_key_text(key, at, buf, sizeof buf));
            break;
        case U3D_KEY_BOOL: good = cJSON_AddBoolToObject(json, key->name, *(const bool *)at); break;
        default:
            good = cJSON_AddStringToObject(json, key->name, u3d_key_text(key, at, buf, sizeof buf));
            break;
        }
    }
    if (!good) {
        cJSON_Delete(json);
        return u3d_fail(U3D_E_NOMEM, "settings as JSON: out of memory");
    }
    *out = json;
    return U3D_OK;
}

/* Appends to a buffer of U3D_KEY_TEXT_CAP bytes. Returns false if the text does not fit. */
static bool json_append(char *buf, const char *text)
{
    size_t used = strlen(buf), n = strlen(text);
    if (used + n >= U3D_KEY_TEXT_CAP) return false;
    memcpy(buf + used, text, n + 1);
    return true;
}

/* Writes a JSON value as the text that --set accepts. `depth` is the number of arrays around it; the
 * elements of the outer array are joined by commas, those of inner arrays by x. Returns false if it has no
 * such text. */
static bool json_value_text(const cJSON *value, int depth, char *buf)
{
    char number[40];
    if (cJSON_IsString(value) || cJSON_IsRaw(value)) return json_append(buf, value->valuestring);
    if (cJSON_IsBool(value)) return json_append(buf, cJSON_IsTrue(value) ? "true" : "false");
    if (cJSON_IsNumber(value)) {
        (void)snprintf(number, sizeof number, "%.17g", value->valuedouble);
        return json_append(buf, number);
    }
    if (!cJSON_IsArray(value) || depth == 2) return false;
    const cJSON *element = NULL;
    cJSON_ArrayForEach(element, value)
    {
        if (element != value->child && !json_append(buf, depth == 0 ? "," : "x")) return false;
        if (!json_value_text(element, depth + 1, buf)) return false;
    }
    return true;
}

/* Sets either the keys that imply others or all remaining keys. u3d_config_from_json sets the implying keys
 * first, so that the order of keys in the file does not matter. */
static u3d_status json_set_keys(u3d_config *c, const cJSON *json, const char *where, bool implying)
{
    const cJSON *value = NULL;
    cJSON_ArrayForEach(value, json)
    {
        char text[U3D_KEY_TEXT_CAP] = "";
        const u3d_config_key *key = u3d_config_find_key(value->string);
        if ((key && key->implied) != implying) continue;
        if (!json_value_text(value, 0, text))
            return u3d_fail(U3D_E_ARG,
                            "%s: the setting '%s' is neither a number, a string, true or false, nor a list of them",
                            where, value->string);
        u3d_status status = u3d_config_set_key(c, value->string, text);
        if (status != U3D_OK) return u3d_wrap(status, "%s: ", where);
    }
    return U3D_OK;
}

u3d_status u3d_config_from_json(u3d_config *c, const cJSON *json, const char *where)
{
    if (!cJSON_IsObject(json)) return u3d_fail(U3D_E_FORMAT, "%s: expected a JSON object of settings", where);
    u3d_config read = *c;
    U3D_TRY(json_set_keys(&read, json, where, true));
    U3D_TRY(json_set_keys(&read, json, where, false));
    *c = read;
    return U3D_OK;
}
